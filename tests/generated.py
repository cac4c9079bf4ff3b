"""Writes the generated files that are committed, or checks that they are what the generator writes today.

python -m tests.generated [--check]
"""

from __future__ import annotations

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


def main() -> int:
    """Returns 1 if a committed file differs, after naming it."""
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
            written = generate(whole, [base], out, runtime=runtime)
            if stubs_only:
                written += generate(stubs_only, [base], out, "messages=none", runtime=runtime)
            if not check:
                print(*written, sep="\n")
            else:
                for path in sorted(written):
                    committed = base / path.relative_to(out)
                    if not committed.exists() or committed.read_bytes() != path.read_bytes():
                        print(f"{committed.relative_to(ROOT)} is not what the generator writes: run `make generate`")
                        differing += 1
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
