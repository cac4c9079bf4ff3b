"""What is shown of an address that may hold secrets; every message, log line and output of a command goes through here.

A person writes addresses, and so puts passwords and tokens where none belong: before an ``@`` that is meant to be a part of a
password, after a mistyped option, or behind a ``/`` that ends the host. So this shows what is known to be harmless only:
the scheme, hosts with their ports, and the values of the options in ``_HARMLESS``.
"""

from __future__ import annotations

import re

from micro_rt.text import printable

__all__ = ["HIDDEN", "scrubbed", "shown_file", "shown_host", "shown_options", "without_secrets"]

HIDDEN = "***"
"""What is shown instead of anything that may be a secret."""

_HARMLESS = frozenset(
    [
        "agents",
        "assignor",
        "bound",
        "buffer",
        "ca",
        "cert",
        "check",
        "client_id",
        "compression",
        "create",
        "dc",
        "deregister_after",
        "domain",
        "envelope",
        "framing",
        "instance",
        "interface",
        "interval",
        "isolation",
        "linger",
        "max_message",
        "namespace",
        "owner",
        "partitions",
        "pgbouncer",
        "pool",
        "port",
        "prefix",
        "rebalance",
        "replication",
        "retention",
        "sasl",
        "schema",
        "server_name",
        "session",
        "sslmode",
        "stale",
        "sync",
        "timeout",
        "tls",
        "verify",
    ]
)
"""Options whose values are no secrets, of all schemes."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*:")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]+)?(?::\d{1,5})?", re.ASCII)
_NAME = re.compile(r"[a-z][a-z_]{0,29}")
_START = r"(?<![A-Za-z0-9+.\-])(?:[A-Za-z0-9+.\-]++://|[A-Za-z][A-Za-z0-9+.\-]++:/)"
"""How an address begins; a ``Path`` of it has one slash in place of two. A letter alone is a drive of Windows."""
_BEGINNING = re.compile(rf"(?P<scheme>{_START})|//")
_ADDRESS = re.compile(rf"{_START}[^\s'\"]*")
_WORD = re.compile(r"[^\s'\"]+")
_QUOTED = re.compile(r"'[^'\n]+|\"[^\"\n]+")
_PASSWORD = re.compile(r"[^:]*:[^\s/]", re.DOTALL)
_UNBRACKETED = re.compile(r"(?=[^:]*:[^:]*:)[0-9A-Fa-f:.]+")
"""An IPv6 address without its brackets, with or without a port."""
_PATH = re.compile(r"(?:~|\.{0,2})/")
_LONGEST = 100
"""Characters of the value of an option."""


def without_secrets(address: str) -> str:
    """Returns an address as it may be shown: its scheme, its hosts, and the values of options that are no secrets.

    Args:
        address: as a person wrote it, also if it is malformed.
    """
    if _UNBRACKETED.fullmatch(address):
        return address
    match = _SCHEME.match(address)
    scheme = match[0] if match else ""
    rest = address[len(scheme) :]
    slashes = "//" if rest.startswith("//") else ""
    account, at, rest = rest[len(slashes) :].rpartition("@")
    if "=" in account.partition("?")[2]:
        # The @ may be that of an option, and what follows it the end of a secret.
        return f"{scheme}{slashes}{HIDDEN}"
    place, path, query, fragment = _split(rest)
    if at or slashes or scheme in ("", "memory:"):
        place = ",".join(shown_host(host) for host in place.split(","))
    elif not re.fullmatch(r"\d{0,5}", place, re.ASCII):
        place = HIDDEN
    return "".join(
        (
            scheme,
            slashes,
            f"{HIDDEN}@" if at else "",
            place,
            path if path in ("", "/") else f"/{HIDDEN}",
            f"?{'&'.join(_shown_pair(*pair) for pair in shown_options(query[1:]))}" if query else "",
            f"#{HIDDEN}" if fragment else "",
        )
    )


def scrubbed(text: str) -> str:
    """Returns a text without the secrets of the addresses in it.

    Args:
        text: a message that may repeat what a person wrote, such as that of a parser of command lines.
    """
    # Each step takes time linear in the length of the text, which may be somebody else's.
    return _QUOTED.sub(_without_account, _WORD.sub(_without_account, _without_addresses(text)))


def _without_addresses(text: str) -> str:
    """Returns a text without the secrets of what has a scheme or two slashes; a blank in a password does not end it."""
    before, at, after = text.rpartition("@")
    begins = _BEGINNING.search(before) if at else None
    if begins is None:
        return f"{before}{at}{_ADDRESS.sub(lambda address: without_secrets(address[0]), after)}"
    host = _WORD.match(after)
    end = host.end() if host else 0
    address = f"{before[begins.start() :]}@{after[:end]}"
    shown = without_secrets(address) if begins["scheme"] else f"//{HIDDEN}@{after[:end]}"
    return f"{before[: begins.start()]}{shown}{_without_addresses(after[end:])}"


def _without_account(match: re.Match[str]) -> str:
    """Returns a word, or a text in quotes, without what is before its last ``@`` if that looks like a user and a password."""
    text = match[0]
    before, at, after = text.rpartition("@")
    password = _PASSWORD.match(before)
    if not at or password is None or before.endswith(HIDDEN):
        return text
    colon = password.end() - 2
    start = max(before.rfind(each, 0, colon) for each in "'\"=(") + 1
    return f"{text[:start]}{HIDDEN}@{after}"


def shown_host(text: str) -> str:
    """Returns a host, or host:port, if it looks like one; what it should be may be a part of a password."""
    return text if _HOST.fullmatch(text) else HIDDEN


def shown_file(file: str) -> str:
    """Returns the name of a file of a secret if it looks like a path; it may be the secret itself, in the wrong option."""
    return printable(file, _LONGEST) if _PATH.match(file) else HIDDEN


def shown_options(query: str) -> list[tuple[str, str]]:
    """Returns what may be shown of each option: its name, and its value.

    The name of an option that is not known is shown while nothing before it may be a secret, of which it may be a part.

    Args:
        query: ``"name=value&name=value"``, percent-encoded.

    Returns:
        In the order of the query, for each pair that is not empty.
    """
    shown: list[tuple[str, str]] = []
    clean = whole = "@" not in query
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if whole and equals and name in _HARMLESS:
            shown.append((name, printable(value, _LONGEST)))
        else:
            shown.append((name if clean and equals and _NAME.fullmatch(name) else HIDDEN, HIDDEN))
            clean = False
    return shown


def _shown_pair(name: str, value: str) -> str:
    return HIDDEN if name == HIDDEN else f"{name}={value}"


def _split(text: str) -> tuple[str, str, str, str]:
    """Returns the place, and what begins with the first slash, question mark and number sign after it."""
    text, mark, fragment = text.partition("#")
    text, question, query = text.partition("?")
    place, slash, path = text.partition("/")
    return place, slash + path, question + query, mark + fragment
