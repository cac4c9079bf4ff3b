"""etcd with one member."""

from __future__ import annotations

from typing import Any, Literal

from tests.servers.certificates import Certificates
from tests.servers.obtain import Found
from tests.servers.server import Server, http_json

__all__ = ["Etcd"]


class Etcd(Server):
    """An etcd server; it keeps its data over ``start``.

    Args:
        found: the program.
        auth: nothing is allowed without a user; ``user_name`` and ``password`` may do everything.
        tls: serves TLS only; with ``"mutual"`` to clients that show a certificate. See ``certificates``.
        extra: more arguments.
    """

    kind = "etcd"
    scheme = "etcd"

    def __init__(
        self,
        found: Found,
        *,
        auth: bool = False,
        tls: bool | Literal["mutual"] = False,
        extra: list[str] | None = None,
    ) -> None:
        super().__init__(found)
        self.user_name = "root" if auth else ""
        self.password = "a secret of the tests" if auth else ""
        self.certificates = Certificates(self.folder / "certificates") if tls else None
        self._peer = f"http://127.0.0.1:{self._ports.take()}"
        self._mutual = tls == "mutual"
        self._extra = extra or []

    def request(self, path: str, body: Any, *, token: str = "") -> tuple[int, Any]:
        """Posts to its JSON gateway, as in ``("/v3/kv/range", {"key": …})``, and returns status and JSON."""
        headers = {"Authorization": token} if token else {}
        return http_json(self.address, "POST", path, body, headers=headers, tls=self._tls())

    def authenticate(self, name: str = "", password: str = "") -> str:
        """Returns a token for a user; for the one who may do everything, if none is named."""
        body = {"name": name or self.user_name, "password": password or self.password}
        status, answer = self.request("/v3/auth/authenticate", body)
        assert status == 200, answer
        return str(answer["token"])

    def command(self) -> list[str]:
        url = f"{'https' if self.certificates else 'http'}://{self.address}"
        command = [str(self.found.path), "--name", "test", "--data-dir", str(self.data), "--log-level", "warn"]
        command += ["--listen-client-urls", url, "--advertise-client-urls", url]
        command += ["--listen-peer-urls", self._peer, "--initial-advertise-peer-urls", self._peer]
        # What a killed process has written is with the system: only a loss of power needs more, and no test makes one.
        command += ["--initial-cluster", f"test={self._peer}", "--unsafe-no-fsync"]
        if self.certificates:
            command += ["--cert-file", str(self.certificates.certificate), "--key-file", str(self.certificates.key)]
            if self._mutual:
                command += ["--trusted-ca-file", str(self.certificates.ca), "--client-cert-auth"]
        return [*command, *self._extra]

    def ready(self) -> bool:
        try:
            status, answer = http_json(self.address, "GET", "/health", tls=self._tls())
        except OSError:
            return False
        return status == 200 and isinstance(answer, dict) and answer.get("health") == "true"

    def started(self) -> None:
        if not self.user_name or (self.data / "auth").exists():
            return
        for path, body in (
            ("/v3/auth/user/add", {"name": self.user_name, "password": self.password}),
            ("/v3/auth/role/add", {"name": "root"}),
            ("/v3/auth/user/grant", {"user": self.user_name, "role": "root"}),
            ("/v3/auth/enable", {}),
        ):
            status, answer = self.request(path, body)
            assert status == 200, answer
        (self.data / "auth").touch()  # Goes with the data when that is wiped.

    def _tls(self) -> Any:
        return self.certificates.context() if self.certificates else None
