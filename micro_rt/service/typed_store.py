"""``TypedStore``: the records of a store as messages of one type. It is here because it needs two parts: the store and a codec."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, overload

from micro_rt.codec.base import Codec
from micro_rt.codec.proto import ProtoCodec
from micro_rt.errors import DataLoss
from micro_rt.fence import Fence, Fenced
from micro_rt.store.base import KEEP, Change, ChangeKind, Keep, NotAllWritten, Record
from micro_rt.store.checks import check_key, check_text
from micro_rt.store.store import Store
from micro_rt.store.watch import StoreWatch

__all__ = ["TypedChange", "TypedPage", "TypedRecord", "TypedStore", "TypedWatch"]

MessageT = TypeVar("MessageT")


@dataclass(frozen=True, slots=True)
class TypedRecord(Generic[MessageT]):
    """A record whose value is a message."""

    key: str
    """Without the prefix of its store."""
    value: MessageT
    version: int
    """Grows with each write of the key, and no other write of the store has it."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    expires: datetime | None = None
    """When it expires, in UTC; None if it does not."""


@dataclass(frozen=True, slots=True)
class TypedChange(Generic[MessageT]):
    """One item of a watch; see ``Change``."""

    kind: ChangeKind
    key: str = ""
    record: TypedRecord[MessageT] | None = None
    """The record of a PUT; None otherwise."""
    version: int = 0
    position: str = ""


@dataclass(frozen=True, slots=True)
class TypedPage(Generic[MessageT]):
    """Some records of a list, and where the next page begins."""

    records: tuple[TypedRecord[MessageT], ...]
    cursor: str
    """What to pass for the next page; empty if this is the last one."""


