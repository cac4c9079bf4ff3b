"""What processes draw that were forked from one: no two of them may draw the same ids or the same random numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

PROGRAM = """
import asyncio
import os
import random

import micro_rt as micro
from micro_rt.kit import chance, ids
from tests.protos.shop_micro import ShopPublisher
from tests.protos.shop_pb2 import OrderPlaced, Ping

random.seed(7)  # as a program does that wants the same run twice
service = micro.Service("shop", registry="memory:", broker="memory:")
shop = ShopPublisher(service)


async def publish():
    async with service:
        published = [await shop.ping(Ping())]
        published += await shop.publish_all([OrderPlaced(order_id=f"{number}") for number in range(2)])
    return [each.id for each in published]


def draw():
    shuffled = list(range(1000))
    chance.shuffle(shuffled)
    drawn = [("event", id) for id in asyncio.run(publish())]
    drawn += [
        ("new_id", ids.new_id()),
        ("new_token", ids.new_token(8)),
        ("new_number", ids.new_number(62)),
        ("below", chance.below(1 << 62)),
        ("between", chance.between(0.0, 1.0)),
        ("spread", chance.spread(1.0, 1.0)),
        ("shuffle", shuffled[:20]),
        ("pick", [chance.pick(range(1000)) for _ in range(10)]),
    ]
    # In one piece: the others write too.
    os.write(1, "".join(f"{what} {value}\\n" for what, value in drawn).encode())


children = []
for number in range(3):
    if child := os.fork():
        children.append(child)
        continue
    try:
        draw()
        if not number:
            if grandchild := os.fork():
                os.waitpid(grandchild, 0)
            else:
                draw()
    finally:
        os._exit(0)
for child in children:
    os.waitpid(child, 0)
draw()
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """What the processes of a program have drawn, a line each."""
    env = {**os.environ, "MICRO_HOME": str(tmp_path_factory.mktemp("home")), "PYTHONPATH": str(ROOT)}
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert program.returncode == 0, program.stderr
    assert not program.stderr
    return program.stdout.splitlines()


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize(
    ("what", "each"),
    [("event", 3)]
    + [(what, 1) for what in ("new_id", "new_token", "new_number", "below", "between", "spread", "shuffle", "pick")],
)
def test_forked_processes_draw_nothing_twice(drawn: Sequence[str], what: str, each: int) -> None:
    found = [line for line in drawn if line.startswith(f"{what} ")]
    assert len(found) == 5 * each  # the parent, three children, and a child of one of them
    assert len(set(found)) == len(found), found
