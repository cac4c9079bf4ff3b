"""The source of configuration ``etcd://host:2379/app``: the keys below a folder, read at one revision and watched.

- A read is linearizable and of one revision, so it has all of a transaction or nothing of it. It comes in pages, so that a folder that
  is too large is noticed before it is read.
- Changes come from a ``Mirror``, with the rules that registries keep: nothing is missed when the stream is lost, the history is
  compacted, the token has expired, or the store is another one.
- Every ``REPAIR`` seconds, everything is read and compared, whatever was reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from micro_rt.backends.etcd.address import DEFAULT_PORT, EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient, prefix_end
from micro_rt.backends.etcd.engine import EtcdEngine, shared_engine
from micro_rt.backends.etcd.messages_pb2 import KeyValue, RangeRequest
from micro_rt.backends.etcd.mirror import Mirror
from micro_rt.config import keys
from micro_rt.config.base import MAX_SIZE, MAX_VALUES, Reading, Source
from micro_rt.config.keys import reading_of_keys, split_folder
from micro_rt.config.reports import Reports
from micro_rt.errors import Error, FailedPrecondition, OutOfRange, Unavailable
from micro_rt.kit.address import flag
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger

__all__ = ["EtcdConfig"]

PAGE = 200
"""Keys in one answer."""
ATTEMPTS = 5
"""How often a read is begun whose revision is compacted before it ends."""
RETRY = (0.1, 5.0)
"""Seconds between two tries to begin the watch: the first and the longest wait, of which a random part is taken."""

_log = logger("micro_rt.etcd")


class EtcdConfig(Source):
    """Reads settings from etcd: the key ``app/limits/rps`` below the folder ``app`` is the setting ``limits.rps``.

    Values are texts, which are converted to the type that is asked for.

    Args:
        address: ``"etcd://host:2379,host2:2379/app"``, with a user before the hosts and options after the folder;
            docs/etcd.md lists them. Keys that begin with a slash are below ``"etcd://host//app"``.

    Raises:
        ValueError: it is no such address.
    """

    text = True

    def __init__(self, address: str) -> None:
        problem = f"an etcd address of a configuration looks like etcd://host:{DEFAULT_PORT}/app, where app is a folder of keys"
        where, self._folder = split_folder(address, problem)
        self._address = EtcdAddress.parse(where, options=("optional", "secret"))
        self.optional = self._flag("optional")
        self.secret = self._flag("secret")
        self._shared = shared_engine(self._address)
        self._engine: EtcdEngine | None = None
        self._reports = Reports()
        self._tasks = TaskSet[None]()

    @property
    def name(self) -> str:
        """Its address, without user and options."""
        return f"etcd://{','.join(self._address.endpoints)}/{self._folder.removesuffix('/')}"

    async def open(self) -> None:
        """Connects, and looks whether it may read.

        Raises:
            Unavailable: no member can be reached.
            Unauthenticated: the user is not known, or there must be one.
            PermissionDenied: the user may not read the keys.
            FailedPrecondition: TLS cannot be set up.
        """
        engine = await self._shared.acquire()
        try:
            await self._look(engine)
        except BaseException:
            await self._shared.release()
            raise
        self._engine = engine

    async def close(self) -> None:
        """Ends every watch and disconnects."""
        self._reports.end()
        await self._tasks.end()
        if self._engine is not None:
            self._engine = None
            await self._shared.release()

    async def read(self) -> Reading:
        """Returns what all keys of the folder say at one revision.

        Raises:
            Unavailable: no member answers within the address's ``timeout``.
            PermissionDenied: the user may not read the keys.
            FailedPrecondition: a value is not a text, a key is inside of another that has a value, or there is too much.
        """
        client = self._opened().client
        for _ in range(ATTEMPTS):
            try:
                return reading_of_keys(self._folder, await self._pairs(client), self.name)
            except OutOfRange:
                continue  # The revision was compacted before all pages of it were read.
        raise Unavailable(f"{self.name}: its history is compacted again and again while it is read")

    def watch(self) -> AsyncIterator[None]:
        """Gives an item when it begins, after each change, and every 10 minutes."""
        engine = self._opened()
        if not self._tasks:
            self._tasks.start(self._follow(engine), name=f"watch {self.name}")
        return self._reports.watch()

    async def _pairs(self, client: EtcdClient) -> list[tuple[bytes, bytes]]:
        """Reads all keys and values, page by page, at the revision of the first page."""
        begin = self._folder.encode()
        request = RangeRequest(key=begin, range_end=prefix_end(begin), limit=PAGE)
        pairs: list[tuple[bytes, bytes]] = []
        size = 0
        while True:
            reply = await client.range(request)
            pairs += ((bytes(kv.key), bytes(kv.value)) for kv in reply.kvs)
            size += sum(len(kv.key) + len(kv.value) for kv in reply.kvs)
            if len(reply.kvs) < PAGE or len(pairs) > MAX_VALUES or size > MAX_SIZE:
                return pairs  # If there is too much, whoever makes settings of it refuses it.
            request.key = pairs[-1][0] + b"\0"
            request.revision = request.revision or reply.header.revision

    def _opened(self) -> EtcdEngine:
        if self._engine is None:
            raise FailedPrecondition(f"the source {self.name} is not open")
        return self._engine

    async def _look(self, engine: EtcdEngine) -> None:
        """Reads one key. If the folder is empty, logs the name of a similar folder that has keys."""
        if await self._has_keys(engine, self._folder):
            return
        other = self._folder.removeprefix("/") if self._folder.startswith("/") else f"/{self._folder}"
        try:
            found = await self._has_keys(engine, other)
        except Error:
            return  # It may not be read, which is no problem.
        if found:
            _log.warning(
                "%s has no keys, but there are keys below %s: write %s to read those",
                self.name,
                other,
                f"etcd://{','.join(self._address.endpoints)}/{other.removesuffix('/')}",
            )

    async def _has_keys(self, engine: EtcdEngine, folder: str) -> bool:
        prefix = folder.encode()
        request = RangeRequest(key=prefix, range_end=prefix_end(prefix), limit=1, keys_only=True)
        return bool((await engine.client.range(request)).kvs)

    async def _follow(self, engine: EtcdEngine) -> None:
        mirror = Mirror[None](engine.client, self._folder.encode(), _nothing, self._reports.changed, keys_only=True)
        retry = Backoff(*RETRY, jitter=0.5)
        while True:
            try:
                await mirror.read()
                break
            except Error as error:
                if not retry.failures:
                    _log.warning("cannot watch %s yet, and will try again: %s", self.name, error.message)
                await asyncio.sleep(retry.failed())
        engine.mirrors.add(mirror)
        try:
            while True:
                self._reports.changed()
                await asyncio.sleep(keys.REPAIR)
        finally:
            engine.mirrors.remove(mirror)

    def _flag(self, name: str) -> bool:
        text = dict(self._address.options).get(name, "false")
        try:
            return flag(text)
        except ValueError:
            raise ValueError(f"{self.name}: {name}= is true or false") from None


def _nothing(_: KeyValue) -> None:
    """What a mirror keeps of a value here: the read that follows takes it from the store."""
