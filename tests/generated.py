"""Writes the generated files that are committed, or checks that they are what the generator writes today.

python -m tests.generated [--check]
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from micro_rt.cli.main import main as micro_rt

ROOT = Path(__file__).parent.parent

# Where .proto files are, with the folder that their imports are relative to.
TREES = {
    "micro_rt": ROOT,
    "tests/protos": ROOT / "tests" / "protos",
    "benchmarks/protos": ROOT / "benchmarks" / "protos",
}


def main() -> int:
    """Returns 1 if a committed file differs, after naming it."""
    check = "--check" in sys.argv[1:]
    differing = 0
    for folder, base in TREES.items():
        protos = sorted(str(path) for path in (ROOT / folder).rglob("*.proto"))
        if not protos:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            out = Path(temporary) if check else base
            with redirect_stdout(None if check else sys.stdout):
                failed = micro_rt(["generate", "-I", str(base), "--out", str(out), *protos])
            if failed:
                return 1
            if check:
                for path in sorted(out.rglob("*.py*")):
                    committed = base / path.relative_to(out)
                    if not committed.exists() or committed.read_bytes() != path.read_bytes():
                        print(f"{committed.relative_to(ROOT)} is not what the generator writes: run `make generate`")
                        differing += 1
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
