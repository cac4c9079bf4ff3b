"""``micro-rt events tail``, ``publish`` and ``lag``: what they show, what they leave alone, and what they say of mistakes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import uuid
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord, TopicOptions
from micro_rt.cli.main import main
from tests.codegen.tools import ROOT, SCRIPTS, run
from tests.helpers.interrupts import INTERRUPTIBLE
from tests.helpers.kafka_raw import RawRecord, batch_of, produce
from tests.helpers.shop import Ignores, Log, Publishes, Shop, subscribed
from tests.helpers.waiting import PATIENCE, eventually, soon

SHARED = pytest.mark.parametrize("broker", ["local", "kafka"], indirect=True)  # a command is a process of its own
LOCAL = pytest.mark.parametrize("broker", ["local"], indirect=True)

PROTO = """\
syntax = "proto3";
package MARK;
import "google/protobuf/timestamp.proto";
import "micro_rt/annotations.proto";
message Placed {
  option (micro.event) = {topic: "orders-MARK" key: "order_id" partitions: 3};
  string order_id = 1;
  int64 total_cents = 2;
  repeated Line lines = 3;
  map<string, Line> by_name = 4;
  map<int32, string> numbers = 5;
  Kind kind = 6;
  google.protobuf.Timestamp at = 7;
  bytes data = 8;
  oneof choice { string one = 9; bool two = 10; }
}
message Paid {
  option (micro.event) = {topic: "orders-MARK" key: "order_id"};
  string order_id = 1;
}
message Note {
  option (micro.event) = {topic: "notes-MARK"};
  string text = 1;
}
message Line { uint32 count = 1; Line inner = 2; }
enum Kind { KIND_UNSPECIFIED = 0; KIND_WEB = 1; }
"""

Command = Callable[..., Coroutine[Any, Any, "Said"]]


class Said(NamedTuple):
    status: int
    lines: list[str]
    problem: str


class Events:
    """Events of a package of one test's own, as a module and as a descriptor set."""

    def __init__(self, folder: Path) -> None:
        self.mark = f"m{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.orders, self.notes = f"orders-{self.mark}", f"notes-{self.mark}"
        self.write(f"{self.mark}.proto", PROTO.replace("MARK", self.mark))
        self.descriptors = folder / "events.binpb"
        self.module = f"{self.mark}_micro"

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def generate(self, *options: str) -> None:
        assert main(["generate", f"{self.mark}.proto", *options]) == 0

    def describe(self) -> None:
        include = [f"-I{self.folder}", f"-I{ROOT}", "--include_imports"]
        run(SCRIPTS / "protoc", *include, f"-o{self.descriptors}", f"{self.mark}.proto")

    def schema(self, source: str) -> list[str]:
        """Writes the schema in one of its forms, and returns how a command is told of it."""
        if source == "descriptors":
            self.describe()
            return ["--descriptors", str(self.descriptors)]
        self.generate(*(["--opt", "messages=betterproto"] if source == "betterproto" else []))
        return ["--module", self.module]


