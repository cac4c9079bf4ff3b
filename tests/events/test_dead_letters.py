"""Dead letters go back to the group that could not handle them, and to no other."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord, Record, TopicOptions
from micro_rt.cli.main import main
from micro_rt.events.dead_letter import DeadLetter, dead_letter, dead_letter_topic, put_back, replayed_record
from micro_rt.events.envelope import event_time, open_envelope, rfc3339
from micro_rt.events.replay import replay
from tests.helpers.shop import SETTLE, Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced, Ping


async def test_they_go_back_once_to_their_group_alone(broker: str, shop: Shop, publish: Publishes) -> None:
    broken = True
    handled, other = Log(), Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if broken and event.total_cents % 10 == 0:
            raise RuntimeError("broken")
        await handled(event, context)

    topic = shop.topic("orders")
    async with (
        subscribed(broker, shop.subscriber(order_placed=handle), group="billing", attempts=1) as (service, _),
        subscribed(broker, shop.subscriber(order_placed=other), group="other"),
    ):
        await publish.many([OrderPlaced(order_id=str(number), total_cents=number) for number in range(30)])
        await eventually(lambda: len(handled) == 27 and len(other) == 30)
        broken = False
        own = await service.broker()
        await read_all(service, dead_letter_topic(topic, "billing"), expected=3)
        letters: list[DeadLetter] = []
        while len(letters) < 3:
            found = [letter async for letter in replay(own, topic, "billing", limit=2)]
            assert len(found) <= 2
            letters += found
        await eventually(lambda: len(handled) == 30)
        assert [letter async for letter in replay(own, topic, "billing")] == []
        await publish.placed("after")
        await eventually(lambda: len(handled) == 31 and len(other) == 31)
    assert sorted({event.total_cents for event in handled.events}) == list(range(30))
    assert {letter.group for letter in letters} == {"billing"}
    assert {letter.topic for letter in letters} == {topic}
    assert {letter.error for letter in letters} == {"RuntimeError"}
    assert handled.contexts[-2].headers["micro-for-group"] == b"billing"


@pytest.mark.parametrize("broker", ["local", "kafka"], indirect=True)  # a command is a process of its own
async def test_the_command_shows_them_and_puts_them_back(
    broker: str, shop: Shop, publish: Publishes, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = True
    handled = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if broken:
            raise micro.InvalidArgument("nobody can\nbill that")
        await handled(event, context)

    async with subscribed(broker, shop.subscriber(order_placed=handle), group="billing", attempts=1):
        for order in ("1", "2", "3"):
            await publish.placed(order)
        topic = shop.topic("orders")

        async def command(*more: str) -> list[str]:
            arguments = ["events", "replay", topic, "--group", "billing", "--broker", broker, *more]
            ended = await asyncio.to_thread(main, arguments)
            said = capsys.readouterr()
            assert (ended, "has put nothing of" in said.err) in ((0, False), (1, True))
            return said.out.splitlines()

        async with asyncio.timeout(SETTLE):
            while len(lines := await command("--dry-run")) < 3:
                pass
        assert all(line.startswith(f"{topic}/") for line in lines)
        assert all("  1 attempts  INVALID_ARGUMENT: nobody can bill that  " in line for line in lines)
        broken = False
        assert len(await command("--limit", "2")) == 2
        assert len(await command()) == 1
        assert await command() == []
        await eventually(lambda: len(handled) == 3)


@pytest.mark.parametrize("broker", ["local"], indirect=True)
async def test_the_command_shows_what_the_events_are(
    broker: str, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = shop.topic("orders")
    when = datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC)
    placed = OrderPlaced(order_id="4\x1b[2J2", total_cents=1999)
    about = (("ce_type", b"shop.OrderPlaced"), ("ce_id", b"id-7\n"), ("ce_time", b"2026-11-24T12:30:15Z"))
    records = [
        (b"4\x1b[2J2", placed.SerializeToString(), about, False),
        (None, b"\xff" * 100, (("ce_type", b"\x1b[31mred" + b"x" * 5000),), False),
        (b"\xff\x00", b"{" * 5000, (("content-type", b"application/cloudevents+json"),), False),
        (b"k", b'{"orderId": "' + b"y" * 90_000 + b'"}', (*about[:2], ("content-type", b"application/json")), False),
        (b"k", b"", about, True),
        (b"k", b"", (), False),
    ]
    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=broker) as service:
        own = await service.broker()
        await own.prepare({topic: TopicOptions(), dead_letter_topic(topic, "g"): TopicOptions(partitions=1)})
        letters = [
            dead_letter(Record(topic, 0, offset, when.timestamp(), *record), "g", "\x1b]0;no\a" * 900, None, 5)
            for offset, record in enumerate(records)
        ]
        assert not any(isinstance(outcome, micro.Error) for outcome in await own.publish(letters))
    for schema in ([], ["--module", "tests.protos.shop_micro"]):
        arguments = ["events", "replay", topic, "--group", "g", "--broker", broker, "--dry-run", *schema]
        assert await asyncio.to_thread(main, arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(records)
        assert all(line.isprintable() and len(line) < 10_000 for line in lines)
        assert all(line.startswith(f"{topic}/0@{number}  2026-11-24T12:30:15Z  ") for number, line in enumerate(lines))
        assert r"  shop.OrderPlaced  key=4\u001b[2J2  id=id-7\n  5 attempts  \u001b]0;no\u0007" in lines[0]
        if schema:
            assert lines[0].endswith(r'  {"orderId":"4\u001b[2J2","totalCents":"1999"}')
        else:
            assert lines[0].endswith(f"  ({len(records[0][1])} bytes: {records[0][1].hex()})")
        assert f"  (100 bytes: {'ff' * 32}…)" in lines[1]
        assert r"  key=\xff\u0000  id=-  " in lines[2]
        assert f"  (5000 bytes: {'7b' * 32}…)" in lines[2]
        assert '  {"orderId":"yyyy' in lines[3]
        assert lines[3].endswith(" characters)")
        assert lines[4].endswith("  (tombstone)")
        assert lines[5].endswith("  (0 bytes)")
    missing = await asyncio.to_thread(main, [*arguments[:-1], "no_such_module"])
    assert (missing, "no_such_module" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize("broker", ["local"], indirect=True)
async def test_the_command_shows_the_type_that_an_event_does_not_say(
    broker: str, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    record = Record("pings", 0, 0, 0.0, b"k", Ping(text="hello").SerializeToString(), ())  # as in the module
    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=broker) as service:
        own = await service.broker()
        await own.prepare({dead_letter_topic("pings", "g"): TopicOptions(partitions=1)})
        await own.publish([dead_letter(record, "g", "broken", None, 5)])
    schema = ["--module", "tests.protos.shop_micro"]
    for given, type, message in ((schema, "shop.Ping", '{"text":"hello"}'), ([], "-", "(7 bytes: 0a0568656c6c6f)")):
        arguments = ["events", "replay", "pings", "--group", "g", "--broker", broker, "--dry-run", *given]
        assert await asyncio.to_thread(main, arguments) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.endswith(f"  {type}  key=k  id=-  5 attempts  broken  {message}")


async def test_of_a_group_that_is_not_there_it_says_so_and_makes_nothing(broker: str, shop: Shop) -> None:
    topic = shop.topic("orders")
    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=broker) as service:
        own = await service.broker()
        for _ in range(2):  # The first time has made no topic.
            with pytest.raises(
                micro.NotFound,
                match=rf"no topic {topic}\.biling\.dead, or none to be seen: group biling has put nothing",
            ):
                _ = [letter async for letter in replay(own, topic, "biling")]


async def test_what_is_put_back_may_be_handled_now_whatever_its_deadline_was(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    topic = shop.topic("orders")
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (service, _):
        await publish.placed("k", headers={"micro-deadline": "1700000000", "tenant": "a"})
        await read_all(service, dead_letter_topic(topic, "g"))
        assert [letter.group async for letter in replay(await service.broker(), topic, "g")] == ["g"]
        await eventually(lambda: log)
    assert log.contexts[0].headers["tenant"] == b"a"
    assert log.contexts[0].deadline is None


async def test_the_command_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    def command(*arguments: str) -> int:
        return main(["events", "replay", "orders", "--group", "g", *arguments])

    assert await asyncio.to_thread(command, "--broker", "pigeon://x") == 1
    assert "there is no such broker; known: " in capsys.readouterr().err
    assert await asyncio.to_thread(command, "--broker", "memory:?size=5") == 1
    assert "--broker='memory:?size=***'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command("--limit", "0")


def test_a_dead_letter_is_the_record_and_what_became_of_it() -> None:
    record = Record("orders", 3, 17, 1.5, b"k", b"v", (("a", b"1"), ("micro-for-group", b"g")))
    message = dead_letter(record, "g", "why " * 3000, ValueError("x"), 5)
    assert (message.topic, message.key, message.value) == ("orders.g.dead", b"k", b"v")
    assert message.headers[0] == ("a", b"1")
    assert "micro-for-group" not in dict(message.headers)
    read = Record(message.topic, 0, 0, 2.0, message.key, message.value, message.headers)
    letter = DeadLetter.of(read)
    assert letter is not None
    assert (letter.topic, letter.partition, letter.offset, letter.group) == ("orders", 3, 17, "g")
    assert letter.record is read
    assert "value" not in repr(letter)
    assert letter.published == 1.5
    assert letter.error == "ValueError"
    assert len(letter.reason) == 4000
    back = replayed_record(letter)
    assert (back.topic, back.key, back.value) == ("orders", b"k", b"v")
    assert back.headers == (("a", b"1"), ("micro-for-group", b"g"), ("micro-published", b"1.500"))
    again = dead_letter(Record("orders", 3, 20, 9.0, b"k", b"v", back.headers), "g", "why", None, 5)
    assert [pair for pair in again.headers if "published" in pair[0]] == [("micro-dead-published", b"1.500")]
    assert DeadLetter.of(record) is None


@pytest.mark.parametrize("tombstone", [True, False])
def test_a_dead_letter_stays_what_it_is_when_it_is_put_behind_others(tombstone: bool) -> None:
    made = dead_letter(Record("orders", 3, 17, 1.5, b"k", b"", (("a", b"1"),), tombstone), "g", "why", None, 5)
    read = Record(made.topic, 0, 5, 2.0, made.key, made.value, made.headers, made.tombstone)
    letter = DeadLetter.of(read)
    assert letter is not None
    assert put_back(letter) == made
    assert made.tombstone == replayed_record(letter).tombstone == tombstone


@pytest.mark.parametrize("text", [b"nan", b"inf", b"-1e300", b"9" * 400, b"soon", b"\xff", b""])
def test_a_time_that_is_none_is_passed_over(text: bytes) -> None:
    said = {"topic": b"t", "partition": b"0", "offset": b"0", "group": b"g", "time": text, "published": text}
    headers = tuple((f"micro-dead-{name}", value) for name, value in said.items())
    letter = DeadLetter.of(Record("t.g.dead", 0, 0, 7.0, None, b"", headers))
    assert letter is not None
    assert (letter.time, letter.published) == (7.0, 7.0)
    replayed = Record("t", 0, 0, 7.0, None, b"", (("micro-published", text), ("ce_time", text)))
    assert event_time(open_envelope(replayed), replayed) == datetime.fromtimestamp(7.0, UTC)
    assert dict(dead_letter(replayed, "g", "", None, 1).headers)["micro-dead-published"] == b"7.000"


def test_a_foreign_record_may_have_any_timestamp() -> None:
    for timestamp, year in ((-0.001, 1969), (-1e15, 1), (9.2e15, 9999)):
        record = Record("t", 0, 0, timestamp, None, b"", ())
        assert event_time(open_envelope(record), record).year == year
        assert rfc3339(timestamp).startswith(b"%04d-" % year)


async def test_a_dead_letter_is_stamped_when_it_is_written_and_keeps_the_time_of_its_event(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    broken = True
    handled, failed = Log(), Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await (failed if broken else handled)(event, context)
        if broken:
            raise RuntimeError("broken")

    topic, began = shop.topic("orders"), time.time()
    days = {"old": -30, "new": 0, "from the future": 30}
    times = {order: datetime.fromtimestamp(int(began), UTC) + timedelta(days=more) for order, more in days.items()}
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", attempts=1) as (service, _):
        for order, when in times.items():
            await publish.placed("k", headers={"order": order}, time=when)
        letters = await read_all(service, dead_letter_topic(topic, "g"), expected=3)
        assert all(began - 1 < letter.timestamp < time.time() + 1 for letter in letters)
        broken = False
        found = [letter async for letter in replay(await service.broker(), topic, "g")]
        await eventually(lambda: len(handled) == 3)
    first = [context.record.timestamp for context in failed.contexts]
    assert [letter.published for letter in found] == pytest.approx(first, abs=0.001)
    assert {context.headers["order"].decode(): context.time for context in handled.contexts} == times
    assert all(began - 1 < context.record.timestamp < time.time() + 1 for context in handled.contexts)


async def test_a_replayed_event_that_does_not_say_when_it_happened_keeps_when_it_was_published(
    broker: str, shop: Shop
) -> None:
    attempts = Log()

    async def handle(event: Ping, context: micro.EventContext) -> None:
        await attempts(event, context)
        if len(attempts) < 3:
            raise RuntimeError("broken")

    topic = shop.topic("pings")
    async with subscribed(broker, shop.subscriber(ping=handle), group="g", attempts=1) as (service, _):
        own = await service.broker()
        (published,) = await own.publish([OutgoingRecord(topic, Ping(text="1").SerializeToString())])
        assert not isinstance(published, micro.Error)
        for replayed in (1, 2):
            await read_all(service, dead_letter_topic(topic, "g"), expected=replayed)
            letters = [letter async for letter in replay(own, topic, "g")]
            assert len(letters) == 1
        await eventually(lambda: len(attempts) == 3)
    first, *again = attempts.contexts
    moment = first.record.timestamp
    assert first.time.timestamp() == pytest.approx(moment, abs=0.0001)
    for context in again:
        assert context.record.timestamp > moment
        assert context.time.timestamp() == pytest.approx(moment, abs=0.001)


def test_the_topic_of_dead_letters_can_be_one() -> None:
    assert dead_letter_topic("orders", "billing") == "orders.billing.dead"
    assert dead_letter_topic("orders", "team a/billing") == "orders.team_a_billing.dead"
    assert len(dead_letter_topic("o" * 249, "g")) == 249


async def test_what_fails_again_meanwhile_is_not_put_back_for_ever(broker: str, shop: Shop, publish: Publishes) -> None:
    attempts = 0

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        nonlocal attempts
        attempts += 1
        raise RuntimeError("still broken")

    topic = shop.topic("orders")
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", attempts=1) as (service, _):
        await publish.many([OrderPlaced(order_id=str(number)) for number in range(3)])
        await read_all(service, dead_letter_topic(topic, "g"), expected=3)
        own = await service.broker()
        letters: list[DeadLetter] = []
        async for letter in replay(own, topic, "g"):
            letters.append(letter)
            await read_all(service, dead_letter_topic(topic, "g"), expected=3 + len(letters))  # it is one again
    assert (len(letters), attempts) == (3, 6)


async def test_groups_whose_topics_have_one_name_get_their_own_letters_alone(broker: str, shop: Shop) -> None:
    topic = shop.topic("orders")
    assert dead_letter_topic(topic, "a b") == dead_letter_topic(topic, "a_b")
    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=broker) as service:
        own = await service.broker()
        await own.prepare({topic: TopicOptions(), dead_letter_topic(topic, "a b"): TopicOptions(partitions=1)})
        for group in ("a b", "a_b"):
            record = Record(topic, 0, 0, time.time(), b"k", b"", ())
            (outcome,) = await own.publish([dead_letter(record, group, "why", None, 1)])
            assert not isinstance(outcome, micro.Error)
        for group in ("a b", "a_b"):
            assert [letter.group async for letter in replay(own, topic, group)] == [group]
