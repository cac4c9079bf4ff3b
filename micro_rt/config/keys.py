"""Settings in a store of keys, such as etcd and Consul's KV: which key is which setting, and what its value says.

- The keys below a folder are settings: in ``app``, the key ``app/limits/rps`` is ``limits.rps``.
- A value is a text. Whoever asks for a number gets it converted, as with environment variables.
- A key that ends with a slash and has no value marks a folder, as Consul's pages make them, and is no setting.
- Keys and values are bytes of others. What is not UTF-8 is refused, with its key and without its value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from micro_rt.config.base import MAX_SIZE, Reading
from micro_rt.config.nesting import Entry, nested
from micro_rt.errors import FailedPrecondition
from micro_rt.text import printable

__all__ = ["REPAIR", "reading_of_keys", "split_folder"]

REPAIR = 600.0
"""Seconds after which a change is reported without one, so that everything is read and compared: etcd 3.4 and 3.5 can lose the
report of a deletion (etcd#18089, etcd#19179)."""

_SHOWN = 200


def split_folder(address: str, problem: str) -> tuple[str, str]:
    """Returns an address without its path, and the folder that the path names.

    Args:
        address: ``scheme://hosts/folder?options``; special characters of the folder are percent-encoded.
        problem: the message of the error: what such an address looks like.

    Returns:
        The address, and the folder with a slash at its end.

    Raises:
        ValueError: it names no folder. The message repeats nothing of it, because no one knows which part is a secret.
    """
    before, question, query = address.partition("?")
    scheme, colon, rest = before.partition("://")
    hosts, _, path = rest.partition("/")
    folder = unquote(path).rstrip("/")
    if "@" in path or "#" in path:
        raise ValueError(f"{problem}; write %40 for @, %23 for # and, in a password, %2F for /")
    if not folder or not folder.isprintable():
        raise ValueError(problem)
    return f"{scheme}{colon}{hosts}{question}{query}", f"{folder}/"


def reading_of_keys(folder: str, pairs: Iterable[tuple[bytes, bytes]], source: str) -> Reading:
    """Returns the settings in a folder.

    Args:
        folder: with a slash at its end.
        pairs: keys that begin with the folder, and their values.
        source: the name of the source, for errors.

    Raises:
        FailedPrecondition: a key or a value is not UTF-8, a key is in another that has a value, or there is too much.
    """
    return nested(_entries(folder, pairs, source), source)


def _entries(folder: str, pairs: Iterable[tuple[bytes, bytes]], source: str) -> Iterator[Entry]:
    size = 0
    for key, value in pairs:
        name = _text(key)
        size += len(key) + len(value)
        if size > MAX_SIZE:
            raise FailedPrecondition(f"{source}: keys and values are larger than {MAX_SIZE >> 20} MiB together")
        if name is None:
            raise FailedPrecondition(
                f"{source}: the key {printable(key.decode(errors='replace'), _SHOWN)} is not UTF-8"
            )
        if not name.startswith(folder):
            raise FailedPrecondition(
                f"{source}: the server answers with the key {printable(name, _SHOWN)}, which is not in it"
            )
        if name.endswith("/") and not value:
            continue
        place = printable(name, _SHOWN)
        text = _text(value)
        if text is None:
            raise FailedPrecondition(f"{source}: the value of the key {place} is not a text in UTF-8")
        yield Entry(tuple(name.removeprefix(folder).split("/")), text, place)


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
