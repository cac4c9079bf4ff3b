"""Where an etcd cluster is, and how it is spoken to: ``etcd://user:password@host:2379,host2/?tls=true&timeout=5``."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from micro_rt.kit.address import Options, check_files, flag, parts_of, seconds
from micro_rt.kit.net import join, split_server
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.tls import client_context

__all__ = ["DEFAULT_PORT", "EtcdAddress"]

DEFAULT_PORT = 2379
TIMEOUT = 5.0
"""Seconds that a request may take if the address does not say."""


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """An address that has been read, with what the environment adds."""

    endpoints: tuple[str, ...]
    """``host:port`` of each member."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: bool = False
    ca: str = ""
    """File with the authorities that are trusted; the system's if empty."""
    cert: str = ""
    """File with the certificate of this client, and its key if ``key`` is empty."""
    key: str = ""
    timeout: float = TIMEOUT
    """Seconds that a request may take."""
    options: tuple[tuple[str, str], ...] = ()
    """What else was given, for the part that uses it."""

    @classmethod
    def parse(
        cls, address: str, *, options: tuple[str, ...] = (), environment: Mapping[str, str] = os.environ
    ) -> EtcdAddress:
        """Reads an address.

        Args:
            address: ``etcd://[user:password@]host[:port][,host[:port]…][/][?option=value&…]``.
            options: names of further options, of the part that uses it.
            environment: where ``ETCD_USERNAME`` and ``ETCD_PASSWORD`` are, unless the address has a user.

        Raises:
            ValueError: it is none; the message names no password.
        """
        shown = f"etcd address {without_secrets(address)!r}"
        problem = f"{shown} is not etcd://host:{DEFAULT_PORT}, with more hosts after commas"
        parts = parts_of(address, "etcd", problem)
        if not parts.hosts:
            raise ValueError(problem)
        try:
            return cls._read(parts.account, parts.hosts, Options(parts.query), options, environment)
        except ValueError as error:
            raise ValueError(f"{shown}: {error}") from None

    @classmethod
    def _read(
        cls, where: str, hosts: str, values: Options, others: tuple[str, ...], environment: Mapping[str, str]
    ) -> EtcdAddress:
        user, _, password = where.partition(":")
        user, password = unquote(user), unquote(password)
        if not where and environment.get("ETCD_USERNAME") and environment.get("ETCD_PASSWORD"):
            user, password = environment["ETCD_USERNAME"], environment["ETCD_PASSWORD"]
        if where and not (user and password):
            raise ValueError("a user needs a name and a password: etcd://user:password@host")
        ca, cert, key = values.text("ca"), values.text("cert"), values.text("key")
        tls = values.read("tls", flag, bool(ca or cert or key))
        check_files(tls=tls, ca=ca, cert=cert, key=key, exist=False)  # They are read when it is opened.
        timeout = values.read("timeout", seconds, TIMEOUT)
        options = tuple((name, text) for name in others if (text := values.text(name)))
        values.end()
        servers = (join(*split_server(host, DEFAULT_PORT)) for host in hosts.split(","))
        return cls(
            endpoints=tuple(dict.fromkeys(servers)),
            user=user,
            password=password,
            tls=tls,
            ca=ca,
            cert=cert,
            key=key,
            timeout=timeout,
            options=options,
        )

    def __str__(self) -> str:
        return f"etcd at {', '.join(self.endpoints)}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Returns what connections are secured with; None without TLS.

        Raises:
            FailedPrecondition: a file cannot be used.
        """
        if not self.tls:
            return None
        return client_context(str(self), ca=self.ca, cert=self.cert, key=self.key)
