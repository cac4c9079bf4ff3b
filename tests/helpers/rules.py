"""A service whose requests have rules of ``buf.validate``, generated for the tests that need it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from micro_rt.cli.generate import generate

__all__ = ["PROTO", "generated", "write_proto"]

PROTO = """\
syntax = "proto3";
package checked;
import "buf/validate/validate.proto";

message Item {
  string name = 1 [(buf.validate.field).string = {min_len: 1, max_len: 5}];
  Item inside = 2;
}
message Order {
  int32 copies = 1 [(buf.validate.field).int32.lte = 3];
  repeated Item items = 2;
  map<string, Item> by_name = 3 [(buf.validate.field).map.keys.string.max_len = 4];
  map<int32, Item> by_number = 4;
  string reason = 5;
  string code = 6 [(buf.validate.field).string.pattern = "^(a+)+$", (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
  oneof paid {
    option (buf.validate.oneof).required = true;
    string card = 7;
    int32 cash = 8;
  }
  repeated int32 numbers = 9 [(buf.validate.field).repeated.items.int32.gt = 0];
  option (buf.validate.message).cel = {
    id: "order.reason"
    message: "a reason is needed for two copies"
    expression: "this.copies != 2 || this.reason != ''"
  };
}
message Deep { repeated Middle middle = 1; }
message Middle { Deep again = 1; map<string, Item> items = 2; }
message Free { int32 value = 1; Free inside = 2; }
message Divided { int32 by = 1 [(buf.validate.field).cel = {id: "divides", message: "no", expression: "6 / this > 0"}]; }
message Named { string name = 1 [(buf.validate.field).string.pattern = "("]; }
message Broken { repeated Named names = 1; }

service Shop {
  rpc Buy(Order) returns (Free);
  rpc Watch(Order) returns (stream Free);
  rpc Fill(stream Order) returns (Free);
  rpc Talk(stream Order) returns (stream Free);
  rpc Look(Free) returns (Free);
  rpc Dig(Deep) returns (Free);
  rpc Divide(Divided) returns (Free);
}
service BrokenShop {
  rpc Buy(Broken) returns (Free);
}
"""


def write_proto(folder: Path) -> Path:
    """Writes the .proto file into a folder; returns its path."""
    path = folder / "rules_checked.proto"
    path.write_text(PROTO)
    return path


def generated(folder: Path, options: str = "") -> Any:
    """Generates the code in a folder below another one, and returns its names; once per process for protobuf's own messages."""
    package = "rules_checked_better" if options else "rules_checked_official"
    out = folder / package
    out.mkdir()
    (out / "__init__.py").touch()
    generate([write_proto(folder)], [folder], out, options)
    sys.path.append(str(folder))
    try:
        modules: list[ModuleType] = [
            importlib.import_module(f"{package}.rules_checked_{end}") for end in ("pb" if options else "pb2", "micro")
        ]
    finally:
        sys.path.remove(str(folder))
    return SimpleNamespace(**{name: value for module in modules for name, value in vars(module).items()})
