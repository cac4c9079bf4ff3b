"""The keys of locks in Consul, and what is in them: ``micro-rt/sync/LOCK/SEAT``, one for each seat that is held.

- The name of a lock is percent-encoded, so that it is one part of the key whatever it holds. No text of an error of Consul, such as
  "Permission denied", can then come from a name.
- The value is JSON, for people who look: the claim, and what its holder says of itself. Who holds a seat is in the session of the key,
  and never in its value, which anybody may overwrite.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.http import list_of
from micro_rt.errors import FailedPrecondition, PermissionDenied, Unavailable
from micro_rt.kit.clock import wall_time_us
from micro_rt.kit.foreign import MOST, read_json, whole
from micro_rt.sync.base import MAX_VALUE

__all__ = ["EPOCH", "ROOT", "Entry", "LockKeys", "entries_of", "folder_of", "said_in", "value_of"]

ROOT = "micro-rt/sync/"
TRIES = 3
"""Times that a missing epoch is made before it is somebody else's fault."""
_CONSISTENT = (("consistent", ""),)
EPOCH = f"{ROOT}epoch"
"""The key that holds the epoch, a number. Its first user creates it: the wall time, so that it exceeds every epoch before."""
_EPOCH_LENGTH = 40


class Entry(NamedTuple):
    """A key."""

    session: str
    """That of its holder; empty if nobody holds it."""
    created: int
    """The index at which it was made: another one if it was deleted and made again."""
    modified: int
    """The index at which it was written last."""
    value: str
    """Base64."""


class LockKeys:
    """Reads and writes keys of locks; raises what the requests to Consul raise.

    Args:
        consul: open.
    """

    def __init__(self, consul: Consul) -> None:
        self._consul = consul
        self._epoch = 0
        """The greatest that was seen."""

    async def entry(self, key: str) -> Entry | None:
        """Returns a key; None if it does not exist."""
        answer = await self._consul.get(f"/v1/kv/{quote(key)}", _CONSISTENT)
        with self._consul.understood():
            return entries_of(list_of(answer.data)).get(key)

    async def read(self, folder: str) -> tuple[int, dict[str, Entry]]:
        """Returns the epoch and the keys of a lock."""
        done, epoch, said = await self.do(({"Verb": "get-tree", "Key": folder},), read=True)
        with self._consul.understood():
            if not done:
                raise ValueError("Consul refuses to read")
            return epoch, entries_of([each["KV"] for each in said], folder)

    async def do(self, operations: Sequence[Mapping[str, Any]], *, read: bool = False) -> tuple[bool, int, list[Any]]:
        """Does all of some operations, or none.

        Args:
            operations: what belongs into each ``KV``.
            read: whether they only read.

        Returns:
            Whether they were done, the epoch at that moment, and the results or the errors.
        """
        params = _CONSISTENT if read or not operations else ()
        for _ in range(TRIES):
            answer = await self._consul.txn(({"Verb": "get", "Key": EPOCH}, *operations), params)
            with self._consul.understood():
                if answer.found:
                    # Consul leaves out what a token may not read, without an error.
                    if not answer.data["Results"] or answer.data.get("ResultsFilteredByACLs"):
                        raise PermissionDenied(
                            f"the token may not read all keys of locks in Consul at {self._consul.address.place} (key:read); "
                            f'give it key_prefix "{ROOT}" {{ policy = "write" }}'
                        )
                    number = _number_of(answer.data["Results"][0]["KV"]["Value"])
                    results = list_of(answer.data["Results"])[1:]
                else:
                    number, results = 0, list_of(answer.data["Errors"])
                    missing = [each for each in results if each["OpIndex"] == 0]
                    if not missing:
                        return False, 0, results
            if number is None:
                raise FailedPrecondition(
                    f"the key {EPOCH} in Consul at {self._consul.address.place} holds no number: delete it, so that a new epoch begins"
                )
            if number:
                self._epoch = max(self._epoch, number)
                return True, number, results
            number = max(wall_time_us(), self._epoch + 1)
            await self._consul.txn(
                ({"Verb": "cas", "Key": EPOCH, "Index": 0, "Value": _encoded(str(number).encode())},)
            )
        raise Unavailable(f"the key {EPOCH} in Consul at {self._consul.address.place} is deleted again and again")


def folder_of(name: str, seats: int) -> str:
    """Returns what the keys of a lock begin with."""
    escaped = quote(name, safe="")
    if not escaped.strip("."):
        escaped = escaped.replace(".", "%2E")  # Consul's HTTP interface takes "." and ".." for parts of a path.
    return f"{ROOT}{escaped}/" if seats == 1 else f"{ROOT}{escaped}*{seats}/"


def _encoded(value: bytes) -> str:
    """Returns a value as transactions take it."""
    return base64.b64encode(value).decode()


def value_of(claim: str, said: bytes) -> str:
    """Returns the value of a seat, as transactions take it.

    Args:
        claim: its id.
        said: what its holder says of itself.
    """
    return _encoded(json.dumps({"claim": claim, "holder": said.decode(errors="surrogateescape")}).encode())


def said_in(entry: Entry) -> bytes:
    """Returns what a holder says of itself; nothing if somebody has overwritten it."""
    try:
        said = read_json(base64.b64decode(entry.value, validate=True))["holder"].encode(errors="surrogateescape")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return b""
    return said if isinstance(said, bytes) and len(said) <= MAX_VALUE else b""


def _number_of(value: object) -> int | None:
    """Returns the number in the value of the epoch's key; None if it holds something else."""
    if not isinstance(value, str) or len(value) > _EPOCH_LENGTH:
        return None
    try:
        return whole(base64.b64decode(value, validate=True).decode().strip()) or None
    except ValueError:
        return None


def entries_of(items: Iterable[Any], folder: str = ROOT) -> dict[str, Entry]:
    """Returns the keys of an answer.

    Args:
        items: as Consul lists them.
        folder: what keys begin with; others are left out.

    Raises:
        TypeError, KeyError: it is something else.
    """
    found: dict[str, Entry] = {}
    for each in items:
        item = cast("dict[str, Any]", each)
        key = item["Key"]
        session, value = item.get("Session") or "", item.get("Value") or ""
        if not isinstance(key, str) or not isinstance(session, str) or not isinstance(value, str):
            raise TypeError("a key of Consul is not formed as Consul forms it")
        if key.startswith(folder):
            found[key] = Entry(session, _index(item["CreateIndex"]), _index(item["ModifyIndex"]), value)
    return found


def _index(number: object) -> int:
    if type(number) is not int or not 0 < number <= MOST:
        raise TypeError("Consul sent an index that is not a number")
    return number