class TypedStore(Generic[MessageT]):
    """The records under a prefix, as messages of one type: ``TypedStore(service.store, Order, prefix="orders/")``.

    Its methods are those of ``Store``, with messages for values and keys without the prefix. Records under the prefix that are no
    such message raise ``DataLoss``, which names the key.

    Args:
        store: where they are: ``service.store``.
        message_type: the generated class, of whichever dialect.
        prefix: of their keys. End it with a character that keys of others do not continue, such as ``/``.
        codec: how messages become bytes; protobuf's binary encoding if not given.
    """

    def __init__(
        self, store: Store, message_type: type[MessageT], *, prefix: str = "", codec: Codec | None = None
    ) -> None:
        check_text(prefix, "prefix")
        used = codec or ProtoCodec()
        self._store = store
        self._type = message_type
        self._prefix = prefix
        try:
            self._encode: Callable[[Any], bytes] = used.encoder(message_type)
            self._decode: Callable[[bytes], Any] = used.decoder(message_type)
        except AttributeError:
            raise TypeError(f"TypedStore stores messages of a generated class, and {message_type!r} is none") from None

    async def read(self, key: str, *, timeout: float | None = None) -> TypedRecord[MessageT]:
        """Returns a record.

        Raises:
            NotFound: no record has this key, or it has expired.
        """
        return self._typed(await self._store.read(self._key(key), timeout=timeout))

    async def read_many(self, keys: Iterable[str], *, timeout: float | None = None) -> dict[str, TypedRecord[MessageT]]:
        """Returns the records of several keys by key, without those that do not exist."""
        if isinstance(keys, str):
            raise TypeError("read_many() takes several keys, such as a list, not one text")
        found = await self._store.read_many([self._key(key) for key in keys], timeout=timeout)
        return {key.removeprefix(self._prefix): self._typed(record) for key, record in found.items()}

    async def list(
        self, prefix: str = "", *, suffix: str = "", after: str = "", timeout: float | None = None
    ) -> AsyncGenerator[TypedRecord[MessageT]]:
        """Yields records in the order of their keys, in constant memory; see ``Store.list``."""
        behind = self._prefix + after if after else ""
        async for record in self._store.list(self._prefix + prefix, suffix=suffix, after=behind, timeout=timeout):
            yield self._typed(record)

    async def page(
        self, prefix: str = "", *, suffix: str = "", cursor: str = "", limit: int = 100, timeout: float | None = None
    ) -> TypedPage[MessageT]:
        """Returns some records in the order of their keys, and the cursor of the next page; see ``Store.page``."""
        place = self._prefix + prefix
        page = await self._store.page(place, suffix=suffix, cursor=cursor, limit=limit, timeout=timeout)
        return TypedPage(tuple(self._typed(record) for record in page.records), page.cursor)

    def watch(self, prefix: str = "", *, since: str | None = None, initial: bool = False) -> TypedWatch[MessageT]:
        """Watches the records under a prefix; see ``Store.watch``."""
        return TypedWatch(self._store.watch(self._prefix + prefix, since=since, initial=initial), self._typed_change)

    async def write(
        self,
        key: str,
        value: MessageT,
        *,
        metadata: Mapping[str, str] | Keep | None = None,
        ttl: float | Keep | None = None,
        if_version: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> int:
        """Writes a record, and returns its new version; see ``Store.write``."""
        data = self._encoded(value)
        return await self._store.write(
            self._key(key), data, metadata=metadata, ttl=ttl, if_version=if_version, fence=fence, timeout=timeout
        )

    async def write_many(
        self,
        values: Mapping[str, MessageT],
        *,
        metadata: Mapping[str, str] | Keep | None = None,
        ttl: float | Keep | None = None,
        if_versions: Mapping[str, int] | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> dict[str, int]:
        """Writes several records, each for itself; returns their new versions; see ``Store.write_many``."""
        prefix = self._prefix
        versions = None if if_versions is None else {self._key(key): each for key, each in if_versions.items()}
        data = {self._key(key): self._encoded(value) for key, value in values.items()}
        try:
            written = await self._store.write_many(
                data, metadata=metadata, ttl=ttl, if_versions=versions, fence=fence, timeout=timeout
            )
        except NotAllWritten as error:
            error.outcomes = {key.removeprefix(prefix): outcome for key, outcome in error.outcomes.items()}
            raise
        return {key.removeprefix(prefix): version for key, version in written.items()}

    async def delete(
        self,
        key: str,
        *,
        if_version: int | None = None,
        fence: Fence | Fenced | None = None,
        timeout: float | None = None,
    ) -> bool:
        """Deletes a record; returns whether there was one; see ``Store.delete``."""
        return await self._store.delete(self._key(key), if_version=if_version, fence=fence, timeout=timeout)

    @overload
    async def update(
        self,
        key: str,
        change: Callable[[MessageT | None], MessageT],
        *,
        metadata: Mapping[str, str] | Keep | None = KEEP,
        ttl: float | Keep | None = KEEP,
        fence: Fence | Fenced | None = None,
        attempts: int = 10,
        timeout: float | None = None,
    ) -> TypedRecord[MessageT]: ...
    @overload
    async def update(
        self,
        key: str,
        change: Callable[[MessageT | None], MessageT | None],
        *,
        metadata: Mapping[str, str] | Keep | None = KEEP,
        ttl: float | Keep | None = KEEP,
        fence: Fence | Fenced | None = None,
        attempts: int = 10,
        timeout: float | None = None,
    ) -> TypedRecord[MessageT] | None: ...
    async def update(
        self,
        key: str,
        change: Callable[[MessageT | None], MessageT | None],
        *,
        metadata: Mapping[str, str] | Keep | None = KEEP,
        ttl: float | Keep | None = KEEP,
        fence: Fence | Fenced | None = None,
        attempts: int = 10,
        timeout: float | None = None,
    ) -> TypedRecord[MessageT] | None:
        """Reads a message, changes it, and writes it unless somebody else has written it meanwhile; see ``Store.update``.

        Args:
            key: of the record.
            change: returns the new message for a message, or for None if there is no record; None to leave all as it is. It may
                change the message that it is given. It may be called several times, and must have no other effects.
            metadata: of the new record; what it has already, by default.
            ttl: seconds until it expires; its expiry stays as it is, by default.
            fence: of the lock under which it is written, or the lock itself.
            attempts: how many times it is tried at most.
            timeout: seconds that all attempts may take together.
        """

        def changed(record: Record | None) -> bytes | None:
            value = change(None if record is None else self._typed(record).value)
            return None if value is None else self._encoded(value)

        record = await self._store.update(
            self._key(key), changed, metadata=metadata, ttl=ttl, fence=fence, attempts=attempts, timeout=timeout
        )
        return None if record is None else self._typed(record)

    def _key(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _encoded(self, value: MessageT) -> bytes:
        if not isinstance(value, self._type):
            raise TypeError(f"this store holds {self._type.__name__}, not {type(value).__name__}")
        return self._encode(value)

    def _typed(self, record: Record) -> TypedRecord[MessageT]:
        try:
            value: MessageT = self._decode(record.value)
        except ValueError as error:
            raise DataLoss(f"record {record.key!r}: {error}") from None
        key = record.key.removeprefix(self._prefix)
        return TypedRecord(key, value, record.version, record.metadata, record.expires)

    def _typed_change(self, change: Change) -> TypedChange[MessageT]:
        record = None if change.record is None else self._typed(change.record)
        key = change.key.removeprefix(self._prefix)
        return TypedChange(change.kind, key, record, change.version, change.position)


class TypedWatch(AsyncIterator[TypedChange[MessageT]]):
    """The changes of records, as messages: ``async with orders.watch() as changes: async for change in changes: …``."""

    def __init__(self, watch: StoreWatch, typed: Callable[[Change], TypedChange[MessageT]]) -> None:
        self._watch = watch
        self._typed = typed

    async def __aenter__(self) -> Self:
        await self._watch.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._watch.__aexit__(kind, error, trace)

    async def __anext__(self) -> TypedChange[MessageT]:
        return self._typed(await anext(self._watch))
