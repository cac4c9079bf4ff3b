"""Changes of files are seen whatever makes them; see the rules in ``micro_rt/kit/file_watch.py``."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import shutil
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace

import pytest

from micro_rt.kit import file_watch
from micro_rt.kit.file_watch import FileWatch, folders_of
from tests.helpers.waiting import PATIENCE, eventually


class Watched:
    """A file that is watched, and what was in it at each report."""

    def __init__(self, path: Path, *, polling: bool) -> None:
        self.path = path
        self.seen: list[str | None] = []
        self.watch = FileWatch(path.name, lambda: [str(path)], self.look, polling=polling)
        self.task = asyncio.create_task(self.follow())

    def look(self) -> str | None:
        try:
            return self.path.read_text()
        except OSError:
            return None

    async def follow(self) -> None:
        async for _ in self.watch:
            self.seen.append(self.look())

    async def sees(self, text: str | None) -> None:
        await eventually(lambda: self.seen[-1:], "a change is not reported", equals=[text])

    async def close(self) -> None:
        await self.watch.aclose()
        await self.task


@pytest.fixture(params=[False, True], ids=["watchfiles", "polling"])
def polling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Each kind alone must see everything: the look without an event would hide what is missed."""
    if not request.param:
        monkeypatch.setattr(file_watch, "NET", 10 * PATIENCE)
    return bool(request.param)


@contextlib.asynccontextmanager
async def watching(path: Path, polling: bool) -> AsyncGenerator[Watched]:
    watched = Watched(path, polling=polling)
    try:
        yield watched
    finally:
        await watched.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def replace(path: Path, text: str) -> None:
    other = path.with_name(f"{path.name}.new")
    other.write_text(text)
    other.rename(path)


async def test_every_replacement_is_seen_and_not_only_the_first(tmp_path: Path, polling: bool) -> None:
    """Faults viper#142, go-micro#1568 and go-config#58: a watch on a file ends with the file."""
    path = tmp_path / "app.json"
    path.write_text("first")
    async with watching(path, polling) as watched:
        await watched.sees("first")
        for number in range(10):
            replace(path, f"replaced {number}")
            await watched.sees(f"replaced {number}")
            path.write_text(f"edited {number}")
            await watched.sees(f"edited {number}")


async def test_a_file_that_was_deleted_is_seen_again(tmp_path: Path, polling: bool) -> None:
    """Faults flagd#42 and agentgateway#352: the watcher ended when the file was deleted."""
    path = tmp_path / "app.json"
    path.write_text("first")
    async with watching(path, polling) as watched:
        await watched.sees("first")
        for number in range(3):
            path.unlink()
            await watched.sees(None)
            path.write_text(f"again {number}")
            await watched.sees(f"again {number}")
            path.write_text(f"edited {number}")
            await watched.sees(f"edited {number}")


