"""The note of a committed position: what fits, what comes back, and what other programs may have stored in its place."""

from __future__ import annotations

import random

import pytest

from micro_rt.broker.base import LONGEST_NOTE, Record
from micro_rt.events.position_note import PositionNote, Suspect, check_of, decode_note, encode_note


def test_what_is_written_is_read() -> None:
    dice = random.Random(3)
    for _ in range(300):
        position = dice.choice((0, 1, 17, 1 << 40, (1 << 63) - 100_000))
        at = position + dice.choice((0, 0, 1, 5))
        done: list[tuple[int, int]] = []
        for _ in range(dice.randrange(1, 40)):
            behind = at + dice.choice((1, 1, 2, 9, 700))
            done.append((at, behind))
            at = behind + dice.choice((1, 1, 2, 30, 900))
        suspects = [
            Suspect(position + dice.randrange(2000), dice.randrange(1 << 32), dice.choice(((), ["01234567"] * 3)))
            for _ in range(9)
        ]
        run = suspects[: dice.randrange(9)]
        note = PositionNote(
            position,
            done,
            dice.choice((None, 0, 0xFFFFFFFF)),
            dice.choice(("", "0123abcd")),
            dice.choice((False, True)),
            run,
            suspects[len(run) :],
        )
        text = encode_note(note)
        assert len(text.encode()) <= LONGEST_NOTE
        assert decode_note(text) == note


def test_the_first_ranges_are_written_where_not_all_fit() -> None:
    done = [(5 + 40 * number, 5 + 40 * number + 20) for number in range(2000)]
    text = encode_note(PositionNote(5, done, 1))
    assert LONGEST_NOTE - 8 < len(text) <= LONGEST_NOTE
    read = decode_note(text)
    assert read is not None
    assert 200 < len(read.done) < 2000
    assert list(read.done) == done[: len(read.done)]


@pytest.mark.parametrize("pattern", ["10", "1100", "110", "1110110"])
def test_a_thousand_records_fit_whatever_is_done_of_them(pattern: str) -> None:
    done: list[tuple[int, int]] = []
    for offset in range(1, 1000):
        if pattern[offset % len(pattern)] == "1":
            if done and done[-1][1] == offset:
                done[-1] = (done[-1][0], offset + 1)
            else:
                done.append((offset, offset + 1))
    read = decode_note(encode_note(PositionNote(0, done, 1)))
    assert read is not None
    assert list(read.done) == done


def test_nothing_to_say_is_an_empty_note() -> None:
    assert encode_note(PositionNote(17)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NO_METADATA",
        '{"host": "worker-1"}',
        "micro-rt/2 17 done=-:gA",
        "micro-rt/1",
        "micro-rt/1 -3 done=-:gA",
        "micro-rt/1 17 done=:gA",
        "micro-rt/1 17 done=-:",
        "micro-rt/1 17 done=-:g",
        "micro-rt/1 17 done=-:AAAA",
        "micro-rt/1 17 done=-:AAAAAAAAAAB_",
        "micro-rt/1 17 done=-:gA\n",
        "micro-rt/1 17 done=-:g\u00e4",
        "micro-rt/1 9999999999999999999 done=-:gA",
        "micro-rt/1 \u0661\u0667 done=-:4A",
        "x" * 100_000,
        "micro-rt/1 17 done=-:" + "A" * 100_000,
        "\ud800",
    ],
)
def test_a_foreign_text_says_nothing(text: str) -> None:
    assert decode_note(text) is None


def test_no_text_is_an_error() -> None:
    dice = random.Random(4)
    good = encode_note(PositionNote(100, [(101 + 3 * number, 102 + 3 * number) for number in range(50)], 77))
    for _ in range(3000):
        broken = list(good)
        for _ in range(dice.randrange(1, 6)):
            broken[dice.randrange(len(broken))] = chr(dice.randrange(32, 127))
        read = decode_note("".join(broken))
        if read is not None:
            last = -1
            for first, behind in read.done:
                assert last < first < behind, broken
                last = behind


def test_the_checksum_tells_records_apart() -> None:
    record = Record("t", 0, 5, 1000.125, b"k", b"v", ())
    assert check_of(record) == check_of(record._replace(headers=(("a", b"b"),)))
    others = [record._replace(timestamp=1000.126), record._replace(key=None), record._replace(value=b"w")]
    assert check_of(record) not in {check_of(each) for each in others}
