"""Metadata that goes with every call of clients, and as headers with every event."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

from micro_rt.context import ClientCall
from micro_rt.errors import InvalidArgument
from micro_rt.events.context import Publishing
from micro_rt.events.publisher import Published, checked_headers
from micro_rt.interceptor import PublishNext, StreamNext, UnaryNext
from micro_rt.interceptors.sides import ClientInterceptor
from micro_rt.metadata import Metadata, MetadataLike

__all__ = ["AddMetadata"]

_Giving: TypeAlias = Callable[[], MetadataLike | Awaitable[MetadataLike]]


class AddMetadata(ClientInterceptor):
    """Adds metadata to the calls of clients, and headers to the events of publishers.

        micro.Service("web", client_interceptors=[micro.AddMetadata({"x-app": "web"})])

        async def token() -> dict[str, str]:
            return {"authorization": f"Bearer {await tokens.current()}"}

        GreeterClient(service, interceptors=[micro.AddMetadata(token)])

    What a call or its client sends under the same key counts alone, and so does metadata that flows from the call being served. Of an
    event, the headers of the event or its publisher count, and not those that flow. Of two ``AddMetadata``, the outer one counts.

    Args:
        metadata: a mapping, or pairs; or a function that gives it, called once for each call and each event, which may be
            ``async``. What the function raises is raised by the call.

    Raises:
        TypeError: it is neither, or a value has the wrong type for its key.
        ValueError: a key or value that cannot travel. If a function gives it, the call ends as ``InvalidArgument``.
    """

    def __init__(self, metadata: MetadataLike | Callable[[], MetadataLike | Awaitable[MetadataLike]]) -> None:
        self._give: _Giving | None = None
        self._fixed = Metadata()
        if callable(metadata):
            self._give = metadata
        else:
            self._fixed = Metadata(metadata)

    async def unary(self, request: Any, call: ClientCall, proceed: UnaryNext) -> Any:
        """Adds metadata to a unary call."""
        call.metadata = call.metadata.completed(await self._given())
        return await proceed(request, call)

    async def stream(self, requests: AsyncIterator[Any], call: ClientCall, proceed: StreamNext) -> AsyncIterator[Any]:
        """Adds metadata to a stream."""
        call.metadata = call.metadata.completed(await self._given())
        async for reply in proceed(requests, call):
            yield reply

    async def publish(self, event: Any, publishing: Publishing, proceed: PublishNext) -> Published:
        """Adds headers to an event."""
        given = await self._given()
        known = {name for name, _ in publishing.headers}
        try:
            added = checked_headers([pair for pair in given.pairs if pair[0] not in known])
        except ValueError as error:
            raise InvalidArgument(f"what micro.AddMetadata adds cannot be sent: {error}", may_have_run=False) from error
        publishing.headers = (*publishing.headers, *added)
        published: Published = await proceed(event, publishing)
        return published

    async def _given(self) -> Metadata:
        """Returns what to add.

        Raises:
            InvalidArgument: the function gave what cannot be sent.
        """
        if self._give is None:
            return self._fixed
        given = self._give()
        if inspect.isawaitable(given):
            given = await given
        try:
            return Metadata(given)
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"what micro.AddMetadata adds cannot be sent: {error}", may_have_run=False) from error
