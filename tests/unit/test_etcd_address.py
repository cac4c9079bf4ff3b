from __future__ import annotations

from pathlib import Path

import pytest

from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import new_lease_id, prefix_end
from micro_rt.backends.etcd.registry import EtcdRegistry
from micro_rt.errors import FailedPrecondition


def parse(address: str, environment: dict[str, str] | None = None) -> EtcdAddress:
    return EtcdAddress.parse(address, options=("prefix",), environment=environment or {})


def test_hosts_have_a_default_port() -> None:
    assert parse("etcd://one").endpoints == ("one:2379",)
    assert parse("etcd://one:1,two,[::1],[::1]:5,one:1/").endpoints == (
        "one:1",
        "two:2379",
        "[::1]:2379",
        "[::1]:5",
    )


def test_everything_that_an_address_can_say() -> None:
    address = parse("etcd://me:p%40ss%3A@h:1/?ca=/a&cert=/b&key=/c&timeout=2.5&prefix=/x/&tls=true")
    assert address == EtcdAddress(
        endpoints=("h:1",),
        user="me",
        password="p@ss:",
        tls=True,
        ca="/a",
        cert="/b",
        key="/c",
        timeout=2.5,
        options=(("prefix", "/x/"),),
    )


def test_defaults() -> None:
    assert parse("etcd://h") == EtcdAddress(("h:2379",), timeout=5.0)
    assert parse("etcd://h?ca=/a").tls
    assert parse("etcd://h?tls=true").tls
    assert not parse("etcd://h?tls=false").tls


def test_the_user_of_the_environment_is_used_if_the_address_has_none() -> None:
    environment = {"ETCD_USERNAME": "them", "ETCD_PASSWORD": "theirs"}
    assert (parse("etcd://h", environment).user, parse("etcd://h", environment).password) == ("them", "theirs")
    assert parse("etcd://me:mine@h", environment).user == "me"
    assert parse("etcd://h", {"ETCD_USERNAME": "them"}).user == ""


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("etcd:", "is not etcd://host:2379"),
        ("etcd://", "is not etcd://host:2379"),
        ("consul://h", "is not etcd://host:2379"),
        ("etcd://h/path", "is not etcd://host:2379"),
        ("etcd://h#x", "is not etcd://host:2379"),
        ("etcd://h,", "is not host:port"),
        ("etcd://h:port", "is not host:port"),
        ("etcd://h:0", "is not host:port"),
        ("etcd://::1", "is not host:port"),
        ("etcd://h?dc=1", "there is no option 'dc'; known: ca, cert, key, prefix, timeout, tls"),
        ("etcd://h?timeout=1&timeout=2", "twice"),
        ("etcd://h?ca=", "has no value"),
        ("etcd://h?timeout=0", "not a number of seconds above 0"),
        ("etcd://h?timeout=nan", "not a number of seconds above 0"),
        ("etcd://h?timeout=soon", "not a number of seconds above 0"),
        ("etcd://h?tls=yes", "'yes' is neither true nor false"),
        ("etcd://h?tls=false&ca=/a", "ca= is of use with tls=true only"),
        ("etcd://h?key=/k", "key= belongs to a cert="),
        ("etcd://me@h", "a name and a password"),
        ("etcd://:secret@h", "a name and a password"),
    ],
)
def test_what_is_no_address(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")):
        parse(address)


@pytest.mark.parametrize("prefix", ["/micro", "/", "//"])
def test_a_prefix_ends_with_a_slash(prefix: str) -> None:
    with pytest.raises(ValueError, match="must end with a slash"):
        EtcdRegistry(f"etcd://h?prefix={prefix}")


@pytest.mark.parametrize(
    "address", ["etcd://me:hush@h", "etcd://me:hush@h?no=1", "etcd://me:hush@h:port", "etcd://:hush@h", "x://me:hush@h"]
)
def test_no_text_shows_the_password(address: str) -> None:
    try:
        read = parse(address)
    except ValueError as error:
        assert "hush" not in str(error)
    else:
        assert "hush" not in f"{read} {read!r}"


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for options in (f"ca={tmp_path}/none.pem", f"ca={empty}", f"cert={tmp_path}/none.pem", f"cert={empty}"):
        with pytest.raises(FailedPrecondition, match=options.partition("=")[2]):
            parse(f"etcd://h?{options}").tls_context()
    assert parse("etcd://h").tls_context() is None
    assert parse("etcd://h?tls=true").tls_context() is not None


def test_the_end_of_a_prefix() -> None:
    assert prefix_end(b"/a/") == b"/a0"
    assert prefix_end(b"a\xff\xff") == b"b"
    assert prefix_end(b"\xff") == b"\0"
    assert prefix_end(b"") == b"\0"


def test_ids_of_leases_are_positive_and_differ() -> None:
    ids = {new_lease_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(0 < id < 1 << 63 for id in ids)
