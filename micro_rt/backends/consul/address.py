"""Where a Consul agent is and how it is spoken to: ``consul://host:8500/?option=value``, and Consul's own variables."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["ConsulAddress", "flag", "parse_consul_address", "seconds"]

DEFAULT_PORT = 8500
TIMEOUT = 5.0
"""Seconds that Consul has for an answer."""

_OPTIONS = ("ca", "cert", "dc", "key", "namespace", "server_name", "timeout", "tls", "token", "token_file", "verify")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConsulAddress:
    """An agent, and everything that a connection to it needs; equal ones can share a connection."""

    host: str
    port: int
    tls: bool = False
    ca: str = ""
    """File or folder of the authorities that may have signed the agent's certificate; empty: the system's."""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    """The name that must be in the agent's certificate, if it is not ``host``."""
    verify: bool = True
    token: str = field(default="", repr=False)
    user: str = field(default="", repr=False)
    """Name and password, with a colon, for a proxy before Consul that asks for them."""
    dc: str = ""
    namespace: str = ""
    timeout: float = TIMEOUT

    @property
    def place(self) -> str:
        """Where it is, for messages: ``"127.0.0.1:8500"``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Where requests go: ``"http://127.0.0.1:8500"``."""
        return f"{'https' if self.tls else 'http'}://{self.place}"


def parse_consul_address(
    address: str, known: tuple[str, ...] = (), environ: Mapping[str, str] | None = None
) -> tuple[ConsulAddress, dict[str, str]]:
    """Reads an address; what it leaves out is taken from the variables that Consul's own programs read.

    Args:
        address: ``"consul://host:port/?option=value&…"``; without a host, ``CONSUL_HTTP_ADDR`` or 127.0.0.1:8500.
        known: names of further options, which the caller reads.
        environ: the environment, if not that of this process.

    Returns:
        What it says, and the further options.

    Raises:
        ValueError: it is no such address, has an option that nobody knows, or names a file that cannot be read.
    """
    env = os.environ if environ is None else environ
    parts = urlsplit(address)
    if parts.scheme != "consul" or parts.path not in ("", "/") or parts.fragment:
        raise ValueError("a Consul address looks like consul://127.0.0.1:8500/?option=value")
    options = _options(parts.query, known)
    host, port, tls = _host(parts.netloc.rpartition("@")[2], env)
    tls = _read(options, "tls", flag, tls)
    user = unquote(parts.netloc.rpartition("@")[0]) or env.get("CONSUL_HTTP_AUTH", "")
    if user and ":" not in user:
        raise ValueError("before the @ of a Consul address belong name:password; a token is given as token=")
    made = ConsulAddress(
        host=host,
        port=port,
        tls=tls,
        ca=options.pop("ca", "") or env.get("CONSUL_CACERT", "") or env.get("CONSUL_CAPATH", ""),
        cert=options.pop("cert", "") or env.get("CONSUL_CLIENT_CERT", ""),
        key=options.pop("key", "") or env.get("CONSUL_CLIENT_KEY", ""),
        server_name=options.pop("server_name", "") or env.get("CONSUL_TLS_SERVER_NAME", ""),
        verify=_read(options, "verify", flag, _flag_of(env, "CONSUL_HTTP_SSL_VERIFY", True)),
        token=_token(options, env),
        user=user,
        dc=options.pop("dc", ""),
        namespace=options.pop("namespace", "") or env.get("CONSUL_NAMESPACE", ""),
        timeout=_read(options, "timeout", seconds, TIMEOUT),
    )
    return _checked(made), options


def flag(text: str) -> bool:
    """Reads ``true`` or ``false``.

    Raises:
        ValueError: it is neither.
    """
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def seconds(text: str) -> float:
    """Reads a duration as Consul writes them, ``"1m30s"``, or plain seconds.

    Raises:
        ValueError: it is none, or not more than nothing.
    """
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    if re.fullmatch(r"\d+(\.\d+)?", text):
        total = float(text)
    elif re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", text):
        total = sum(float(number) * units[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|s|m|h)", text))
    else:
        raise ValueError(f"{text!r} is no duration such as 10s or 1m30s")
    if total <= 0:
        raise ValueError(f"a duration of {text} is none")
    return total


def _options(query: str, known: tuple[str, ...]) -> dict[str, str]:
    names = sorted((*_OPTIONS, *known))
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in names:
            raise ValueError(f"there is no option {name!r}; known: {', '.join(names)}")
        if name in options:
            raise ValueError(f"option {name!r} is given twice")
        if not value:
            raise ValueError(f"option {name!r} has no value")
        options[name] = value
    return options


def _host(netloc: str, env: Mapping[str, str]) -> tuple[str, int, bool]:
    """Returns host, port and whether TLS is meant, from the address or from the environment."""
    tls = _flag_of(env, "CONSUL_HTTP_SSL", False)
    source = "the Consul address"
    if not netloc:
        netloc, source = env.get("CONSUL_HTTP_ADDR", "") or "127.0.0.1", "CONSUL_HTTP_ADDR"
        if "://" in netloc:
            scheme, _, netloc = netloc.partition("://")
            if scheme not in ("http", "https"):
                raise ValueError(f"{source}: {scheme}:// is not supported; http:// and https:// are")
            tls = scheme == "https"
    parts = urlsplit(f"//{netloc}")
    try:
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    if not parts.hostname or not port or parts.path or parts.query:
        raise ValueError(f"{source}: {netloc!r} is not host:port")
    return parts.hostname, port, tls


def _token(options: dict[str, str], env: Mapping[str, str]) -> str:
    given, file = options.pop("token", ""), options.pop("token_file", "")
    if given and file:
        raise ValueError("token= and token_file= are two answers to one question: give one of them")
    if given:
        return given
    if not file and env.get("CONSUL_HTTP_TOKEN"):
        return env["CONSUL_HTTP_TOKEN"]
    file = file or env.get("CONSUL_HTTP_TOKEN_FILE", "")
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the token cannot be read from {file}: {error}") from None


def _checked(address: ConsulAddress) -> ConsulAddress:
    for name in ("ca", "cert", "key"):
        file = getattr(address, name)
        if file and not Path(file).exists():
            raise ValueError(f"{name}={file}: there is no such file")
    if address.key and not address.cert:
        raise ValueError("key= belongs to a cert=, which is not given")
    if address.cert and not address.tls:
        raise ValueError("cert= is of use with tls=true only")
    return address


def _flag_of(env: Mapping[str, str], variable: str, default: bool) -> bool:
    value = env.get(variable, "")
    try:
        return flag(value) if value else default
    except ValueError as error:
        raise ValueError(f"{variable}: {error}") from None


def _read(options: dict[str, str], name: str, reader: Callable[[str], T], default: T) -> T:
    value = options.pop(name, None)
    if value is None:
        return default
    try:
        return reader(value)
    except ValueError as error:
        raise ValueError(f"{name}={value}: {error}") from None
