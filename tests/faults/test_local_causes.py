"""An error of ``local:`` names what keeps its file from being opened, and what to do about it."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.file_systems import check_file_system
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.errors import DataLoss, Error, FailedPrecondition, ResourceExhausted
from tests.helpers.disks import fill, remounted, small_disk

if sys.platform == "win32":
    pytest.skip("Windows has other limits", allow_module_level=True)

import resource

PARTS: list[Callable[..., LocalRegistry | LocalBroker]] = [LocalRegistry, LocalBroker]
each_part = pytest.mark.parametrize("part", PARTS)


async def error_of(part: Callable[..., LocalRegistry | LocalBroker], home: Path) -> Error:
    opened = part(home=home)
    with pytest.raises(Error) as caught:
        await opened.open()
    assert "MICRO_HOME" in caught.value.message or "ulimit" in caught.value.message
    return caught.value


def highest_descriptor() -> int:
    return max(int(each.name) for each in Path("/dev/fd").iterdir())


@each_part
@pytest.mark.parametrize("free", range(9))
async def test_descriptors_that_are_used_up(
    part: Callable[..., LocalRegistry | LocalBroker], free: int, tmp_path: Path
) -> None:
    opened = part(home=tmp_path / "home")
    await opened.open()
    await opened.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = highest_descriptor()
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, hard))
    held: list[int] = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(free):
            os.close(held.pop())
        again = part(home=tmp_path / "home")
        try:
            await again.open()
        except Error as error:
            assert isinstance(error, ResourceExhausted)
            assert re.search(rf"no file descriptors left to open .*ulimit -n, {highest + 20} now", error.message)
        else:
            assert free >= 5, "it opened with fewer descriptors than it has files"
            await again.close()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@each_part
@pytest.mark.parametrize("inodes", range(2, 6))
async def test_inodes_that_are_used_up(
    part: Callable[..., LocalRegistry | LocalBroker], inodes: int, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 4, f"nr_inodes={inodes}") as disk:
        error = await error_of(part, disk / "home")
        assert isinstance(error, ResourceExhausted)
        assert error.message.startswith(f"no inodes left for {disk / 'home'}")


@each_part
async def test_a_start_on_a_full_disk(part: Callable[..., LocalRegistry | LocalBroker], tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        fill(disk / "filled")
        error = await error_of(part, disk / "home")
        assert isinstance(error, ResourceExhausted)
        assert error.message.startswith(f"no space left for {disk / 'home'}")


@each_part
async def test_a_file_system_that_is_mounted_read_only(
    part: Callable[..., LocalRegistry | LocalBroker], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        opened = part(home=disk / "home")
        await opened.open()
        await opened.close()
        remounted(disk, "ro")
        for home in (disk / "home", disk / "other"):
            error = await error_of(part, home)
            assert isinstance(error, FailedPrecondition)
            assert "is on a file system that is mounted read-only" in error.message
            assert "Permission denied" not in error.message


@each_part
async def test_a_path_that_is_longer_than_sqlite_takes(
    part: Callable[..., LocalRegistry | LocalBroker], tmp_path: Path
) -> None:
    home = tmp_path / ("a" * 200) / ("b" * 200) / ("c" * 200)
    error = await error_of(part, home)
    assert isinstance(error, FailedPrecondition)
    assert re.search(r"is \d+ bytes long, and SQLite opens paths of at most 504 bytes", error.message)


@each_part
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_a_directory_in_the_place_of_a_file(
    part: Callable[..., LocalRegistry | LocalBroker], suffix: str, tmp_path: Path
) -> None:
    name = "registry.db" if part is LocalRegistry else "broker.db"
    there = tmp_path / "home" / "default" / f"{name}{suffix}"
    for folder in (there.parent.parent, there.parent, there):
        folder.mkdir(mode=0o700)
    error = await error_of(part, tmp_path / "home")
    assert isinstance(error, FailedPrecondition)
    assert error.message.startswith(f"{there} is not a regular file: run `mv {there} ")


@each_part
async def test_the_file_of_another_program(part: Callable[..., LocalRegistry | LocalBroker], tmp_path: Path) -> None:
    opened = part(home=tmp_path / "home")
    await opened.open()
    await opened.close()
    (file,) = (tmp_path / "home" / "default").glob("*.db")
    file.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE leases (whose TEXT)")
        other.execute("PRAGMA user_version = 7")
    other.close()
    error = await error_of(part, tmp_path / "home")
    assert isinstance(error, FailedPrecondition)
    assert "is the database of another program" in error.message
    file.write_bytes(os.urandom(8192))
    opened = part(home=tmp_path / "home")
    with pytest.raises(DataLoss, match=f"{re.escape(str(file))} is damaged .*: stop what uses it and move it away"):
        await opened.open()


@each_part
async def test_a_working_directory_that_was_deleted(
    part: Callable[..., LocalRegistry | LocalBroker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted = tmp_path / "deleted"
    deleted.mkdir()
    monkeypatch.chdir(deleted)
    deleted.rmdir()
    opened = part(home=tmp_path / "home")
    await opened.open()
    await opened.close()
    with pytest.raises(FailedPrecondition, match="is not an absolute path"):
        await part(home="home").open()


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (
            "nfs nfs4 cifs smb3 9p afpfs ceph orangefs pvfs2 panfs wekafs fuse.sshfs fuse.ceph-fuse fuse.juicefs fuse.mfs",
            "on a network file system",
        ),
        (
            "fuse.seaweedfs fuse.mount-s3 fuse.blobfuse fuse.blobfuse2 fuse.goofys fuse.weka fuse.rclone fuse.s3fs",
            "on a network file system",
        ),
        (
            "virtiofs vboxsf vmhgfs fuse.vmhgfs-fuse prl_fs fakeowner drvfs wslfs osxfs fuse.osxfs fuse.grpcfuse",
            "shared between a host and its containers or virtual machines",
        ),
        ("fuse fuse.new-cloud-fs fuse.gdrive", "on a file system in user space that is not known to be local"),
    ],
)
def test_file_systems_on_which_files_get_damaged_are_refused(types: str, kind: str, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    for type in types.split():
        mounts.write_text(f"/dev/vda / ext4 rw 0 0\nshare {tmp_path.resolve()} {type} rw 0 0\n")
        with pytest.raises(FailedPrecondition) as caught:
            check_file_system(tmp_path / "home", mounts)
        assert f"{tmp_path / 'home'} is {kind} ({type} at {tmp_path.resolve()})" in caught.value.message
        assert "set MICRO_HOME to a folder on a local disk; in a container, on the container's own disk" in str(
            caught.value
        )


@pytest.mark.parametrize(
    "type",
    ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "apfs", "fuseblk", "fuse.fuse-overlayfs", "fuse.gocryptfs"],
)
def test_local_file_systems_are_accepted(type: str, tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / virtiofs rw 0 0\nx {tmp_path.resolve()} {type} rw 0 0\n")
    check_file_system(tmp_path / "home", mounts)
