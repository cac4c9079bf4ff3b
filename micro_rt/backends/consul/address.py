"""Where a Consul agent is and how it is spoken to: ``consul://host:8500/?option=value``, and Consul's own variables."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from micro_rt.kit.address import Options, check_files, flag, parts_of, seconds
from micro_rt.kit.net import join, split_server
from micro_rt.kit.secrets import shown_file, without_secrets

__all__ = ["ConsulAddress", "parse_consul_address", "read_token", "token_problem"]

DEFAULT_PORT = 8500
TIMEOUT = 5.0
"""Seconds that Consul has for an answer."""
_CONTROL = "has a line break or another control character: write the token alone, in one line"
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")


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
    token_file: str = ""
    """The file that the token is from, and that is read again when Consul refuses the token; empty: none."""
    user: str = field(default="", repr=False)
    """Name and password, with a colon, for a proxy before Consul that asks for them."""
    agents: tuple[str, ...] = ()
    """Further agents that may get requests, and so the token: addresses, networks and names."""
    dc: str = ""
    namespace: str = ""
    timeout: float = TIMEOUT

    @property
    def place(self) -> str:
        """Where it is, for messages: ``"127.0.0.1:8500"``."""
        return join(self.host, self.port)

    @property
    def url(self) -> str:
        """Where requests go: ``"http://127.0.0.1:8500"``."""
        return f"{'https' if self.tls else 'http'}://{self.place}"


def parse_consul_address(address: str, environ: Mapping[str, str] | None = None) -> tuple[ConsulAddress, Options]:
    """Reads an address; what it leaves out is taken from the variables that Consul's own programs read.

    Args:
        address: ``"consul://host:port/?option=value&…"``; without a host, ``CONSUL_HTTP_ADDR`` or 127.0.0.1:8500.
        environ: the environment, if not that of this process.

    Returns:
        What it says, and its options: the part that uses the address reads its own, and then calls ``end``.

    Raises:
        ValueError: it is no such address, has an option that makes no sense, or names a file that cannot be read.
    """
    env = os.environ if environ is None else environ
    parts = parts_of(address, "consul", "a Consul address looks like consul://127.0.0.1:8500/?option=value")
    options = Options(parts.query)
    host, port, tls = _host(parts.hosts, env)
    tls = options.read("tls", flag, tls)
    user = unquote(parts.account) or env.get("CONSUL_HTTP_AUTH", "")
    if user and ":" not in user:
        raise ValueError("before the @ of a Consul address belong name:password; a token is given as token=")
    token, token_file = _token(options, env)
    made = ConsulAddress(
        host=host,
        port=port,
        tls=tls,
        ca=options.text("ca") or env.get("CONSUL_CACERT", "") or env.get("CONSUL_CAPATH", ""),
        cert=options.text("cert") or env.get("CONSUL_CLIENT_CERT", ""),
        key=options.text("key") or env.get("CONSUL_CLIENT_KEY", ""),
        server_name=options.text("server_name") or env.get("CONSUL_TLS_SERVER_NAME", ""),
        verify=options.read("verify", flag, _flag_of(env, "CONSUL_HTTP_SSL_VERIFY", True)),
        token=token,
        token_file=token_file,
        user=user,
        agents=options.read("agents", _agents, ()),
        dc=options.text("dc"),
        namespace=options.text("namespace") or env.get("CONSUL_NAMESPACE", ""),
        timeout=options.read("timeout", seconds, TIMEOUT),
    )
    return _checked(made), options


def _host(server: str, env: Mapping[str, str]) -> tuple[str, int, bool]:
    """Returns host, port and whether TLS is meant, from the address or from the environment."""
    tls = _flag_of(env, "CONSUL_HTTP_SSL", False)
    source = "the Consul address"
    if not server:
        server, source = env.get("CONSUL_HTTP_ADDR", "") or "127.0.0.1", "CONSUL_HTTP_ADDR"
        if "@" in server:
            raise ValueError(f"{source}={without_secrets(server)}: name and password belong into CONSUL_HTTP_AUTH")
        if "://" in server:
            scheme, _, server = server.partition("://")
            if scheme not in ("http", "https"):
                shown = without_secrets(f"{scheme}://")
                raise ValueError(f"{source}: {shown} is not supported; http:// and https:// are")
            tls = scheme == "https"
    try:
        host, port = split_server(server, DEFAULT_PORT)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    return host.lower(), port, tls


def _agents(text: str) -> tuple[str, ...]:
    """Reads agents: addresses, networks in CIDR notation and names, with commas between them.

    Raises:
        ValueError: one of them is neither an address, nor a network, nor a name.
    """
    found = tuple(each.strip() for each in text.split(","))
    for each in found:
        try:
            ipaddress.ip_network(each, strict=False)
        except ValueError:
            # What looks like an address is meant to be one.
            if not _NAME.fullmatch(each) or not re.search("[A-Za-z]", each):
                raise ValueError(
                    f"{each!r} is no address, no network such as 10.0.0.0/8, and no name of a host"
                ) from None
    return found


def _token(options: Options, env: Mapping[str, str]) -> tuple[str, str]:
    """Returns the token, and the file that it is from, if it is from one."""
    given, file = options.text("token"), options.text("token_file")
    if given and file:
        raise ValueError("token= and token_file= are two answers to one question: give one of them")
    source = "token="
    if not given and not file:
        given, source = env.get("CONSUL_HTTP_TOKEN", ""), "CONSUL_HTTP_TOKEN"
    if given:
        if not given.isprintable():
            raise ValueError(f"the token in {source} {_CONTROL}")
        return given, ""
    file = file or env.get("CONSUL_HTTP_TOKEN_FILE", "")
    if not file:
        return "", ""
    try:
        return read_token(file), file
    except OSError as error:
        problem = error.strerror
    except ValueError as error:
        problem = token_problem(error)
    # The file may be the token itself, and what the system says of a file repeats its name.
    raise ValueError(f"the token cannot be read from {shown_file(file)}: {problem}")


def read_token(file: str) -> str:
    """Returns the token in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not text, or holds a control character, such as a second line. See ``token_problem``.
    """
    token = Path(file).read_text(encoding="utf-8").strip()
    if not token.isprintable():
        raise ValueError(f"it {_CONTROL}")
    return token


def token_problem(error: ValueError) -> str:
    """Returns what is wrong with the file of a token, without a part of it, by what ``read_token`` has raised."""
    return "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)


def _checked(address: ConsulAddress) -> ConsulAddress:
    check_files(tls=True, ca=address.ca)  # CONSUL_CACERT may be set for other agents, which speak TLS.
    check_files(tls=address.tls, cert=address.cert, key=address.key)
    return address


def _flag_of(env: Mapping[str, str], variable: str, default: bool) -> bool:
    value = env.get(variable, "")
    try:
        return flag(value) if value else default
    except ValueError as error:
        raise ValueError(f"{variable}: {error}") from None
