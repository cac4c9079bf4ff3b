"""Addresses of parts, such as ``consul://10.0.0.5:8500/?tls=true``: schemes, options, and how they are shown.

An address comes from a person or a file. Every mistake in it is a ``ValueError`` that names the option and what it may be,
and no error shows a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlsplit

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.secrets import HIDDEN, shown_file, shown_options, without_secrets
from micro_rt.text import near

__all__ = ["Options", "Parts", "check_files", "count", "flag", "parts_of", "scheme_of", "seconds", "seconds_or_zero"]

T = TypeVar("T")

_LONGEST = 1e9
"""Seconds, 31 years: a longer time is a mistake."""
_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def scheme_of(address: str, setting: str) -> str:
    """Returns the scheme of an address.

    Args:
        address: such as ``"local:"`` or ``"consul://127.0.0.1:8500"``.
        setting: where it was given, for the error.

    Raises:
        FailedPrecondition: it has none.
    """
    match = re.match(r"([a-z][a-z0-9+.\-]*):", address)
    if match is None:
        raise FailedPrecondition(
            f"{setting}={without_secrets(address)!r} is not an address: write its scheme and a colon, such as 'local:'"
        )
    return match[1]


class Parts(NamedTuple):
    """The parts of an address."""

    account: str
    """What is before the ``@``, percent-encoded; empty if the address has no ``@``."""
    hosts: str
    path: str
    query: str
    fragment: str


def parts_of(address: str, scheme: str, problem: str, *, paths: tuple[str, ...] = ("", "/")) -> Parts:
    """Returns the parts of an address that has the right scheme and path, and no fragment.

    Args:
        address: as a person wrote it.
        scheme: that it must have.
        problem: the message of the error: what such an address looks like.
        paths: those that it may have.

    Raises:
        ValueError: it is no such address. The message repeats nothing of it, because no one knows which part is a secret.
    """
    try:
        scheme_found, netloc, path, query, fragment = urlsplit(address)
    except ValueError:
        scheme_found = netloc = path = query = fragment = ""  # The message of the error repeats the account.
    if scheme_found != scheme or path not in paths or fragment:
        raise ValueError(problem + _hint(address))
    account, _, hosts = netloc.rpartition("@")
    return Parts(account, hosts, path, query, fragment)


def _hint(address: str) -> str:
    """Returns what else to say of a malformed address if a special character of a password may be the reason."""
    if "@" not in address:
        return ""
    return "; in a user, a password or a token, percent-encode special characters: write %2F for / and %40 for @"


class Options:
    """The options of an address: what follows its question mark.

    Each reader asks for its options by name. When all have, ``end`` refuses an option that nobody asked for.

    Args:
        query: ``"name=value&name=value"``, percent-encoded.

    Raises:
        ValueError: an option is given twice.
    """

    def __init__(self, query: str) -> None:
        self._given: dict[str, str] = {}
        self._known: list[str] = []
        self._shown: dict[str, tuple[str, str]] = {}
        """How the name and the value of an option appear in errors."""
        for shown, (name, value) in zip(shown_options(query), parse_qsl(query, keep_blank_values=True), strict=True):
            if name in self._given:
                raise ValueError(f"option {shown[0]!r} is given twice")
            self._given[name] = value
            self._shown[name] = shown

    def text(self, name: str, default: str = "") -> str:
        """Returns the text of an option, or the default if it is not given.

        Raises:
            ValueError: it has no value.
        """
        self._known.append(name)
        value = self._given.pop(name, None)
        if value == "":
            raise ValueError(f"option {name!r} has no value")
        return default if value is None else value

    def read(self, name: str, reader: Callable[[str], T], default: T) -> T:
        """Returns the value of an option, or the default if it is not given.

        Args:
            name: the option's name.
            reader: reads its text; raises ``ValueError`` for a text that makes no sense.
            default: the value of an option that is not given.

        Raises:
            ValueError: it has no value, or one that makes no sense.
        """
        text = self.text(name)
        if not text:
            return default
        try:
            return reader(text)
        except ValueError as error:
            problem = str(error)
        shown = self._shown[name][1]
        # The reader repeats what it cannot read.
        raise ValueError(f"{name}={shown}: {'it has a value that makes no sense' if shown == HIDDEN else problem}")

    def one_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """Returns the text of an option that allows certain texts only.

        Raises:
            ValueError: it is another text.
        """
        text = self.text(name, default)
        if text != default and text not in choices:
            *others, last = filter(None, choices)
            raise ValueError(f"{name}={self._shown[name][1]}: it can be {', '.join(others)} or {last}")
        return text

    def end(self) -> None:
        """Refuses what nobody asked for.

        Raises:
            ValueError: there is such an option; the message lists those that exist.
        """
        if self._given:
            known = ", ".join(sorted(set(self._known))) or "none"
            name = next(iter(self._given))
            shown = name if near(name, self._known) else self._shown[name][0]
            hint = "; in a password or a token, write %26 for & and %3F for ?" if shown == HIDDEN else ""
            raise ValueError(f"there is no option {shown!r}; known: {known}{hint}")


def flag(text: str) -> bool:
    """Reads ``true`` or ``false``, ``1`` or ``0``.

    Raises:
        ValueError: it is neither.
    """
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def seconds(text: str) -> float:
    """Reads a time above 0: a number of seconds, or a duration such as ``1m30s``.

    Raises:
        ValueError: it is not one.
    """
    number = _seconds(text)
    if not number > 0:
        raise ValueError(f"{text!r} is not a number of seconds above 0, nor a duration such as 1m30s")
    return number


def seconds_or_zero(text: str) -> float:
    """Reads a time that may be 0: a number of seconds, or a duration such as ``1m30s``.

    Raises:
        ValueError: it is not one.
    """
    number = _seconds(text)
    if math.isnan(number):
        raise ValueError(f"{text!r} is not a number of seconds, nor a duration such as 1m30s")
    return number


def count(text: str) -> int:
    """Reads a whole number above 0.

    Raises:
        ValueError: it is not one.
    """
    if not re.fullmatch(r"[1-9]\d{0,17}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a whole number above 0")
    return int(text)


def check_files(*, tls: bool, ca: str = "", cert: str = "", key: str = "", exist: bool = True) -> None:
    """Checks the options that name files for TLS.

    Args:
        tls: whether TLS is on.
        ca: file or folder of authorities, or empty.
        cert: file of a certificate, or empty.
        key: file of a key, or empty.
        exist: whether the files must exist already.

    Raises:
        ValueError: a file does not exist, TLS is off, or a key has no certificate.
    """
    for name, file in (("ca", ca), ("cert", cert), ("key", key)):
        if exist and file and not Path(file).exists():
            shown = shown_file(file) if name == "key" else file
            raise ValueError(f"{name}={shown}: there is no such file")
        if file and not tls:
            raise ValueError(f"{name}= is of use with tls=true only")
    if key and not cert:
        raise ValueError("key= belongs to a cert=, which is not given")


def _seconds(text: str) -> float:
    """Returns the seconds, or NaN for a text that is no time."""
    number = math.nan
    if re.fullmatch(r"\d{1,18}(\.\d{1,18})?|\.\d{1,18}", text, re.ASCII):
        number = float(text)
    elif re.fullmatch(r"(\d{1,9}(\.\d{1,9})?(ms|s|m|h)){1,4}", text, re.ASCII):
        parts = re.findall(r"([\d.]+)(ms|s|m|h)", text)
        number = sum(float(part) * _UNITS[unit] for part, unit in parts)
    return number if number <= _LONGEST else math.nan
