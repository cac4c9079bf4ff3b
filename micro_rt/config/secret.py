"""Values that no output shows, and the names that such values have.

A value is a secret if the program reads it as ``Secret[…]``, if its source says so, or if a name that leads to it says so. Names
are judged word by word: ``api_key`` and ``apiKey`` name a secret, ``monkey`` does not. A name too many costs one masked line; one
too few leaks a password.
"""

from __future__ import annotations

import re
from typing import Any, Generic, NoReturn, TypeVar

from micro_rt.kit.secrets import HIDDEN

__all__ = ["Secret", "is_secret_name", "mentions_secret"]

T_co = TypeVar("T_co", covariant=True)

_WORDS = frozenset(
    {
        "apikey",
        "auth",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "creds",
        "dsn",
        "key",
        "keys",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "private",
        "pw",
        "pwd",
        "salt",
        "secret",
        "secrets",
        "signature",
        "token",
        "tokens",
    }
)
_INSIDE = re.compile(r"passw|passphrase|secret|token|credential|api_?key|private_?key", re.IGNORECASE)
"""Parts of names that need no word of their own: ``dbpassword``."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|[A-Z]")
_MENTIONED = re.compile(
    r"(?:passw\w*|pwd|pass|secret\w*|\w*token|api_?key|\w*key|credentials?)\W{0,3}[=:]", re.IGNORECASE
)


class Secret(Generic[T_co]):
    """A value that is shown as ``***`` wherever it is printed, formatted or logged.

        @dataclass(frozen=True)
        class Database:
            host: str
            password: Secret[str]

        connect(database.host, database.password.reveal())

    Two secrets are equal if their values are. A secret is not pickled, because the bytes would hold the value.

    Args:
        value: what it is.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T_co) -> None:
        self._value = value

    def reveal(self) -> T_co:
        """Returns the value."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{HIDDEN}')"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret[T_co]:
        return self

    def __deepcopy__(self, memo: Any) -> Secret[T_co]:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Secret is not pickled, because the bytes would hold its value: pass reveal() where that is meant"
        )


def is_secret_name(name: str) -> bool:
    """Whether a name says that what it names is a secret."""
    return _INSIDE.search(name) is not None or not _WORDS.isdisjoint(word.lower() for word in _WORD.findall(name))


def mentions_secret(text: str) -> bool:
    """Whether a text seems to hold a secret with its name, such as ``host=db password=…``."""
    return _MENTIONED.search(text) is not None
