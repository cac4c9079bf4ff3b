"""What a person who starts a service gets wrong: each mistake ends in one line that says what to do."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.kit.net import split
from micro_rt.service.environment import KNOWN
from micro_rt.service.parts import names_of
from tests.helpers.handlers import Lab

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


def ended(service: micro.Service) -> str:
    """Runs a service that cannot start, and returns what Python prints as it ends."""
    with pytest.raises(SystemExit) as caught:
        service.run()
    assert isinstance(caught.value.code, str)  # Python prints it to standard error, and ends with 1.
    return caught.value.code


@contextlib.asynccontextmanager
async def too_far(_: micro.Service) -> AsyncIterator[None]:
    """The life of a service that must not start: without it, a test would run the service for ever."""
    raise micro.Internal("it starts")
    yield


def test_a_mistake_is_one_line_and_the_exit_code_is_1(taken: int, tmp_path: Path) -> None:
    script = f"""
        import micro_rt as micro
        from tests.helpers.handlers import Lab

        service = micro.Service("lab", address="127.0.0.1:{taken}")
        service.handle(Lab())
        service.run()
    """
    env = {**os.environ, "MICRO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lab: cannot listen on 127.0.0.1:{taken}: ")
    assert "address= (MICRO_ADDRESS)" in line


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"address": "nowhere"}, r"lab: 'nowhere' is not an address: write host:port"),
        ({"address": "127.0.0.1:70000"}, r"lab: '127\.0\.0\.1:70000' is not an address: write host:port"),
        ({"address": "70000"}, r"lab: '127\.0\.0\.1:70000' is not an address: write host:port"),
        ({"registry": "zookeeper:"}, r"lab: registry='zookeeper': there is no such registry; known: "),
        ({"registry": "consul://127.0.0.1:1"}, r"lab: .*127\.0\.0\.1:1"),
        ({"registry": "etcd://127.0.0.1:1"}, r"lab: .*127\.0\.0\.1:1"),
        ({"registry": "consul://127.0.0.1:1/?ttl=no"}, r"lab: registry='consul://127\.0\.0\.1:1/\?ttl=\*\*\*': "),
        ({"transport": "pigeon"}, r"lab: transport='pigeon': there is no such transport; known: "),
    ],
)
def test_each_mistake_ends_in_a_line(options: dict[str, str], line: str) -> None:
    service = micro.Service("lab", **{"registry": "memory:", **options})  # type: ignore[arg-type]
    service.handle(Lab())
    said = ended(service)
    assert re.match(line, said)
    assert "\n" not in said


def test_a_reason_of_several_lines_ends_in_one() -> None:
    @contextlib.asynccontextmanager
    async def broken(_: micro.Service) -> AsyncIterator[None]:
        raise micro.Unavailable("the database is away:\n  try\tlater")
        yield

    assert ended(micro.Service("lab", registry="memory:", lifespan=broken)) == "lab: the database is away: try later"


@pytest.mark.parametrize(
    ("extra", "options"),
    [("consul", {"registry": "consul:"}), ("grpclib", {"registry": "memory:", "transport": "grpclib"})],
    ids=["consul", "grpclib"],
)
def test_a_missing_extra_ends_in_a_line(extra: str, options: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    # A module inside of a package is found although the package is not, once it was imported.
    for module in {extra, *(name for name in sys.modules if name.startswith(f"{extra}."))}:
        monkeypatch.setitem(sys.modules, module, None)
    for module in [name for name in sys.modules if name.startswith(f"micro_rt.backends.{extra}")]:
        # Its package names it too: afterwards, both must have the module of before.
        package, _, name = module.rpartition(".")
        monkeypatch.setattr(sys.modules[package], name, sys.modules[module])
    for module in [name for name in sys.modules if name.startswith(f"micro_rt.backends.{extra}")]:
        monkeypatch.delitem(sys.modules, module)
    said = ended(micro.Service("lab", lifespan=too_far, **options))  # type: ignore[arg-type]
    assert f" needs {extra}" in said
    assert said.endswith(f', which is not installed: pip install "micro-rt[{extra}]"')
    assert "\n" not in said


def test_a_mistake_in_code_keeps_its_traceback() -> None:
    service = micro.Service("lab", registry=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="neither an address"):
        service.run()


# Addresses


@pytest.mark.parametrize("form", ["{port}", ":{port}"])
async def test_a_port_alone_is_an_address(form: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", address=form.format(port=port))
    service.handle(Lab())
    async with service:
        assert service.node is not None
        assert split(service.node.address) == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("advertise", "registered"),
    [
        ("lab.example", "lab.example:{port}"),
        ("lab.example:80", "lab.example:80"),
        (":80", "127.0.0.1:80"),
        ("80", "127.0.0.1:80"),
        ("fd00::2", "[fd00::2]:{port}"),
        ("[fd00::2]", "[fd00::2]:{port}"),
        ("[fd00::2]:80", "[fd00::2]:80"),
    ],
)
async def test_what_is_advertised_may_leave_out_the_host_or_the_port(advertise: str, registered: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", address=f":{port}", advertise=advertise)
    service.handle(Lab())
    async with service:
        assert service.node is not None
        assert service.node.address == registered.format(port=port)


@pytest.mark.parametrize(
    "advertise", ["lab.example:http", "lab.example:70000", "http://lab.example", "a b", "[::1", "::1]:80"]
)
async def test_what_cannot_be_advertised_is_refused(advertise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_ADVERTISE", advertise)
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}")
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition, match=r"MICRO_ADVERTISE='.*' is neither host nor host:port"):
        await service.__aenter__()


# Names


@pytest.mark.parametrize("name", ["my service/1", "a/b", "a b", "-a", ".a", "a\n", "é", "a:b", "a" * 129])
def test_a_name_that_addresses_and_files_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name of a service"):
        micro.Service(name)


@pytest.mark.parametrize("name", ["a", "go.micro.srv.greeter", "Shop_2-b", "2", "a" * 128])
def test_names_of_letters_digits_dots_hyphens_and_underscores(name: str) -> None:
    assert micro.Service(name).name == name


# Environment


async def warnings_of_a_start(caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING, "micro_rt"):
        async with micro.Service("web", registry=f"memory:{uuid.uuid4()}"):
            pass
    return [record.getMessage() for record in caplog.records]


async def test_a_variable_that_nothing_reads_is_named_with_the_near_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MICRO_REGISRTY", "consul:")
    monkeypatch.setenv("MICRO_COLOUR", "secret")
    colour, registry = await warnings_of_a_start(caplog)
    assert registry == "nothing reads the environment variable MICRO_REGISRTY; did you mean MICRO_REGISTRY?"
    assert re.match(r"nothing reads the environment variable MICRO_COLOUR; micro-rt reads .*MICRO_REGISTRY", colour)
    assert "secret" not in colour


async def test_variables_that_are_read_are_not_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in KNOWN:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MICROSCOPE", "1")
    assert await warnings_of_a_start(caplog) == []


def test_every_variable_that_the_code_names_is_known() -> None:
    named: set[str] = set()
    for path in (ROOT / "micro_rt").rglob("*.py"):
        named.update(re.findall(r"\bMICRO_[A-Z_]*[A-Z]\b", path.read_text()))
    assert named
    assert named <= set(KNOWN)


@pytest.mark.parametrize("part", ["registry", "broker", "transport", "selector"])
def test_the_parts_are_among_the_known_ones(part: str) -> None:
    assert names_of(part)
    assert f"MICRO_{part.upper()}" in KNOWN
