"""Gives the workers of a run the servers that all share: the first process starts each one when the first worker asks."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.cache import Unobtainable

if TYPE_CHECKING:
    from tests.servers.shared import Servers

__all__ = ["Hub", "ask"]


class Hub:
    """Answers workers in threads of its own, until it is closed; the servers are closed by whoever has them.

    Args:
        servers: finds and starts the servers.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._folder = Path(tempfile.mkdtemp(prefix="micro-rt-hub-"))
        self.path = str(self._folder / "socket")
        """Where workers ask."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Answers nobody any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw") as stream, contextlib.suppress(OSError):
            kind = stream.readline().strip()
            with self._locks[kind]:
                answer = self._find(kind)
            stream.write(json.dumps(answer) + "\n")

    def _find(self, kind: str) -> dict[str, str]:
        try:
            server = self._servers.shared(kind)
        except Unobtainable as error:
            return {"missing": str(error)}
        except Exception as error:
            return {"error": str(error)}
        return {"address": server.address, "url": server.url}


def ask(path: str, kind: str) -> dict[str, Any]:
    """Asks a hub for a server, and waits until it answers.

    Returns:
        ``address`` and ``url``; or ``missing``, which tells what cannot be had.

    Raises:
        RuntimeError: the server does not start.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rw") as stream:
            stream.write(f"{kind}\n")
            stream.flush()
            answer: dict[str, Any] = json.loads(stream.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer
