"""No error, log line, ``repr`` or output of a command shows a password or a token of an address."""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.consul.address import parse_consul_address
from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.kafka.address import parse_kafka_address
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.backends.postgresql.address import parse_postgresql_address
from micro_rt.cli.main import main
from micro_rt.kit.secrets import scrubbed, without_secrets
from micro_rt.service.announce import place_of
from micro_rt.service.parts import part_at
from tests.helpers.handlers import Lab
from tests.helpers.raw_server import raw_server

CANARY = "Canary7"
PARTS = {
    "consul": "registry",
    "etcd": "registry",
    "mdns": "registry",
    "kafka": "broker",
    "local": "broker",
    "memory": "broker",
    "unknown": "broker",
}
HOST = "127.0.0.1:1"
"""Nothing listens there."""

ACCOUNTS = (
    "me:{}",
    "{}:word",
    "{}",
    ":{}",
    "me:{}/b",
    "me:a/{}",
    "me:1/{}",
    "me:{}?b",
    "me:a?{}",
    "me:a?{}=b",
    "me:a?b={}",
    "me:a?b&{}=c",
    "me:a?timeout={}",
    "me:a?session={}",
    "me:{}#b",
    "me:a#{}",
    "me:a@{}",
    "me:{}@b",
    "me:a:{}",
    "me:a&{}",
    "me:a={}",
    "me:{} b",
    "me:a {}",
    "me:[{}",
    "me:{}]",
    "me:{}%",
    "me:{}\u2100",  # NFKC makes "a/c" of it, which urlsplit refuses by name.
    "me:{}\n",
)
OPTIONS = (
    "tokn={}",
    "token={}",
    "token={}&nosuch=1",
    "token={}&token={}",
    "token=a&{}",
    "token=a&{}=b",
    "token=a&canary=b",
    "tokn=a&canary=b",
    "token=a={}&nosuch",
    "Token={}",
    "TOKEN={}",
    "password={}",
    "secret={}",
    "{}",
    "a={}=b",
    "token={}@x",
    "token=x@{}",
    "token=a/{}&nosuch=1",
    "token=a?{}&nosuch=1",
    "token=a#{}",
    "token_file={}",
    "key={}&tls=true",
    "key={}&tls=true&ca=/dev/null&cert=/dev/null",
    "token={}&timeout=soon",
    "token={}&token_file=/dev/null",
)


def addresses(scheme: str) -> Iterator[str]:
    """Yields addresses with a secret in each position that a person may have put it into."""
    for account in ACCOUNTS:
        written = account.format(CANARY)
        for rest in ("", "/?nosuch=1", "/?timeout=soon", "/path", ":port"):
            yield f"{scheme}://{written}@{HOST}{rest}"
        yield f"{scheme}:{written}@{HOST}"
        yield f"{scheme}:/{written.lower()}@{HOST}"
        yield f"{written}@{HOST}"
        yield f"//{written.lower()}@{HOST}"
    for option in OPTIONS:
        yield f"{scheme}://{HOST}/?{option.format(CANARY, CANARY)}"
        yield f"{scheme}:?{option.format(CANARY, CANARY)}"
    yield f"{scheme}://me:{CANARY}"
    yield f"{scheme}://{HOST},me:{CANARY}"
    yield f"{scheme}://{HOST}/{CANARY}"
    yield f"{scheme}://{HOST}/#{CANARY}"
    yield f"{scheme}://[{CANARY}]:1"
    if scheme != "memory":
        yield f"{scheme}:{CANARY}"
        yield f"{scheme}:/{CANARY}"


def shows(text: str) -> bool:
    return "canary" in text.lower()


def everything(error: BaseException) -> str:
    """Returns what any reporter of errors may show: the error, what it comes from, and what was handled meanwhile."""
    seen: list[BaseException] = []
    texts: list[str] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is not None and each not in seen:
            seen.append(each)
            texts += [str(each), repr(each), *traceback.format_exception_only(each)]
            left += [each.__cause__, each.__context__]
    return "\n".join(texts)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_HOME", str(tmp_path))


@pytest.mark.parametrize("scheme", PARTS)
def test_no_error_about_an_address_shows_what_is_before_its_host_or_in_its_options(scheme: str) -> None:
    shown: list[tuple[str, str]] = []
    refused = 0
    for address in addresses(scheme):
        try:
            part = part_at(PARTS[scheme], address, "the setting")
        except micro.FailedPrecondition as error:
            refused += 1
            text = everything(error)
        else:
            text = repr(part)
        shown += [(address, text)] if shows(text) else []
    assert shown == []
    assert refused > 200


