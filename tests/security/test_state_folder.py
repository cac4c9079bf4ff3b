"""The state folder of ``local:`` and the folders above it: another user must not be able to replace them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.broker.base import Broker
from micro_rt.errors import FailedPrecondition
from micro_rt.node import Node
from micro_rt.registry.base import Registration, Registry
from tests.security.other_user import OTHER, give, needs_root, open_folder, run_as_other

__all__ = ["open_folder"]  # A fixture.

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither user ids nor modes")

PARTS = [LocalRegistry, LocalBroker]
MICRO = {"MICRO_HOME", "MICRO_NAMESPACE", "MICRO_HOME_OWNER"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MICRO:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MICRO_HOME", str(tmp_path / "home"))


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def folders(tmp_path: Path, mode: int = 0o700) -> tuple[Path, Path]:
    home, namespace = tmp_path / "home", tmp_path / "home" / "default"
    for folder in (home, namespace):
        folder.mkdir()
        folder.chmod(mode)
    return home, namespace


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


async def refused(part: type[Registry | Broker], address: str = "local:") -> str:
    """Returns the error of opening a part, which must leave nothing in the state folder."""
    before = _below_home()
    with pytest.raises(FailedPrecondition) as caught:
        await part(address).open()  # type: ignore[call-arg]
    assert _below_home() == before
    return caught.value.message


def _below_home() -> list[Path]:
    return sorted(Path(os.environ["MICRO_HOME"]).rglob("*"))


async def works(address: str = "local:") -> None:
    registry = LocalRegistry(address)
    await registry.open()
    await registry.register(Registration(Node("bank-1", "127.0.0.1:1"), ("bank",)))
    assert [node.address for node in await registry.resolve("bank")] == ["127.0.0.1:1"]
    await registry.close()


@needs_root
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("which", ["home", "home/default"])
async def test_a_folder_of_another_user_is_refused(tmp_path: Path, part: type[Registry], which: str) -> None:
    folders(tmp_path)
    give(tmp_path / which)
    message = await refused(part)
    assert f"{tmp_path / which} belongs to another user (uid {OTHER}): run `chown 0 {tmp_path / which}`" in message
    assert "MICRO_HOME_OWNER=61234" in message


@needs_root
async def test_the_registry_that_another_user_planted_is_not_used(tmp_path: Path) -> None:
    home, namespace = folders(tmp_path)
    await works()
    give(home, namespace, *namespace.iterdir())
    assert "belongs to another user" in await refused(LocalRegistry)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("which", ["home", "home/default"])
@pytest.mark.parametrize("rights", [0o777, 0o775, 0o770, 0o702, 0o1777])
async def test_a_folder_that_others_can_write_is_refused(
    tmp_path: Path, part: type[Registry], which: str, rights: int
) -> None:
    folders(tmp_path)
    (tmp_path / which).chmod(rights)
    message = await refused(part)
    assert f"{tmp_path / which} can be written by other users (mode {rights:04o})" in message
    assert ("use a folder in it" if rights & stat.S_ISVTX else f"`chmod go-w {tmp_path / which}`") in message
    assert "MICRO_HOME_OWNER=any" in message


async def test_the_command_of_the_message_cures_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home of 'Ada'; touch x"
    monkeypatch.setenv("MICRO_HOME", str(home))
    home.mkdir()
    home.chmod(0o777)
    command = (await refused(LocalRegistry)).split("`")[1]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)  # noqa: S602  # the command that the error names, as a user runs it
    assert not (tmp_path / "x").exists()
    await works()


@pytest.mark.parametrize("rights", [0o700, 0o750, 0o755, 0o711])
async def test_a_folder_that_others_can_only_read_is_accepted(tmp_path: Path, rights: int) -> None:
    home, namespace = folders(tmp_path, rights)  # As systemd, volumes and mkdir make it.
    await works()
    assert mode(home) == mode(namespace) == f"{rights:04o}"


@pytest.mark.parametrize("which", ["home", "home/default"])
async def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path, which: str) -> None:
    folders(tmp_path)
    moved = (tmp_path / which).rename(tmp_path / "moved")
    (tmp_path / which).symlink_to(moved)
    assert f"{tmp_path / which} is a symbolic link: run `rm {tmp_path / which}`" in await refused(LocalRegistry)


@needs_root
def test_a_link_that_root_made_for_a_service_of_another_user_is_accepted(open_folder: Path) -> None:
    home, link = open_folder / "home", open_folder / "link"
    home.mkdir()
    link.symlink_to(home)  # systemd makes such a link for DynamicUser=.
    give(home)
    assert run_as_other(OPENS, link) == "opened"
    assert (home / "default" / "registry.db").lstat().st_uid == OTHER
    give(link)
    assert f"{link} is a symbolic link" in run_as_other(OPENS, link)


async def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    assert "Not a directory" in await refused(LocalRegistry)


# The folders above


@needs_root
async def test_a_folder_above_that_belongs_to_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    give(above)
    monkeypatch.setenv("MICRO_HOME", str(above / "home"))
    assert f"{above} belongs to another user" in await refused(LocalRegistry)
    assert list(above.iterdir()) == []


@pytest.mark.parametrize(
    ("rights", "accepted"), [(0o777, False), (0o757, False), (0o1777, True), (0o775, True), (0o755, True)]
)
async def test_a_folder_above_may_not_let_every_user_replace_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rights: int, accepted: bool
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(rights)
    monkeypatch.setenv("MICRO_HOME", str(above / "state" / "home"))
    if accepted:
        await works()
    else:
        assert f"{above} can be written by other users" in await refused(LocalRegistry)


async def test_links_above_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "one").symlink_to("two/../two")
    (tmp_path / "two").symlink_to(tmp_path / "disk" / "deep")
    monkeypatch.setenv("MICRO_HOME", str(tmp_path / "one" / ".." / "home"))
    await works()
    assert (tmp_path / "disk" / "home" / "default" / "registry.db").exists()
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.setenv("MICRO_HOME", str(tmp_path / "circle" / "home"))
    assert "symbolic links" in await refused(LocalRegistry)


@needs_root
async def test_a_link_above_that_another_user_can_change_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    give(tmp_path / "link")
    monkeypatch.setenv("MICRO_HOME", str(tmp_path / "link" / "home"))
    assert f"{tmp_path / 'link'} belongs to another user" in await refused(LocalRegistry)


async def test_a_link_above_to_a_folder_that_every_user_can_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open" / "disk").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open/disk")
    monkeypatch.setenv("MICRO_HOME", str(tmp_path / "link" / "home"))
    assert f"{tmp_path / 'open'} can be written by other users" in await refused(LocalRegistry)


@pytest.mark.usefixtures("umask")
async def test_every_folder_is_created_for_this_user_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_HOME", str(tmp_path / "a" / "b" / "c"))
    await works()
    made = [tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c", tmp_path / "a" / "b" / "c" / "default"]
    assert [mode(folder) for folder in made] == ["0700"] * 4


# The option


@needs_root
@pytest.mark.parametrize("accepted", [str(OTHER), "any"])
async def test_an_option_accepts_the_folder_of_another_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: str
) -> None:
    home, namespace = folders(tmp_path)
    await works()
    give(home, namespace, *namespace.iterdir())  # A volume of another user, in a container that runs as root.
    await works(f"local:?owner={accepted}")
    broker = LocalBroker(f"local:?owner={accepted}&sync=full")
    await broker.open()
    await broker.close()
    await refused(LocalRegistry)
    monkeypatch.setenv("MICRO_HOME_OWNER", accepted)
    await works()
    assert "belongs to another user" in await refused(LocalRegistry, "local:?owner=1")  # The address is what counts.


@needs_root
async def test_one_accepted_owner_does_not_open_the_folder_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, namespace = folders(tmp_path)
    give(home, namespace)
    monkeypatch.setenv("MICRO_HOME_OWNER", str(OTHER + 1))
    assert "belongs to another user" in await refused(LocalRegistry)
    monkeypatch.setenv("MICRO_HOME_OWNER", str(OTHER))
    home.chmod(0o777)
    assert "can be written by other users" in await refused(LocalRegistry)
    monkeypatch.setenv("MICRO_HOME_OWNER", "any")
    await works()


async def test_an_owner_that_is_neither_number_nor_any_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("root", "-1", "1" * 5000, "1.5", "\u0663", "Any", " 1"):
        for part in PARTS:
            with pytest.raises(ValueError, match=r"owner=.* is neither the number of a user, such as 1000, nor any"):
                part(f"local:?owner={wrong}")
        monkeypatch.setenv("MICRO_HOME_OWNER", wrong)
        assert "MICRO_HOME_OWNER: " in await refused(LocalRegistry)
    monkeypatch.setenv("MICRO_HOME_OWNER", "")
    await works()


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has user namespaces")
def test_it_works_in_a_user_namespace_where_root_has_no_id(open_folder: Path) -> None:
    give(open_folder)
    said = run_as_other(ENTERS_A_NAMESPACE + OPENS, open_folder / "home")
    if said.startswith("skip"):
        pytest.skip(said)
    assert said == "/ belongs to 65534\nopened"
    give_back = open_folder / "home" / "default"
    os.chown(give_back, 0, 0)  # Root's, so nobody's there: such a state folder is not accepted.
    said = run_as_other(ENTERS_A_NAMESPACE + OPENS, open_folder / "home")
    assert f"{give_back} belongs to another user (uid 65534)" in said


OPENS = """
async def main():
    registry = LocalRegistry(home=sys.argv[1])
    await registry.open()
    await registry.close()
    print("opened")

try:
    asyncio.run(main())
except Exception as error:
    print(error)
"""

ENTERS_A_NAMESPACE = """
user, library = os.getuid(), ctypes.CDLL(None, use_errno=True)
library.prctl(4, 1)  # A process that has changed its user may not write its own map otherwise.
if library.unshare(0x10000000):
    print("skip: no user namespace can be created:", os.strerror(ctypes.get_errno()))
    sys.exit()
with open("/proc/self/uid_map", "w") as map:
    map.write(f"0 {user} 1")
print("/ belongs to", os.lstat("/").st_uid)
"""
