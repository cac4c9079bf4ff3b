"""What a whole test run does with servers: leaves nothing behind, however it ends, and says what it could not have."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.interrupts import IN_THE_BACKGROUND, INTERRUPTIBLE
from tests.helpers.waiting import eventually
from tests.servers.cache import Unobtainable
from tests.servers.etcd import Etcd
from tests.servers.server import http_json
from tests.servers.shared import Elsewhere, Servers

ROOT = Path(__file__).parent.parent.parent
LONG = 120.0
"""Seconds for what must happen."""

HANGS = """
import asyncio, pathlib

async def test_hangs(servers, etcd, make_etcd):
    own = make_etcd()
    await own.start()
    lines = [f"{server.pid} {server.folder}" for server in (own, *servers.running())]
    path = pathlib.Path(__file__).with_name("running")
    path.with_suffix(".new").write_text("\\n".join(lines))
    path.with_suffix(".new").rename(path)
    await asyncio.sleep(3600)
"""
USES = "def test_uses(etcd, make_consul, kafka): pass"


class PytestRun:
    """A test run of its own, of one file in a folder of its own, with this repository's fixtures."""

    def __init__(self, folder: Path, source: str, **environment: str) -> None:
        (folder / "test_it.py").write_text(source)
        (folder / "pytest.ini").write_text(
            "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        )
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "pytest_asyncio.plugin",
            "-p",
            "tests.conftest",
            "-ra",
            "-c",
            str(folder / "pytest.ini"),
        ]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("MICRO_TEST_", "MICRO_REQUIRE"))
        }
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, *command, str(folder / "test_it.py")],
            cwd=ROOT,
            env={**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=LONG)
        return self.process.returncode, output


def exists(folder: str) -> bool:
    return Path(folder).exists()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_nothing_outlives_a_run_that_is_interrupted(
    number: signal.Signals, make_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    run = PytestRun(tmp_path, HANGS)
    try:
        await eventually(lambda: (tmp_path / "running").exists() or run.process.poll() is not None)
        assert run.process.poll() is None, run.end()[1]
        running = [line.split() for line in (tmp_path / "running").read_text().splitlines()]
        assert len(running) == 2
        assert not any(gone(int(pid)) or not exists(folder) for pid, folder in running)
        run.process.send_signal(number)
        code, output = run.end()
        assert code == (pytest.ExitCode.INTERRUPTED if number == signal.SIGINT else -number), output
    finally:
        run.process.kill()
        run.process.communicate()
    await eventually(lambda: all(gone(int(pid)) for pid, _ in running))
    await eventually(lambda: not any(exists(folder) for _, folder in running))


def test_what_cannot_be_had_is_named_and_skipped(tmp_path: Path) -> None:
    code, output = PytestRun(tmp_path, USES, PATH="/nowhere", MICRO_SERVER_CACHE=str(tmp_path / "cache")).end()
    assert code == 0, output
    assert "1 skipped" in output
    assert "SKIPPED" in output
    assert (
        output.count("etcd is built with Go, and there is none: install Go 1.25 or newer, or name a running server")
        == 2
    )
    assert "cannot be obtained: etcd is built with Go" in output


@pytest.mark.parametrize("kind", ["etcd", "make_consul", "kafka"])
def test_what_cannot_be_had_fails_where_it_is_required(kind: str, tmp_path: Path) -> None:
    uses = f"def test_uses({kind}): pass"
    cache = str(tmp_path / "cache")
    code, output = PytestRun(tmp_path, uses, PATH="/nowhere", MICRO_SERVER_CACHE=cache, MICRO_REQUIRE_SERVERS="1").end()
    assert code == 1, output
    assert "MICRO_REQUIRE_SERVERS=1, and: " in output
    assert "needs Java 17 or newer, and there is none" in output or "is built with Go, and there is none" in output


def test_building_is_seen_and_its_failure_told(tmp_path: Path) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text("#!/bin/sh\necho a line before\necho go: nobody has that module >&2\nexit 1\n")
    go.chmod(0o755)
    cache = tmp_path / "cache"
    path = f"{go.parent}:/usr/bin:/bin"
    code, output = PytestRun(tmp_path, "def test_uses(etcd): pass", PATH=path, MICRO_SERVER_CACHE=str(cache)).end()
    assert code == 0, output
    assert "[servers] etcd: building etcd-" in output
    assert f"kept in {cache} from then on" in output
    assert "SKIPPED [1] " in output
    assert "building etcd failed: go: nobody has that module" in output
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


async def test_a_server_that_runs_already_is_used(
    make_etcd: Callable[..., Etcd], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_etcd()
    await server.start()
    monkeypatch.setenv("MICRO_TEST_ETCD", server.address)
    servers = Servers()
    assert servers.shared("etcd") == Elsewhere(server.address, server.url)
    assert servers.report() == [f"servers: etcd {server.address} (MICRO_TEST_ETCD)"]
    servers.close()
    assert server.running
    monkeypatch.setenv("MICRO_TEST_ETCD", f"etcd://root:secret@{server.address}/?tls=1")
    found = Servers().shared("etcd")
    assert found.address == server.address
    assert found.url.endswith("/?tls=1")
    await server.stop()
    with pytest.raises(Unobtainable, match=r"MICRO_TEST_ETCD names .* cannot be reached"):
        Servers().shared("etcd")


def test_what_was_used_is_reported(make_etcd: Callable[..., Etcd], tmp_path: Path) -> None:
    code, output = PytestRun(tmp_path, "def test_uses(make_etcd): pass").end()
    assert code == 0, output
    assert f"servers: {make_etcd().found}" in output


def test_servers_run_by_hand_until_they_are_interrupted(make_etcd: Callable[..., Etcd]) -> None:
    command = [sys.executable, "-c", INTERRUPTIBLE, sys.executable, "-m", "tests.servers", "run", "etcd"]
    environment = {name: value for name, value in os.environ.items() if name != "MICRO_TEST_ETCD"}
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        name, _, url = child.stdout.readline().strip().partition("=")
        assert name == "export MICRO_SYNC"
        address = url.removeprefix("etcd://")
        assert http_json(address, "GET", "/health")[0] == 200
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=LONG)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 0, said
    assert said.splitlines()[-1] == "stopping …"
    with pytest.raises(ConnectionRefusedError):
        http_json(address, "GET", "/health")


def test_an_unknown_server_is_refused() -> None:
    command = [sys.executable, "-m", "tests.servers", "obtain", "zookeeper"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no server 'zookeeper', only consul, etcd, kafka, postgresql" in done.stderr


async def test_servers_in_the_background_end_on_sigterm(make_etcd: Callable[..., Etcd], tmp_path: Path) -> None:
    make_etcd()  # Skips where there is no etcd.
    lines = tmp_path / "output"
    with lines.open("w") as output:
        command = [sys.executable, "-m", "tests.servers", "run", "etcd"]
        run = subprocess.Popen(
            [sys.executable, "-c", IN_THE_BACKGROUND, *command],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if not name.startswith("MICRO_TEST_")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        await eventually(lambda: "Ctrl-C stops them." in lines.read_text() or run.poll() is not None)
        assert run.poll() is None, lines.read_text()
        address = next(line for line in lines.read_text().splitlines() if "export" in line).partition("://")[2]
        assert http_json(address, "GET", "/version")[0] == 200
        run.terminate()
        await eventually(lambda: run.poll() is not None)
        assert run.returncode == 0, lines.read_text()
    finally:
        run.kill()
        run.wait()
    with pytest.raises(OSError, match="refused"):
        http_json(address, "GET", "/version")
