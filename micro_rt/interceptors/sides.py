"""The bases of interceptors for one side, generic in the messages of the calls that they are for.

class Audit(micro.ServerInterceptor[HelloRequest, HelloReply]):
    async def unary(
        self, request: HelloRequest, call: micro.Context, proceed: micro.UnaryNext[HelloRequest, HelloReply]
    ) -> HelloReply:
        reply = await proceed(request, call)
        print(call.peer, request.name)
        return reply

Without messages, ``class Audit(micro.ServerInterceptor)``, they are ``Any``: one interceptor is often for many methods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic

from micro_rt.context import ClientCall, Context
from micro_rt.events.context import EventContext, Publishing
from micro_rt.events.publisher import Published
from micro_rt.interceptor import (
    ClientSide,
    EventNext,
    PublishNext,
    ReplyT,
    RequestT,
    ServerSide,
    StreamNext,
    UnaryNext,
)

__all__ = ["ClientInterceptor", "ServerInterceptor"]


class _OfMessages(Generic[RequestT, ReplyT]):
    """Is generic in the messages of calls; those that are left out are ``Any``, on each Python."""

    if not TYPE_CHECKING:  # Before Python 3.13, a TypeVar has no default at run time.

        def __class_getitem__(cls, messages: Any) -> Any:
            given = messages if isinstance(messages, tuple) else (messages,)
            return super().__class_getitem__((*given, *[Any] * (len(cls.__parameters__) - len(given))))


class ServerInterceptor(ServerSide, _OfMessages[RequestT, ReplyT], Generic[RequestT, ReplyT]):
    """An interceptor for the calls that a service serves, and the events that it handles; passes everything through.

    It belongs in ``interceptors=`` of ``micro.Service``, ``service.handle()`` and ``service.subscribe()``.
    """

    _only_passes_ = True

    async def unary(self, request: RequestT, call: Context, proceed: UnaryNext[RequestT, ReplyT]) -> ReplyT:
        """Runs around a unary call.

        Args:
            request: the request message.
            call: what is known of the call.
            proceed: the rest of the call.

        Returns:
            The reply message.
        """
        return await proceed(request, call)

    def stream(
        self, requests: AsyncIterator[RequestT], call: Context, proceed: StreamNext[RequestT, ReplyT]
    ) -> AsyncIterator[ReplyT]:
        """Runs around a call of any streaming kind; usually overridden as an async generator.

        Args:
            requests: the request messages; exactly one if the client does not stream.
            call: what is known of the call.
            proceed: the rest of the call.

        Returns:
            The reply messages; exactly one if the server does not stream.
        """
        return proceed(requests, call)

    async def event(self, event: Any, context: EventContext, proceed: EventNext) -> None:
        """Runs around the handling of an event, once for each attempt.

        Args:
            event: the message; None for a tombstone.
            context: what is known of it.
            proceed: the rest of handling; what it raises is a failure of the attempt.
        """
        await proceed(event, context)


class ClientInterceptor(ClientSide, _OfMessages[RequestT, ReplyT], Generic[RequestT, ReplyT]):
    """An interceptor for the calls that clients make, and the events that publishers publish; passes everything through.

    It belongs in ``client_interceptors=`` of ``micro.Service``, and in ``interceptors=`` of a client or of a publisher.
    """

    _only_passes_ = True

    async def unary(self, request: RequestT, call: ClientCall, proceed: UnaryNext[RequestT, ReplyT]) -> ReplyT:
        """Runs around a unary call, and around all of its attempts.

        Args:
            request: the request message.
            call: what is known of the call; its metadata, deadline and target can be changed.
            proceed: the rest of the call.

        Returns:
            The reply message.
        """
        return await proceed(request, call)

    def stream(
        self, requests: AsyncIterator[RequestT], call: ClientCall, proceed: StreamNext[RequestT, ReplyT]
    ) -> AsyncIterator[ReplyT]:
        """Runs around a call of any streaming kind; usually overridden as an async generator.

        Args:
            requests: the request messages; exactly one if the client does not stream.
            call: what is known of the call; its metadata, deadline and target can be changed.
            proceed: the rest of the call.

        Returns:
            The reply messages; exactly one if the server does not stream.
        """
        return proceed(requests, call)

    async def publish(self, event: Any, publishing: Publishing, proceed: PublishNext) -> Published:
        """Runs around an event that is published.

        Args:
            event: the message; None for a tombstone.
            publishing: what is known of it; its headers can be changed.
            proceed: the rest of publishing.

        Returns:
            Where it is.
        """
        published: Published = await proceed(event, publishing)
        return published
