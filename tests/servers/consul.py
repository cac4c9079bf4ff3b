"""Consul agents."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any, Literal

from tests.servers.certificates import Certificates
from tests.servers.obtain import Found
from tests.servers.server import Server, http_json

__all__ = ["Consul"]


class Consul(Server):
    """A Consul agent: a server of its own, or the client agent of one.

    Args:
        found: the program.
        acl: nothing is allowed without a token; ``token`` may do everything.
        tls: serves HTTPS only; with ``"mutual"`` to clients that show a certificate. See ``certificates``.
        data: keeps its data over ``start``; otherwise it is in memory only.
        join: makes this the client agent of that server, which must run.
        config: more configuration, in the words of Consul's files.
        extra: more arguments.
    """

    kind = "consul"
    scheme = "consul"

    def __init__(
        self,
        found: Found,
        *,
        acl: bool = False,
        tls: bool | Literal["mutual"] = False,
        data: bool = False,
        join: Consul | None = None,
        config: dict[str, Any] | None = None,
        extra: list[str] | None = None,
    ) -> None:
        super().__init__(found)
        self.node = f"{'agent' if join else 'server'}-{self.port}"
        """The name of its node in the catalog."""
        self.token: str = join.token if join else str(uuid.uuid4()) if acl else ""
        """The management token, if there are ACLs; else empty."""
        self.certificates = Certificates(self.folder / "certificates") if tls else None
        self.serf_port = self._ports.take()
        self._join = join
        self._dev = not data and not join
        self._extra = extra or []
        rpc = self._ports.take()
        self._config: dict[str, Any] = {
            "node_name": self.node,
            "bind_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "disable_update_check": True,
            # What a development agent says of each request takes more of its time than the requests do.
            "log_level": "warn",
            "ports": {
                "http": -1 if tls else self.port,
                "https": self.port if tls else -1,
                "dns": -1,
                "grpc": -1,
                "grpc_tls": -1,
                "serf_lan": self.serf_port,
                "serf_wan": -1,
                "server": rpc,
            },
        }
        if join:
            self._config |= {
                "retry_join": [f"127.0.0.1:{join.serf_port}"],
                "retry_interval": "1s",
                "data_dir": str(self.data),
            }
        elif data:
            self._config |= {"server": True, "bootstrap_expect": 1, "data_dir": str(self.data)}
            self._config["performance"] = {"raft_multiplier": 1}
        if self.token:
            tokens = {"agent": self.token} | ({} if join else {"initial_management": self.token})
            self._config["acl"] = {"enabled": True, "default_policy": "deny", "tokens": tokens}
        if self.certificates:
            files = {"ca_file": "ca", "cert_file": "certificate", "key_file": "key"}
            defaults = {key: str(getattr(self.certificates, name)) for key, name in files.items()}
            self._config["tls"] = {"defaults": defaults, "https": {"verify_incoming": tls == "mutual"}}
        self._config |= config or {}
        (self.folder / "config.json").write_text(json.dumps(self._config, indent=1))

    def request(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        """Asks its HTTP interface, and returns status and JSON.

        Args:
            method: ``"GET"``, ``"PUT"`` …
            path: as in ``"/v1/status/leader"``.
            body: is sent as JSON.
            token: instead of the management token.
        """
        headers = {"X-Consul-Token": self.token if token is None else token}
        tls = self.certificates.context() if self.certificates else None
        return http_json(
            self.address, method, path, body, headers=headers if headers["X-Consul-Token"] else {}, tls=tls
        )

    async def make_token(self, rules: str) -> str:
        """Makes a token that may do what a policy's rules say, as in ``'service_prefix "" { policy = "read" }'``."""

        def make() -> str:
            status, policy = self.request("PUT", "/v1/acl/policy", {"Name": f"test-{uuid.uuid4()}", "Rules": rules})
            assert status == 200, policy
            status, token = self.request("PUT", "/v1/acl/token", {"Policies": [{"ID": policy["ID"]}]})
            assert status == 200, token
            return str(token["SecretID"])

        return await asyncio.to_thread(make)

    def command(self) -> list[str]:
        command = [str(self.found.path), "agent", "-config-file", str(self.folder / "config.json"), *self._extra]
        return [*command, "-dev"] if self._dev else command

    def ready(self) -> bool:
        # Sessions and checks need the node in the catalog, which comes after the leader.
        try:
            status, node = self.request("GET", f"/v1/catalog/node/{self.node}")
        except OSError:
            return False
        return status == 200 and bool(node)
