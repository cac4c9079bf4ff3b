"""Messages of micro_rt/backends/etcd/messages.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "AuthenticateRequest",
    "AuthenticateResponse",
    "CompactionRequest",
    "CompactionResponse",
    "Compare",
    "DeleteRangeRequest",
    "DeleteRangeResponse",
    "Event",
    "KeyValue",
    "LeaseGrantRequest",
    "LeaseGrantResponse",
    "LeaseKeepAliveRequest",
    "LeaseKeepAliveResponse",
    "LeaseRevokeRequest",
    "LeaseRevokeResponse",
    "LeaseTimeToLiveRequest",
    "LeaseTimeToLiveResponse",
    "Member",
    "MemberListRequest",
    "MemberListResponse",
    "PutRequest",
    "PutResponse",
    "RangeRequest",
    "RangeResponse",
    "RequestOp",
    "ResponseHeader",
    "ResponseOp",
    "TxnRequest",
    "TxnResponse",
    "WatchCancelRequest",
    "WatchCreateRequest",
    "WatchProgressRequest",
    "WatchRequest",
    "WatchResponse",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class ResponseHeader(_message.Message):
    """What every answer begins with."""

    cluster_id: int
    member_id: int
    revision: int
    """Of the store, when the answer was made."""
    raft_term: int

    def __init__(
        self,
        *,
        cluster_id: int | None = ...,
        member_id: int | None = ...,
        revision: int | None = ...,
        raft_term: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["cluster_id", "member_id", "revision", "raft_term"]) -> None: ...

    CLUSTER_ID_FIELD_NUMBER: _typing.Final = 1
    MEMBER_ID_FIELD_NUMBER: _typing.Final = 2
    REVISION_FIELD_NUMBER: _typing.Final = 3
    RAFT_TERM_FIELD_NUMBER: _typing.Final = 4

@_typing.final
class KeyValue(_message.Message):
    """A key with its value, and what the store knows of it."""

    key: bytes
    create_revision: int
    mod_revision: int
    """Of the last change."""
    version: int
    """Changes since the key was made."""
    value: bytes
    lease: int
    """That the key goes with; 0 if none."""

    def __init__(
        self,
        *,
        key: bytes | None = ...,
        create_revision: int | None = ...,
        mod_revision: int | None = ...,
        version: int | None = ...,
        value: bytes | None = ...,
        lease: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(
        self, field_name: _typing.Literal["key", "create_revision", "mod_revision", "version", "value", "lease"]
    ) -> None: ...

    KEY_FIELD_NUMBER: _typing.Final = 1
    CREATE_REVISION_FIELD_NUMBER: _typing.Final = 2
    MOD_REVISION_FIELD_NUMBER: _typing.Final = 3
    VERSION_FIELD_NUMBER: _typing.Final = 4
    VALUE_FIELD_NUMBER: _typing.Final = 5
    LEASE_FIELD_NUMBER: _typing.Final = 6

@_typing.final
class Event(_message.Message):
    """A change of one key."""

    type: Event.EventType
    @property
    def kv(self) -> KeyValue:
        """Of a deleted key, only the key and the revision."""

    def __init__(self, *, type: Event.EventType | None = ..., kv: KeyValue | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["kv"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["type", "kv"]) -> None: ...

    TYPE_FIELD_NUMBER: _typing.Final = 1
    KV_FIELD_NUMBER: _typing.Final = 2

    class EventType(int, metaclass=_enums.EnumTypeWrapper):
        PUT: _typing.ClassVar[Event.EventType]
        DELETE: _typing.ClassVar[Event.EventType]

        @classmethod
        def Value(cls, name: str) -> Event.EventType: ...
        @classmethod
        def values(cls) -> list[Event.EventType]: ...
        @classmethod
        def items(cls) -> list[tuple[str, Event.EventType]]: ...

    PUT: _typing.ClassVar[Event.EventType]
    DELETE: _typing.ClassVar[Event.EventType]

@_typing.final
class RangeRequest(_message.Message):
    key: bytes
    range_end: bytes
    """The first key that is not meant; empty for one key alone."""
    limit: int
    revision: int
    """To look at the past; 0 for the present."""
    keys_only: bool

    def __init__(
        self,
        *,
        key: bytes | None = ...,
        range_end: bytes | None = ...,
        limit: int | None = ...,
        revision: int | None = ...,
        keys_only: bool | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["key", "range_end", "limit", "revision", "keys_only"]) -> None: ...

    KEY_FIELD_NUMBER: _typing.Final = 1
    RANGE_END_FIELD_NUMBER: _typing.Final = 2
    LIMIT_FIELD_NUMBER: _typing.Final = 3
    REVISION_FIELD_NUMBER: _typing.Final = 4
    KEYS_ONLY_FIELD_NUMBER: _typing.Final = 8

@_typing.final
class RangeResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def kvs(self) -> _containers.RepeatedCompositeFieldContainer[KeyValue]: ...
    more: bool
    count: int

    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        kvs: _abc.Iterable[KeyValue] | None = ...,
        more: bool | None = ...,
        count: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "kvs", "more", "count"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    KVS_FIELD_NUMBER: _typing.Final = 2
    MORE_FIELD_NUMBER: _typing.Final = 3
    COUNT_FIELD_NUMBER: _typing.Final = 4

@_typing.final
class PutRequest(_message.Message):
    key: bytes
    value: bytes
    lease: int

    def __init__(self, *, key: bytes | None = ..., value: bytes | None = ..., lease: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["key", "value", "lease"]) -> None: ...

    KEY_FIELD_NUMBER: _typing.Final = 1
    VALUE_FIELD_NUMBER: _typing.Final = 2
    LEASE_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class PutResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class DeleteRangeRequest(_message.Message):
    key: bytes
    range_end: bytes

    def __init__(self, *, key: bytes | None = ..., range_end: bytes | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["key", "range_end"]) -> None: ...

    KEY_FIELD_NUMBER: _typing.Final = 1
    RANGE_END_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class DeleteRangeResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    deleted: int

    def __init__(self, *, header: ResponseHeader | None = ..., deleted: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "deleted"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    DELETED_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class RequestOp(_message.Message):
    """One operation of a transaction."""

    @property
    def request_range(self) -> RangeRequest: ...
    @property
    def request_put(self) -> PutRequest: ...
    @property
    def request_delete_range(self) -> DeleteRangeRequest: ...
    def __init__(
        self,
        *,
        request_range: RangeRequest | None = ...,
        request_put: PutRequest | None = ...,
        request_delete_range: DeleteRangeRequest | None = ...,
    ) -> None: ...
    def HasField(
        self, field_name: _typing.Literal["request_range", "request_put", "request_delete_range", "request"]
    ) -> bool: ...
    def ClearField(
        self, field_name: _typing.Literal["request_range", "request_put", "request_delete_range", "request"]
    ) -> None: ...
    def WhichOneof(
        self, oneof_group: _typing.Literal["request"]
    ) -> _typing.Literal["request_range", "request_put", "request_delete_range"] | None: ...

    REQUEST_RANGE_FIELD_NUMBER: _typing.Final = 1
    REQUEST_PUT_FIELD_NUMBER: _typing.Final = 2
    REQUEST_DELETE_RANGE_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class ResponseOp(_message.Message):
    @property
    def response_range(self) -> RangeResponse: ...
    @property
    def response_put(self) -> PutResponse: ...
    @property
    def response_delete_range(self) -> DeleteRangeResponse: ...
    def __init__(
        self,
        *,
        response_range: RangeResponse | None = ...,
        response_put: PutResponse | None = ...,
        response_delete_range: DeleteRangeResponse | None = ...,
    ) -> None: ...
    def HasField(
        self, field_name: _typing.Literal["response_range", "response_put", "response_delete_range", "response"]
    ) -> bool: ...
    def ClearField(
        self, field_name: _typing.Literal["response_range", "response_put", "response_delete_range", "response"]
    ) -> None: ...
    def WhichOneof(
        self, oneof_group: _typing.Literal["response"]
    ) -> _typing.Literal["response_range", "response_put", "response_delete_range"] | None: ...

    RESPONSE_RANGE_FIELD_NUMBER: _typing.Final = 1
    RESPONSE_PUT_FIELD_NUMBER: _typing.Final = 2
    RESPONSE_DELETE_RANGE_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class Compare(_message.Message):
    """A condition of a transaction. A key that does not exist counts as one with zeros everywhere."""

    result: Compare.CompareResult
    target: Compare.CompareTarget
    key: bytes
    version: int
    create_revision: int
    mod_revision: int
    value: bytes
    lease: int

    def __init__(
        self,
        *,
        result: Compare.CompareResult | None = ...,
        target: Compare.CompareTarget | None = ...,
        key: bytes | None = ...,
        version: int | None = ...,
        create_revision: int | None = ...,
        mod_revision: int | None = ...,
        value: bytes | None = ...,
        lease: int | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: _typing.Literal["version", "create_revision", "mod_revision", "value", "lease", "target_union"],
    ) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "result", "target", "key", "version", "create_revision", "mod_revision", "value", "lease", "target_union"
        ],
    ) -> None: ...
    def WhichOneof(
        self, oneof_group: _typing.Literal["target_union"]
    ) -> _typing.Literal["version", "create_revision", "mod_revision", "value", "lease"] | None: ...

    RESULT_FIELD_NUMBER: _typing.Final = 1
    TARGET_FIELD_NUMBER: _typing.Final = 2
    KEY_FIELD_NUMBER: _typing.Final = 3
    VERSION_FIELD_NUMBER: _typing.Final = 4
    CREATE_REVISION_FIELD_NUMBER: _typing.Final = 5
    MOD_REVISION_FIELD_NUMBER: _typing.Final = 6
    VALUE_FIELD_NUMBER: _typing.Final = 7
    LEASE_FIELD_NUMBER: _typing.Final = 8

    class CompareResult(int, metaclass=_enums.EnumTypeWrapper):
        EQUAL: _typing.ClassVar[Compare.CompareResult]
        GREATER: _typing.ClassVar[Compare.CompareResult]
        LESS: _typing.ClassVar[Compare.CompareResult]
        NOT_EQUAL: _typing.ClassVar[Compare.CompareResult]

        @classmethod
        def Value(cls, name: str) -> Compare.CompareResult: ...
        @classmethod
        def values(cls) -> list[Compare.CompareResult]: ...
        @classmethod
        def items(cls) -> list[tuple[str, Compare.CompareResult]]: ...

    EQUAL: _typing.ClassVar[Compare.CompareResult]
    GREATER: _typing.ClassVar[Compare.CompareResult]
    LESS: _typing.ClassVar[Compare.CompareResult]
    NOT_EQUAL: _typing.ClassVar[Compare.CompareResult]

    class CompareTarget(int, metaclass=_enums.EnumTypeWrapper):
        VERSION: _typing.ClassVar[Compare.CompareTarget]
        CREATE: _typing.ClassVar[Compare.CompareTarget]
        MOD: _typing.ClassVar[Compare.CompareTarget]
        VALUE: _typing.ClassVar[Compare.CompareTarget]
        LEASE: _typing.ClassVar[Compare.CompareTarget]

        @classmethod
        def Value(cls, name: str) -> Compare.CompareTarget: ...
        @classmethod
        def values(cls) -> list[Compare.CompareTarget]: ...
        @classmethod
        def items(cls) -> list[tuple[str, Compare.CompareTarget]]: ...

    VERSION: _typing.ClassVar[Compare.CompareTarget]
    CREATE: _typing.ClassVar[Compare.CompareTarget]
    MOD: _typing.ClassVar[Compare.CompareTarget]
    VALUE: _typing.ClassVar[Compare.CompareTarget]
    LEASE: _typing.ClassVar[Compare.CompareTarget]

@_typing.final
class TxnRequest(_message.Message):
    @property
    def compare(self) -> _containers.RepeatedCompositeFieldContainer[Compare]: ...
    @property
    def success(self) -> _containers.RepeatedCompositeFieldContainer[RequestOp]: ...
    @property
    def failure(self) -> _containers.RepeatedCompositeFieldContainer[RequestOp]: ...
    def __init__(
        self,
        *,
        compare: _abc.Iterable[Compare] | None = ...,
        success: _abc.Iterable[RequestOp] | None = ...,
        failure: _abc.Iterable[RequestOp] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["compare", "success", "failure"]) -> None: ...

    COMPARE_FIELD_NUMBER: _typing.Final = 1
    SUCCESS_FIELD_NUMBER: _typing.Final = 2
    FAILURE_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class TxnResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    succeeded: bool
    @property
    def responses(self) -> _containers.RepeatedCompositeFieldContainer[ResponseOp]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        succeeded: bool | None = ...,
        responses: _abc.Iterable[ResponseOp] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "succeeded", "responses"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    SUCCEEDED_FIELD_NUMBER: _typing.Final = 2
    RESPONSES_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class CompactionRequest(_message.Message):
    revision: int
    physical: bool

    def __init__(self, *, revision: int | None = ..., physical: bool | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["revision", "physical"]) -> None: ...

    REVISION_FIELD_NUMBER: _typing.Final = 1
    PHYSICAL_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class CompactionResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class WatchRequest(_message.Message):
    @property
    def create_request(self) -> WatchCreateRequest: ...
    @property
    def cancel_request(self) -> WatchCancelRequest: ...
    @property
    def progress_request(self) -> WatchProgressRequest: ...
    def __init__(
        self,
        *,
        create_request: WatchCreateRequest | None = ...,
        cancel_request: WatchCancelRequest | None = ...,
        progress_request: WatchProgressRequest | None = ...,
    ) -> None: ...
    def HasField(
        self, field_name: _typing.Literal["create_request", "cancel_request", "progress_request", "request_union"]
    ) -> bool: ...
    def ClearField(
        self, field_name: _typing.Literal["create_request", "cancel_request", "progress_request", "request_union"]
    ) -> None: ...
    def WhichOneof(
        self, oneof_group: _typing.Literal["request_union"]
    ) -> _typing.Literal["create_request", "cancel_request", "progress_request"] | None: ...

    CREATE_REQUEST_FIELD_NUMBER: _typing.Final = 1
    CANCEL_REQUEST_FIELD_NUMBER: _typing.Final = 2
    PROGRESS_REQUEST_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class WatchCreateRequest(_message.Message):
    key: bytes
    range_end: bytes
    start_revision: int
    watch_id: int
    """Chosen by the client, unique on its stream."""

    def __init__(
        self,
        *,
        key: bytes | None = ...,
        range_end: bytes | None = ...,
        start_revision: int | None = ...,
        watch_id: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["key", "range_end", "start_revision", "watch_id"]) -> None: ...

    KEY_FIELD_NUMBER: _typing.Final = 1
    RANGE_END_FIELD_NUMBER: _typing.Final = 2
    START_REVISION_FIELD_NUMBER: _typing.Final = 3
    WATCH_ID_FIELD_NUMBER: _typing.Final = 7

@_typing.final
class WatchCancelRequest(_message.Message):
    watch_id: int

    def __init__(self, *, watch_id: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["watch_id"]) -> None: ...

    WATCH_ID_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class WatchProgressRequest(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class WatchResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    watch_id: int
    """-1 if all of the stream are meant."""
    created: bool
    canceled: bool
    compact_revision: int
    """The first revision that can still be watched from, if the one asked for is gone."""
    cancel_reason: str
    @property
    def events(self) -> _containers.RepeatedCompositeFieldContainer[Event]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        watch_id: int | None = ...,
        created: bool | None = ...,
        canceled: bool | None = ...,
        compact_revision: int | None = ...,
        cancel_reason: str | None = ...,
        events: _abc.Iterable[Event] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "header", "watch_id", "created", "canceled", "compact_revision", "cancel_reason", "events"
        ],
    ) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    WATCH_ID_FIELD_NUMBER: _typing.Final = 2
    CREATED_FIELD_NUMBER: _typing.Final = 3
    CANCELED_FIELD_NUMBER: _typing.Final = 4
    COMPACT_REVISION_FIELD_NUMBER: _typing.Final = 5
    CANCEL_REASON_FIELD_NUMBER: _typing.Final = 6
    EVENTS_FIELD_NUMBER: _typing.Final = 11

@_typing.final
class LeaseGrantRequest(_message.Message):
    ttl: int
    """Seconds."""
    id: int
    """Chosen by the client; 0 to let the server choose."""

    def __init__(self, *, ttl: int | None = ..., id: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["ttl", "id"]) -> None: ...

    TTL_FIELD_NUMBER: _typing.Final = 1
    ID_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class LeaseGrantResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    id: int
    ttl: int
    """Seconds; what the server made of what was asked for."""

    def __init__(self, *, header: ResponseHeader | None = ..., id: int | None = ..., ttl: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "id", "ttl"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    ID_FIELD_NUMBER: _typing.Final = 2
    TTL_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class LeaseRevokeRequest(_message.Message):
    id: int

    def __init__(self, *, id: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class LeaseRevokeResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class LeaseKeepAliveRequest(_message.Message):
    id: int

    def __init__(self, *, id: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class LeaseKeepAliveResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    id: int
    ttl: int
    """Seconds; 0 if there is no such lease."""

    def __init__(self, *, header: ResponseHeader | None = ..., id: int | None = ..., ttl: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "id", "ttl"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    ID_FIELD_NUMBER: _typing.Final = 2
    TTL_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class LeaseTimeToLiveRequest(_message.Message):
    id: int
    keys: bool
    """Whether to list the keys that go with it."""

    def __init__(self, *, id: int | None = ..., keys: bool | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "keys"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    KEYS_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class LeaseTimeToLiveResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    id: int
    ttl: int
    """Seconds that are left; -1 if there is no such lease."""
    granted_ttl: int
    @property
    def keys(self) -> _containers.RepeatedScalarFieldContainer[bytes]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        id: int | None = ...,
        ttl: int | None = ...,
        granted_ttl: int | None = ...,
        keys: _abc.Iterable[bytes] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "id", "ttl", "granted_ttl", "keys"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    ID_FIELD_NUMBER: _typing.Final = 2
    TTL_FIELD_NUMBER: _typing.Final = 3
    GRANTED_TTL_FIELD_NUMBER: _typing.Final = 4
    KEYS_FIELD_NUMBER: _typing.Final = 5

@_typing.final
class AuthenticateRequest(_message.Message):
    name: str
    password: str

    def __init__(self, *, name: str | None = ..., password: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name", "password"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1
    PASSWORD_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class AuthenticateResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    token: str

    def __init__(self, *, header: ResponseHeader | None = ..., token: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "token"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    TOKEN_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Member(_message.Message):
    """A server of the cluster."""

    id: int
    name: str
    @property
    def peer_urls(self) -> _containers.RepeatedScalarFieldContainer[str]: ...
    @property
    def client_urls(self) -> _containers.RepeatedScalarFieldContainer[str]:
        """Where it tells clients to connect to."""

    def __init__(
        self,
        *,
        id: int | None = ...,
        name: str | None = ...,
        peer_urls: _abc.Iterable[str] | None = ...,
        client_urls: _abc.Iterable[str] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "name", "peer_urls", "client_urls"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    NAME_FIELD_NUMBER: _typing.Final = 2
    PEER_URLS_FIELD_NUMBER: _typing.Final = 3
    CLIENT_URLS_FIELD_NUMBER: _typing.Final = 4

@_typing.final
class MemberListRequest(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class MemberListResponse(_message.Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def members(self) -> _containers.RepeatedCompositeFieldContainer[Member]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., members: _abc.Iterable[Member] | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["header"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["header", "members"]) -> None: ...

    HEADER_FIELD_NUMBER: _typing.Final = 1
    MEMBERS_FIELD_NUMBER: _typing.Final = 2
