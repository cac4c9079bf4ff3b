"""``service.store`` and ``TypedStore``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.kit.ids import new_id
from micro_rt.store.store import Store
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_pb2 import Number


class Slow(MemoryStore):
    """Opens when it is let."""

    def __init__(self) -> None:
        super().__init__("memory:slow")
        self.let = asyncio.Event()
        self.opened = 0

    async def open(self) -> None:
        self.opened += 1
        await self.let.wait()
        await super().open()


def stored_in(folder: Path) -> bool:
    return any(folder.rglob("store.db"))


async def test_a_service_has_a_store() -> None:
    async with micro.Service("web", registry="memory:", store="memory:") as service:
        version = await service.store.write("session/42", b"1", ttl=60)
        record = await service.store.read("session/42")
        assert (record.value, record.version) == (b"1", version)
        await service.store.write("session/42", b"new", if_version=record.version)
        with pytest.raises(micro.VersionConflict):
            await service.store.write("session/42", b"newer", if_version=record.version)
        with pytest.raises(micro.NotFound):
            await service.store.read("session/43")


async def test_the_store_is_of_the_user_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_HOME", str(tmp_path))
    async with micro.Service("web", registry="memory:") as service:
        assert not stored_in(tmp_path)
        await service.store.write("a", b"1")
        assert stored_in(tmp_path)
    async with micro.Service("web", registry="memory:") as service:
        assert (await service.store.read("a")).value == b"1"


async def test_the_variable_names_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_STORE", f"file:{tmp_path}/own/app.db")
    async with micro.Service("web", registry="memory:") as service:
        await service.store.write("a", b"1")
    assert (tmp_path / "own" / "app.db").exists()
    monkeypatch.setenv("MICRO_STORE", "nothing:here")
    async with micro.Service("web", registry="memory:") as service:
        with pytest.raises(micro.FailedPrecondition, match="MICRO_STORE"):
            await service.store.read("a")


async def test_a_store_is_used_while_its_service_runs() -> None:
    service = micro.Service("web", registry="memory:", store="memory:")
    with pytest.raises(micro.FailedPrecondition, match="not started"):
        _ = service.store
    async with service:
        store = service.store
        await store.write("a", b"1")
        watch = store.watch()
        await watch.__aenter__()
        waiting = asyncio.ensure_future(anext(watch, None))
        await asyncio.sleep(0)
    assert await waiting is None
    with pytest.raises(micro.FailedPrecondition, match="has stopped"):
        await store.read("a")


async def test_a_store_that_opens_slowly_keeps_nobody_beyond_the_timeout() -> None:
    slow = Slow()
    async with micro.Service("web", registry="memory:", store=slow) as service:
        with pytest.raises(micro.DeadlineExceeded):
            await service.store.read("a", timeout=0.05)
        waiting = [asyncio.ensure_future(service.store.write(f"{number}", b"")) for number in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        slow.let.set()
        assert await waiting[1] != await waiting[2]
        assert slow.opened == 1


async def test_a_service_stops_while_its_store_opens() -> None:
    slow = Slow()
    async with micro.Service("web", registry="memory:", store=slow) as service:
        waiting = asyncio.ensure_future(service.store.read("a"))
        await eventually(lambda: slow.opened)
    with pytest.raises(micro.FailedPrecondition, match="has stopped"):  # It was not cancelled itself.
        await soon(waiting)


async def test_a_store_that_cannot_be_opened_is_tried_again() -> None:
    class Broken(MemoryStore):
        broken = True

        async def open(self) -> None:
            if self.broken:
                raise micro.FailedPrecondition("not yet")
            await super().open()

    engine = Broken()
    async with micro.Service("web", registry="memory:", store=engine) as service:
        with pytest.raises(micro.FailedPrecondition, match="not yet"):
            await service.store.read("a")
        engine.broken = False
        await service.store.write("a", b"")


async def test_messages_are_stored_under_a_prefix() -> None:
    async with micro.Service("web", registry="memory:", store="memory:") as service:
        numbers = micro.TypedStore(service.store, Number, prefix="numbers/")
        async with numbers.watch() as changes:
            version = await numbers.write("one", Number(value=1), metadata={"a": "b"})
            change = await anext(changes)
            assert (change.kind, change.key, change.version) == (micro.ChangeKind.PUT, "one", version)
            assert change.record is not None
            assert change.record.value == Number(value=1)
        record = await numbers.read("one")
        assert (record.key, record.value, record.version, record.metadata) == (
            "one",
            Number(value=1),
            version,
            {"a": "b"},
        )
        assert (await service.store.read("numbers/one")).value == Number(value=1).SerializeToString()
        await numbers.write_many({"two": Number(value=2), "three": Number(value=3)})
        assert [each.key async for each in numbers.list()] == ["one", "three", "two"]
        assert [each.value.value async for each in numbers.list("t", after="three")] == [2]
        page = await numbers.page(limit=2)
        assert [each.key for each in page.records] == ["one", "three"]
        assert [each.key for each in (await numbers.page(limit=2, cursor=page.cursor)).records] == ["two"]
        assert list(await numbers.read_many(["two", "four"])) == ["two"]

        def twice(number: Number | None) -> Number:
            assert number is not None
            number.value *= 2
            return number

        assert (await numbers.update("two", twice)).value.value == 4
        with pytest.raises(micro.NotAllWritten) as failed:
            await numbers.write_many({"two": Number(value=1)}, if_versions={"two": 1})
        assert isinstance(failed.value.outcomes["two"], micro.VersionConflict)
        assert await numbers.delete("two")
        assert not await numbers.delete("two")


async def test_a_typed_store_takes_the_keys_that_a_store_takes() -> None:
    async with Store.over(MemoryStore(f"memory:{new_id()}")) as store:
        numbers = micro.TypedStore(store, Number, prefix="n/")
        one = Number(value=1)
        for refused in (
            numbers.write("", one),
            numbers.read(""),
            numbers.delete(""),
            numbers.update("", lambda _: one),
            numbers.read_many(["a", ""]),
            numbers.write_many({"": one}),
        ):
            with pytest.raises(micro.InvalidArgument, match="empty"):
                await refused
        bytes_for_text: Any = b"n"
        with pytest.raises(TypeError, match="str"):
            micro.TypedStore(store, Number, prefix=bytes_for_text)
        with pytest.raises(TypeError, match="str"):
            await numbers.read(bytes_for_text)


async def test_what_is_no_such_message_is_refused() -> None:
    wrong: Any = object
    async with Store.over(MemoryStore()) as store:
        numbers = micro.TypedStore(store, Number, prefix="n/")
        with pytest.raises(TypeError, match="Number"):
            await numbers.write("a", b"bytes")  # type: ignore[arg-type]
        await store.write("n/broken", b"\xff\xff\xff")
        with pytest.raises(micro.DataLoss, match="n/broken"):
            await numbers.read("broken")
        with pytest.raises(TypeError, match="generated class"):
            micro.TypedStore(store, wrong)


async def test_what_the_config_says_of_the_state_folder_counts_for_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MICRO_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    said = {"micro": {"home": str(tmp_path / "said")}}
    async with micro.Service("web", registry="memory:", config=[said]) as service:
        await service.store.write("a", b"1")
    assert stored_in(tmp_path / "said")
    assert not stored_in(tmp_path / "elsewhere")