@pytest.mark.parametrize("scheme", PARTS)
def test_no_address_that_is_shown_has_them(scheme: str) -> None:
    for address in addresses(scheme):
        text = place_of("registry", address) + without_secrets(address)
        if f"{scheme}://" in address:  # Within a text, nothing else is known to be an address.
            text += scrubbed(f"cannot use {address} for this")
        assert not shows(text), address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("consul://me:word@10.0.0.5:8500/?dc=eu&token=abc", "consul://***@10.0.0.5:8500/?dc=eu&token=***"),
        ("kafka://a:1,[::1]:2,c/?sasl=plain&session=10", "kafka://a:1,[::1]:2,c/?sasl=plain&session=10"),
        ("etcd://me:a/b@c@host:2379/", "etcd://***@host:2379/"),
        ("etcd://me:a?b@host", "etcd://***@host"),
        ("consul://host/?token=a@b", "consul://***"),
        ("etcd://host:port/path#part", "etcd://***/***#***"),
        ("memory:shop", "memory:shop"),
        ("local:?sync=full", "local:?sync=full"),
        ("mdns://?interface=eth0", "mdns://?interface=eth0"),
        ("localhost:8500", "localhost:8500"),
        ("10.0.0.5:8500", "10.0.0.5:8500"),
        ("me:word@host", "me:***@host"),
        ("Me:word@host", "***@host"),
        ("nowhere", "nowhere"),
        ("fd00::1:50051", "fd00::1:50051"),  # Brackets are missing.
        ("127.0.0.1:70000", "127.0.0.1:70000"),
        ("me:a/b@h:1", "me:***@h:1"),
        ("me:word", "me:***"),
        ("consul://host/?dc=\x1b[2J", "consul://host/?dc=\\u001b[2J"),
    ],
)
def test_scheme_hosts_and_harmless_options_remain(address: str, shown: str) -> None:
    assert without_secrets(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("argument --brokr kafka://me:word@h/?a=b", "argument --brokr kafka://***@h/?a=***"),
        ("no //me:a b@h", "no //***@h"),
        ("see https://example.com/page, and a@b", "see https://***@b"),
        ("nothing to hide: 10/2 = 5", "nothing to hide: 10/2 = 5"),
        # A path of Python has one slash where an address has two.
        ("kafka:/me:a b@h/ is not a file", "kafka:***@h/ is not a file"),
        ("kafka:/h/?token=a is not a file", "kafka:/***?token=*** is not a file"),
        ("see kafka://a/?token=b and kafka://c/?dc=d", "see kafka://a/?token=*** and kafka://c/?dc=d"),
        ("arguments: me:word@h:1 --limit", "arguments: ***@h:1 --limit"),
        ("arguments: --broker=me:a/b@h:1", "arguments: --broker=***@h:1"),
        ("cannot be 'me:a b@h' or \"me:a b@h\"", "cannot be '***@h' or \"***@h\""),
        ('cannot be "me:it\'s a@h"', 'cannot be "***@h"'),
        (
            "shop.proto:3:1: orders/0@15 at 09:30:00, 'a@b', C:/a@b",
            "shop.proto:3:1: orders/0@15 at 09:30:00, 'a@b', C:/a@b",
        ),
    ],
)
def test_addresses_within_a_text_are_shown_without_secrets(text: str, shown: str) -> None:
    assert scrubbed(text) == shown


