"""The boot clock: alike in every process of the machine, also in a time namespace; and where the system does not have one."""

import time
from pathlib import Path

import pytest

from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.kit.clock import Clock, boot_clock, wall_time
from micro_rt.node import Node
from micro_rt.registry.base import Registration

pytestmark = pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="needs a boot clock")

INITIAL = "time:[4026531834]"


def proc(root: Path, own: str | None = INITIAL, children: str | None = INITIAL, offsets: str | None = None) -> Path:
    """Makes what /proc has in a time namespace."""
    (root / "sys/kernel/random").mkdir(parents=True)
    (root / "sys/kernel/random/boot_id").write_text("b00t\n")
    (root / "self/ns").mkdir(parents=True)
    if own is not None:
        (root / "self/ns/time").symlink_to(own)
    if children is not None:
        (root / "self/ns/time_for_children").symlink_to(children)
    if offsets is not None:
        (root / "self/timens_offsets").write_text(offsets)
    return root


def offset(clock_now: float) -> float:
    return round(clock_now - time.clock_gettime(time.CLOCK_BOOTTIME), 1)


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ("monotonic           0         0\nboottime            0         0\n", 0.0),
        ("monotonic           7         0\nboottime       100000         0\n", -100000.0),
        ("monotonic           0         0\nboottime        -1001 500000000\n", 1000.5),
    ],
)
def test_in_a_time_namespace_it_reads_the_same_as_outside(tmp_path: Path, offsets: str, expected: float) -> None:
    clock = boot_clock(proc(tmp_path, "time:[1]", "time:[1]", offsets))
    assert clock.epoch == "b00t"
    assert offset(clock.now()) == pytest.approx(expected, abs=5.0)
    assert clock.from_boot
    assert boot_clock(tmp_path) == clock, "brokers and registries of one process could not share a file"


def test_an_older_system_has_no_time_namespaces(tmp_path: Path) -> None:
    clock = boot_clock(proc(tmp_path, own=None, children=None))
    assert (clock.epoch, clock.from_boot, clock.jumps) == ("b00t", True, False)


@pytest.mark.parametrize(
    ("children", "offsets"),
    [("time:[2]", "boottime 5 0\n"), (None, "boottime 5 0\n"), ("time:[1]", None), ("time:[1]", "boottime: five")],
)
def test_a_namespace_whose_offset_is_not_known_has_an_epoch_of_its_own(
    tmp_path: Path, children: str | None, offsets: str | None
) -> None:
    clock = boot_clock(proc(tmp_path, "time:[1]", children, offsets))
    assert clock.epoch == "b00t time:[1]"
    assert not clock.from_boot


def test_without_a_boot_id_it_is_the_wall_clock(tmp_path: Path) -> None:
    clock = boot_clock(tmp_path)
    assert (clock.now, clock.epoch, clock.jumps) == (wall_time, "wall", True)


async def test_leases_whose_clock_cannot_be_compared_are_not_listed_and_stay_until_the_machine_is_started_again(
    tmp_path: Path,
) -> None:
    one = LocalRegistry(home=tmp_path, clock=Clock(lambda: 5000.0, "b00t time:[1]"))
    two = LocalRegistry(home=tmp_path, clock=Clock(lambda: 5.0, "b00t time:[2]"))
    three = LocalRegistry(home=tmp_path, clock=Clock(lambda: 5.0, "an0ther"))
    for registry in (one, two, three):
        await registry.open()
    lease = await one.register(Registration(Node("one", "127.0.0.1:1"), ("greeter",)))
    await two.register(Registration(Node("two", "127.0.0.1:1"), ("greeter",)))
    assert [node.id for node in await one.resolve("greeter")] == ["one"]
    assert [node.id for node in await two.resolve("greeter")] == ["two"]
    await lease.renew()
    await three.register(Registration(Node("three", "127.0.0.1:1"), ("greeter",)))
    assert await one.resolve("greeter") == ()
    assert await two.resolve("greeter") == ()
    for registry in (one, two, three):
        await registry.close()
