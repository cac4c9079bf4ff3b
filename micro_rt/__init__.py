"""Microservices from .proto files: the runtime that generated stubs bind to."""

from micro_rt.client.streams import BidiStreamCall, ClientStreamCall, Messages, ServerStreamCall
from micro_rt.client.stub import Client
from micro_rt.config.config import Config
from micro_rt.config.live import ConfigChange, Live
from micro_rt.config.secret import Secret
from micro_rt.context import Call, CallInfo, ClientCall, Context, detached
from micro_rt.dynamic.calls import DynamicCall
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
from micro_rt.event import Event, EventsInfo
from micro_rt.events.context import EventContext, Publishing
from micro_rt.events.dead_letter import DeadLetter
from micro_rt.events.delivery import PartitionStatus
from micro_rt.events.publisher import HeadersLike, NotAllPublished, Published, Publisher
from micro_rt.events.replay import replay
from micro_rt.events.subscriber import Subscriber
from micro_rt.events.subscription import EventSubscription
from micro_rt.fence import Fence, Fenced
from micro_rt.handler import Handler, Requests
from micro_rt.health.state import Health
from micro_rt.interceptor import EventNext, Interceptor, InterceptorsByMethod, PublishNext, StreamNext, UnaryNext
from micro_rt.interceptors.add_metadata import AddMetadata
from micro_rt.interceptors.rate_limit import RateLimit
from micro_rt.interceptors.recovery import Recovery
from micro_rt.interceptors.sides import ClientInterceptor, ServerInterceptor
from micro_rt.metadata import Metadata, MetadataLike, MetadataValue
from micro_rt.method import (
    AuthPolicy,
    Idempotency,
    Kind,
    LimitPolicy,
    Method,
    Policy,
    RetryPolicy,
    ServiceInfo,
    deprecated,
)
from micro_rt.node import Node, NodeFilter
from micro_rt.service.service import Lifespan, Service
from micro_rt.service.typed_store import TypedChange, TypedPage, TypedRecord, TypedStore, TypedWatch
from micro_rt.store.base import KEEP, Change, ChangeKind, Keep, NotAllWritten, Record, Stale, VersionConflict
from micro_rt.store.store import Page, Store
from micro_rt.store.watch import StoreWatch
from micro_rt.sync.base import LockLost, LockTimeout
from micro_rt.sync.held import Lock, Permit, Term
from micro_rt.sync.sync import Leader, Sync
from micro_rt.telemetry.access_log import AccessLog
from micro_rt.telemetry.timing import Timed, Timing
from micro_rt.transport.limits import Limits
from micro_rt.transport.tls import Tls
from micro_rt.version import require_version

__all__ = [
    "KEEP",
    "Aborted",
    "AccessLog",
    "AddMetadata",
    "AlreadyExists",
    "AuthPolicy",
    "BidiStreamCall",
    "Call",
    "CallInfo",
    "Cancelled",
    "Change",
    "ChangeKind",
    "Client",
    "ClientCall",
    "ClientInterceptor",
    "ClientStreamCall",
    "Code",
    "Config",
    "ConfigChange",
    "Context",
    "DataLoss",
    "DeadLetter",
    "DeadlineExceeded",
    "DynamicCall",
    "EndOfStream",
    "Error",
    "Event",
    "EventContext",
    "EventNext",
    "EventSubscription",
    "EventsInfo",
    "FailedPrecondition",
    "Fence",
    "Fenced",
    "Handler",
    "HeadersLike",
    "Health",
    "Idempotency",
    "Interceptor",
    "InterceptorsByMethod",
    "Internal",
    "InvalidArgument",
    "Keep",
    "Kind",
    "Leader",
    "Lifespan",
    "LimitPolicy",
    "Limits",
    "Live",
    "Lock",
    "LockLost",
    "LockTimeout",
    "Messages",
    "Metadata",
    "MetadataLike",
    "MetadataValue",
    "Method",
    "Node",
    "NodeFilter",
    "NotAllPublished",
    "NotAllWritten",
    "NotFound",
    "OutOfRange",
    "Page",
    "PartitionStatus",
    "Permit",
    "PermissionDenied",
    "Policy",
    "PublishNext",
    "Published",
    "Publisher",
    "Publishing",
    "RateLimit",
    "Record",
    "Recovery",
    "Requests",
    "ResourceExhausted",
    "RetryPolicy",
    "Secret",
    "ServerInterceptor",
    "ServerStreamCall",
    "Service",
    "ServiceInfo",
    "Stale",
    "Store",
    "StoreWatch",
    "StreamNext",
    "Subscriber",
    "Sync",
    "Term",
    "Timed",
    "Timing",
    "Tls",
    "TypedChange",
    "TypedPage",
    "TypedRecord",
    "TypedStore",
    "TypedWatch",
    "UnaryNext",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "VersionConflict",
    "deprecated",
    "detached",
    "replay",
    "require_version",
]
