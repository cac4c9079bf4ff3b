"""The source of configuration ``consul://host:8500/app``: the keys of Consul's KV below a folder, read at once and watched.

- Consul answers a read of a folder from one state of its store, so it has all of a transaction or nothing of it.
- Changes come from a blocking query, with the rules that registries keep: an index that goes back begins anew, 0 counts as 1, and
  Consul gets its wait and a sixteenth more. Consul answers queries of its KV from its state, and never from streams, which
  publish a change before it is committed.
- The index moves without a change of a value, when the flags or the lock of a key change. So keys and values are compared.
- Every ``REPAIR`` seconds, everything is read and compared, whatever was reported.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from micro_rt.backends.consul.address import parse_consul_address
from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.http import Answer, list_of
from micro_rt.backends.consul.query import BlockingQuery
from micro_rt.config import keys
from micro_rt.config.base import Reading, Source
from micro_rt.config.keys import reading_of_keys, split_folder
from micro_rt.config.reports import Reports
from micro_rt.errors import Error, FailedPrecondition, PermissionDenied
from micro_rt.kit.address import flag
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import TaskSet

__all__ = ["ConsulConfig"]

_RECURSE = (("recurse", ""),)


class ConsulConfig(Source):
    """Reads settings from Consul's KV: the key ``app/limits/rps`` below the folder ``app`` is the setting ``limits.rps``.

    Values are texts, which are converted to the type that is asked for.

    Args:
        address: ``"consul://host:8500/app"``, with options after the folder; docs/consul.md lists them. Without a host
            (``"consul:///app"``), that in ``CONSUL_HTTP_ADDR``, else 127.0.0.1:8500.

    Raises:
        ValueError: it is no such address.
    """

    text = True

    def __init__(self, address: str) -> None:
        problem = (
            "a Consul address of a configuration looks like consul://127.0.0.1:8500/app, where app is a folder of keys"
        )
        where, self._folder = split_folder(address, problem)
        if self._folder.startswith("/"):
            raise ValueError(f"{problem}; keys of Consul do not begin with a slash")
        self._address, options = parse_consul_address(where)
        self.optional = options.read("optional", flag, False)
        self.secret = options.read("secret", flag, False)
        options.end()
        self._path = f"/v1/kv/{quote(self._folder)}"
        self._shared = Shared(("consul", self._address), lambda: Consul(self._address))
        self._consul: Consul | None = None
        self._reports = Reports()
        self._tasks = TaskSet[None]()

    @property
    def name(self) -> str:
        """Its address, without user and options."""
        return f"consul://{self._address.place}/{self._folder.removesuffix('/')}"

    async def open(self) -> None:
        """Connects.

        Raises:
            Unavailable: Consul does not answer, or has no leader; the message says where it was looked for.
            Unauthenticated: it does not know the token.
            FailedPrecondition: it has no such datacenter or no namespaces, or a TLS file cannot be used.
        """
        self._consul = await self._shared.acquire()

    async def close(self) -> None:
        """Ends every watch and disconnects."""
        self._reports.end()
        await self._tasks.end()
        if self._consul is not None:
            self._consul = None
            await self._shared.release()

    async def read(self) -> Reading:
        """Returns what all keys of the folder say at one moment.

        Raises:
            Unavailable: Consul does not answer within the address's ``timeout``, or has no leader.
            PermissionDenied: the token may not read all keys of the folder.
            FailedPrecondition: a value is not a text, or a key is inside of another that has a value.
        """
        consul = self._opened()
        answer = await consul.get(self._path, _RECURSE)
        self._check(answer)
        with consul.understood():
            pairs = _pairs(answer)
        return reading_of_keys(self._folder, pairs, self.name)

    def watch(self) -> AsyncIterator[None]:
        """Gives an item when it begins, after each change, and every 10 minutes."""
        consul = self._opened()
        if not self._tasks:
            self._tasks.start(self._follow(consul), name=f"watch {self.name}")
            self._tasks.start(self._repair(), name=f"repair {self.name}")
        return self._reports.watch()

    def _opened(self) -> Consul:
        if self._consul is None:
            raise FailedPrecondition(f"the source {self.name} is not open")
        return self._consul

    def _check(self, answer: Answer) -> None:
        if answer.filtered:
            raise PermissionDenied(
                f'{self.name}: the token may not read all keys; give it key_prefix "{self._folder}" {{ policy = "read" }}'
            )

    async def _follow(self, consul: Consul) -> None:
        query = BlockingQuery(consul, self._path, stale=False)
        seen: object = None
        while True:
            try:
                answer = await query.answer(_RECURSE)
                with consul.understood():
                    pairs = _pairs(answer)
            except Error as error:
                if seen != (failed := (error.code, error.message)):
                    seen = failed
                    self._reports.changed()  # Whoever reads gets the error.
                await query.pause(error)
                continue
            content = hashlib.blake2b(repr((pairs, answer.filtered)).encode()).digest()
            if content != seen:
                seen = content
                self._reports.changed()

    async def _repair(self) -> None:
        while True:
            await asyncio.sleep(keys.REPAIR)
            self._reports.changed()


def _pairs(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Returns keys and values of an answer; none if there are no such keys."""
    if not answer.found:
        return []
    entries: list[dict[str, Any]] = list_of(answer.data)
    return [
        (str(each["Key"]).encode(errors="surrogateescape"), base64.b64decode(each["Value"] or "", validate=True))
        for each in entries
    ]