async def test_a_folder_that_was_deleted_is_seen_again(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "deep" / "conf" / "app.json"
    path.parent.mkdir(parents=True)
    path.write_text("first")
    async with watching(path, polling) as watched:
        await watched.sees("first")
        for number in range(3):
            shutil.rmtree(path.parent.parent)
            await watched.sees(None)
            path.parent.mkdir(parents=True)
            path.write_text(f"again {number}")
            await watched.sees(f"again {number}")
            replace(path, f"replaced {number}")
            await watched.sees(f"replaced {number}")


async def test_a_folder_that_was_made_anew_at_once_is_watched(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "conf" / "app.json"
    path.parent.mkdir()
    path.write_text("first")
    async with watching(path, polling) as watched:
        await watched.sees("first")
        for number in range(3):
            shutil.rmtree(path.parent)
            path.parent.mkdir()
            path.write_text(f"anew {number}")
            await watched.sees(f"anew {number}")
            path.write_text(f"edited {number}")
            await watched.sees(f"edited {number}")


async def test_a_folder_that_is_replaced_by_another_is_watched(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "conf" / "app.json"
    path.parent.mkdir()
    path.write_text("first")
    async with watching(path, polling) as watched:
        await watched.sees("first")
        for number in range(3):
            new = tmp_path / f"new{number}"
            new.mkdir()
            (new / path.name).write_text(f"moved {number}")
            path.parent.rename(tmp_path / f"old{number}")
            new.rename(path.parent)
            await watched.sees(f"moved {number}")
            path.write_text(f"edited {number}")
            await watched.sees(f"edited {number}")


async def test_a_file_in_folders_that_do_not_exist_yet_is_seen(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "a" / "b" / "c" / "app.json"
    async with watching(path, polling) as watched:
        await watched.sees(None)
        path.parent.mkdir(parents=True)
        path.write_text("first")
        await watched.sees("first")
        replace(path, "second")
        await watched.sees("second")


async def test_a_link_that_is_swapped_is_seen_wherever_it_is_on_the_way(tmp_path: Path, polling: bool) -> None:
    """Faults viper#284 and configmap-reload#190: the swap of a link went unseen, or came as another kind of event."""
    for number in range(3):
        for release in range(11):
            folder = tmp_path / f"release{number}-{release}" / "conf"
            folder.mkdir(parents=True)
            (folder / "app.json").write_text(f"{number} {release}")
    link = tmp_path / "current"
    for number, path in enumerate([link / "conf" / "app.json", tmp_path / "conf" / "app.json", tmp_path / "app.json"]):
        link.unlink(missing_ok=True)
        link.symlink_to(f"release{number}-0")
        if number == 1:
            (tmp_path / "conf").symlink_to(link / "conf")
        if number == 2:
            path.symlink_to("current/conf/app.json")
        async with watching(path, polling) as watched:
            await watched.sees(f"{number} 0")
            for release in range(1, 11):
                (tmp_path / "swap").symlink_to(f"release{number}-{release}")
                (tmp_path / "swap").rename(link)
                await watched.sees(f"{number} {release}")
                shutil.rmtree(tmp_path / f"release{number}-{release - 1}")


async def test_another_content_is_seen_although_every_time_of_the_file_is_the_same(
    tmp_path: Path, polling: bool
) -> None:
    path = tmp_path / "app.json"
    path.write_text("first ")
    async with watching(path, polling) as watched:
        await watched.sees("first ")
        for number in range(10):
            times = path.stat()
            path.write_text(f"edit {number}")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            await watched.sees(f"edit {number}")


async def test_two_changes_within_one_tick_of_the_clock_are_seen_by_polling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [0]

    def state_of(_: object) -> object:
        return states[-1]  # What the system says of two changes within one tick is the same.

    monkeypatch.setattr(file_watch, "NET", 10 * PATIENCE)
    monkeypatch.setattr(file_watch, "SETTLING", 5 * PATIENCE)
    monkeypatch.setattr(file_watch, "_state_of", state_of)
    path = tmp_path / "app.json"
    path.write_text("first")
    async with watching(path, polling=True) as watched:
        await watched.sees("first")
        replace(path, "second")
        states.append(1)
        await watched.sees("second")
        replace(path, "third")
        await watched.sees("third")


async def test_what_leaves_the_content_as_it_is_is_not_reported(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "app.json"
    path.write_text("first")
    async with watching(path, polling) as watched:
        await watched.sees("first")
        for _ in range(5):
            path.touch()
            replace(path, "first")
            (tmp_path / "beside").write_text("another file")
        replace(path, "second")
        await watched.sees("second")
        assert watched.seen == ["first", "second"]


async def test_what_no_event_reports_is_seen_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system reports nothing of what other machines write."""
    monkeypatch.setattr(file_watch, "NET", 0.2)
    monkeypatch.setattr(file_watch, "FOLDERS", 0)
    path = tmp_path / "app.json"
    path.write_text("first")
    async with watching(path, polling=False) as watched:
        await watched.sees("first")
        path.write_text("second")
        await watched.sees("second")


async def test_files_are_polled_when_the_system_refuses_to_watch_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no watches are left")

    def library(_: str) -> SimpleNamespace:
        return SimpleNamespace(RustNotify=refuse)

    monkeypatch.setattr(file_watch, "optional", library)
    path = tmp_path / "app.json"
    path.write_text("first")
    with caplog.at_level(logging.WARNING):
        async with watching(path, polling=False) as watched:
            await watched.sees("first")
            replace(path, "second")
            await watched.sees("second")
    assert [record.getMessage() for record in caplog.records] == [
        "app.json is polled every 0.1 s: the system refuses to watch it (no watches are left)"
    ]


async def test_nothing_is_left_after_closing(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "app.json"
    path.write_text("first")
    threads, files = threading.active_count(), descriptors()
    for _ in range(5):
        async with watching(path, polling) as watched:
            await watched.sees("first")
    assert threading.active_count() == threads
    await eventually(lambda: descriptors() <= files, "descriptors are left")


async def test_a_watch_that_is_dropped_ends(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "app.json"
    path.write_text("first")
    before = set(threading.enumerate())
    watch = FileWatch("dropped", lambda: [str(path)], path.read_text, polling=polling)
    await anext(watch)
    (own,) = (each for each in threading.enumerate() if each not in before and "dropped" in each.name)
    del watch
    gc.collect()
    await eventually(own.is_alive, "the thread goes on", equals=False)


async def test_whoever_waits_gets_the_end(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "app.json"
    watch = FileWatch("closed", lambda: [str(path)], lambda: None, polling=polling)
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await watch.aclose()
    await watch.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


def test_a_thread_ends_with_its_loop(tmp_path: Path, polling: bool) -> None:
    path = tmp_path / "app.json"
    path.write_text("0")
    threads = threading.active_count()

    async def begin() -> FileWatch:
        watch = FileWatch("left", lambda: [str(path)], path.read_text, polling=polling)
        await anext(watch)
        return watch

    watch = asyncio.run(begin())
    path.write_text("1")
    asyncio.run(eventually(threading.active_count, "the thread goes on", equals=threads))
    del watch


def test_the_folders_that_decide_what_a_path_is(tmp_path: Path) -> None:
    (tmp_path / "real" / "conf").mkdir(parents=True)
    (tmp_path / "real" / "conf" / "app.json").touch()
    (tmp_path / "up").symlink_to("real/../real")
    (tmp_path / "real" / "link").symlink_to(tmp_path / "up" / "conf")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "file").touch()

    def of(path: str) -> list[str]:
        return [str(Path(folder).relative_to(tmp_path)) for folder in folders_of([str(tmp_path / path)])]

    assert of("real/conf/app.json") == ["real/conf"]
    assert of("real/conf") == ["real/conf"]
    assert of("real/conf/none/app.json") == ["real/conf"]
    assert of("none/none/none") == ["."]
    assert of("file/app.json") == ["."]
    assert of("up/conf/app.json") == [".", "real/conf"]
    assert of("real/link/app.json") == ["real", ".", "real/conf"]
    assert of("real/link/none") == ["real", ".", "real/conf"]
    assert of("round") == ["."]
    assert folders_of([str(tmp_path / "real" / str(each) / "x") for each in range(10)]).keys() == {
        str(tmp_path / "real")
    }
