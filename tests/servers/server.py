"""What every server of the tests has in common: started, killed, stopped, paused, started again where it was."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.servers.obtain import Found
from tests.servers.process import Guarded, Ports

__all__ = ["Server", "http_json"]


class Server:
    """A real server that belongs to a test, or to the whole run.

    It keeps its ports, and its data unless that is only in memory, from one ``start`` to the next. What is written with
    ``await`` is safe to use while a test's loop must go on; fixtures use the same things without: ``start_now``, ``close``.

    Args:
        found: the program.
    """

    kind = ""
    scheme = ""
    start_limit = 90.0
    """Seconds to become ready in; far more than it needs."""
    stop_limit = 30.0
    """Seconds to stop in when asked to, before it is killed."""
    user = ""
    """Who runs it; the user of the tests, if empty."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.folder = Path(tempfile.mkdtemp(prefix=f"micro-rt-{self.kind}-"))
        """Everything that it writes; removed at the end."""
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self._ports = Ports()
        self.port = self._ports.take()
        """Where clients connect."""
        self._process: Guarded | None = None
        self._said = 0  # What the log held when it was started last.

    @property
    def address(self) -> str:
        """Host and port, as in ``"127.0.0.1:8500"``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What ``MICRO_REGISTRY`` and its like take."""
        return f"{self.scheme}://{self.address}"

    @property
    def pid(self) -> int:
        """The process, while it runs."""
        assert self._process is not None, f"{self.kind} does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether there is a process; it may be paused."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it, and returns when it answers."""
        await asyncio.to_thread(self.start_now)

    async def kill(self) -> None:
        """Kills it and what it started, at once (SIGKILL): nothing is said to its clients but what the system says."""
        await asyncio.to_thread(self.kill_now)

    async def stop(self) -> None:
        """Stops it as an operator would, and returns when it is gone."""
        await asyncio.to_thread(self.stop_now)

    async def pause(self) -> None:
        """Stops it in its tracks (SIGSTOP), and returns when it has stopped: connections stay, and nobody answers."""
        process = self._running()
        while True:
            # Again and again: a server that starts a process at this moment is stopped alone at first.
            process.send(signal.SIGSTOP)
            # A thread that runs on another core goes on until the signal has reached it, and may answer one more request.
            if not process.running_threads():
                return
            await asyncio.sleep(0.001)

    async def resume(self) -> None:
        """Lets it go on after ``pause``."""
        self.resume_now()

    async def wipe(self) -> None:
        """Drops its data; only while it is stopped."""
        assert not self.running, f"stop {self.kind} first"
        shutil.rmtree(self.data, ignore_errors=True)

    def start_now(self) -> None:
        """See ``start``.

        Raises:
            RuntimeError: it ended, or does not answer; with the end of what it said.
        """
        assert not self.running, f"{self.kind} runs already"
        if not self.data.exists():
            self.data.mkdir()
            self.prepare()
        self._said = self.log.stat().st_size if self.log.exists() else 0
        self._process = Guarded(
            self.command(), self.log, user=self.user, remove=self.folder, environment=self.environment()
        )
        deadline = time.monotonic() + self.start_limit
        try:
            while not self.ready():
                if not self.running:
                    raise RuntimeError(f"{self.kind} ended with {self._process.returncode}:\n{self.tail()}")
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{self.kind} was not ready after {self.start_limit:g} s:\n{self.tail()}")
                time.sleep(0.05)
            self.started()
        except BaseException:
            self.kill_now()
            raise

    def resume_now(self) -> None:
        """See ``resume``; does nothing if it is not paused."""
        self._running().send(signal.SIGCONT)

    def kill_now(self) -> None:
        """See ``kill``; does nothing if it does not run."""
        if self._process is not None:
            self._process.send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop_now(self, number: signal.Signals | None = None) -> None:
        """See ``stop``; does nothing if it does not run."""
        if self._process is not None:
            self._process.send(signal.SIGCONT)
            self._process.terminate(number or self.stop_signal)
            try:
                self._process.wait(self.stop_limit)
            except subprocess.TimeoutExpired:
                self.kill_now()
            self._process = None

    def close(self) -> None:
        """Ends it the quickest way, since nothing of it is needed any more, and removes all that it wrote."""
        if self.close_signal == signal.SIGKILL:
            self.kill_now()
        else:
            self.stop_now(self.close_signal)
        self._ports.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def output(self) -> str:
        """Returns what it said since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        """Returns the last lines of what it said."""
        return "\n".join(self.output().splitlines()[-20:])

    # What each kind of server fills in.

    stop_signal = signal.SIGTERM
    close_signal = signal.SIGKILL

    def prepare(self) -> None:
        """Makes what a first start needs in the empty data folder."""

    def command(self) -> list[str]:
        """Returns the program and its arguments."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Returns the variables that it needs besides those of the tests."""
        return {}

    def ready(self) -> bool:
        """Returns whether it can be used."""
        raise NotImplementedError

    def started(self) -> None:
        """Runs once it can be used."""

    def run_tool(self, command: list[str | Path]) -> None:
        """Runs a program that makes something ready, as the user that the server runs as.

        Raises:
            RuntimeError: it failed; with the end of what it said.
        """
        self._said = self.log.stat().st_size if self.log.exists() else 0
        code = Guarded(command, self.log, user=self.user, environment=self.environment()).wait()
        if code:
            raise RuntimeError(f"{Path(command[0]).name} ended with {code}:\n{self.tail()}")

    def _running(self) -> Guarded:
        assert self._process is not None, f"{self.kind} does not run"
        return self._process


def http_json(
    address: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    timeout: float = 10.0,
) -> tuple[int, Any]:
    """Returns status and JSON of a request's answer; the text, if that is not JSON.

    Raises:
        OSError: nobody answered.
    """
    connection: http.client.HTTPConnection
    if tls:
        connection = http.client.HTTPSConnection(address, timeout=timeout, context=tls)
    else:
        connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise ConnectionError(f"{address}: {error!r}") from error
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text
