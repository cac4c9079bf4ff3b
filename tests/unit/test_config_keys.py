"""Addresses of the settings in etcd and Consul, and what keys and values become."""

from __future__ import annotations

import pytest

from micro_rt.backends.consul.config import ConsulConfig
from micro_rt.backends.etcd.config import EtcdConfig
from micro_rt.config.base import MAX_DEPTH, MAX_SIZE, Reading
from micro_rt.config.keys import reading_of_keys
from micro_rt.errors import FailedPrecondition

ETCD = "an etcd address of a configuration looks like etcd://host:2379/app, where app is a folder of keys"
CONSUL = "a Consul address of a configuration looks like consul://127.0.0.1:8500/app, where app is a folder of keys"
CANARY = "Canary7"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("etcd://host/app", "etcd://host:2379/app"),
        ("etcd://host:1,other/app/", "etcd://host:1,other:2379/app"),
        ("etcd://user:Canary7@host/app?optional=true&secret=true&timeout=1", "etcd://host:2379/app"),
        ("etcd://host//app/two%20words", "etcd://host:2379//app/two words"),
        ("consul://host/app", "consul://host:8500/app"),
        ("consul:///app", "consul://127.0.0.1:8500/app"),
        ("consul://user:Canary7@host:1/app/more/?token=Canary7&secret=1", "consul://host:1/app/more"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CONSUL_HTTP_ADDR", "CONSUL_HTTP_TOKEN", "ETCD_USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    source = EtcdConfig(address) if address.startswith("etcd") else ConsulConfig(address)
    assert source.name == name
    assert CANARY not in f"{source!r} {source}"
    assert source.text
    assert source.secret == ("secret" in address)
    assert source.optional == ("optional" in address)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("etcd://host", ETCD),
        ("etcd://host/", ETCD),
        ("etcd://host//", ETCD),
        ("etcd://host/a%0Ab", ETCD),
        ("etcd:app", ETCD),
        ("etcd://user:pass/Canary7@host/app", f"{ETCD}; write %40 for @, %23 for # and, in a password, %2F for /"),
        ("etcd://host/app#Canary7", f"{ETCD}; write %40 for @, %23 for # and, in a password, %2F for /"),
        ("etcd://host/app?optional=maybe", "etcd://host:2379/app: optional= is true or false"),
        (
            "etcd://host/app?optoinal=true",
            "etcd address 'etcd://host?optoinal=***': there is no option 'optoinal'; known: ca, cert, key, optional, secret, timeout, tls",
        ),
        ("consul://host", CONSUL),
        ("consul://host//app", f"{CONSUL}; keys of Consul do not begin with a slash"),
        ("consul://host/app?secret=perhaps", "secret=***: it has a value that makes no sense"),
        ("consul://host/app?stale=true", "there is no option 'stale'; known: "),
    ],
)
def test_an_address_that_makes_no_sense_is_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"app|option|secret") as caught:
        EtcdConfig(address) if address.startswith("etcd") else ConsulConfig(address)
    assert str(caught.value).startswith(message)
    assert CANARY not in str(caught.value)


def reading(*pairs: tuple[str, str | bytes]) -> Reading:
    found = ((key.encode(), value if isinstance(value, bytes) else value.encode()) for key, value in pairs)
    return reading_of_keys("app/", found, "etcd://host/app")


def test_keys_are_nested_by_slashes() -> None:
    found = reading(
        ("app/limits/rps", "5"), ("app/limits/burst", ""), ("app/name", "ünï"), ("app/empty/", ""), ("app/", "")
    )
    assert found == Reading(
        {"limits": {"rps": "5", "burst": ""}, "name": "ünï"},
        {("limits", "rps"): "app/limits/rps", ("limits", "burst"): "app/limits/burst", ("name",): "app/name"},
    )


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("app/a", CANARY), ("app/a/b", CANARY)], "app/a/b sets something inside a, which app/a sets to a value"),
        ([("app/a/b", CANARY), ("app/a", CANARY)], "app/a/b sets something inside a, which app/a sets to a value"),
        ([("app/a//b", CANARY)], "app/a//b has an empty name in it"),
        ([("app/a/", CANARY)], "app/a/ has an empty name in it"),
        ([("app/a\n\x1b[1m", b"Canary7\xff")], "the value of the key app/a\\n\\u001b[1m is not a text in UTF-8"),
        ([("app/" + "a/" * MAX_DEPTH + "a", "1")], f"more than {MAX_DEPTH} names"),
        ([(f"app/{number}", "x" * (1 << 20)) for number in range(MAX_SIZE >> 20)], "are larger than 16 MiB together"),
    ],
)
def test_keys_that_make_no_sense_are_refused_without_their_values(
    pairs: list[tuple[str, str | bytes]], message: str
) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        reading(*pairs)
    assert caught.value.message.startswith("etcd://host/app: ")
    assert message in caught.value.message
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_a_key_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="the key app/�a is not UTF-8"):
        reading_of_keys("app/", [(b"app/\xffa", b"1")], "etcd://host/app")
