"""The plugin: a ``CodeGeneratorRequest`` comes in, a ``CodeGeneratorResponse`` goes out.

What only one of the ways through here needs is imported there: loading it is most of what a run costs.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

__all__ = ["main", "run"]


def main(arguments: list[str] | None = None) -> int:
    """Runs the plugin as protoc and buf do, or answers ``--version`` or ``--include``.

    Args:
        arguments: the command line; that of the process when None.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments:
        return _answer(arguments)
    from protoc_gen_micro.run.generate import answer

    sys.stdout.buffer.write(answer(sys.stdin.buffer.read()))
    sys.stdout.buffer.flush()
    return 0


def run() -> NoReturn:
    """Runs ``main`` as a process that does nothing else, and ends it."""
    # A run is short and makes almost no cycles: looking for them takes up to a tenth of its time.
    gc.disable()
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would free each object first, which takes another tenth.
    os._exit(code)


_USAGE = """\
protoc-gen-micro is a plugin: protoc and buf run it.

  protoc --micro_out=. greeter.proto     write Python beside greeter.proto
  protoc-gen-micro --version             print the version
  protoc-gen-micro --include             print the folder to give to protoc -I for micro_rt/annotations.proto

Without protoc: micro-rt generate greeter.proto
"""


def _answer(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from importlib.metadata import version

        print(f"protoc-gen-micro {version('micro-rt')}")
        return 0
    if arguments == ["--include"]:
        print(include_folder())
        return 0
    print(_USAGE, end="", file=sys.stdout if arguments in (["-h"], ["--help"]) else sys.stderr)
    return 0 if arguments in (["-h"], ["--help"]) else 2


def include_folder() -> str:
    """Returns the import root that holds ``micro_rt/annotations.proto``."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("micro_rt")
    if spec is None or spec.origin is None:
        raise SystemExit("micro_rt is not installed beside protoc-gen-micro: pip install micro-rt")
    return str(Path(spec.origin).parent.parent)


if __name__ == "__main__":
    run()