@pytest.mark.parametrize(
    "address",
    [
        f"consul://me:{CANARY}@{HOST}/?timeout=0.2",
        f"consul://{HOST}/?timeout=0.2&token={CANARY}",
        f"etcd://me:{CANARY}@{HOST}/?timeout=0.2",
        f"kafka://me:{CANARY}@{HOST}/?sasl=plain&timeout=0.2",
        f"kafka://me:{CANARY}@{HOST}/?sasl=scram-sha-512&timeout=0.2",
    ],
)
async def test_a_server_that_cannot_be_reached_is_named_without_them(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    scheme = address.partition(":")[0]
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    service = micro.Service("lab", **{"registry": "memory:", PARTS[scheme]: address})  # type: ignore[arg-type]
    service.handle(Lab())
    with pytest.raises(micro.Unavailable) as caught:
        async with service:
            await service.broker()
    assert HOST in str(caught.value)
    assert not shows(everything(caught.value) + caplog.text + repr(service))


ANSWERS = {
    "closes": b"",
    "no HTTP": bytes(range(256)),
    "noise": b"HTTP/1.1 200 OK\r\nContent-Length: 256\r\n\r\n" + bytes(range(256)),
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "denied": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied",
    "other": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[5]",
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(
    "address",
    [
        f"consul://HOST/?timeout=0.5&token={CANARY}",
        f"etcd://me:{CANARY}@HOST/?timeout=0.5",
        f"kafka://me:{CANARY}@HOST/?sasl=plain&timeout=0.5",
        f"kafka://me:{CANARY}@HOST/?sasl=scram-sha-512&timeout=0.5",
    ],
)
async def test_a_server_that_answers_something_else_is_named_without_them(
    address: str, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(ANSWERS[answer])
        await writer.drain()
        if ANSWERS[answer]:
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), 2)

    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    async with raw_server(serve) as host:
        scheme = address.partition(":")[0]
        service = micro.Service("lab", **{"registry": "memory:", PARTS[scheme]: address.replace("HOST", host)})  # type: ignore[arg-type]
        service.handle(Lab())
        with pytest.raises(Exception) as caught:  # whatever it is
            async with asyncio.timeout(15), service:
                await service.broker()
    assert not shows(everything(caught.value) + caplog.text + repr(service))


def test_what_was_read_from_an_address_does_not_show_them() -> None:
    environment = {
        "CONSUL_HTTP_TOKEN": CANARY,
        "CONSUL_HTTP_AUTH": f"me:{CANARY}",
        "ETCD_USERNAME": CANARY,
        "ETCD_PASSWORD": CANARY,
        "MICRO_KAFKA_USER": CANARY,
        "MICRO_KAFKA_PASSWORD": CANARY,
        "MICRO_POSTGRESQL_USER": CANARY,
        "MICRO_POSTGRESQL_PASSWORD": CANARY,
    }
    consul, _ = parse_consul_address("consul://host", environment)
    etcd = EtcdAddress.parse("etcd://host", environment=environment)
    kafka = parse_kafka_address("kafka://host/?sasl=plain", environment)
    postgresql = parse_postgresql_address("postgresql://host/database", environ=environment)
    assert (consul.token, etcd.password, kafka.password, postgresql.password) == (CANARY,) * 4
    for read in (consul, etcd, kafka, postgresql):
        assert not shows(f"{read} {read!r}")


@pytest.mark.parametrize(
    "variables",
    [
        {"CONSUL_HTTP_ADDR": f"http://me:{CANARY}@{HOST}"},
        {"CONSUL_HTTP_ADDR": f"me:{CANARY}@{HOST}"},
        {"CONSUL_HTTP_ADDR": f"http://me:{CANARY}/b@{HOST}"},
        {"CONSUL_HTTP_ADDR": f"http://me:{CANARY}"},
        {"CONSUL_HTTP_ADDR": f"{CANARY}@{HOST}://"},
        {"CONSUL_HTTP_ADDR": f"https://{HOST}/{CANARY}"},
        {"CONSUL_HTTP_ADDR": f"https://[{CANARY}"},
        {"CONSUL_HTTP_AUTH": CANARY},
        {"CONSUL_HTTP_TOKEN_FILE": CANARY},
        {"CONSUL_CLIENT_CERT": "/dev/null", "CONSUL_CLIENT_KEY": CANARY, "CONSUL_HTTP_SSL": "true"},
    ],
)
def test_no_error_about_a_variable_of_consul_shows_them(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(micro.FailedPrecondition) as caught:
        part_at("registry", "consul://", "the setting")
    assert not shows(everything(caught.value))


@pytest.mark.parametrize("given", [f"kafka://me:{CANARY}@h".encode(), Path(f"kafka://me:{CANARY}@h")])
async def test_an_address_of_the_wrong_type_is_not_shown(given: object) -> None:
    service = micro.Service("lab", registry="memory:", broker=given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="neither an address") as caught:
        async with service:
            await service.broker()
    assert not shows(everything(caught.value))


@pytest.mark.parametrize("name", ["transport", "selector", "codec"])
async def test_an_address_where_a_name_belongs_is_not_shown(name: str) -> None:
    with pytest.raises(micro.FailedPrecondition) as caught:
        service = micro.Service("lab", **{"registry": "memory:", name: f"grpc://me:{CANARY}@h"})  # type: ignore[arg-type]
        service.handle(Lab())
        async with service:
            pass
    assert not shows(everything(caught.value))


def test_the_time_for_a_text_grows_with_its_length() -> None:
    """A message repeats what others wrote, such as a topic in a .proto; in quadratic time, each of these takes an hour."""
    for part in ("a", ".", "=", "?", "'", "//", "a:", "a:/ ", "a:b@ ", "a:/b@", "'a:b "):
        text = part * (300_000 // len(part))
        for whole in (text, f"{text}@h", f"{text}://h"):
            assert len(scrubbed(whole)) <= len(whole) * 3


PLACES = (
    f"consul://me:{CANARY}@h",
    f"me:{CANARY}@{HOST}",
    f"me:a/{CANARY}@{HOST}",
    f"me:{CANARY} b@{HOST}",
    f"me:a@{CANARY}@{HOST}",
    f"{CANARY}:word@h",
    f"{CANARY}@h:port",
    f"//me:{CANARY}@h",
    f"kafka:?token={CANARY}",
    f"h/?token={CANARY}",
    f"me:{CANARY}",
)
"""What a person may give in place of ``host:port``, with a secret."""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["address", "advertise", "MICRO_ADDRESS", "MICRO_ADVERTISE"])
async def test_an_address_of_a_part_where_a_service_listens_is_not_shown(
    name: str, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given = {} if name.isupper() else {name: place}
    if not given:
        monkeypatch.setenv(name, place)
    service = micro.Service("lab", registry="memory:", **given)  # type: ignore[arg-type]
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition) as caught:
        async with service:
            pass
    assert not shows(everything(caught.value) + caplog.text)


async def test_an_advertised_loopback_address_is_not_shown_with_them() -> None:
    class Far(MemoryRegistry):
        loopback = False

    service = micro.Service("lab", registry=Far("memory:"), address="127.0.0.1:0", advertise=f"me:{CANARY}@localhost")
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition) as caught:
        async with service:
            pass
    assert not shows(everything(caught.value))


@pytest.mark.parametrize("address", [f"kafka://me:{CANARY}@h/", f"me:{CANARY}@h", f"kafka://h/?token={CANARY}"])
@pytest.mark.parametrize("variable", ["MICRO_MAX_MEMORY", "MICRO_SELECTOR", "MICRO_TRANSPORT"])
async def test_an_address_in_the_wrong_variable_is_not_shown(
    variable: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(micro.FailedPrecondition) as caught:
        service = micro.Service("lab", registry="memory:")
        service.handle(Lab())
        async with service:
            pass
    assert variable in str(caught.value)
    assert not shows(everything(caught.value))


@pytest.mark.parametrize(
    "line",
    [
        ["events", "tail", "orders", "--broker", "ADDRESS", "--no-follow"],
        ["events", "tail", "orders", "--broker=ADDRESS", "--no-follow"],
        ["events", "tail", "orders", "--brokr", "ADDRESS"],
        ["events", "tail", "orders", "--brokr=ADDRESS"],
        ["events", "tail", "ADDRESS", "--broker", "memory:", "--no-follow"],
        ["events", "tail", "orders", "ADDRESS"],
        ["events", "tail", "orders", "--limit", "ADDRESS"],
        ["events", "tail", "orders", "--from", "ADDRESS"],
        ["events", "lag", "orders", "--group", "ADDRESS", "--broker", "memory:"],
        ["events", "lag", "orders", "--group", "billing", "--broker", "ADDRESS"],
        ["events", "replay", "orders", "--group", "billing", "--broker", "ADDRESS"],
        ["events", "lag", "--group", "ADDRESS", "--broker", "memory:"],
        ["events", "check", "ADDRESS", "."],
        ["events", "check", ".", "ADDRESS"],
        ["events", "check", ".", ".", "-I", "ADDRESS"],
        ["events", "publish", "orders", "{}", "--descriptors", "ADDRESS"],
        ["events", "publish", "orders", "{}", "--descriptors=ADDRESS"],
        ["events", "tail", "orders", "--broker", "memory:", "--module", "ADDRESS"],
        ["events", "publish", "ADDRESS", "{}", "--broker", "memory:", "--module", "tests.protos.shop_micro"],
        ["generate", "ADDRESS"],
        ["generate", ".", "--out", "ADDRESS"],
        ["generate", ".", "-I", "ADDRESS"],
        ["generate", ".", "--opt", "ADDRESS"],
        ["proto", "export", "ADDRESS"],
        ["proto", "export", ".", "ADDRESS"],
        ["events", "ADDRESS"],
        ["ADDRESS"],
        ["--broker", "ADDRESS", "events"],
    ],
)
@pytest.mark.parametrize(
    "address",
    [
        f"kafka://me:{CANARY}@{HOST}/?nosuch=1",
        f"kafka://me:{CANARY}/b@{HOST}",
        f"kafka://me:a b{CANARY}@{HOST}/",
        f"kafka://{HOST}/?tokn={CANARY}",
        f"memory://me:{CANARY}@h",
        f"me:{CANARY}@{HOST}",
        f"me:a/{CANARY}@{HOST}",
        f"me:{CANARY} b@{HOST}",
        f"kafka:/me:{CANARY}@h/",
        f"kafka:me:{CANARY}@h",
    ],
)
def test_no_command_prints_them(
    line: list[str],
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = [each.replace("ADDRESS", address) for each in line]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.proto").write_text('syntax = "proto3";\n')
    monkeypatch.setattr(sys, "argv", ["micro-rt", *arguments])
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    printed = capsys.readouterr()
    assert status in (1, 2)
    assert printed.err
    assert not shows(printed.out + printed.err)
