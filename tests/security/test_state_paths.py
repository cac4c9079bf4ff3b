"""Where the state folder is: processes that are given one setting must meet in one folder."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.backends.local.state import state_path
from micro_rt.errors import FailedPrecondition


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MICRO_HOME", "MICRO_NAMESPACE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ada")


@pytest.fixture
def user() -> pwd.struct_passwd:
    """The entry of this user in the system's list of users."""
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        pytest.skip("the system's list of users does not have this one")


@pytest.mark.parametrize(
    ("text", "path"),
    [("~", "/home/ada"), ("~/x", "/home/ada/x"), ("~/../x", "/home/ada/../x"), ("/a~/~", "/a~/~"), ("/x/", "/x")],
)
def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, text: str, path: str) -> None:
    monkeypatch.setenv("MICRO_HOME", text)
    assert state_path("registry") == Path(path) / "default" / "registry.db"
    assert state_path("registry", home=text) == Path(path) / "default" / "registry.db"
    monkeypatch.delenv("MICRO_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", text)
    assert state_path("registry") == Path(path) / "micro-rt" / "default" / "registry.db"


def test_a_tilde_with_a_name_is_the_home_folder_of_that_user(
    monkeypatch: pytest.MonkeyPatch, user: pwd.struct_passwd
) -> None:
    monkeypatch.setenv("MICRO_HOME", f"~{user.pw_name}/x")
    assert state_path("broker") == Path(user.pw_dir) / "x" / "default" / "broker.db"
    monkeypatch.setenv("MICRO_HOME", "~nobody-of-that-name/x")
    with pytest.raises(
        FailedPrecondition, match=r"MICRO_HOME='~nobody-of-that-name/x' names a user that does not exist"
    ):
        state_path("broker")


@pytest.mark.parametrize("variable", ["MICRO_HOME", "XDG_STATE_HOME"])
@pytest.mark.parametrize("text", ["state", "./state", "../state", ".", " /state", "$HOME/state", "a/~"])
def test_a_relative_path_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, text)
    with pytest.raises(FailedPrecondition) as caught:
        state_path("registry")
    assert f"{variable}={text!r} is not an absolute path" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="is not an absolute path"):
        state_path("registry", home="/a\0b")


@pytest.mark.parametrize("setting", ["", None])
def test_an_empty_home_is_that_of_the_list_of_users(
    monkeypatch: pytest.MonkeyPatch, user: pwd.struct_passwd, setting: str | None
) -> None:
    if setting is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", setting)
    home = Path(user.pw_dir)
    assert state_path("registry") == home / ".local" / "state" / "micro-rt" / "default" / "registry.db"
    monkeypatch.setenv("MICRO_HOME", "~/x")
    assert state_path("registry") == home / "x" / "default" / "registry.db"


def test_without_a_home_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "work")
    with pytest.raises(FailedPrecondition, match=r"HOME='work' is not an absolute path.*MICRO_HOME"):
        state_path("registry")
    monkeypatch.setenv("HOME", "")
    monkeypatch.setattr(os, "getuid", lambda: 61_234)
    with pytest.raises(FailedPrecondition, match=r"no home folder.*MICRO_HOME"):
        state_path("registry")


@pytest.mark.parametrize("namespace", ["a" * 256, "a" * 300, "ä" * 128, "a" * 100_000])
async def test_a_namespace_that_is_too_long_is_a_failed_precondition(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, namespace: str
) -> None:
    monkeypatch.setenv("MICRO_NAMESPACE", namespace)
    with pytest.raises(FailedPrecondition, match=r"\(MICRO_NAMESPACE\) is \d+ bytes long") as caught:
        await LocalRegistry(home=tmp_path).open()
    assert len(caught.value.message) < 400


async def test_the_longest_namespace_works(tmp_path: Path) -> None:
    registry = LocalRegistry(home=tmp_path, namespace="a" * 255)
    await registry.open()
    await registry.close()


@pytest.mark.parametrize("part", ["a" * 300, "/".join(["a" * 200] * 30)])
async def test_a_state_folder_whose_name_is_too_long_is_a_failed_precondition(tmp_path: Path, part: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"too long.*MICRO_HOME"):
        await LocalRegistry(home=tmp_path / part).open()
