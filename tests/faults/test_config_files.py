"""What files of configuration go through: every kind of save, half-written, emptied, deleted, replaced all at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from micro_rt.config.base import Tree
from micro_rt.config.files import snapshot, source
from micro_rt.config.files.snapshot import Problem, Snapshot
from micro_rt.config.files.source import File
from micro_rt.errors import FailedPrecondition, Unavailable
from micro_rt.kit.file_watch import FileWatch
from tests.helpers.following import Follower, followed
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import PATIENCE, eventually

Save = Callable[[Path, str], None]


def in_place(path: Path, text: str) -> None:
    """Writes over what is there, as ``sed`` and some editors do."""
    with path.open("r+", encoding="utf-8") as file:
        file.write(text)
        file.truncate()


def truncate_and_write(path: Path, text: str) -> None:
    """As a shell does with ``>``."""
    with path.open("w", encoding="utf-8") as file:
        file.flush()
        file.write(text[:10])
        file.flush()
        file.write(text[10:])


def rename_over(path: Path, text: str) -> None:
    """As careful programs do."""
    other = path.with_name(f".{path.name}.tmp")
    other.write_text(text, encoding="utf-8")
    other.rename(path)


def backup_and_new(path: Path, text: str) -> None:
    """As vim does: the file becomes the backup, and a new one takes its name."""
    path.rename(path.with_name(f"{path.name}~"))
    path.write_text(text, encoding="utf-8")
    path.with_name(f"{path.name}~").unlink()


def swap_data(path: Path, text: str) -> None:
    """As Kubernetes does with a volume: all files are replaced at once, by a link, and the old ones are deleted."""
    update(path.parent, {path.name: text})


def update(folder: Path, files: Mapping[str, str]) -> None:
    """Replaces all files of a folder, as Kubernetes does."""
    link = folder / "..data"
    old = folder / str(link.readlink()) if link.is_symlink() else None
    number = 0 if old is None else int(old.name[2:]) + 1
    new = folder / f"..{number}"
    new.mkdir()
    for name, text in files.items():
        (new / name).write_text(text, encoding="utf-8")
    (folder / "..data_tmp").symlink_to(new.name)
    (folder / "..data_tmp").rename(link)
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(f"..data/{name}")
    for each in folder.iterdir():
        if each.name not in files and not each.name.startswith(".") and each.is_symlink():
            each.unlink()
    if old is not None:
        shutil.rmtree(old)


SAVES: tuple[Save, ...] = (in_place, truncate_and_write, rename_over, backup_and_new, swap_data)


@contextlib.asynccontextmanager
async def following(address: str | Path) -> AsyncGenerator[Follower]:
    async with followed(File(address)) as follower:
        yield follower


@pytest.fixture(params=[False, True], ids=["watchfiles", "polling"])
def polling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs with watchfiles and without."""

    def watch(*args: object) -> FileWatch:
        return FileWatch(*args, polling=request.param)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "FileWatch", watch)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long this process is kept from running in the middle of a save, the save is waited for."""
    monkeypatch.setattr(source, "HALFWAY", PATIENCE)
    monkeypatch.setattr(source, "PENDING", PATIENCE)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Snapshot]:
    """What the source and its watch have found in the file, each time they looked."""
    found: list[Snapshot] = []

    def look(path: str, *, folder: bool) -> Snapshot:
        found.append(snapshot.take(path, folder=folder))
        return found[-1]

    monkeypatch.setattr(source, "take", look)
    return found


async def is_found_blank(looks: list[Snapshot]) -> None:
    """Waits until a look that began after this moment finds the file missing or empty."""
    before = len(looks)

    def times() -> int:
        return sum(
            all(content.missing if isinstance(content, Problem) else not content for content in each.files.values())
            for each in looks[before:]
        )

    # The source and its watch may each be in the middle of a look.
    await eventually(lambda: times() >= 3, lambda: f"nobody looks: {looks[before:]}")


@pytest.mark.verify("config")
@pytest.mark.parametrize("save", SAVES, ids=lambda save: save.__name__)
async def test_no_save_is_missed(
    save: Save, tmp_path: Path, polling: None, patient: None, size: Size, figures: Figures
) -> None:
    """Faults viper#142, go-micro#1568, go-config#58, viper#284 and configmap-reload#190."""
    path = tmp_path / "app.json"
    path.write_text('{"n": -1}')
    saves = size(200, ci=20)
    async with following(f"file:{path}") as follower:
        await follower.sees({"n": -1})
        for number in range(saves):
            save(path, json.dumps({"n": number, "x": "y" * (number % 7)}))
            await follower.sees({"n": number, "x": "y" * (number % 7)})
        assert len(follower.trees) == saves + 1, "nothing else is ever seen"
        assert not follower.errors
    figures.add("seen", saves)


