"""The .proto files whose modules come with a library, by list: the plugin generates every other file."""

from __future__ import annotations

__all__ = ["BETTERPROTO", "FIRST_RUNTIMES", "MICRO_RT", "NOT_IN_BETTERPROTO", "PROTOBUF", "WELL_KNOWN", "bundled"]

WELL_KNOWN = "google/protobuf"
"""The folder of protobuf's own files."""

BETTERPROTO = frozenset(
    (
        "google/protobuf/any.proto",
        "google/protobuf/api.proto",
        "google/protobuf/compiler/plugin.proto",
        "google/protobuf/descriptor.proto",
        "google/protobuf/duration.proto",
        "google/protobuf/empty.proto",
        "google/protobuf/field_mask.proto",
        "google/protobuf/source_context.proto",
        "google/protobuf/struct.proto",
        "google/protobuf/timestamp.proto",
        "google/protobuf/type.proto",
        "google/protobuf/wrappers.proto",
    )
)
"""The files that ``betterproto.lib.std`` has the classes of."""

NOT_IN_BETTERPROTO = frozenset(
    (
        "FeatureSetEnforceNamingStyle",
        "FeatureSetProtoLimitsFeature",
        "FeatureSetProtoLimitsFeatureEnforceProtoLimits",
        "FeatureSetVisibilityFeature",
        "FeatureSetVisibilityFeatureDefaultSymbolVisibility",
        "SymbolVisibility",
    )
)
"""The messages and enums of those files that ``betterproto.lib.std`` does not have: protobuf added them later."""

FIRST_RUNTIMES = {
    "google/protobuf/json_enumvalue_options.proto": (7, 36),
    "google/protobuf/json_options.proto": (7, 36),
}
"""The files that only newer runtimes of protobuf have a module for, and the version of the first one."""

PROTOBUF = BETTERPROTO | FIRST_RUNTIMES.keys()
"""The files that the official runtime has a module for, in the oldest version that is supported or in a later one."""

MICRO_RT = {
    "micro_rt/annotations.proto": "micro",
    "micro_rt/backends/etcd/messages.proto": "micro.etcd",
    "micro_rt/backends/etcd/services.proto": "etcdserverpb",
    "micro_rt/details.proto": "micro.rpc",
    "micro_rt/health/health.proto": "micro.health",
    "micro_rt/reflection/reflection.proto": "micro.reflection",
    "micro_rt/status.proto": "micro.status",
}
"""The files of micro-rt, and the proto package of each."""


def bundled(path: str) -> bool:
    """Returns whether protobuf's compiler or micro-rt brings a .proto file, so that everybody has it."""
    return path in MICRO_RT or path.startswith(f"{WELL_KNOWN}/")
