"""One subject of ``messages``, a process of its own in an environment of its own: it knows nothing but Python.

It is told a job and a count on each line of standard input, and answers with the CPU nanoseconds of one time.

python message_child.py KIND FOLDER MODULE
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

TEXT = "A lightweight jacket for cold mornings, made of recycled wool; it keeps its shape, and it can be repaired. " * 3


def jobs(kind: str, m: Any) -> dict[str, Callable[[], object]]:
    """Returns what can be measured, by name."""
    state: Any = 2 if kind == "protobuf" else m.State(2)
    encode: Any = m.Reply.SerializeToString if kind == "protobuf" else bytes
    decode_small: Any = m.Small.parse if kind == "betterproto2" else m.Small.FromString
    decode_reply: Any = m.Reply.parse if kind == "betterproto2" else m.Reply.FromString
    encode_small: Any = m.Small.SerializeToString if kind == "protobuf" else bytes

    def small() -> Any:
        return m.Small(name="benchmark", id=1234, active=True)

    def reply() -> Any:
        return m.Reply(
            id="0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
            title="Jacket, size M",
            description=TEXT,
            created=1_790_000_000_123,
            revision=17,
            state=state,
            digest=DIGEST,
            note="fragile",
            score=4.75,
            active=True,
            items=[
                m.Item(
                    id=1000 + number,
                    name="an item of the order",
                    price=12.5,
                    quantity=number,
                    tags=["red", "wool", "warm"],
                    sizes=[1, 2, 3, 300],
                )
                for number in range(17)
            ],
            labels={"region": "eu-west-1", "tenant": "acme", "channel": "web", "campaign": "autumn"},
            counts=[1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610],
            owner=m.Owner(name="Ada Lovelace", email="ada@example.com", id=7_000_000_000),
        )

    def read_small(message: Any) -> object:
        return message.name, message.id, message.active

    def read_reply(message: Any) -> object:
        for item in message.items:
            _ = item.id, item.name, item.price, item.quantity
            for _ in item.tags:
                pass
            for _ in item.sizes:
                pass
        for name in message.labels:
            message.labels[name]
        for _ in message.counts:
            pass
        owner = message.owner
        _ = owner.name, owner.email, owner.id
        return (
            message.id,
            message.title,
            message.description,
            message.created,
            message.revision,
            message.state,
            message.digest,
            message.note,
            message.score,
            message.active,
        )

    small_data, reply_data = encode_small(small()), encode(reply())
    print(len(small_data), len(reply_data), flush=True)
    return {
        "small, construct and encode": lambda: encode_small(small()),
        "small, decode and read": lambda: read_small(decode_small(small_data)),
        "reply, construct and encode": lambda: encode(reply()),
        "reply, decode and read": lambda: read_reply(decode_reply(reply_data)),
    }


DIGEST = bytes(range(32))


def main(kind: str, folder: str, module: str) -> None:
    """Measures what it is told to, until the pipe is closed."""
    sys.path.insert(0, folder)
    known = jobs(kind, importlib.import_module(module))
    for line in sys.stdin:
        name, _, count = line.rstrip("\n").rpartition(" ")
        job, times = known[name], range(int(count))
        start = time.process_time_ns()
        for _ in times:
            job()
        print((time.process_time_ns() - start) / len(times), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
