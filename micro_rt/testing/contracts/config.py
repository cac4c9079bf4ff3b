"""The contract suite of sources of configuration: what every source promises, as tests.

    class TestMySource(SourceContract):
        async def make(self) -> Source:
            return MySource("my://127.0.0.1:1234/app")

        async def put(self, tree: Tree) -> None:
            …  # replaces all that is there

needs nothing but pytest. What a source cannot hold, or how slow it is, say with the attributes of the class.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar

import pytest

from micro_rt.config.base import Path, Source, Tree, Value
from micro_rt.config.config import Config
from micro_rt.errors import Error
from micro_rt.testing.contracts.suite import Contract, eventually

__all__ = ["SourceContract"]

_CANARY = "Canary7"


class SourceContract(Contract):
    """Subclass it, return an unopened source from ``make``, and write what it holds in ``put``.

    All that ``make`` returns during one test must hold the same; other tests must not see it.
    """

    live: ClassVar[bool] = True
    """Whether it can change after it was made. If not, the tests call ``put`` before ``make`` only."""
    names: ClassVar[Sequence[str]] = (
        "plain",
        "under_score",
        "with-dash",
        "two words",
        "UPPER",
        "ümlaut",
        "dots.inside",
        "7",
    )
    """Names that it can hold, at any depth."""
    texts: ClassVar[Sequence[str]] = (
        "",
        " ",
        "plain",
        " spaces ",
        "ümlaut 🐍",
        "a=b",
        "8080",
        "true",
        "null",
        "[1, 2]",
        '"quoted"',
        "#",
    )
    """Texts that it can hold, each of which comes back as it is."""
    empty_mappings: ClassVar[bool] = True
    """Whether a mapping without anything in it can be told from none. Only a source that is not ``text`` can."""
    places: ClassVar[bool] = True
    """Whether it knows where each value was given."""
    many: ClassVar[int] = 500
    """How many values the test of many puts."""
    changes: ClassVar[int] = 30
    """How many times the tests of quick changes change it."""
    settle: ClassVar[float] = 20.0
    """Seconds within which a change must be reported, however busy the machine is; not waited for if it is reported earlier."""

    async def make(self) -> Source:
        """Returns a source, unopened."""
        raise NotImplementedError

    async def put(self, tree: Tree) -> None:
        """Replaces all that the source holds, in one step where the source knows such steps.

        Args:
            tree: of texts alone if the source is ``text``.
        """
        raise NotImplementedError

    async def spoil(self) -> bool:
        """Makes what the source holds unreadable, in a way that leaves the text ``Canary7`` in it.

        Returns:
            Whether it was done; False, unless overridden, if everything that it can hold makes sense.
        """
        return False

    def cut_off(self) -> AbstractAsyncContextManager[None] | None:
        """Returns what keeps the sources of ``make`` from reading while it is entered; None, unless overridden, if nothing can."""
        return None

    # Reading

    async def test_it_has_a_name(self) -> None:
        await self.put(_tree_of(_CANARY))
        async with self._source() as source:
            assert source.name
            assert source.name.isprintable()
            assert _CANARY not in f"{source.name} {source!r} {source}"

    async def test_nothing_is_an_empty_mapping(self) -> None:
        await self.put({})
        async with self._source() as source:
            assert (await source.read()).tree == {}

    async def test_every_text_comes_back(self) -> None:
        tree = {f"text{number}": text for number, text in enumerate(self.texts)}
        await self.put(tree)
        async with self._source() as source:
            assert _plain((await source.read()).tree) == tree

    async def test_every_kind_of_value_comes_back_with_its_type(self) -> None:
        tree: Tree = {
            "int": 7,
            "large": (1 << 62) + 1,
            "negative": -1,
            "float": 1.5,
            "yes": True,
            "no": False,
            "list": [1, "two", [3.5, False], {"four": 4}],
            "nothing_in_it": [],
        }
        await self._typed_only()
        await self.put(tree)
        async with self._source() as source:
            found = (await source.read()).tree
            assert _plain(found) == tree
            assert _types(found) == _types(tree)

    async def test_a_null_is_not_left_out(self) -> None:
        await self._typed_only()
        await self.put({"a": {"b": None, "c": 1}})
        async with self._source() as source:
            assert _plain((await source.read()).tree) in ({"a": {"b": None, "c": 1}}, {"a": {"c": 1}})

    async def test_every_name_comes_back_at_every_depth(self) -> None:
        tree: dict[str, Value] = {name: {name: {"leaf": f"text {number}"}} for number, name in enumerate(self.names)}
        await self.put(tree)
        async with self._source() as source:
            assert _plain((await source.read()).tree) == tree

    async def test_mappings_are_nested_deeply(self) -> None:
        tree: Tree = {"leaf": "text"}
        for depth in range(12):
            tree = {f"depth{depth}": tree, f"beside{depth}": f"text {depth}"}
        await self.put(tree)
        async with self._source() as source:
            assert _plain((await source.read()).tree) == tree

    async def test_an_empty_mapping_comes_back(self) -> None:
        if not self.empty_mappings:
            pytest.skip("this source has no empty mappings")
        await self._typed_only()
        await self.put({"a": {}, "b": {"c": {}}})
        async with self._source() as source:
            assert _plain((await source.read()).tree) == {"a": {}, "b": {"c": {}}}

    async def test_many_values(self) -> None:
        tree = {
            f"group{number // 50}": {f"name{each}": f"text {each}" for each in range(50)}
            for number in range(0, self.many, 50)
        }
        await self.put(tree)
        async with self._source() as source:
            assert _plain((await source.read()).tree) == tree

    async def test_a_text_of_many_characters(self) -> None:
        text = "0123456789" * 1000
        await self.put({"long": text})
        async with self._source() as source:
            assert (await source.read()).tree["long"] == text

    async def test_places_are_those_of_its_values(self) -> None:
        await self.put({"a": {"b": {"c": f"{_CANARY}1", "d": f"{_CANARY}2"}}, "e": f"{_CANARY}3"})
        async with self._source() as source:
            reading = await source.read()
        leaves = {("a", "b", "c"), ("a", "b", "d"), ("e",)}
        assert not set(reading.places) - leaves - {("a",), ("a", "b")}
        if self.places:
            assert leaves <= set(reading.places), "the place of each value is known"
        for place in reading.places.values():
            assert place
            assert place.isprintable()
            assert _CANARY not in place, "a place shows no value"

    async def test_a_reading_shows_no_value(self) -> None:
        await self.put({"a": {"b": _CANARY}})
        async with self._source() as source:
            assert _CANARY not in repr(await source.read())

    async def test_reading_again_gives_the_same(self) -> None:
        await self.put(_tree_of("text"))
        async with self._source() as one, self._source() as other:
            first = await one.read()
            assert await one.read() == first
            assert await other.read() == first

    async def test_a_read_that_is_cancelled_leaves_nothing_behind(self) -> None:
        await self.put(_tree_of("text"))
        async with self._source() as source:
            whole = await source.read()
            for steps in range(8):
                reading = asyncio.ensure_future(source.read())
                for _ in range(steps):
                    await asyncio.sleep(0)
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
            assert await source.read() == whole

    async def test_many_read_at_once(self) -> None:
        await self.put(_tree_of("text"))
        async with self._source() as source:
            readings = await asyncio.gather(*(source.read() for _ in range(20)))
            assert all(each == readings[0] for each in readings)
            assert _plain(readings[0].tree) == _tree_of("text")

    # Opening and closing

    async def test_it_can_be_opened_again_and_closed_twice(self) -> None:
        await self.put(_tree_of("text"))
        source = await self.make()
        for _ in range(3):
            await source.open()
            assert _plain((await source.read()).tree) == _tree_of("text")
            await source.close()
            await source.close()

    async def test_a_source_that_was_never_opened_can_be_closed(self) -> None:
        await (await self.make()).close()

    async def test_closing_ends_its_watches(self) -> None:
        self._live_only()
        await self.put(_tree_of("text"))
        source = await self.make()
        await source.open()
        watches = [_Reports(source), _Reports(source)]
        await source.read()
        await source.close()
        for watch in watches:
            await watch.ended(self.settle)

    async def test_a_watch_that_is_dropped_leaves_nothing_behind(self) -> None:
        self._live_only()
        await self.put(_tree_of("text"))
        async with self._source() as source:
            for _ in range(5):
                dropped = _watch(source)
                waiting = asyncio.ensure_future(anext(dropped))
                await asyncio.sleep(0)
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                    await waiting
                del dropped, waiting
            _watch(source)  # Never begun.
            gc.collect()
            async with self._reports(source) as reports:
                await self._until(source, reports, _tree_of("later"))

    async def test_it_is_watched_again_after_it_was_opened_again(self) -> None:
        self._live_only()
        await self.put(_tree_of("text"))
        source = await self.make()
        for number in range(3):
            await source.open()
            try:
                async with self._reports(source) as reports:
                    await source.read()
                    await self._until(source, reports, _tree_of(f"text {number}"))
            finally:
                await source.close()

    # Changes

    async def test_a_source_that_does_not_change_has_no_watch(self) -> None:
        if self.live:
            pytest.skip("this source changes")
        async with self._source() as source:
            assert source.watch() is None

    async def test_every_change_is_reported(self) -> None:
        """Fault spring-cloud-commons#290: a reload worked once; #142 and #1568: the second save went unseen."""
        self._live_only()
        await self.put(_tree_of("first"))
        async with self._source() as source, self._reports(source) as reports:
            await source.read()
            for number in range(10):
                await self._until(source, reports, _tree_of(f"change {number}"))

    async def test_a_change_right_after_a_read_is_reported(self) -> None:
        self._live_only()
        for number in range(5):
            await self.put(_tree_of(f"first {number}"))
            async with self._source() as source, self._reports(source) as reports:
                before = await source.read()
                seen = reports.count
                await self.put(_tree_of(f"second {number}"))
                while (await source.read()) == before or _plain((await source.read()).tree) != _tree_of(
                    f"second {number}"
                ):
                    seen = await reports.after(seen, self.settle)

    async def test_every_watch_hears_of_a_change(self) -> None:
        self._live_only()
        await self.put(_tree_of("first"))
        async with self._source() as source, self._reports(source) as one, self._reports(source) as other:
            await source.read()
            counts = one.count, other.count
            await self.put(_tree_of("second"))
            await one.after(counts[0], self.settle)
            await other.after(counts[1], self.settle)

    async def test_a_name_that_is_removed_is_gone(self) -> None:
        """Fault koanf#77: removed keys stayed."""
        self._live_only()
        await self.put({"a": {"b": "1", "c": "2"}, "d": "3"})
        async with self._source() as source, self._reports(source) as reports:
            await source.read()
            await self._until(source, reports, {"a": {"c": "2"}, "d": "3"})
            await self._until(source, reports, {"d": "3"})
            await self._until(source, reports, {})
            await self._until(source, reports, {"a": {"b": "4"}})

    async def test_quick_changes_end_with_the_last(self) -> None:
        self._live_only()
        await self.put(_tree_of("first"))
        async with self._source() as source, self._reports(source) as reports:
            await source.read()
            for number in range(self.changes):
                await self.put(_tree_of(f"change {number}"))
            last = _tree_of(f"change {self.changes - 1}")
            seen = 0
            while _plain((await source.read()).tree) != last:
                seen = await reports.after(seen, self.settle)

    async def test_no_reading_is_torn(self) -> None:
        """Faults viper#1394 and koanf#305: reads during a reload saw one half of it, or nothing."""
        self._live_only()
        await self.put(_tree_of("change 0"))
        async with self._source() as source, self._reports(source):
            ended = asyncio.Event()

            async def change() -> None:
                for number in range(1, self.changes + 1):
                    await self.put(_tree_of(f"change {number}"))
                ended.set()

            changing = asyncio.create_task(change())
            try:
                readings = 0
                while not ended.is_set() or not readings:
                    tree = _plain((await source.read()).tree)
                    assert tree == _tree_of(_text_of(tree)), "all values are of one update"
                    readings += 1
                    await asyncio.sleep(0)
            finally:
                await changing

    # In a config

    async def test_get_and_bind_give_the_same(self) -> None:
        """Fault viper#522: what one way of reading saw, the other did not."""
        await self.put({"a": "text", "b": {"c": "text too", "d": {"e": "deep"}}})
        async with Config([await self.make()]) as config:
            every = config.bind("", _Every).value
            assert every == config.get("", _Every) == _Every("text", _Middle("text too", _Inner("deep")))
            assert every.a == config.get("a", str)
            assert every.b == config.get("b", _Middle)
            assert every.b.c == config.get("b.c", str)
            assert every.b.d.e == config.get("b.d.e", str)

    async def test_one_leaf_overrides_and_its_neighbours_stay(self) -> None:
        """Faults viper#798 and fabric-smart-client#663: one leaf of a later layer took its neighbours away."""
        base: Tree = {"a": "base", "b": {"c": "base", "d": {"e": "base", "f": "base"}}}
        await self.put({"b": {"d": {"e": "over"}}})
        async with Config([base, await self.make()]) as config:
            assert config.get("") == {"a": "base", "b": {"c": "base", "d": {"e": "over", "f": "base"}}}
        await self.put(base)
        async with Config([await self.make(), {"b": {"d": {"e": "over"}}}]) as config:
            assert config.get("") == {"a": "base", "b": {"c": "base", "d": {"e": "over", "f": "base"}}}

    async def test_a_config_follows_it_and_keeps_the_last_good_settings(self) -> None:
        """Faults spring-cloud-commons#290 and #648: a reload worked once, and a bad update threw the good one away."""
        self._live_only()
        await self.put({"a": "0", "b": {"c": "0"}})
        async with Config([await self.make(), {"other": 1}]) as config:
            changes = config.watch("b.c")
            for number in ("1", "2", "3"):
                before = config.get("a", str)
                if await self.spoil():
                    await eventually(
                        lambda: config.status[0].state, "a bad update is reported", equals="stale", within=self.settle
                    )
                    assert _CANARY not in f"{config.status} {config.problem}"
                    assert config.get("a", str) == before
                    assert config.status[1].state == "ok"
                await self.put({"a": number, "b": {"c": number}})
                async with asyncio.timeout(self.settle):
                    while (change := await anext(changes)).new != number:
                        pass
                assert change.revision <= config.revision
                assert config.get("a", str) == config.get("b.c", str) == number
                await eventually(
                    lambda: config.status[0].state, "it is in order again", equals="ok", within=self.settle
                )
            await self.put({"a": "4"})
            async with asyncio.timeout(self.settle):
                while (change := await anext(changes)).new is not None:
                    pass
            assert config.get("b.c", str, default="gone") == "gone"

    # Faults

    async def test_what_makes_no_sense_is_an_error_without_its_values(self) -> None:
        """Faults spring-cloud-commons#648 and konf#1112: a bad update stopped the source, or hid the good one after it."""
        await self.put(_tree_of("good"))
        async with self._source() as source, self._reports(source) as reports:
            for number in range(3):
                before = await source.read()
                if not await self.spoil():
                    pytest.skip("everything that this source can hold makes sense")
                seen = 0
                error = None
                while error is None:
                    try:
                        assert await source.read() == before, "never one half of it"
                    except Error as caught:
                        error = caught
                    else:
                        seen = await reports.after(seen, self.settle)
                assert _CANARY not in f"{error} {error!r} {error.__cause__!r}"
                assert not _shows(error, _CANARY)
                assert "\n" not in error.message
                await self._until(source, reports, _tree_of(f"good again {number}"))

    async def test_a_source_out_of_reach_raises_and_comes_back(self) -> None:
        cut = self.cut_off()
        if cut is None:
            pytest.skip("nothing keeps this source from reading")
        await self.put(_tree_of("first"))
        async with self._source() as source, self._reports(source) as reports:
            await source.read()
            async with cut:
                await eventually(
                    lambda: _fails(source), "a read raises while the source is out of reach", within=self.settle
                )
            await eventually(lambda: _succeeds(source), "a read works again", within=self.settle)
            await self._until(source, reports, _tree_of("second"))
            await self._until(source, reports, _tree_of("third"))

    # Helpers

    @contextlib.asynccontextmanager
    async def _source(self) -> AsyncGenerator[Source]:
        source = await self.make()
        await source.open()
        try:
            yield source
        finally:
            await source.close()

    @contextlib.asynccontextmanager
    async def _reports(self, source: Source) -> AsyncGenerator[_Reports]:
        reports = _Reports(source)
        await asyncio.sleep(0)
        try:
            yield reports
        finally:
            await reports.close()

    async def _until(self, source: Source, reports: _Reports, tree: Tree) -> None:
        """Puts a tree, and waits until it is read after a report."""
        seen = reports.count
        await self.put(tree)
        while True:
            seen = await reports.after(seen, self.settle)
            if _plain((await source.read()).tree) == tree:
                return

    def _live_only(self) -> None:
        if not self.live:
            pytest.skip("this source does not change")

    async def _typed_only(self) -> None:
        if (await self.make()).text:
            pytest.skip("this source knows texts alone")


