"""What is raised instead of an error of asyncpg, of the server or of the network: a ``micro.Error`` that says where, and what to do.

- An error that the server sent about a statement says that it was rolled back: ``may_have_run`` is False.
- A lost connection leaves unknown whether the statement was committed, and so do the codes 40003 and 57P01: ``may_have_run`` is True.
- Details that the server adds are left out: they repeat keys and values.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping

import asyncpg

from micro_rt.backends.postgresql.address import PostgreSQLAddress
from micro_rt.errors import (
    Aborted,
    DataLoss,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    Internal,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from micro_rt.text import printable

__all__ = ["RAW", "TRY_AGAIN", "connecting", "is_transient", "running", "sqlstate"]

RAW = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError, ValueError)
"""What asyncpg raises, and what the network does."""
TRY_AGAIN = "micro.postgresql_try_again"
"""The id of an error after which the same statement may succeed at once: nothing of it was done."""

_LONGEST = 300
_UNKNOWN = frozenset({"40003", "57P01", "57P02", "57P05"})
"""Codes after which it is unknown whether the statement was committed. Those of class 08 belong to them."""
_UNUSABLE = ("connection is closed", "cannot switch to state")
"""What asyncpg says, before it sends anything, of a connection that the server has ended: with or without its end read."""
_POOLER = (
    "a pooler such as PgBouncer seems to be in between: add pgbouncer=transaction to the address, "
    "or pgbouncer=session if it pools sessions"
)
_CODES: Mapping[str, tuple[type[Error], str]] = {
    "25006": (FailedPrecondition, "the server accepts no writes: name the primary server in the address"),
    "26000": (FailedPrecondition, _POOLER),
    "42P05": (FailedPrecondition, _POOLER),
    "3F000": (FailedPrecondition, "the schema of the tables is gone: open it again"),
    "42P01": (FailedPrecondition, "a table is gone, or belongs to another version: open it again"),
    "42703": (FailedPrecondition, "a column is missing: another version has made the tables"),
    "42501": (PermissionDenied, "grant the user the right"),
    "53100": (ResourceExhausted, "free space on the disk of the server"),
    "53200": (ResourceExhausted, "the server has no memory left"),
    "53300": (
        ResourceExhausted,
        "the server has no connection left: make pool= smaller, or its max_connections larger",
    ),
    "53400": (ResourceExhausted, "a limit of the server's configuration is reached"),
    "54000": (ResourceExhausted, "a limit of the server is reached"),
    "57014": (DeadlineExceeded, "the server has ended the statement: it took too long, or an operator cancelled it"),
    "57P03": (Unavailable, "the server is starting or stopping"),
    "XX001": (DataLoss, "the data of the server is damaged: restore it"),
    "XX002": (DataLoss, "an index of the server is damaged: rebuild it with REINDEX"),
}


def sqlstate(error: BaseException) -> str:
    """Returns the code that the server gave an error; empty if it is not the server's."""
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def is_transient(error: Error) -> bool:
    """Whether the same statement may succeed if it is sent again soon: it was not done, and did not fail for a lasting reason."""
    return error.id == TRY_AGAIN


def connecting(error: BaseException, address: PostgreSQLAddress, part: str) -> Error:
    """Returns the error of a connection that could not be made.

    Args:
        error: one of ``RAW``.
        address: where it was to lead.
        part: what it was for: ``"store"``.
    """
    where, code, text = f"{part}: {address.place}", sqlstate(error), _text(error)
    if code in ("28P01", "28000") or _is_refused_by_pooler(text):
        hint = "set tls=true if the server asks for TLS; " if "no encryption" in text or "SSL off" in text else ""
        return Unauthenticated(
            f"{where} does not accept user {printable(address.user, 100)!r} with this password ({text}): {hint}"
            f"check the user and the password of the address, or MICRO_{address.scheme.upper()}_USER and _PASSWORD",
            may_have_run=False,
        )
    if code == "3D000" or re.fullmatch(r"no such database.*|database .* does not exist", text):
        name = printable(address.database, 100)
        return FailedPrecondition(
            f"{where}: there is no database {name!r}: create it, or name another", may_have_run=False
        )
    if "unsupported startup parameter" in text:
        return FailedPrecondition(f"{where}: {text}; {_POOLER}", may_have_run=False)
    if isinstance(error, ssl.SSLError):
        return FailedPrecondition(
            f"{where}: TLS failed: {text}; check ca=, cert= and key= of the address, and the name of the host",
            may_have_run=False,
        )
    if isinstance(error, ConnectionError) and "SSL" in text:
        return FailedPrecondition(
            f"{where}: {text}; does the server speak TLS? Without TLS, write tls=false or sslmode=disable",
            may_have_run=False,
        )
    if code and code in _CODES:
        kind, hint = _CODES[code]
        id = TRY_AGAIN if code == "57P03" else ""
        return kind(f"{where} cannot be used: {text}; {hint}", may_have_run=False, id=id)
    return Unavailable(
        f"{where} cannot be reached: {text}; is it running there, and is the address right?",
        id="micro.postgresql_unreachable",
        may_have_run=False,
    )


def running(error: BaseException, address: PostgreSQLAddress, part: str) -> Error:
    """Returns the error of a statement that failed.

    Args:
        error: one of ``RAW``.
        address: where it was sent.
        part: what it was for: ``"store"``.
    """
    where, code, text = f"{part}: {address.place}", sqlstate(error), _text(error)
    if code in ("40001", "40P01"):
        return Aborted(f"{where}: {text}", id=TRY_AGAIN, may_have_run=False)
    if code == "08P01" and "prepared statement" in text:
        return FailedPrecondition(f"{where}: {text}; {_POOLER}", may_have_run=False)
    if isinstance(error, OSError | EOFError) or code in _UNKNOWN or code.startswith("08"):
        return Unavailable(
            f"{where} was lost before it answered: {text}; whether the statement was done is unknown",
            id="micro.postgresql_lost",
            unanswered=True,
        )
    if any(each in text for each in _UNUSABLE) and not isinstance(error, asyncpg.PostgresError):
        return Unavailable(f"{where}: the connection was closed", id=TRY_AGAIN, may_have_run=False)
    fatal = isinstance(error, asyncpg.PostgresError) and getattr(error, "severity_en", None) not in (None, "ERROR")
    if code in _CODES:
        kind, hint = _CODES[code]
        return kind(f"{where}: {text}; {hint}", may_have_run=fatal)
    if isinstance(error, asyncpg.PostgresError):
        return Internal(f"{where}: {text} (SQLSTATE {code})", may_have_run=fatal)
    return Internal(f"{where}: {type(error).__name__}: {text}")


def _is_refused_by_pooler(text: str) -> bool:
    """Whether PgBouncer refuses the user: it gives no code of its own for that."""
    return any(each in text for each in ("no such user", "auth failed", "authentication failed"))


def _text(error: BaseException) -> str:
    """Returns what happened, without what may repeat keys and values."""
    if isinstance(error, asyncpg.PostgresError) and error.__cause__ is not None:
        cause = error.__cause__
        if isinstance(cause, asyncpg.PostgresError):  # Why the server has closed the connection.
            return _text(cause)
    message = str(error.args[0]) if isinstance(error, asyncpg.PostgresError) and error.args else str(error)
    return printable(message.partition("\n")[0].strip() or type(error).__name__, _LONGEST)
