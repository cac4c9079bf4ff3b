"""Where a PostgreSQL or CockroachDB server is: ``postgresql://user:password@host:5432[,host2:5432]/database?option=value``."""

from __future__ import annotations

import getpass
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

from micro_rt.kit.address import Options, check_files, count, flag, parts_of, seconds
from micro_rt.kit.net import join, split_server
from micro_rt.kit.tls import client_context
from micro_rt.kit.variables import variable

__all__ = ["PostgreSQLAddress", "parse_postgresql_address", "quoted"]

Scheme = Literal["postgresql", "cockroachdb"]

LONGEST_NAME = 63
"""Bytes of a name in PostgreSQL: it cuts off the rest, and two long names would then be one."""
MOST_CONNECTIONS = 1000

_PORTS: Mapping[str, int] = {"postgresql": 5432, "cockroachdb": 26257}
_TITLES: Mapping[str, str] = {"postgresql": "PostgreSQL", "cockroachdb": "CockroachDB"}
_SSL_MODES = ("disable", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class PostgreSQLAddress:
    """A database, and everything that connections to it need; times are in seconds."""

    scheme: Scheme
    servers: tuple[str, ...]
    """Where it is, as ``"host:port"``; the first that accepts writes is used."""
    database: str
    user: str = field(repr=False)
    password: str = field(default="", repr=False)
    schema: str = ""
    """The schema that holds the tables."""
    pool: int = 10
    """How many connections there are at most."""
    timeout: float = 10.0
    """How long a call takes at most."""
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True
    """Whether the certificate of the server is checked."""
    verify_name: bool = True
    """Whether the certificate must have the name of the server."""
    pgbouncer: Literal["", "transaction", "session"] = ""
    """The pooling mode of the PgBouncer in between; empty without one."""

    @property
    def title(self) -> str:
        """What it is, for messages: ``"PostgreSQL"``."""
        return _TITLES[self.scheme]

    @property
    def place(self) -> str:
        """What it is and where, for messages: ``"PostgreSQL at 10.0.0.5:5432/orders"``."""
        through = "PgBouncer" if self.pgbouncer else self.title
        return f"{through} at {', '.join(self.servers)}/{self.database}"

    @property
    def cockroach(self) -> bool:
        """Whether it is CockroachDB."""
        return self.scheme == "cockroachdb"

    def tls_context(self) -> ssl.SSLContext | None:
        """Returns what connections are encrypted with; None without TLS.

        Raises:
            FailedPrecondition: a file cannot be used; the message says which, and why.
        """
        if not self.tls:
            return None
        context = client_context(self.place, ca=self.ca, cert=self.cert, key=self.key, verify=self.verify)
        if self.verify and not self.verify_name:
            context.check_hostname = False
        return context


def quoted(name: str) -> str:
    """Returns a name as SQL has it, whatever characters are in it."""
    return '"' + name.replace('"', '""') + '"'


def parse_postgresql_address(
    address: str, scheme: Scheme = "postgresql", environ: Mapping[str, str] | None = None
) -> PostgreSQLAddress:
    """Reads an address.

    Args:
        address: ``"postgresql://user:password@host:5432/database?option=value&…"``; docs/postgresql.md has the options.
        scheme: that it must have.
        environ: the environment, if not that of this process. User and password may be in ``MICRO_POSTGRESQL_USER`` and
            ``MICRO_POSTGRESQL_PASSWORD``, or ``MICRO_COCKROACHDB_USER`` and ``MICRO_COCKROACHDB_PASSWORD``.
            ``MICRO_NAMESPACE`` names the schema that is used if the address names none.

    Raises:
        ValueError: it is no such address, has an option that does not exist or makes no sense, or names a file that is
            not there. What it says never has a password in it.
    """

    def look(name: str) -> str:
        return variable(name) if environ is None else environ.get(name, "")

    title = _TITLES[scheme]
    parts = parts_of(
        address,
        scheme,
        f"an address of {title} looks like {scheme}://user:password@127.0.0.1:{_PORTS[scheme]}/database?option=value",
        paths=_paths(address),
    )
    database = _name(unquote(parts.path[1:]), "database")
    options = Options(parts.query)
    user, colon, password = parts.account.partition(":")
    if colon and not user:
        raise ValueError(f"before the @ of an address of {title} belong user:password")
    prefix = f"MICRO_{scheme.upper()}"
    user = unquote(user) or look(f"{prefix}_USER") or _system_user()
    if not user:
        raise ValueError(f"{title} asks for a user: write it before the @ of the address, or set {prefix}_USER")
    password = unquote(password) or look(f"{prefix}_PASSWORD")
    if "\0" in user + password:
        raise ValueError(f"the user or the password of {title} contains a NUL character")
    tls, verify, verify_name = _tls(options)
    made = PostgreSQLAddress(
        scheme=scheme,
        servers=tuple(join(*split_server(each, _PORTS[scheme])) for each in (parts.hosts or "127.0.0.1").split(",")),
        database=database,
        user=user,
        password=password,
        schema=_schema(options.text("schema"), look("MICRO_NAMESPACE")),
        pool=options.read("pool", _connections, 10),
        timeout=options.read("timeout", seconds, 10.0),
        tls=tls,
        ca=options.text("ca"),
        cert=options.text("cert"),
        key=options.text("key"),
        verify=verify,
        verify_name=verify_name,
        pgbouncer=cast(
            "Literal['', 'transaction', 'session']", options.one_of("pgbouncer", ("", "transaction", "session"), "")
        ),
    )
    options.end()
    check_files(tls=made.tls, ca=made.ca, cert=made.cert, key=made.key)
    if made.cockroach and made.pgbouncer:
        raise ValueError("pgbouncer= is of use with postgresql:// only")
    return made


def _system_user() -> str:
    """Returns the name of the user who runs this process, as libpq takes it; empty if the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _paths(address: str) -> tuple[str, ...]:
    """Returns the path of an address if it may be that of a database."""
    try:
        path = urlsplit(address).path
    except ValueError:
        return ()
    # An @ here belongs to a password that is not percent-encoded.
    return (path,) if path.startswith("/") and "/" not in path[1:] and "@" not in path else ()


def _name(name: str, what: str) -> str:
    if not name:
        raise ValueError(f"the address names no {what}: write it behind the host, such as /orders")
    if "\0" in name or len(name.encode(errors="replace")) > LONGEST_NAME:
        raise ValueError(f"the name of the {what} has more than {LONGEST_NAME} bytes of UTF-8, or a NUL character")
    return name


def _schema(given: str, namespace: str) -> str:
    name = given or f"micro_rt_{namespace or 'default'}"
    if "\0" in name or len(name.encode(errors="replace")) > LONGEST_NAME or name.lower().startswith("pg_"):
        source = f"schema={name[:100]!r}" if given else f"the schema {name[:100]!r}, made of MICRO_NAMESPACE,"
        raise ValueError(
            f"{_TITLES['postgresql']} does not accept {source} as a name: use at most {LONGEST_NAME} bytes of UTF-8, no NUL, "
            "and no pg_ at the beginning; the option schema= names another"
        )
    return name


def _connections(text: str) -> int:
    number = count(text)
    if number > MOST_CONNECTIONS:
        raise ValueError(f"{text} connections are too many: at most {MOST_CONNECTIONS}")
    return number


def _tls(options: Options) -> tuple[bool, bool, bool]:
    """Returns whether TLS is on, whether certificates are checked, and whether names are: as ``tls`` or ``sslmode`` says."""
    tls = options.read("tls", flag, None)
    verify = options.read("verify", flag, None)
    mode = options.text("sslmode")
    if not mode:
        return bool(tls), verify is not False, verify is not False
    if mode not in _SSL_MODES:
        raise ValueError(
            f"sslmode can be {', '.join(_SSL_MODES[:-1])} or {_SSL_MODES[-1]}; others encrypt only if nobody interferes"
        )
    if tls is not None or verify is not None:
        raise ValueError("sslmode= says all that tls= and verify= say: write one of them")
    return mode != "disable", mode.startswith("verify"), mode == "verify-full"
