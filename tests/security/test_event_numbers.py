"""Numbers in records of others: deadlines, times of dead letters, counts and offsets."""

from __future__ import annotations

import asyncio
import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import micro_rt as micro
from micro_rt.broker.base import Record
from micro_rt.cli.events_common import EventTypes
from micro_rt.cli.events_replay import _line
from micro_rt.events.dead_letter import DEADLINE_HEADER, GROUP_HEADER, DeadLetter, replayed_record
from micro_rt.events.envelope import event_time, moment, open_envelope, seconds_of
from micro_rt.kit.foreign import MOST, finite, read_json, whole
from tests.helpers.shop import Log, Publishes, Shop, subscribed
from tests.helpers.waiting import eventually

ODD = [
    b"nan",
    b"-nan",
    b"inf",
    b"-inf",
    b"1e300",
    b"-1e300",
    b"9" * 5000,
    b"1e-400",
    b"0x10",
    b"1_0",
    "٣".encode(),
    b"\xff",
    b"",
    b" 1",
    b"-1",
]
NUMBERS = ("partition", "offset", "attempts", "time", "published")
SETTINGS = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])

values = st.sampled_from(ODD) | st.binary(max_size=12) | st.floats().map(lambda number: repr(number).encode())
names = st.sampled_from(
    [
        *(f"micro-dead-{name}" for name in (*NUMBERS, "topic", "group", "reason", "error")),
        DEADLINE_HEADER,
        GROUP_HEADER,
        "micro-published",
        "ce_time",
        "ce_type",
        "ce_id",
        "content-type",
    ]
)
headers = st.lists(st.tuples(names | st.text(max_size=8), values), max_size=8).map(tuple)
timestamps = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(2**63), 2**63 - 1).map(float)


def _letter(**said: bytes) -> DeadLetter | None:
    about = {"topic": b"t", "partition": b"0", "offset": b"0", "group": b"g", **said}
    pairs = tuple((f"micro-dead-{name}", value) for name, value in about.items())
    return DeadLetter.of(Record("t.g.dead", 0, 0, 7.0, None, b"", pairs))


@SETTINGS
@given(headers, timestamps, st.binary(max_size=20) | st.sampled_from([b"{" * 10, b'{"a":' * 50_000]))
def test_every_dead_letter_is_shown_and_replayed_or_is_none(pairs: Any, timestamp: float, value: bytes) -> None:
    said = (("micro-dead-topic", b"t"), ("micro-dead-group", b"g"), *pairs)
    letter = DeadLetter.of(Record("t.g.dead", 0, 0, timestamp, None, value, said))
    if letter is None:
        return
    assert all(0 <= number <= MOST for number in (letter.partition, letter.offset, letter.attempts))
    assert _line(letter, EventTypes("", ())).isprintable()
    assert replayed_record(letter).topic == letter.topic


@pytest.mark.parametrize("name", NUMBERS[:3])
@pytest.mark.parametrize("value", ODD)
def test_a_count_that_is_none_makes_no_dead_letter(name: str, value: bytes) -> None:
    assert _letter(**{name: value}) is None


@pytest.mark.parametrize("value", ODD)
def test_a_time_that_is_none_is_that_of_the_record(value: bytes) -> None:
    letter = _letter(time=value, published=value)
    assert letter is not None
    for time in (letter.time, letter.published):
        assert time == 7.0 or value in (b" 1", b"-1", b"1e-400", b"1_0")
        assert math.isfinite(time)


@pytest.mark.parametrize("timestamp", [math.nan, math.inf, -math.inf, 1e300])
def test_every_number_is_a_moment(timestamp: float) -> None:
    record = Record("t", 0, 0, timestamp, None, b"", ())
    assert 1 <= event_time(open_envelope(record), record).year <= 9999
    assert 1 <= moment(timestamp).year <= 9999


@SETTINGS
@given(
    headers,
    st.binary(max_size=40)
    | st.recursive(
        st.none() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["specversion", "id", "source", "type", "data", "data_base64", "Header", "Body", "x"]),
                inner,
                max_size=5,
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
@example((("content-type", b"application/cloudevents+json"),), b'{"a":' * 100_000)
@example((), b'{"Header":{"a":"\\ud800"},"Body":""}')
@example((), b'{"Header":' + b"1" * 5000 + b',"Body":""}')
def test_every_record_is_read_or_refused_with_the_error_that_makes_it_a_dead_letter(pairs: Any, value: bytes) -> None:
    try:
        envelope = open_envelope(Record("t", 0, 0, 7.0, None, value, pairs))
    except ValueError:
        return
    assert isinstance(envelope.type, str)


@SETTINGS
@given(
    st.text(max_size=30)
    | st.floats().map(repr)
    | st.integers().map(str)
    | st.sampled_from(["9" * 5000, "nan", "1e999"])
)
def test_what_is_read_is_a_number_within_its_bounds(text: str) -> None:
    number = whole(text, 65535)
    assert number is None or (type(number) is int and 0 <= number <= 65535 and text.isascii())
    seconds = finite(text, -5.0, 1e9)
    assert seconds is None or -5 <= seconds <= 1e9
    assert math.isfinite(seconds_of(text, 7.0))


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, "{", ""])
def test_json_that_cannot_be_read_raises_one_class(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        read_json(text)


@pytest.mark.parametrize("deadline", ["nan", "-nan", "inf", "1e300", "253402300799", "9" * 5000])
async def test_the_deadline_of_an_event_moves_no_other_timer(deadline: str) -> None:
    """Timers are kept in a heap: a time that cannot be compared puts the others out of order."""
    shop, log, place = Shop(), Log(), f"memory:{uuid.uuid4()}"
    loop = asyncio.get_running_loop()
    async with micro.Service("publisher", registry=place, broker=place) as service:
        publish = Publishes(shop, service)
        async with subscribed(place, shop.subscriber(order_placed=log), group="g"):
            for number in range(20):
                await publish.placed(f"k{number}", headers={"micro-deadline": deadline})
            began = loop.time()
            await asyncio.gather(*(asyncio.sleep(0.01 * number) for number in range(10)))
            assert loop.time() - began < 5
            await eventually(lambda: len(log.contexts), equals=20)
    for context in log.contexts:
        assert context.deadline is None or math.isfinite(context.deadline)