@pytest.mark.parametrize("save", SAVES, ids=lambda save: save.__name__)
async def test_of_saves_in_quick_succession_the_last_is_seen(
    save: Save, tmp_path: Path, polling: None, patient: None
) -> None:
    path = tmp_path / "app.json"
    path.write_text('{"n": -1}')
    async with following(f"file:{path}") as follower:
        await follower.sees({"n": -1})
        for burst in range(5):
            for number in range(10):
                save(path, json.dumps({"n": burst, "m": number}))
                await asyncio.sleep(0)
            await follower.sees({"n": burst, "m": 9})
    assert {} not in follower.trees


async def test_ten_replacements_in_a_row_are_all_seen(tmp_path: Path) -> None:
    """Fault viper#142: the second atomic save went unseen."""
    path = tmp_path / "app.toml"
    path.write_text("n = -1")
    async with following(path) as follower:
        await follower.sees({"n": -1})
        for number in range(10):
            rename_over(path, f"n = {number}")
            await follower.sees({"n": number})


@pytest.mark.parametrize(("name", "text", "whole"), [
    ("app.json", '{"a": "new"}', {"a": "new"}),
    ("app.toml", 'a = "new"\n', {"a": "new"}),
    ("app.yaml", "a: new\n", {"a": "new"}),
    ("app.json", '{"a": "new"}', {"a": "new"}),
])  # fmt: skip
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
async def test_a_file_that_is_emptied_and_then_written_is_never_read_as_empty(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    looks: list[Snapshot],
    name: str,
    text: str,
    whole: Tree,
    folder: bool,
) -> None:
    """Fault konf#1112: a file that was half written cleared the configuration, and the whole one went unseen after it."""
    monkeypatch.setattr(source, "PENDING", PATIENCE)
    path = tmp_path / name
    path.write_text(text.replace("new", "old"))
    async with following(tmp_path if folder else path) as follower:
        await follower.sees({"a": "old"})
        for _ in range(2):
            with path.open("w") as file:
                await is_found_blank(looks)
                file.write(text)
            await follower.sees(whole)
            rename_over(path, text.replace("new", "old"))
            await follower.sees({"a": "old"})
    assert follower.trees == [{"a": "old"}, whole, {"a": "old"}, whole, {"a": "old"}]
    assert not follower.errors


async def test_a_half_written_file_keeps_the_last_good_values_and_the_whole_one_is_seen(tmp_path: Path) -> None:
    """Fault konf#1112: the content that could not be read was remembered, and hid the completed write."""
    path = tmp_path / "app.json"
    path.write_text('{"a": "old"}')
    async with following(path) as follower:
        await follower.sees({"a": "old"})
        for text in ('{"a": "new 1"}', '{"a": "new 2"}', '{"a": "new 3"}'):
            with path.open("w") as file:
                file.write(text[:6])
                file.flush()
                count = len(follower.errors)
                await follower.fails(count + 1)
                file.write(text[6:])
            await follower.sees(json.loads(text))
    assert [tree["a"] for tree in follower.trees] == ["old", "new 1", "new 2", "new 3"]
    assert set(follower.errors) == {f"file:{path}:1: it ends too early"}


