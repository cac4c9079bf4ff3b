"""Where an etcd cluster is, and how it is spoken to: ``etcd://user:password@host:2379,host2/?tls=true&timeout=5``."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from micro_rt.errors import FailedPrecondition

__all__ = ["DEFAULT_PORT", "EtcdAddress"]

DEFAULT_PORT = 2379
TIMEOUT = 5.0
"""Seconds that a request may take if the address does not say."""

_OPTIONS = ("ca", "cert", "key", "timeout", "tls")


@dataclass(frozen=True, slots=True)
class EtcdAddress:
    """An address that has been read, with what the environment adds."""

    endpoints: tuple[str, ...]
    """``host:port`` of each member."""
    user: str = ""
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
        parts = urlsplit(address)
        where, _, hosts = parts.netloc.rpartition("@")
        shown = f"etcd address {f'{parts.scheme}://{hosts}{parts.path}'!r}"
        if parts.scheme != "etcd" or not hosts or parts.path not in ("", "/") or parts.fragment:
            raise ValueError(f"{shown} is not etcd://host:{DEFAULT_PORT}, with more hosts after commas")
        values = _values(parts.query, (*_OPTIONS, *options), shown)
        user, _, password = where.partition(":")
        user, password = unquote(user), unquote(password)
        if not where and environment.get("ETCD_USERNAME") and environment.get("ETCD_PASSWORD"):
            user, password = environment["ETCD_USERNAME"], environment["ETCD_PASSWORD"]
        if where and not (user and password):
            raise ValueError(f"{shown}: a user needs a name and a password: etcd://user:password@host")
        files = {name: values.get(name, "") for name in ("ca", "cert", "key")}
        tls = values.get("tls", "true" if any(files.values()) else "false")
        if tls not in ("true", "false") or (tls == "false" and any(files.values())):
            raise ValueError(f"{shown}: tls={tls!r} must be 'true' or 'false', and 'true' with ca, cert or key")
        if files["key"] and not files["cert"]:
            raise ValueError(f"{shown}: key= is the key of a certificate; give cert= too")
        return cls(
            endpoints=tuple(dict.fromkeys(_endpoint(host, shown) for host in hosts.split(","))),
            user=user,
            password=password,
            tls=tls == "true",
            **files,
            timeout=_seconds(values.get("timeout", str(TIMEOUT)), shown),
            options=tuple((name, values[name]) for name in options if name in values),
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
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except OSError as error:
            raise FailedPrecondition(
                f"{self}: ca={self.ca!r} holds no certificates that can be used: {error}"
            ) from None
        if self.cert:
            try:
                # A password is asked for on the terminal otherwise.
                context.load_cert_chain(self.cert, self.key or None, password=_no_password)
            except (OSError, ValueError) as error:
                raise FailedPrecondition(
                    f"{self}: cert={self.cert!r} and key={self.key!r} are no certificate with its key, "
                    f"in PEM and without a password: {error}"
                ) from None
        return context


def _values(query: str, known: tuple[str, ...], shown: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)):
        if name not in known:
            raise ValueError(f"{shown} has an unknown option {name!r}; known options: {', '.join(sorted(known))}")
        if name in values:
            raise ValueError(f"{shown} has the option {name!r} twice")
        if not value:
            raise ValueError(f"{shown} has the option {name!r} without a value")
        values[name] = value
    return values


def _endpoint(text: str, shown: str) -> str:
    if text.endswith("]") or ":" not in text:
        text += f":{DEFAULT_PORT}"
    host, _, port = text.rpartition(":")
    if not host or (":" in host and host[0] + host[-1] != "[]") or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{shown}: {text!r} is not host:port, such as 10.0.0.5:{DEFAULT_PORT} or [::1]:{DEFAULT_PORT}")
    return text


def _seconds(text: str, shown: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{shown}: timeout={text!r} is not a number of seconds above 0")
    return seconds


def _no_password() -> str:
    raise ValueError("the key has a password")