@pytest.fixture
def events(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Events:
    folder = tmp_path_factory.mktemp("events")
    monkeypatch.chdir(folder)
    return Events(folder)


@pytest.fixture
def command(broker: str, capsys: pytest.CaptureFixture[str]) -> Command:
    async def run(name: str, *arguments: str) -> Said:
        capsys.readouterr()
        status = await soon(asyncio.to_thread(main, ["events", name, "--broker", broker, *arguments]))
        said = capsys.readouterr()
        return Said(status, said.out.splitlines(), said.err)

    return run


@contextlib.asynccontextmanager
async def process(name: str, broker: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command in a process of its own."""
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPTIBLE, sys.executable, "-m", "micro_rt", "events", name),
        *("--broker", broker, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protoc-gen-micro'}"},
    )
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.kill()
        await made.wait()


async def line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await soon(stream.readline())).decode().rstrip("\n")


def groups_in(folder: Path) -> int:
    """How many groups the file of ``local:`` knows."""
    (file,) = folder.rglob("broker*.db")
    with contextlib.closing(sqlite3.connect(file)) as database:
        count: int = database.execute("SELECT count(*) FROM groups").fetchone()[0]
        return count


@SHARED
@pytest.mark.parametrize("source", ["module", "descriptors"])
async def test_what_is_published_is_shown(broker: str, events: Events, command: Command, source: str) -> None:
    schema = events.schema(source)
    message = json.dumps({"orderId": "42", "totalCents": "1999", "lines": [{"count": 2}], "kind": "KIND_WEB"})
    published = await command("publish", "Placed", message, *schema, "--header", "tenant=a=b")
    assert (published.status, published.problem) == (0, "")
    place, id = published.lines[0].split("  ")
    assert (await command("publish", events.notes, '{"text": "hello"}', "--key", "k", *schema)).status == 0

    shown = await command("tail", events.orders, "--from", "earliest", "--no-follow", *schema)
    assert shown.status == 0
    when, *rest = shown.lines[0].split("  ")
    assert datetime.fromisoformat(when).tzinfo is not None
    assert rest[:4] == [place, f"{events.mark}.Placed", "key=42", f"id={id}"]
    assert json.loads(rest[4]) == json.loads(message)

    (text,) = (await command("tail", events.orders, "--from", "15m", "--no-follow", "--json", *schema)).lines
    event = json.loads(text)
    assert f"{event['topic']}/{event['partition']}@{event['offset']}" == place
    assert (event["type"], event["key"], event["id"]) == (f"{events.mark}.Placed", "42", id)
    assert event["headers"]["tenant"] == "a=b"
    assert event["message"] == json.loads(message)
    (text,) = (
        await command("tail", events.notes, "--from", "2020-01-01T00:00:00Z", "--limit", "1", "--json", *schema)
    ).lines
    assert (json.loads(text)["key"], json.loads(text)["message"]) == ("k", {"text": "hello"})
    later = (await command("tail", events.notes, "--from", "2120-01-01T00:00:00Z", "--no-follow")).lines
    assert later == (await command("tail", events.notes, "--no-follow")).lines == []


@LOCAL
async def test_another_dialect_is_published_and_shown(broker: str, events: Events, command: Command) -> None:
    schema = events.schema("betterproto")
    assert (await command("publish", "Placed", '{"orderId": "42", "totalCents": "5"}', *schema)).status == 0
    (text,) = (await command("tail", events.orders, "--from", "earliest", "--no-follow", "--json", *schema)).lines
    assert json.loads(text)["message"] == {"orderId": "42", "totalCents": "5"}
    wrong = await command("publish", "Placed", '{"orderId": "42", "totalCents": "x"}', *schema)
    assert wrong.status == 2
    assert "totalCents" in wrong.problem or "total_cents" in wrong.problem


@SHARED
async def test_tail_follows_until_ctrl_c_and_disturbs_no_group(
    broker: str, events: Events, command: Command, tmp_path: Path
) -> None:
    schema = events.schema("descriptors")
    assert (await command("publish", "Placed", '{"orderId": "before"}', *schema)).status == 0
    async with process("tail", broker, events.orders, *schema) as tail:
        assert (await line(tail.stderr)).startswith(f"reading {events.orders} at ")
        for number in range(3):
            assert (await command("publish", "Placed", json.dumps({"orderId": str(number)}), *schema)).status == 0
            assert f'{{"orderId":"{number}"}}' in await line(tail.stdout)
        tail.send_signal(signal.SIGINT)
        assert await soon(tail.wait()) == 130
        assert tail.stdout is not None and tail.stderr is not None
        assert (await tail.stdout.read(), await tail.stderr.read()) == (b"", b"")
    if broker == "local:":
        assert groups_in(tmp_path) == 0


@LOCAL
async def test_publish_takes_the_lines_of_its_input_one_by_one(broker: str, events: Events, command: Command) -> None:
    schema = events.schema("descriptors")
    async with process("publish", broker, "Placed", *schema) as publish:
        assert publish.stdin is not None
        for number in range(3):
            publish.stdin.write(b'{"orderId": "%d"}\n\n' % number)
            assert (await line(publish.stdout)).startswith(f"{events.orders}/")
        publish.stdin.write(b'{"orderId": "a"}\n{"orderId": 5}\n{"orderId": "never"}\n')
        assert await line(publish.stdout)
        assert await soon(publish.wait()) == 2
        assert await line(publish.stderr) == "micro-rt events publish: line 8: orderId: must be text, and is 5"
    async with process("publish", broker, "Placed", *schema) as publish:
        assert publish.stdin is not None
        publish.stdin.write(b'{"orderId": "b"}')
        publish.stdin.close()
        assert await soon(publish.wait()) == 0
    async with process("publish", broker, "Placed", *schema) as publish:
        assert publish.stdin is not None and publish.stderr is not None
        publish.stdin.write(b'{"orderId": "c"}\n')
        await line(publish.stdout)
        publish.send_signal(signal.SIGINT)  # While it waits for more.
        assert await soon(publish.wait()) == 130
        assert await publish.stderr.read() == b""
    shown = await command("tail", events.orders, "--from", "earliest", "--no-follow", "--json", *schema)
    assert sorted(json.loads(text)["key"] for text in shown.lines) == ["0", "1", "2", "a", "b", "c"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ('{"orderId": "1",}', "not JSON: line 1, column 1"),
        ('{"orderId": "1"\n"x": 2}', "not JSON: line 2, column 1: Expecting ',' delimiter"),
        ('{"orderId": "1", "orderId": "2"}', 'the name "orderId" occurs twice in one object'),
        ('{"totalCents": NaN}', 'NaN is not JSON: write it as text, "NaN"'),
        ("[1]", "the message must be a JSON object, not [1]"),
        ("[" * 100_000, "not JSON that can be read: it is nested too deeply"),
        ('{"ordrId": "1"}', "ordrId: MARK.Placed has no such field; did you mean orderId?"),
        ('{"orderId": 1}', "orderId: must be text, and is 1"),
        ('{"totalCents": "x"}', 'totalCents: must be int64, and is "x"'),
        ('{"lines": [{"count": 1}, {"count": -1}]}', "lines[1].count: must be uint32, and is -1"),
        (
            '{"lines": [{}, {"inner": {"cont": 1}}]}',
            "lines[1].inner.cont: MARK.Line has no such field; did you mean count?",
        ),
        ('{"lines": {}}', "lines: must be a list, and is {}"),
        ('{"lines": [5]}', "lines[0]: must be an object, MARK.Line, and is 5"),
        ('{"byName": {"a": {}, "b": {"count": "x"}}}', 'byName["b"].count: must be uint32, and is "x"'),
        ('{"byName": []}', "byName: must be an object, the map by_name, and is []"),
        ('{"numbers": {"x": "y"}}', 'numbers["x"]: '),
        ('{"kind": "KIND_WB"}', 'kind: MARK.Kind has no value "KIND_WB"; did you mean KIND_WEB?'),
        ('{"at": "yesterday"}', 'at: must be google.protobuf.Timestamp, and is "yesterday"'),
        ('{"one": "x", "two": true}', "oneof"),
        (
            '{"orderId": "\\u001b[2J", "x": "\\u001b[2J"}',
            "x: MARK.Placed has no such field; it has orderId, totalCents",
        ),
        (json.dumps({"orderId": ["x" * 1000]}), "orderId: must be text, and is"),
    ],
)
@pytest.mark.parametrize("broker", ["memory"], indirect=True)
async def test_a_message_that_is_wrong_says_what_and_where(
    events: Events, command: Command, message: str, problem: str
) -> None:
    said = await command("publish", "Placed", message, *events.schema("descriptors"))
    assert (said.status, said.lines) == (2, [])
    assert said.problem.startswith("micro-rt events publish: MESSAGE: ")
    assert problem.replace("MARK", events.mark) in said.problem
    assert said.problem.removesuffix("\n").isprintable()
    assert len(said.problem) < 500


@pytest.mark.parametrize("broker", ["memory"], indirect=True)
async def test_publish_says_what_is_wrong_with_its_arguments(events: Events, command: Command, broker: str) -> None:
    schema = events.schema("descriptors")
    for arguments, problem in (
        (("orders", "{}", *schema), "has no event and no topic 'orders'"),
        (("Plced", "{}", *schema), "did you mean Placed?"),
        (
            (events.orders, "{}", *schema),
            f"is several types in {events.descriptors}: {events.mark}.Placed, {events.mark}.Paid",
        ),
        (("Placed", "{}", *schema, "--header", "x"), "--header 'x' is not NAME=VALUE"),
        (("Placed", "{}", *schema, "--header", "ce_id=1"), "is written by micro-rt itself"),
        (("Placed", "{}", "--module", "no.such"), "--module no.such: there is no module no in "),
        (("Placed", "{}", "--module", "json"), "has no events: name the module that protoc-gen-micro wrote"),
        (("Placed", "{}", "--descriptors", "nowhere"), "--descriptors nowhere: No such file or directory"),
        (("Placed", "{}", "--descriptors", f"{events.mark}.proto"), "is not a descriptor set"),
    ):
        said = await command("publish", *arguments)
        assert (said.status, said.lines) == (2, []), arguments
        assert problem in said.problem
        assert said.problem.count("\n") == 1
    events.write("damaged_micro.py", "raise RuntimeError('no\\nluck')")
    said = await command("publish", "Placed", "{}", "--module", "damaged_micro")
    assert said.problem.endswith("--module damaged_micro cannot be imported: RuntimeError: no\\nluck\n")
    said = await command("publish", "Placed", "{}", *schema, "--broker", "kafka://127.0.0.1:1/?timeout=2")
    assert said.status == 1
    assert "Kafka cannot be reached at 127.0.0.1:1" in said.problem


@SHARED
async def test_tail_shows_hostile_records_without_harm(broker: str, events: Events, command: Command) -> None:
    schema = events.schema("descriptors")
    bad = b"\x1b]0;owned\x07\x9b2J\r\n\xe2\x80\xae"

    def headers(type: bytes, content: bytes = b"application/protobuf") -> tuple[tuple[str, bytes], ...]:
        return (("ce_type", type), ("ce_id", bad * 50), ("ce_time", bad), ("content-type", content), ("x", bad))

    note = events.mark.encode() + b".Note"
    values = [
        (headers(note), b"\x0a\x05\x1b[2J!"),
        (headers(note), b"\x0a\xff"),
        (headers(bad), b"\x0a\x01x"),
        (headers(note, b"application/json"), b'{"text": "\x1b"}'),
        (headers(note, b"application/json"), b"[" * 50_000),
        (headers(note, b"application/json"), b'{"text": "\\u009b2J"}'),
        (headers(note, b"application/cloudevents+avro"), b"x"),
        ((), b"\x0a\x03\xc2\x9b!"),
        ((), b'{"specversion": "1.0", "id": "\\u001b", "source": "s", "type": "\\u001b", "data": 5}'),
        (headers(note), b"\x0a\x83\xa7\x12" + b"x" * 299_907),
    ]
    async with micro.Service("s", registry=f"memory:{events.mark}", broker=broker) as service:
        own = await service.broker()
        await own.prepare({events.notes: TopicOptions(partitions=1)})
        records = [OutgoingRecord(events.notes, value, bad, given) for given, value in values]
        records.append(OutgoingRecord(events.notes, b"", b"gone", headers(note), tombstone=True))
        for outcome in await own.publish(records):
            assert not isinstance(outcome, Exception)
    shown = await command("tail", events.notes, "--from", "earliest", "--no-follow", *schema)
    assert (shown.status, shown.problem) == (0, "")
    assert len(shown.lines) == len(values) + 1
    assert shown.lines[-1].endswith("(a tombstone: what has this key is deleted)")
    assert all(text.isprintable() and len(text) < 6000 for text in shown.lines)
    assert '{"text":"\\u001b[2J!"}' in shown.lines[0]
    assert "not a valid" in shown.lines[1]
    assert f"{events.descriptors} has no event" in shown.lines[2]
    assert "nested too deeply" in shown.lines[4]
    assert '{"text":"\\u009b!"}' in shown.lines[7]
    assert "characters)" in shown.lines[9]
    machine = await command("tail", events.notes, "--from", "earliest", "--no-follow", "--json", *schema)
    assert all(text.isascii() and text.isprintable() for text in machine.lines)
    found = [json.loads(text) for text in machine.lines]
    assert found[0]["message"] == {"text": "\x1b[2J!"}
    assert found[0]["key"] == "\x1b]0;owned\x07\\x9b2J\r\n\u202e"
    assert len(found[9]["message"]["text"]) == 299_907
    assert (found[10]["key"], found[10]["tombstone"], "message" in found[10]) == ("gone", True, False)
    assert [event["offset"] for event in found if "problem" in event] == [1, 2, 3, 4, 6]


@SHARED
async def test_lag_says_how_far_a_group_is_and_leaves_it_alone(
    broker: str, shop: Shop, publish: Publishes, command: Command
) -> None:
    go = asyncio.Event()
    handled = Log()

    async def handle(event: Any, context: micro.EventContext) -> None:
        await go.wait()
        await handled(event, context)

    topic, group = shop.topic("orders"), f"billing-{shop.mark}"

    async def lag() -> Any:
        said = await command("lag", "--group", group, "--json")
        if said.status == 1 and f"there is no group '{group}'" in said.problem:
            return None  # Its member has not joined yet.
        assert (said.status, said.problem) == (0, "")
        return json.loads("\n".join(said.lines))

    async with subscribed(broker, shop.subscriber(order_placed=handle), group=group):
        for number in range(10):
            await publish.placed(str(number))

        async def read_by_a_member() -> Any:
            found = await lag()
            read = [bool(each["member"]) for each in found["partitions"]] if found else []
            return found if read and all(read) else None

        found = await eventually(read_by_a_member, within=PATIENCE)
        assert (found["group"], found["total"]) == (group, 10)
        assert {each["topic"] for each in found["partitions"]} == {topic}
        assert [each["partition"] for each in found["partitions"]] == [0, 1, 2, 3]
        assert (
            sum(each["lag"] for each in found["partitions"]) == sum(each["end"] for each in found["partitions"]) == 10
        )
        rows = [row.split() for row in (await command("lag", "--group", group)).lines]
        assert rows[-1] == ["total", "10"]
        assert sum(int(row[4]) for row in rows[1:-1]) == 10
        assert all(row[2] in ("-", "0") and row[5] != "-" for row in rows[1:-1])
        go.set()
        await eventually(lambda: len(handled), equals=10, within=PATIENCE)

        async def total() -> int:
            return int((await lag())["total"])

        await eventually(total, equals=0, within=PATIENCE)
    assert len(handled) == 10
    table = (await command("lag", topic, "--group", group)).lines
    assert table[0].split() == ["topic", "partition", "committed", "end", "lag", "member"]
    assert table[-1].split() == ["total", "0"]
    assert len(table) == 6
    assert table[1].split()[:2] == [topic, "0"]
    assert all(row.split()[-1] == "-" for row in table[1:-1])
    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=broker) as service:
        member = (await service.broker()).subscribe([topic], f"new-{shop.mark}", "earliest", Ignores())
        async with asyncio.timeout(PATIENCE):
            while not await member.lag():
                await member.fetch(1, 0.1)
        await member.close()
    said = await command("lag", "--group", f"new-{shop.mark}")
    if said.status == 0:  # Kafka forgets a group without members that has committed nothing.
        assert said.lines[-1].split() == ["total", "0"]
        assert said.problem == f"group new-{shop.mark} reads nothing at present, and has committed nothing\n"
    for arguments, problem in (
        (("--group", f"biling-{shop.mark}"), f"there is no group 'biling-{shop.mark}'"),
        (("--group", group, f"ordres-{shop.mark}"), f"there is no topic ordres-{shop.mark}"),
    ):
        said = await command("lag", *arguments)
        assert (said.status, said.lines) == (1, [])
        assert problem in said.problem


def test_where_tail_begins_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for text, problem in (
        ("10", "'10' is not earliest, latest, a time (2026-11-28T09:30:00Z) or a duration (15m)"),
        ("2026-11-28T09:30", "'2026-11-28T09:30' has no time zone: write 2026-11-28T09:30Z for UTC"),
        ("2026-13-28T09:30", "'2026-13-28T09:30' is not a time: month must be in 1..12"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["events", "tail", "t", "--from", text])
        assert ended.value.code == 2
        assert problem in capsys.readouterr().err


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_tail_shows_what_is_behind_a_record_that_aiokafka_cannot_parse(
    broker: str, shop: Shop, command: Command
) -> None:
    topic = shop.topic("raw")
    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=broker) as service:
        own = await service.broker()
        await own.prepare({topic: TopicOptions(partitions=2)})
        for outcome in await own.publish([OutgoingRecord(topic, b"{}", str(key).encode()) for key in range(4)]):
            assert not isinstance(outcome, Exception)
    good = RawRecord(b'{"text": "good"}')
    odd = RawRecord(b"{}", headers=[(b"\xff\x00", b"x")])
    for batch in (batch_of([good, odd, good]), batch_of([good])):
        await produce(broker.removeprefix("kafka://"), topic, batch)
    shown = await command("tail", topic, "--from", "earliest", "--no-follow", "--json")
    assert shown.status == 0
    values = Counter(b64decode(json.loads(text)["data_base64"]) for text in shown.lines)
    assert values == {b"{}": 5, b'{"text": "good"}': 3}