@pytest.mark.parametrize(
    ("name", "texts", "tree"),
    [
        ("app.yaml", ["a: 2\n", "a: 2\nb: 2\n", "a: 2\nb: 2\nc: 2\n"], {"a": 2, "b": 2, "c": 2}),
        ("app.json", ['{"a"', '{"a"', '{"a": 2}'], {"a": 2}),
        ("app.toml", ["a =", "a =", "a = 2"], {"a": 2}),
    ],
)
async def test_what_is_written_while_it_is_read_counts_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patient: None, name: str, texts: list[str], tree: Tree
) -> None:
    """Fault konf#1112: one half of a file counted, although it made sense or because it made none."""
    path = tmp_path / name
    path.write_text({"app.json": "{}"}.get(name, ""))
    file = File(path)
    await file.open()
    await file.read()

    def take(*args: Any, **options: Any) -> snapshot.Snapshot:
        if texts:
            path.write_text(texts.pop(0))
        return snapshot.take(*args, **options)

    monkeypatch.setattr(source, "take", take)
    assert (await file.read()).tree == tree
    await file.close()


async def test_a_bad_save_is_reported_and_the_next_good_one_counts(tmp_path: Path) -> None:
    """Faults spring-cloud-commons#648 and #290: a bad update threw the good one away, and a reload worked once."""
    path = tmp_path / "app.yaml"
    path.write_text("a: 0\n")
    async with following(path) as follower:
        await follower.sees({"a": 0})
        for number in range(1, 4):
            rename_over(path, f"a: {number}\nb: [broken\n")
            await follower.fails(number)
            with pytest.raises(FailedPrecondition, match="is not closed"):
                await follower.source.read()  # It is not taken for what was read before, however often it is read.
            assert follower.trees[-1] == {"a": number - 1}
            rename_over(path, f"a: {number}\n")
            await follower.sees({"a": number})
    assert follower.errors == [f"file:{path}:2: a [ is not closed, or a comma is missing"] * 3


async def test_a_file_that_is_emptied_for_good_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault koanf#77: removed keys stayed."""
    monkeypatch.setattr(source, "PENDING", 0.3)
    path = tmp_path / "app.yaml"
    path.write_text("a: 1\n")
    async with following(path) as follower:
        await follower.sees({"a": 1})
        path.write_text("")
        await follower.sees({})
        path.write_text("a: 2\n")
        await follower.sees({"a": 2})


async def test_an_optional_file_is_never_missing_while_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[Snapshot]
) -> None:
    monkeypatch.setattr(source, "PENDING", PATIENCE)
    path = tmp_path / "app.yaml"
    path.write_text("a: 0\n")
    async with following(f"file:{path}?optional=true") as follower:
        await follower.sees({"a": 0})
        for number in range(1, 4):
            path.rename(tmp_path / "app.yaml~")
            await is_found_blank(looks)
            path.write_text(f"a: {number}\n")
            await follower.sees({"a": number})
    assert follower.trees == [{"a": number} for number in range(4)]


async def test_a_file_that_is_deleted_for_good_raises_or_is_empty_if_it_is_optional(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "PENDING", 0.3)
    path = tmp_path / "app.yaml"
    path.write_text("a: 0\n")
    async with following(path) as follower, following(f"file:{path}?optional=true") as optional:
        for number in range(3):
            await follower.sees({"a": number})
            await optional.sees({"a": number})
            path.unlink()
            await optional.sees({})
            await follower.fails(number + 1)
            assert follower.trees[-1] == {"a": number}
            path.write_text(f"a: {number + 1}\n")