@dataclass(frozen=True)
class _Inner:
    e: str


@dataclass(frozen=True)
class _Middle:
    c: str
    d: _Inner


@dataclass(frozen=True)
class _Every:
    a: str
    b: _Middle


class _Reports:
    """Counts what a watch reports; without a watch, nothing is ever reported."""

    def __init__(self, source: Source) -> None:
        self.count = 0
        self._new = asyncio.Event()
        self._task = asyncio.create_task(self._follow(source.watch()))

    async def after(self, count: int, within: float) -> int:
        """Waits until more than a number have been reported, and returns how many have."""
        async with asyncio.timeout(within):
            while self.count <= count:
                if self._task.done():
                    self._task.result()
                    raise AssertionError("the watch has ended, and the source is open")
                self._new.clear()
                waiting = asyncio.ensure_future(self._new.wait())
                await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        return self.count

    async def ended(self, within: float) -> None:
        """Waits until the watch has ended by itself."""
        async with asyncio.timeout(within):
            await self._task

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self, watch: AsyncIterator[None] | None) -> None:
        if watch is not None:
            async for _ in watch:
                self.count += 1
                self._new.set()


def _watch(source: Source) -> AsyncIterator[None]:
    watch = source.watch()
    assert watch is not None, "a source that changes has a watch"
    return watch


async def _fails(source: Source) -> bool:
    try:
        await source.read()
    except Error:
        return True
    return False


async def _succeeds(source: Source) -> bool:
    return not await _fails(source)


def _tree_of(text: str) -> Tree:
    """Returns a tree whose texts are all the same, which one half of an update would not be."""
    return {"a": text, "b": {"c": text, "d": {"e": text}}, "f": {f"name{number}": text for number in range(20)}}


def _text_of(tree: Value) -> str:
    return str(tree["a"]) if isinstance(tree, Mapping) else ""


def _plain(value: Value) -> Value:
    """Returns a value made of dict and list, which compare as one expects."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


def _types(value: Value, path: Path = ()) -> Mapping[Path, str]:
    return dict(_each_type(value, path))


def _each_type(value: Value, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _each_type(each, (*path, name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for number, each in enumerate(value):
            yield from _each_type(each, (*path, str(number)))
    else:
        yield path, type(value).__name__


def _shows(error: BaseException, text: str) -> bool:
    """Whether an exception, or one that its traceback shows with it, has a text in it."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and each not in seen:
            seen.append(each)
            todo += [each.__cause__, None if each.__suppress_context__ else each.__context__]
    return any(text in f"{each} {each!r}" for each in seen)
