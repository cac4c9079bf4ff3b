"""Writes the generated files that are committed, or checks that they are what the generator writes today.

python -m tests.generated [--check]
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from micro_rt.cli.generate import generate

ROOT = Path(__file__).parent.parent

# Where .proto files are, with the folder that their imports are relative to.
TREES = {
    "micro_rt": ROOT,
    "tests/protos": ROOT / "tests" / "protos",
    "benchmarks/protos": ROOT / "benchmarks" / "protos",
}
# Files whose descriptors must not be in the process: only stubs are made from them.
STUBS_ONLY = {"micro_rt/backends/etcd/services.proto"}


def without_version(text: str) -> str:
    """Returns a generated file without the version of the plugin in its header: a release changes nothing else in it."""
    return re.sub(r"^(# plugin: protoc-gen-micro) \S+$", r"\1 VERSION", text, count=1, flags=re.MULTILINE)


def main() -> int:
    """Returns 1 if a committed file differs in more than the version of the plugin, after naming it."""
    check = "--check" in sys.argv[1:]
    differing = 0
    for folder, base in TREES.items():
        protos = sorted((ROOT / folder).rglob("*.proto"))
        if not protos:
            continue
        stubs_only = [path for path in protos if path.relative_to(ROOT).as_posix() in STUBS_ONLY]
        whole = [path for path in protos if path not in stubs_only]
        with tempfile.TemporaryDirectory() as temporary:
            out = Path(temporary) if check else base
            runtime = folder == "micro_rt"
            # The temporary folder does not show that the committed one is a package.
            options = "package=." if (base / "__init__.py").exists() else ""
            written = generate(whole, [base], out, options, runtime=runtime)
            if stubs_only:
                written += generate(stubs_only, [base], out, "messages=none", runtime=runtime)
            if not check:
                print(*written, sep="\n")
            else:
                for path in sorted(written):
                    committed = base / path.relative_to(out)
                    if not committed.exists() or not _same(committed, path):
                        print(f"{committed.relative_to(ROOT)} is not what the generator writes: run `make generate`")
                        differing += 1
    return 1 if differing else 0


def _same(committed: Path, written: Path) -> bool:
    return without_version(committed.read_bytes().decode()) == without_version(written.read_bytes().decode())


if __name__ == "__main__":
    sys.exit(main())
