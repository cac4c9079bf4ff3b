"""The standard details of errors: ``raise micro.InvalidArgument("…", details=[BadRequest(…)])``.

They are the messages of google/rpc/error_details.proto, and programs in other languages read them as such
(https://google.aip.dev/193). Classes that another package has of them work as well.
"""

from micro_rt.details_pb2 import (
    BadRequest,
    DebugInfo,
    ErrorInfo,
    Help,
    LocalizedMessage,
    PreconditionFailure,
    QuotaFailure,
    RequestInfo,
    ResourceInfo,
    RetryInfo,
)

__all__ = [
    "BadRequest",
    "DebugInfo",
    "ErrorInfo",
    "Help",
    "LocalizedMessage",
    "PreconditionFailure",
    "QuotaFailure",
    "RequestInfo",
    "ResourceInfo",
    "RetryInfo",
]
