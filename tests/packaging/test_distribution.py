"""The distribution as users get it: built, installed into an empty environment, and the demo run from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers.programs import Program

ROOT = Path(__file__).parent.parent.parent


def run(*command: str | Path, cwd: Path | None = None, **env: str) -> str:
    # Nothing of this environment may be found from there.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MICRO_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**clean, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def patient(client: Path) -> None:
    """Gives the call of a program that has a deadline time enough, however busy the machine is."""
    text = client.read_text()
    assert text.count("timeout=1.0") == 1
    client.write_text(text.replace("timeout=1.0", "timeout=60.0"))


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and the wheel that is built from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    return out


@pytest.fixture(scope="module")
def examples(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, as the sdist ships them."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("micro_rt-*")) / "examples"


@pytest.fixture(scope="module")
def programs(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that has nothing but Python, and what the wheel requires with its tools."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip(programs, "install", "--quiet", "--no-compile", f"{next(dist.glob('*.whl'))}[tools]")
    return programs


def install(programs: Path, distribution: Path) -> None:
    """Installs a distribution in place of the one that is there."""
    pip(programs, "install", "--quiet", "--no-compile", "--force-reinstall", "--no-deps", str(distribution))


def pip(programs: Path, *arguments: str) -> None:
    """Runs this environment's pip on another environment, which needs none of its own."""
    run(sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check", *arguments)


def test_the_wheel_holds_the_plugin_the_templates_and_the_runtime(dist: Path) -> None:
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    for name in (
        "micro_rt/py.typed",
        "micro_rt/service/service.py",
        "micro_rt/annotations.proto",
        "protoc_gen_micro/py.typed",
        "protoc_gen_micro/__main__.py",
        "protoc_gen_micro/templates/stubs.py.j2",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "examples"))]


def test_the_distributions_hold_the_licence_and_the_changelog(dist: Path) -> None:
    files = {name: (ROOT / name).read_bytes() for name in ("LICENSE", "CHANGELOG.md")}
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        folder = metadata.removesuffix("METADATA")
        assert wheel.read(f"{folder}licenses/LICENSE") == files["LICENSE"]
        assert wheel.read(f"{folder}extra_metadata/CHANGELOG.md") == files["CHANGELOG.md"]
        assert "License-Expression: Apache-2.0" in wheel.read(metadata).decode().splitlines()
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        for name, content in files.items():
            (member,) = (each for each in archive.getmembers() if each.name.split("/")[1:] == [name])
            packed = archive.extractfile(member)
            assert packed is not None
            assert packed.read() == content


WITHOUT_GRPCLIB = """
from importlib.metadata import requires
from importlib.util import find_spec

print([name for name in ("grpclib", "h2", "hpack", "hyperframe") if find_spec(name)])
print([each for each in requires("micro-rt") if each.startswith(("grpclib", "h2", "hpack")) and "extra ==" not in each])
"""


def test_the_demo_runs_from_the_wheel_alone(dist: Path, programs: Path, examples: Path, tmp_path: Path) -> None:
    install(programs, next(dist.glob("*.whl")))
    assert run(programs / "python", "-c", WITHOUT_GRPCLIB).split() == ["[]", "[]"]
    assert run(programs / "micro-rt", "--version").startswith("micro-rt 0.")
    assert run(programs / "protoc-gen-micro", "--version").startswith("protoc-gen-micro 0.")
    greeter = shutil.copytree(examples / "greeter", tmp_path / "greeter")
    story = run(programs / "python", "demo.py", cwd=greeter)
    assert "Hello Ada, Grace, Barbara" in story
    assert "micro.InvalidArgument: name is empty" in story
    assert "0 were lost" in story
    pip(programs, "check")


def test_the_north_stars_first_page_runs_from_the_sdist(
    dist: Path, programs: Path, examples: Path, tmp_path: Path
) -> None:
    install(programs, next(dist.glob("*.tar.gz")))
    work = tmp_path / "work"
    work.mkdir()
    for name in ("greeter.proto", "server.py", "client.py"):
        shutil.copy(examples / "greeter" / name, work)
    patient(work / "client.py")
    written = run(programs / "micro-rt", "generate", "greeter.proto", cwd=work)
    assert written.split() == ["greeter_pb2.py", "greeter_pb2.pyi", "greeter_micro.py"]
    env = {**os.environ, "MICRO_HOME": str(tmp_path / "home")}
    with Program(
        [str(programs / "python"), "server.py"], cwd=work, env=env, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        assert "serves greeter.Greeter at 127.0.0.1:" in server.stderr.readline()
        lines = run(programs / "python", "client.py", cwd=work, MICRO_HOME=env["MICRO_HOME"]).splitlines()
        server.terminate()
        server.communicate(timeout=30)
        assert server.returncode == 0
    assert lines == [
        "Hello Ada",
        "Hello Grace, for the 1. time",
        "Hello Grace, for the 2. time",
        "Hello Ada, Grace, Barbara",
        "Hello Ada",
        "Hello Grace",
        "Hello Barbara",
        "Hello Margaret",
        "INVALID_ARGUMENT: name is empty: whom shall I greet?",
    ]
