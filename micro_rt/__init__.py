"""Microservices from .proto files: the runtime that generated stubs bind to."""

from micro_rt.client import BidiStreamCall, Client, ClientStreamCall, Messages, RetryPolicy, ServerStreamCall
from micro_rt.context import Call, CallInfo, ClientCall, Context
from micro_rt.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    Code,
    DataLoss,
    DeadlineExceeded,
    EndOfStream,
    Error,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
)
from micro_rt.interceptor import Interceptor, StreamNext, UnaryNext
from micro_rt.metadata import Metadata, MetadataLike
from micro_rt.method import Idempotency, Kind, Method, ServiceInfo
from micro_rt.server import Handler
from micro_rt.service import Service
