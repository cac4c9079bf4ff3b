"""The note of a committed position: what the member that commits tells the member that reads the partition next.

The position alone says that everything before it is done. The note says which records after it are done as well, so that the next
member does not repeat them; and whether the member has ended in good order. If it has not, a handler may have ended the process,
and the note says what is known of that.

It is one line of ASCII, at most ``LONGEST_NOTE`` bytes, in a format with a version:

    micro-rt/1 POSITION name=value …

- ``POSITION`` is the offset that was committed with the note. So a note that does not belong to a position is recognised.
- ``used=TOKEN``: a process has begun records after the position, and has not given the partition up since. The last commit of a
  member leaves this out. ``TOKEN`` names the process.
- ``alone``: the only record of ``run`` is the only one that the process was handling.
- ``run=RECORD,…``: records that had begun, after a process had ended and the next one was careful. Each is
  ``DISTANCE.CHECKSUM.TOKEN~…``: how far after the position it is, its checksum, and the processes that have ended while it was
  alone. Without such processes, the last part is left out.
- ``died=RECORD,…``: more records that had begun when a process ended, and that have not been handled since.
- ``done=CHECK:RUNS``: the done records after the position. ``RUNS`` is base64 of the lengths of runs of offsets in turns, from the
  position on: not done, done, not done, done, … Each length is an Elias gamma code, which takes one bit for a length of 1 and
  about two bits for each doubling. The first length is written plus 1, because it can be 0. If not all runs fit, the
  first ones are written.
- ``CHECK`` is the checksum of the first done record, or ``-``. If a topic was deleted and made again, another record has that offset,
  and the runs mean nothing.

A text that is not such a note is not an error: another program may have committed the position. It is ignored.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from micro_rt.broker.base import LONGEST_NOTE, Record

__all__ = ["PositionNote", "Suspect", "check_of", "decode_note", "encode_note"]

_HEAD = "micro-rt/1"
_CHECKED_BYTES = 4096
"""Bytes of a value that its checksum covers."""
_LONGEST_RECORDS = 700
"""Bytes of a note that records take at most, so that done records have space too."""
_LARGEST = (1 << 63) - 1
"""The largest offset."""
_RECORDS = r"[0-9]{1,19}\.[0-9a-f]{8}(?:\.[0-9a-f]{8}(?:~[0-9a-f]{8})*)?"
_NOTE = re.compile(
    r"micro-rt/1 ([0-9]{1,19})(?: used=([0-9a-f]{8}))?( alone)?"
    rf"(?: run=({_RECORDS}(?:,{_RECORDS})*))?(?: died=({_RECORDS}(?:,{_RECORDS})*))?"
    r"(?: done=([0-9a-f]{8}|-):([A-Za-z0-9_-]+))?"
).fullmatch


class Suspect(NamedTuple):
    """A record that may have ended a process."""

    offset: int
    check: int
    """The checksum of the record."""
    deaths: Sequence[str] = ()
    """The tokens of the processes that have ended while it was the only record that they were handling."""


@dataclass(frozen=True, slots=True)
class PositionNote:
    """What a note says.

    Attributes:
        position: the offset that it was committed with.
        done: the done records after the position, as ranges of offsets: the first one, and the one after the last; in order.
        check: the checksum of the first of these records; None if it is not known.
        used: the token of the process that has begun records; empty if it has ended in good order.
        alone: whether the only record of ``run`` was the only one that the process was handling.
        run: the records that were running, as far as that was noted.
        died: other records that were running when a process ended.
    """

    position: int
    done: Sequence[tuple[int, int]] = ()
    check: int | None = None
    used: str = ""
    alone: bool = False
    run: Sequence[Suspect] = ()
    died: Sequence[Suspect] = ()


def check_of(record: Record) -> int:
    """Returns a checksum of a record: of its time, its key, and the beginning of its value."""
    head = f"{record.timestamp:.3f} {record.key is None} {len(record.value)} ".encode()
    return crc32(record.value[:_CHECKED_BYTES], crc32(record.key or b"", crc32(head)))


def encode_note(note: PositionNote) -> str:
    """Returns the text of a note; empty if there is nothing to say."""
    text = f"{_HEAD} {note.position}"
    if note.used:
        text += f" used={note.used}"
    if note.alone:
        text += " alone"
    text += _suspects_text(" run=", note.position, note.run, _LONGEST_RECORDS - len(text))
    text += _suspects_text(" died=", note.position, note.died, _LONGEST_RECORDS - len(text))
    if note.done:
        head = f" done={'-' if note.check is None else format(note.check, '08x')}:"
        if runs := _runs_text(note.position, note.done, LONGEST_NOTE - len(text) - len(head)):
            text += head + runs
    return "" if text == f"{_HEAD} {note.position}" else text


def decode_note(text: str) -> PositionNote | None:
    """Returns what a text says that was committed with a position; None if it is not a note of this version."""
    if len(text) > LONGEST_NOTE or not (found := _NOTE(text)):
        return None
    position = int(found[1])
    run, died = (_suspects(position, found[number] or "") for number in (4, 5))
    done = _runs(position, found[7]) if found[7] else []
    if position > _LARGEST or (found[7] and not done):
        return None
    check = None if found[6] in (None, "-") else int(found[6], 16)
    return PositionNote(position, done, check, found[2] or "", bool(found[3]), run, died)


def _suspects_text(head: str, position: int, suspects: Iterable[Suspect], size: int) -> str:
    """Returns records as text of at most so many characters."""
    text = ""
    for offset, check, deaths in suspects:
        more = f"{',' if text else head}{offset - position}.{check:08x}{'.' if deaths else ''}{'~'.join(deaths)}"
        if len(text) + len(more) > size:
            break
        text += more
    return text


def _suspects(position: int, text: str) -> list[Suspect]:
    """Returns records of their text, which has their form."""
    parts = [record.split(".") for record in text.split(",") if record]
    return [
        Suspect(position + int(distance), int(check, 16), tokens[0].split("~") if tokens else ())
        for distance, check, *tokens in parts
    ]


def _runs_text(position: int, done: Iterable[tuple[int, int]], size: int) -> str:
    """Returns ranges as base64 of at most so many characters."""
    most = size * 6 // 8 * 8  # bits in whole bytes
    bits = ""
    at = position - 1
    for first, behind in done:
        more = _gamma(first - at) + _gamma(behind - first)
        if len(bits) + len(more) > most:
            break
        bits += more
        at = behind
    data = int(bits.ljust((len(bits) + 7) // 8 * 8, "0") or "0", 2).to_bytes((len(bits) + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _runs(position: int, text: str) -> list[tuple[int, int]]:
    """Returns ranges of base64; none if it is not theirs."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return []
    bits = "".join([format(byte, "08b") for byte in data])
    lengths: list[int] = []
    at = 0
    while (one := bits.find("1", at)) >= 0:  # Zeros at the end fill the last byte.
        width = one - at + 1
        if width > 63 or one + width > len(bits):
            return []
        lengths.append(int(bits[one : one + width], 2))
        at = one + width
    if len(lengths) % 2:
        return []
    done: list[tuple[int, int]] = []
    behind = position - 1
    for skipped, run in zip(lengths[::2], lengths[1::2], strict=True):
        first = behind + skipped
        behind = first + run
        if behind > _LARGEST:
            return []
        done.append((first, behind))
    return done


def _gamma(number: int) -> str:
    """Returns the Elias gamma code of a number above 0: its binary digits after as many zeros as it has digits but one."""
    digits = format(number, "b")
    return "0" * (len(digits) - 1) + digits
