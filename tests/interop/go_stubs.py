"""Writes the Go stubs of the tests and of examples/mesh anew, with protoc-gen-go and go-micro's own generator.

python -m tests.interop.go_stubs
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers.obtain import go_tool

ROOT = Path(__file__).parent.parent.parent

STUBS = {
    "tests/protos/mesh.proto": "tests/interop/go_micro/mesh",
    "examples/mesh/greeter.proto": "examples/mesh/go/greeter",
}
"""Where each .proto's stubs are."""

EVENTS = {"tests/protos/shop.proto": "shop", "micro_rt/annotations.proto": "annotations"}
"""The folder of each .proto of the module of events; events need no more than the messages."""
_EVENTS_FOLDER = "tests/interop/go_micro_events"


def main() -> None:
    go = go_tool("google.golang.org/protobuf", "v1.36.6", "google.golang.org/protobuf/cmd/protoc-gen-go")
    micro = go_tool("github.com/micro/micro/v5", "v5.8.0", "github.com/micro/micro/v5/cmd/protoc-gen-micro")
    protoc = Path(sys.executable).with_name("protoc")
    for proto, folder in STUBS.items():
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
        plugins = [f"--plugin=protoc-gen-go={go}", f"--plugin=protoc-gen-micro={micro}"]
        outputs = [
            option
            for plugin in ("go", "micro")
            for option in (f"--{plugin}_out={folder}", f"--{plugin}_opt=paths=source_relative")
        ]
        subprocess.run(
            [protoc, "-I", Path(proto).parent, *plugins, *outputs, proto],
            check=True,
            cwd=ROOT,
        )
        print(folder)
    module = f"micro-rt/{_EVENTS_FOLDER}"
    names = {proto.removeprefix("tests/protos/"): package for proto, package in EVENTS.items()}
    options = [f"--go_opt=module={module}", *(f"--go_opt=M{name}={module}/{names[name]}" for name in names)]
    outputs = [f"--plugin=protoc-gen-go={go}", f"--go_out={_EVENTS_FOLDER}", *options]
    subprocess.run([protoc, "-I", "tests/protos", "-I", ".", *outputs, *names], check=True, cwd=ROOT)
    print(_EVENTS_FOLDER)


if __name__ == "__main__":
    main()
