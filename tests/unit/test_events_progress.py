"""The progress of a partition: its rules, and that no other module changes it."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import micro_rt.events
from micro_rt.broker.base import Partition, Record
from micro_rt.events.memory import Allowance, LoopMemory
from micro_rt.events.progress import DoneHere, FastBatch, PartitionProgress

EVENTS = Path(micro_rt.events.__file__).parent
OWNED = {*PartitionProgress.__slots__, *FastBatch.__slots__, "done"} - {"route", "task"}
"""The attributes that only ``progress`` changes."""
CHANGES = {"append", "appendleft", "clear", "extend", "insert", "pop", "popleft", "remove", "setdefault", "update"}


def record(offset: int, key: bytes | None = b"k") -> Record:
    return Record("t", 0, offset, 0.0, key, b"1234", ())


@pytest.mark.parametrize("module", ["careful", "delivery", "failures", "handling", "routing"])
def test_no_other_module_changes_the_progress_of_a_partition(module: str) -> None:
    assert not list(changes_of_progress((EVENTS / f"{module}.py").read_text()))


def test_a_change_from_elsewhere_is_found() -> None:
    source = "progress.full = True\nbatch.index += 1\ndel batch.records[:2]\nprogress.pending.popleft()\nbatch.route = None\n"
    assert [line for line, _ in changes_of_progress(source)] == [1, 2, 3, 4]


def changes_of_progress(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        changed: list[ast.expr] = []
        if isinstance(node, ast.Assign | ast.Delete):
            changed = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            changed = [node.target]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            changed = [node.func.value]
        for target in changed:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                inner = part.value if isinstance(part, ast.Subscript) else part
                if isinstance(inner, ast.Attribute) and inner.attr in OWNED and ast.unparse(inner.value) != "self":
                    yield part.lineno, ast.unparse(node)


async def test_the_position_never_passes_a_record_that_is_not_done() -> None:
    progress = PartitionProgress(Partition("t", 0))
    records = [record(offset, b"%d" % offset) for offset in range(3)]
    assert not progress.arrive(records)
    first, second, third = (progress.add(each) for each in records)
    assert all(progress.line_up(each) for each in (first, second, third))
    progress.finish(second)
    assert (progress.advance(), progress.position, progress.in_flight) == (False, -1, 3)
    progress.finish(first)
    assert (progress.advance(), progress.position, progress.in_flight) == (True, 2, 1)
    progress.finish(third)
    assert (progress.advance(), progress.position, progress.in_flight) == (True, 3, 0)


async def test_a_record_waits_for_those_of_its_key_before_it() -> None:
    progress = PartitionProgress(Partition("t", 0))
    first, second, third = (progress.add(record(offset)) for offset in range(3))
    without_key = progress.add(record(3, None))
    assert [progress.line_up(each) for each in (first, second, third, without_key)] == [True, False, False, True]
    assert progress.finish(without_key) is None
    assert progress.finish(first) is second
    assert progress.finish(second) is third
    assert progress.finish(third) is None
    assert progress.line_up(progress.add(record(4)))


async def test_what_is_left_of_a_batch_goes_on_behind_the_record_at_work() -> None:
    progress = PartitionProgress(Partition("t", 0))
    records = [record(offset) for offset in range(4)]
    assert not progress.arrive(records[:3])
    batch = progress.begin_batch(records[:3])
    assert progress.arrive(records[3:])
    batch.handled()
    batch.route = object()  # type: ignore[assignment]
    rest = batch.end()
    assert (rest, progress.position, progress.batch) == (records[2:], 1, None)
    assert batch.at_work is not None and batch.at_work.record is records[1]
    assert [progress.line_up(progress.add(each)) for each in rest] == [False, False]
    following = progress.finish(batch.at_work)
    assert following is not None and following.record is records[2]


async def test_a_full_partition_has_room_again_at_half() -> None:
    progress = PartitionProgress(Partition("t", 0))
    records = [record(offset, None) for offset in range(4)]
    progress.arrive(records)
    added = [progress.add(each) for each in records]
    assert not progress.becomes_full(5)
    assert progress.becomes_full(4) and progress.full
    assert not progress.becomes_full(4), "it is full already"
    for number, each in enumerate(added[:3]):
        progress.finish(each)
        progress.advance()
        assert progress.has_room_again(4) == (number == 1)


@pytest.mark.parametrize("partitions", [1, 2, 7, 24])
async def test_partitions_share_memory_and_leave_some_for_the_next_one(partitions: int) -> None:
    memory, limit = LoopMemory(), 4 * 24 * 100  # Records of four bytes.
    shares = [
        PartitionProgress(Partition("t", number), "", Allowance(memory, limit)) for number in range(partitions + 1)
    ]
    *busy, late = shares
    offset = 0
    while not all(each.full for each in busy):
        for each in busy:
            if not each.full:
                arrive(each, offset)
                each.becomes_full(1_000_000)
        offset += 1
    fair = limit / 4 / (partitions + 1)
    assert all(abs(each.in_flight - fair) <= partitions for each in busy)
    free = (limit - memory.used) // 4
    assert free > fair / 2
    for offset in range(free // 2 - 1):
        arrive(late, offset)
        assert not late.becomes_full(1_000_000), "it has no room, because others hang"


async def test_a_partition_without_records_in_flight_may_read_whatever_is_free() -> None:
    memory = LoopMemory()
    first, second = (PartitionProgress(Partition("t", number), "", Allowance(memory, 6)) for number in range(2))
    for number in range(3):
        arrive(first, number)
    assert first.becomes_full(100) and not second.becomes_full(100)
    arrive(second, 0)
    assert second.becomes_full(100) and not second.has_room_again(100)
    second.skip(second.pending[0])
    second.advance()
    assert second.has_room_again(100)
    first.drop()
    assert memory.used == 0
    first.skip(first.pending[0])
    first.advance()
    assert memory.used == 0, "what ends late has given its memory back"


async def test_partitions_that_are_full_are_looked_at_when_others_give_memory_back() -> None:
    memory, looks = LoopMemory(), 0

    def look() -> None:
        nonlocal looks
        looks += 1

    memory.add(look)
    allowance = Allowance(memory, 8 << 20)
    hangs, works = (PartitionProgress(Partition("t", number), "", allowance) for number in range(2))
    for number in range(6):
        arrive(works, number, 1 << 20)
    arrive(hangs, 0, 3 << 20)
    assert hangs.becomes_full(100)
    for pending in list(works.pending)[:3]:
        works.skip(pending)
    works.advance()
    await asyncio.sleep(0)
    assert looks == 1
    memory.remove(look)
    works.drop()
    await asyncio.sleep(0)
    assert looks == 1


def arrive(progress: PartitionProgress, offset: int, size: int = 4) -> None:
    arrived = record(offset, None)._replace(value=bytes(size))
    progress.arrive([arrived])
    progress.add(arrived)


async def test_a_first_commit_of_nothing_is_not_due() -> None:
    progress = PartitionProgress(Partition("t", 0))
    assert progress.due(last=True) is None
    progress.arrive([record(5)])
    progress.add(record(5))
    assert progress.due(last=False) is None
    assert progress.due(last=True) is None


def handle(progress: PartitionProgress, offsets: range, done: set[int]) -> list[int]:
    """Lets records arrive, and handles some of them; returns those that had to be handled."""
    records = [record(offset, None) for offset in offsets]
    progress.arrive(records)
    new = [pending for pending in (progress.add(each) for each in records) if not pending.done]
    for pending in new:
        if pending.record.offset in done:
            progress.finish(pending)
    progress.advance()
    return [pending.record.offset for pending in new]


async def test_the_next_member_knows_what_is_done_behind_the_position() -> None:
    one, two, three = (PartitionProgress(Partition("t", 0)) for _ in range(3))
    assert handle(one, range(3, 20), {*range(3, 5), *range(6, 9), 12, 19}) == list(range(3, 20))
    due = one.due(last=False)
    assert due is not None and due[0] == 5
    one.note_commit(*due)
    assert one.due(last=True) is None, "it is committed already"
    two.recall(due[1])
    assert handle(two, range(5, 8), {5}) == [5]
    due = two.due(last=False)
    assert due is not None and due[0] == 8
    three.recall(due[1])
    assert handle(three, range(8, 25), set()) == [9, 10, 11, *range(13, 19), *range(20, 25)]


async def test_the_last_commit_is_due_where_only_records_behind_the_position_are_done() -> None:
    one, two = (PartitionProgress(Partition("t", 0)) for _ in range(2))
    handle(one, range(3, 10), {4, 5})
    assert one.due(last=False) is None
    due = one.due(last=True)
    assert due is not None and due[0] == 3
    two.recall(due[1])
    assert handle(two, range(3, 10), set()) == [3, 6, 7, 8, 9]


async def test_a_note_about_other_records_says_nothing() -> None:
    one = PartitionProgress(Partition("t", 0))
    handle(one, range(3, 10), {4, 5, 8})
    due = one.due(last=True)
    assert due is not None
    made_anew = PartitionProgress(Partition("t", 0))
    made_anew.recall(due[1])
    others = [record(offset, None)._replace(value=b"other") for offset in range(3, 10)]
    made_anew.arrive(others)
    assert not any(made_anew.add(each).done for each in others)
    set_back = PartitionProgress(Partition("t", 0))
    set_back.recall(due[1])
    assert handle(set_back, range(10), set()) == list(range(10))
    compacted = PartitionProgress(Partition("t", 0))
    compacted.recall(due[1])
    assert handle(compacted, range(5, 10), set()) == [5, 6, 7, 8, 9], "the record that it was checked by is gone"
    passed = PartitionProgress(Partition("t", 0))
    passed.recall(due[1])
    passed.arrive([record(30)])
    assert not passed.add(record(30)).done
    passed.arrive([record(31)])
    assert not passed.told


def suspected(progress: PartitionProgress, offsets: range) -> dict[int, tuple[int, bool]]:
    """Lets records arrive; returns the deaths of those that are suspected, and whether they were named."""
    records = [record(offset, None) for offset in offsets]
    progress.arrive(records)
    found = [progress.add(each) for each in records]
    return {
        each.record.offset: (len(each.suspicion.deaths), each.suspicion.named)
        for each in found
        if each.suspicion is not None
    }


async def test_who_finds_that_a_process_has_ended_suspects_what_it_may_have_begun() -> None:
    one = PartitionProgress(Partition("t", 0), "11111111")
    position, note = one.open([record(5)])
    assert position == 5
    two = PartitionProgress(Partition("t", 0), "22222222")
    assert two.recall(note)
    two.suspect(3)
    assert suspected(two, range(5, 12)) == dict.fromkeys(range(5, 8), (0, False))
    two.begin_alone(two.pending[1], alone=True)
    due = two.due(marks=True)
    assert due is not None and due[0] == 5
    two.note_commit(*due)
    assert two.due(marks=True) is None
    three = PartitionProgress(Partition("t", 0), "33333333")
    assert three.recall(due[1])
    three.suspect(2)
    assert suspected(three, range(5, 12)) == {5: (0, False), 6: (1, True)}


async def test_a_clean_end_and_a_lost_partition_count_for_nobody() -> None:
    one = PartitionProgress(Partition("t", 0), "11111111")
    one.recall("micro-rt/1 5 used=00000000")
    one.suspect(3)
    suspected(one, range(5, 9))
    one.begin_alone(one.pending[0], alone=True)
    due = one.due(marks=True)
    assert due is not None
    # The process itself reads the partition again that it had lost.
    same = PartitionProgress(Partition("t", 0), "11111111")
    assert not same.recall(due[1])
    assert suspected(same, range(5, 9)) == {5: (0, True)}
    # Another one took it for dead; when the process is back, it says that it is not.
    other = PartitionProgress(Partition("t", 0), "22222222")
    assert other.recall(due[1])
    assert suspected(other, range(5, 9)) == {5: (1, True)}
    lost = other.due(marks=True)
    assert lost is not None
    back = PartitionProgress(Partition("t", 0), "11111111")
    assert back.recall(lost[1])
    assert suspected(back, range(5, 9)) == {5: (0, True)}
    # A clean end: nothing is suspected, and nobody is counted.
    last = one.due(last=True)
    assert last is not None
    after = PartitionProgress(Partition("t", 0), "33333333")
    assert not after.recall(last[1])
    assert suspected(after, range(5, 9)) == {}


async def test_what_has_survived_is_not_suspected_any_more() -> None:
    one = PartitionProgress(Partition("t", 0), "11111111")
    one.recall("micro-rt/1 5 used=00000000")
    one.suspect(2)
    suspected(one, range(5, 9))
    first, second = list(one.pending)[:2]
    one.begin_alone(first, alone=True)
    one.survive(first)
    one.begin_alone(second, alone=True)
    one.cut_short(second)
    due = one.due(marks=True)
    assert due is not None
    two = PartitionProgress(Partition("t", 0), "22222222")
    assert two.recall(due[1])
    two.suspect(0)
    assert suspected(two, range(5, 9)) == {}


async def test_what_was_handled_before_the_partition_was_lost_is_passed_over() -> None:
    before = PartitionProgress(Partition("t", 0))
    records = [record(offset)._replace(timestamp=offset / 10) for offset in range(6)]
    before.note_commit(1, "")
    before.arrive(records[1:4])
    for each in records[1:4]:
        pending = before.add(each)
        before.line_up(pending)
        before.finish(pending)
    before.advance()
    done = before.done_here()
    assert done is not None
    again = PartitionProgress(Partition("t", 0))
    assert list(again.pass_over(done, records[1:])) == records[4:]
    assert again.position == 4
    assert again.done_here() is not None, "it is still to be committed"


async def test_nothing_is_passed_over_that_may_be_something_else() -> None:
    done = DoneHere(committed=1, position=4, last=(0.3, b"k"))
    records = [record(offset)._replace(timestamp=offset / 10) for offset in range(6)]
    others = [each._replace(timestamp=each.timestamp + 60) for each in records]
    for case in (records, others[1:], records[1:3], records[4:]):
        progress = PartitionProgress(Partition("t", 0))
        assert list(progress.pass_over(done, case)) == list(case)
        assert progress.position == -1