@pytest.mark.parametrize("inside", ["conf", "conf/"])
async def test_a_folder_is_deleted_made_anew_and_edited(tmp_path: Path, inside: str, polling: None) -> None:
    """Faults flagd#42 and agentgateway#352: the watcher ended when what it watched was deleted."""
    path = tmp_path / "conf" / "app.json"
    path.parent.mkdir()
    path.write_text('{"n": 0}')
    async with following(
        f"file:{tmp_path / 'conf'}/" if inside == "conf/" else f"file:{tmp_path / inside}"
    ) as follower:
        await follower.sees({"n": 0})
        for number in range(1, 7, 2):
            shutil.rmtree(path.parent)
            await follower.fails(number // 2 + 1)
            path.parent.mkdir()
            path.write_text(json.dumps({"n": number}))
            await follower.sees({"n": number})
            in_place(path, json.dumps({"n": number + 1}))
            await follower.sees({"n": number + 1})
    assert {} not in follower.trees


async def test_what_is_broken_or_missing_at_the_start_gets_live(tmp_path: Path) -> None:
    """Fault alacritty#4561: what was broken at the start was never watched."""
    path = tmp_path / "conf" / "app.json"
    async with following(path) as follower:
        await eventually(lambda: follower.errors, "the missing file is reported")
        path.parent.mkdir()
        path.write_text("{")
        await eventually(
            lambda: follower.errors[-1], "the broken file is reported", equals=f"file:{path}:1: it ends too early"
        )
        path.write_text('{"n": 1}')
        await follower.sees({"n": 1})
        rename_over(path, '{"n": 2}')
        await follower.sees({"n": 2})


@pytest.mark.verify("config")
async def test_files_of_one_update_are_read_together(tmp_path: Path, size: Size, figures: Figures) -> None:
    """Fault viper#284: the swap of a volume of Kubernetes went unseen, or one half of it was seen."""
    update(tmp_path, {"a.json": '{"a": 0}', "b.yaml": "b: 0\n", "c0.json": '{"c": 0}'})
    updates = size(1_000, ci=60)
    ended = threading.Event()

    def swap() -> None:
        for number in range(1, updates + 1):
            new = {f"c{number}.json": json.dumps({"c": number})}  # Its link is made after the update, as by Kubernetes.
            update(tmp_path, {"a.json": json.dumps({"a": number}), "b.yaml": f"b: {number}\n", **new})
            time.sleep(0.003)
        ended.set()

    async with following(tmp_path) as follower:
        await follower.sees({"a": 0, "b": 0, "c": 0})
        swapping = asyncio.create_task(asyncio.to_thread(swap))
        reads = 0
        while not ended.is_set():
            file = File(tmp_path)  # The first read waits for nothing to settle.
            await file.open()
            with contextlib.suppress(Unavailable):  # It is replaced all the time.
                tree = (await file.read()).tree
                assert tree["a"] == tree["b"] == tree.get("c"), "files of two updates"
                reads += 1
            await file.close()
        assert reads
        await swapping
        await follower.sees({"a": updates, "b": updates, "c": updates})
        assert all(tree["a"] == tree["b"] == tree["c"] for tree in follower.trees)
        assert not follower.errors
        update(tmp_path, {"a.json": '{"a": 1}'})
        await follower.sees({"a": 1})
    figures.add("reads", reads)


async def test_a_file_that_leaves_a_folder_takes_its_values_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault koanf#77: removed keys stayed."""
    monkeypatch.setattr(source, "PENDING", 0.3)
    (tmp_path / "1.json").write_text('{"a": 1}')
    (tmp_path / "2.json").write_text('{"b": 2}')
    async with following(tmp_path) as follower:
        await follower.sees({"a": 1, "b": 2})
        (tmp_path / "2.json").unlink()
        await follower.sees({"a": 1})
        (tmp_path / "2.json").write_text('{"c": 3}')
        await follower.sees({"a": 1, "c": 3})


async def test_a_name_that_is_not_utf8_is_read_and_watched(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9") / "app.json"
    path.parent.mkdir()
    path.write_text('{"n": 1}')
    for address in (path, path.parent):
        rename_over(path, '{"n": 1}')
        async with following(address) as follower:
            await follower.sees({"n": 1})
            rename_over(path, '{"n": 2}')
            await follower.sees({"n": 2})
            assert (await follower.source.read()).places == {("n",): f"{tmp_path}/caf\\udce9/app.json:1"}


async def test_a_source_that_was_closed_leaves_no_thread(tmp_path: Path, polling: None) -> None:
    path = tmp_path / "app.json"
    path.write_text('{"n": 1}')

    def watchers() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("watch ")]

    for _ in range(3):
        async with following(path) as follower:
            await follower.sees({"n": 1})
            assert watchers() == [f"watch file:{path}"]
        assert not watchers()
