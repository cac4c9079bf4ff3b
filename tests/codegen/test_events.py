"""What messages with ``(micro.event)`` become: stubs that work, names, and what is wrong said in one line."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import micro_rt as micro
from protoc_gen_micro.schema import names
from tests.codegen.tools import PROTOS, ROOT, SCRIPTS, generate, protoc, run, tree, write

NAMES = ["order_events.proto", "torture/events.proto", "torture/policy.proto"]
NEEDED = ["shop/order.proto", "shop/common/money.proto", "top.proto"]
SETTLE = 30.0
"""Seconds within which events must have arrived."""


@pytest.fixture(scope="module", params=["protobuf", "betterproto"])
def stubs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ModuleType]]:
    """The stub modules of all files with events, in one dialect, by their names."""
    folder = tmp_path_factory.mktemp("events")
    protoc(folder, [PROTOS, ROOT], [*NAMES, *NEEDED], f"--micro_opt=messages={request.param}")
    sys.path.insert(0, str(folder))
    before = set(sys.modules)
    modules = [name.removesuffix(".proto").replace("/", ".") for name in NAMES]
    yield {name: importlib.import_module(f"{name}_micro") for name in modules}
    sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


async def test_every_event_is_published_and_handled(stubs: dict[str, ModuleType]) -> None:
    handled = 0
    for module in stubs.values():
        for name in module.__all__:
            if name.endswith("SubscriberBase"):
                publisher = getattr(module, f"{name.removesuffix('SubscriberBase')}Publisher")
                handled += await _publish_everything(publisher, getattr(module, name))
    assert handled == 2 * (3 + 18 + 1)


async def _publish_everything(publisher: type[Any], base: type[Any]) -> int:
    events: tuple[micro.Event[Any], ...] = base._info_.events
    assert publisher._info_ is base._info_
    seen: list[str] = []
    arrived = asyncio.Event()

    def handler(event: micro.Event[Any]) -> Any:
        async def handle(self: object, message: Any, context: micro.EventContext) -> None:
            assert type(message) is event.message_type
            seen.append(event.name)
            if len(seen) == 2 * len(events):
                arrived.set()

        return handle

    subscriber = type("Subscriber", (base,), {event.python_name: handler(event) for event in events})()
    service = micro.Service("events", registry="memory:", broker=f"memory:{uuid.uuid4()}")
    service.subscribe(subscriber)
    async with service:
        publishes = publisher(service)
        messages = [event.message_type() for event in events]
        for event, message in zip(events, messages, strict=True):
            published = await getattr(publishes, event.python_name)(message)
            assert published.topic == event.topic
        await publishes.publish_all(messages)
        async with asyncio.timeout(SETTLE):
            await arrived.wait()
    assert sorted(seen) == sorted(2 * [event.name for event in events])
    return len(seen)


async def test_what_is_left_out_is_not_subscribed(stubs: dict[str, ModuleType]) -> None:
    base = stubs["order_events"].OrderEventsSubscriberBase
    with pytest.raises(micro.Error):
        await base().placed(None, None)


def test_what_the_stubs_know(stubs: dict[str, ModuleType]) -> None:
    module = stubs["order_events"]
    info = module.OrderEventsPublisher._info_
    assert info.name == "order_events.proto"
    assert [
        (event.name, event.python_name, event.topic, event.key, event.version, event.retention, event.partitions)
        for event in info.events
    ] == [
        ("order_events.Placed", "placed", "orders.placed", "order_id", "2.1", 86400.5, 12),
        ("order_events.Placed.Part", "placed_part", "orders.placed", "whole.order_id", "2.10", None, 3),
        ("order_events.Lost", "lost", "orders.lost", "", "", None, None),
    ]
    assert [event.type for event in info.events] == [
        *("order_events.Placed", "com.example.order.part-returned", "order_events.Lost")
    ]
    for stub in (module.OrderEventsPublisher, module.OrderEventsSubscriberBase):
        assert stub.placed.__doc__ == "An order was placed."
        assert inspect.getdoc(stub.lost) == "Was in use once.\n\nDeprecated."
    assert module.__all__ == ["OrderEventsPublisher", "OrderEventsSubscriberBase", "OrdersBase", "OrdersClient"]


def test_names(stubs: dict[str, ModuleType]) -> None:
    info = stubs["torture.events"].EventsPublisher._info_
    assert [(event.name.removeprefix("torture.events."), event.python_name) for event in info.events][:16] == [
        ("str", "str"),
        ("bytes", "bytes"),
        ("list", "list"),
        ("Datetime", "datetime"),
        ("Iterable", "iterable"),
        ("PublishAll", "publish_all_"),
        ("publish_all_", "publish_all__"),
        ("Tombstone", "tombstone_"),
        ("_Hidden", "event_hidden"),
        ("Import", "import_"),
        ("annotations", "annotations"),
        ("EventsPublisher", "events_publisher"),
        ("Publisher", "publisher"),
        ("Order.Placed", "Order_Placed"),
        ("Order.Import", "order_import"),
        ("OrderPlaced", "OrderPlaced"),
    ]


def test_no_event_can_hide_what_its_classes_have() -> None:
    members = {name for base in (micro.Publisher, micro.Subscriber) for name in dir(base) if not name.startswith("_")}
    for name in {*members, "publish_all"}:
        assert name not in names.event_names([name, name.title().replace("_", "")]).values(), "reserve it in names.py"


@pytest.mark.parametrize(
    ("one", "other", "type"),
    [('type: "com.x"', 'type: "com.x"', "com.x"), ("", 'type: "p.M"', "p.M"), ('type: "com.x"', 'type: "p.M"', "p.M")],
)
def test_two_events_of_a_topic_with_one_type_are_refused(one: str, other: str, type: str, tmp_path: Path) -> None:
    events = [
        f'message {name} {{ option (micro.event) = {{topic: "{topic}" {option}}}; }}\n'
        for name, topic, option in (("M", "t", one), ("N", "t", other), ("Elsewhere", "u", other))
    ]
    response = generate(tmp_path, {"p.proto": _source("".join(events))})
    assert f"p.N: would travel with the type {type!r} on topic t, as p.M does" in response.error
    assert "Elsewhere" not in response.error


def test_keys_in_the_words_of_the_dialect(tmp_path: Path) -> None:
    inner = (
        'syntax = "proto3";\npackage k;\nmessage Inner { message Deep { string orderID = 1; } Deep HTTPDeep = 1; }\n'
    )
    source = _source(
        'message M { option (micro.event) = { topic: "t" key: "theInner.HTTPDeep.orderID" }; Inner theInner = 1; }'
    )
    sources = {"e.proto": source.replace("package p", 'package k;\nimport "inner.proto"'), "inner.proto": inner}
    for dialect, key in (("protobuf", "theInner.HTTPDeep.orderID"), ("betterproto", "the_inner.http_deep.order_id")):
        files = generate(tmp_path, sources, f"messages={dialect}").file
        assert f'key="{key}"' in next(file.content for file in files if file.name == "e_micro.py")


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
@pytest.mark.parametrize("dialect", ["protobuf", "betterproto", "none"])
def test_strict_types_and_format(checker: str, dialect: str, tmp_path: Path) -> None:
    options = [f"--micro_opt=messages={dialect}"]
    names = [*NAMES, *NEEDED]
    if dialect == "none":  # a message called by a keyword is only for messages of this plugin
        options += [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
        names = [name for name in names if name != "torture/events.proto"]
    protoc(tmp_path, [PROTOS, ROOT], names, *options)
    use = (
        "import micro_rt as micro\n"
        "from order_events_micro import OrderEventsPublisher, OrderEventsSubscriberBase\n"
        f"from order_events_{'pb' if dialect == 'betterproto' else 'pb2'} import Placed\n\n\n"
        "class Billing(OrderEventsSubscriberBase):\n"
        "    async def placed(self, event: Placed, context: micro.EventContext) -> None:\n"
        "        await OrderEventsPublisher(micro.Service('x')).publish_all([event])\n"
    )
    write(tmp_path, {"use.py": use})
    if checker == "mypy":
        stubs = [name for name in tree(tmp_path) if name.endswith(("_micro.py", "_pb.py"))]
        options = ["--strict", "--explicit-package-bases", "--cache-dir=/dev/null", "--python-version=3.11"]
        if dialect == "none":  # protoc's own types are not strict
            options.append("--allow-any-generics")
        run(SCRIPTS / "mypy", *options, "use.py", *stubs, cwd=tmp_path)
    else:
        config = f'{{"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": ["{ROOT}"], "exclude": ["**/*_pb2.py*"]}}'
        write(tmp_path, {"pyrightconfig.json": config})
        run(SCRIPTS / "pyright", "--pythonpath", SCRIPTS / "python", cwd=tmp_path)
    formatted = [name for name in tree(tmp_path) if name.endswith("_micro.py")]
    assert len(formatted) == len(NAMES) - (dialect == "none")
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", *formatted, cwd=tmp_path)


def _source(body: str) -> str:
    return f'syntax = "proto3";\npackage p;\nimport "micro_rt/annotations.proto";\n{body}\n'


FIELDS = """
  string id = 1;
  repeated string tags = 2;
  map<string, string> by_name = 3;
  float much = 4;
  double more = 5;
  Part part = 6;
  repeated Part parts = 7;
  oneof choice { string first = 8; Part second = 9; }
  google.protobuf.Timestamp time = 10;
}
message Part { string name = 1; Nothing nothing = 2; }
message Nothing {}
"""
TAKE = "which orders nothing; take a field with one string, bytes, integer, bool or enum"


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("", 'option (micro.event) has no topic; give it one: topic: "orders.placed"'),
        ('key: "id"', 'option (micro.event) has no topic; give it one: topic: "orders.placed"'),
        *(
            (
                f'topic: "{topic}"',
                (
                    f"topic of option (micro.event) cannot be {topic!r}: letters, digits, '.', '_' and '-' are what a "
                    "topic is made of, 249 at most, and it is neither '.' nor '..'; rename it"
                ),
            )
            for topic in ("orders placed", "orders/placed", "bestellung.größe", ".", "..", "x" * 250)
        ),
        ('topic: "t" retention: {seconds: -1}', "retention of option (micro.event) is -1 s; it must be more than 0"),
        ('topic: "t" retention: {}', "retention of option (micro.event) is 0 s; it must be more than 0"),
        *(
            (
                f'topic: "t" type: "{type}"',
                (
                    f"type of option (micro.event) cannot be {shown!r}: it has at most 200 characters that can be printed, and "
                    'no space around them, such as "com.example.order.placed"'
                ),
            )
            for type, shown in ((" x", " x"), ("a\\nb", "a\nb"), ("x" * 201, "x" * 201))
        ),
        (
            'topic: "t" key: "idd"',
            "key 'idd' of option (micro.event): p.M has no field 'idd'; did you mean 'id'?",
        ),
        (
            'topic: "t" key: "part.zzz"',
            "key 'part.zzz' of option (micro.event): p.Part has no field 'zzz'; its fields: name, nothing",
        ),
        (
            'topic: "t" key: "part.nothing.x"',
            "key 'part.nothing.x' of option (micro.event): p.Nothing has no field 'x'; it has no fields",
        ),
        (
            'topic: "t" key: "part."',
            "key 'part.' of option (micro.event): p.Part has no field ''; its fields: name, nothing",
        ),
        ('topic: "t" key: "tags"', f"key 'tags' of option (micro.event) is a list, {TAKE}"),
        ('topic: "t" key: "by_name"', f"key 'by_name' of option (micro.event) is a map, {TAKE}"),
        ('topic: "t" key: "much"', f"key 'much' of option (micro.event) is a float, {TAKE}"),
        ('topic: "t" key: "more"', f"key 'more' of option (micro.event) is a double, {TAKE}"),
        ('topic: "t" key: "part"', f"key 'part' of option (micro.event) is a message, {TAKE}"),
        (
            'topic: "t" key: "parts.name"',
            (
                "key 'parts.name' of option (micro.event) looks for a field inside p.M.parts, which is a list, "
                "not one message; name the field that has the value"
            ),
        ),
        (
            'topic: "t" key: "id.x"',
            (
                "key 'id.x' of option (micro.event) looks for a field inside p.M.id, which is a string, "
                "not one message; name the field that has the value"
            ),
        ),
        (
            'topic: "t" key: "time.seconds"',
            (
                "key 'time.seconds' of option (micro.event) looks for a field inside google.protobuf.Timestamp, which "
                "some languages have a type of their own for; name a field of a message of yours"
            ),
        ),
        *(
            (
                f'topic: "t" key: "{key}"',
                (
                    f"key {key!r} of option (micro.event) goes by p.M.{name}, which is in the oneof 'choice', so that "
                    "an event may have none; take a field that every event has"
                ),
            )
            for key, name in (("first", "first"), ("second.name", "second"))
        ),
    ],
)
@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
def test_an_event_that_cannot_be(option: str, problem: str, dialect: str, tmp_path: Path) -> None:
    source = _source(f"message M {{\n  option (micro.event) = {{{option}}};{FIELDS}")
    source = source.replace("package p;", 'package p; import "google/protobuf/timestamp.proto";')
    response = generate(tmp_path, {"p.proto": source}, f"messages={dialect}")
    assert response.error == f"p.proto:5:3: p.M: {problem}"
    assert not response.file


EVENT = 'option (micro.event) = {topic: "t"};'


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (
            f"message Order_Placed {{ {EVENT} }}\nmessage Order {{ message Placed {{ {EVENT} }} }}",
            (
                "p.proto:5:17: p.Order.Placed: would be the method 'Order_Placed' in Python, as p.Order_Placed is; "
                "rename one of the two"
            ),
        ),
        (
            f"message _Hidden {{ {EVENT} }}\nmessage event_Hidden {{ {EVENT} }}",
            (
                "p.proto:5:1: p.event_Hidden: would be the method 'event_Hidden' in Python, as p._Hidden is; "
                "rename one of the two"
            ),
        ),
        (
            f"message M {{ {EVENT} }}\nservice PSubscriber {{}}",
            (
                "p.proto:5:1: p.PSubscriber: would be the class 'PSubscriberBase' in Python, as that of the events of "
                "p.proto is; rename the service, or move one of them into another file"
            ),
        ),
    ],
)
def test_names_that_clash(body: str, problem: str, tmp_path: Path) -> None:
    assert generate(tmp_path, {"p.proto": _source(body)}).error == problem


def test_services_called_like_no_event_are_fine(tmp_path: Path) -> None:
    source = _source(f"message PPublisher {{ {EVENT} }}\nservice P {{}}\nservice PPublisher_ {{}}")
    response = generate(tmp_path, {"p.proto": source})
    assert response.error == ""
    (stubs,) = (file.content for file in response.file if file.name == "p_micro.py")
    assert (
        '__all__ = ["PBase", "PClient", "PPublisher", "PPublisher_Base", "PPublisher_Client", "PSubscriberBase"]'
        in stubs
    )


def test_a_keyword_for_a_name_is_only_for_messages_of_ours(tmp_path: Path) -> None:
    source = _source(f"message None {{ {EVENT} }}")
    assert generate(tmp_path, {"p.proto": source}, "messages=none").error == (
        "p.proto: p.None: its message p.None has a keyword for a name, which only messages of this plugin can be used "
        "with; rename it, or leave out messages=none"
    )
    assert generate(tmp_path, {"p.proto": source}).error == ""


def test_files_without_events_are_as_before(generated: Path) -> None:
    stubs = (generated / "greeter_micro.py").read_text()
    assert '"""Clients and service bases of greeter.proto.' in stubs
    assert "Publisher" not in stubs and "datetime" not in stubs
