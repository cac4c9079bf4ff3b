"""PgBouncer, between clients and a PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import socket
from typing import Literal

from tests.servers.obtain import Found
from tests.servers.server import Server

__all__ = ["PgBouncer"]


class PgBouncer(Server):
    """A PgBouncer in front of one PostgreSQL server, for every database of it and the user ``postgres``.

    Args:
        found: the program.
        server: the address of PostgreSQL, as host:port.
        mode: how it pools.
        size: how many connections to the server it makes for a database and a user.
    """

    kind = "pgbouncer"
    scheme = "postgresql"
    start_limit = 30.0

    def __init__(
        self, found: Found, server: str, *, mode: Literal["transaction", "session"] = "transaction", size: int = 4
    ) -> None:
        super().__init__(found)
        self._server = server
        self._mode = mode
        self._size = size
        if os.getuid() == 0:  # It refuses to run as root.
            self.user = "nobody"
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.address}/postgres?pgbouncer={self._mode}"

    def prepare(self) -> None:
        host, _, port = self._server.rpartition(":")
        users = self.data / "users"
        users.write_text('"postgres" ""\n')
        lines = [
            "[databases]",
            f"* = host={host} port={port}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {self.port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {users}",
            f"pool_mode = {self._mode}",
            f"default_pool_size = {self._size}",
            "max_client_conn = 500",
        ]
        (self.data / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        if self.user:
            for each in (self.data, *self.data.iterdir()):
                os.chown(each, pwd.getpwnam(self.user).pw_uid, -1)

    def command(self) -> list[str]:
        return [str(self.found.path), str(self.data / "pgbouncer.ini")]

    def ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True
