"""No bound of a dependency admits a version with a known vulnerability; what the tests download is verified."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests import lowest as lowest_tests
from tests import newest
from tests.helpers.missing import missing
from tests.lowest import lowest
from tests.servers import obtain
from tests.servers.cache import Unobtainable
from tests.servers.tools import TOOLS

ROOT = Path(__file__).parent.parent.parent
BOUNDS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "bounds.toml").read_text())

Version = tuple[int, ...]


def version(text: str) -> Version:
    return tuple(map(int, re.sub(r"(\.0)+$", "", text).split(".")))


def requirements() -> list[tuple[str, Version]]:
    """Returns the name and the lower bound of every requirement in pyproject.toml, our own extras apart."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [re.match(r"([\w.-]+?)(?:\[[\w,]+\])?(?:>=|==)([\d.]+)", each) for requires in lists for each in requires]
    assert sum(each is None for each in found) == 2, (
        "a requirement has no lower bound"
    )  # [all] and [dev] name ourselves.
    return [(each[1].lower(), version(each[2])) for each in found if each is not None]


@pytest.mark.parametrize("name", BOUNDS)
def test_no_bound_admits_a_version_with_a_known_vulnerability(name: str) -> None:
    bounds = [bound for required, bound in requirements() if required == name]
    assert bounds, f"{name} is not required any more: remove it from bounds.toml"
    assert min(bounds) >= version(BOUNDS[name]["fixed"])


@pytest.mark.parametrize("name", BOUNDS)
def test_the_list_is_consistent(name: str) -> None:
    advisories = BOUNDS[name]["advisories"]
    assert max(version(each["before"]) for each in advisories) == version(BOUNDS[name]["fixed"])
    assert all(re.fullmatch(r"CVE-\d{4}-\d{4,}", each["id"]) and each["what"] for each in advisories)


def test_every_requirement_has_one_bound() -> None:
    bounds: dict[str, set[Version]] = {}
    for name, bound in requirements():
        bounds.setdefault(name, set()).add(bound)
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_the_tests_with_the_lowest_versions_use_the_bounds() -> None:
    versions = dict(each.split("==") for each in lowest())
    for name in ("protobuf", "h2", "jinja2", "aiohttp"):
        assert version(versions[name]) == version(BOUNDS[name]["fixed"])
    assert "pytest" not in versions


def test_the_tests_of_security_run_on_the_lowest_versions_and_on_the_newest_python() -> None:
    for runs in (lowest_tests._TESTS, newest._TESTS):
        assert "tests/security" in runs
        assert not [each for each in runs if each.startswith("--ignore") and "security" in each]
    assert "tests/codegen/test_user_templates.py" in lowest_tests._TESTS, "which need the lowest Jinja2"


@pytest.mark.parametrize("required", ["", "1"])
def test_a_check_of_a_download_is_not_left_out_where_every_program_must_be_there(
    required: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MICRO_REQUIRE_SERVERS", required)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    outcome = pytest.fail.Exception if required else pytest.skip.Exception
    with pytest.raises(outcome, match="there is no Go"):
        test_a_go_module_whose_checksum_is_another_is_not_built(tmp_path, monkeypatch)
    with pytest.raises(outcome, match="there is no Java or no Maven"):
        test_maven_checks_what_it_downloads(tmp_path, monkeypatch)


def test_go_modules_that_are_downloaded_have_checksums() -> None:
    modules = [
        ("consul", f"github.com/hashicorp/consul v{obtain.CONSUL}"),
        ("etcd", f"go.etcd.io/etcd/server/v3 v{obtain.ETCD}"),
        *((name, f"{tool.module} {tool.version}") for name, tool in TOOLS.items()),
    ]
    for name, required in modules:
        folder = ROOT / "tests" / "servers" / "go" / name
        assert required in (folder / "go.mod").read_text()
        assert f"{required} h1:" in (folder / "go.sum").read_text()


def test_a_go_module_whose_checksum_is_another_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("go") is None:
        missing("there is no Go")
    monkeypatch.setenv("MICRO_SERVER_CACHE", str(tmp_path / "cache"))
    package = ("google.golang.org/protobuf", "v1.36.6", "google.golang.org/protobuf/cmd/protoc-gen-go")
    forged = tmp_path / "go" / "protoc-gen-go"
    shutil.copytree(ROOT / "tests" / "servers" / "go" / "protoc-gen-go", forged)
    monkeypatch.setattr(obtain, "_GO_MODULES", forged.parent)
    sums = (forged / "go.sum").read_text()
    (forged / "go.sum").write_text(re.sub("h1:....", "h1:AAAA", sums))
    with pytest.raises(Unobtainable, match="module-auth"):
        obtain.go_tool(*package, say=lambda _: None)
    (forged / "go.sum").write_text("")
    with pytest.raises(Unobtainable, match=r"go (mod download|get)"):
        obtain.go_tool(*package, say=lambda _: None)


def test_maven_checks_what_it_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("java") is None or shutil.which("mvn") is None:
        missing("there is no Java or no Maven")
    commands: list[list[str]] = []

    def refuse(what: str, command: list[str | Path], *_: object, **__: object) -> None:
        commands.append([str(each) for each in command])
        raise Unobtainable(what)

    monkeypatch.setenv("MICRO_SERVER_CACHE", str(tmp_path))
    monkeypatch.setattr(obtain, "run", refuse)
    with pytest.raises(Unobtainable):
        obtain.kafka(lambda _: None)
    assert ["-C" in command or "--strict-checksums" in command for command in commands] == [True]
