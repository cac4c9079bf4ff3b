"""Calls whose messages are dicts, as users hold them.

Rules:

- A call begins at its first use. The time that descriptors take is part of its timeout.
- A call is made once. What it is, unary or a stream, is known when the descriptors are; a wrong use of it says how to use it.
- A request that does not fit never reaches a server: the error names the field.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any, TypeAlias, cast

from google.protobuf import json_format

from micro_rt.client.bound import LONGEST_TIMEOUT, check_timeout
from micro_rt.context import CallInfo, current_context
from micro_rt.dynamic.given import Descriptors
from micro_rt.dynamic.targets import Found, Targets
from micro_rt.errors import DeadlineExceeded, Error, Internal, InvalidArgument
from micro_rt.interceptor import close
from micro_rt.metadata import MetadataLike
from micro_rt.method import Kind, Method
from micro_rt.text import printable

__all__ = ["DynamicCall", "Requests", "dynamic_call"]

Requests: TypeAlias = Mapping[str, Any] | Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]
"""The request of a dynamic call, or its requests if the client streams."""

_NAME = re.compile(r"/?([!-.0-~]+)/([!-.0-~]+)").fullmatch
"""A full name of a service, and a method; neither has blanks or a slash."""

_LONGEST = 300
"""Characters that the text of an error shows of what protobuf says."""


class DynamicCall:
    """A call without generated code, made by ``service.call``.

        reply = await service.call("greeter", "greeter.Greeter/SayHello", {"name": "Ada"})

        async for number in service.call("lab", "lab.Lab/Count", {"value": 3}):
            ...

    It is awaited if its method has one reply, and iterated if replies are a stream. Leaving the loop early cancels the call. Replies
    are dicts in protobuf's JSON mapping: keys in camelCase, enums by name, ``bytes`` in base64, 64-bit integers as text. Fields that
    are not set are left out. A reply of ``google.protobuf`` is what the mapping makes of it, such as text for a ``StringValue``.
    """

    __slots__ = (
        "_begun",
        "_descriptors",
        "_info",
        "_metadata",
        "_name",
        "_request",
        "_service",
        "_target",
        "_targets",
        "_timeout",
    )

    def __init__(
        self,
        targets: Targets,
        target: str,
        service: str,
        name: str,
        request: Requests | None,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
        descriptors: Descriptors | None,
    ) -> None:
        self._targets = targets
        self._target = target
        self._service = service
        self._name = name
        self._request = request
        self._timeout = timeout
        self._metadata = metadata
        self._info = info
        self._descriptors = descriptors
        self._begun = False

    def __repr__(self) -> str:
        return f"<DynamicCall {self._service}/{self._name} of {self._target!r}>"

    def __await__(self) -> Generator[Any, None, dict[str, Any]]:
        return self._reply().__await__()

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return _Replies(self._open)

    async def method(self) -> Method[Any, Any]:
        """Returns the method, whose ``kind`` says how the call is used; asks the target if it is not known. Does not begin the call.

        Raises:
            Error: the target cannot be asked, or there is no such method.
        """
        return (await self._find(self._deadline())).method

    async def _reply(self) -> dict[str, Any]:
        found, timeout = await self._begin(streams=False)
        arguments = timeout, self._metadata, self._info
        if found.method.kind.client_streams:
            requests = _each(found, cast("Iterable[Any]", self._request))
            return _dict(found, await found.stub.collect(found.method, requests, *arguments))
        request = self._message(found)
        return _dict(found, await found.stub.unary(found.method, request, *arguments))

    async def _open(self) -> tuple[Found, AsyncIterator[Any]]:
        """Begins a call whose replies are a stream."""
        found, timeout = await self._begin(streams=True)
        streams = found.method.kind.client_streams
        requests = _each(found, cast("Iterable[Any]", self._request)) if streams else self._message(found)
        return found, aiter(found.stub.stream(found.method, requests, timeout, self._metadata, self._info))

    async def _begin(self, *, streams: bool) -> tuple[Found, float | None]:
        """Returns what it takes to make the call, and the seconds that are left of its own timeout.

        Raises:
            RuntimeError: the call was made already.
            TypeError: it is used the wrong way round, or its request is of a wrong kind.
        """
        if self._begun:
            raise RuntimeError("this call was made already; make a new one")
        self._begun = True
        began = asyncio.get_running_loop().time()
        found = await self._find(self._deadline())
        kind = found.method.kind
        if kind.server_streams is not streams:
            raise TypeError(self._misuse(kind))
        request = self._request
        if kind.client_streams:
            fits = isinstance(request, AsyncIterable | Iterable) and not isinstance(request, Mapping | str | bytes)
        else:
            fits = isinstance(request, Mapping | None) or _is_well_known(found.method.request_type)
        if not fits:
            raise TypeError(self._misuse(kind))
        if self._timeout is None:
            return found, None
        return found, max(0.0, self._timeout - (asyncio.get_running_loop().time() - began))

    def _deadline(self) -> float | None:
        """Returns when the descriptors must be there: the earlier of the call's own deadline and that of what is served here."""
        serving = current_context.get()
        deadline = serving.deadline if serving is not None else None
        timeout = self._targets.timeout if self._timeout is None else self._timeout
        if timeout is not None and timeout < LONGEST_TIMEOUT:
            own = asyncio.get_running_loop().time() + timeout
            deadline = own if deadline is None else min(own, deadline)
        return deadline

    async def _find(self, deadline: float | None) -> Found:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._targets.find(self._target, self._service, self._name, self._descriptors)
        except Error:
            raise
        except TimeoutError:
            problem = f"the deadline passed while {self._target!r} was asked for its descriptors"
            error = DeadlineExceeded(problem, id="micro.deadline", may_have_run=False)
            error.outgoing = True
            raise error from None

    def _message(self, found: Found) -> Any:
        """Returns the only request as a message."""
        if self._request is None:
            return found.method.request_type()
        return _message(found, self._request, f"the request of {found.method.path}", may_have_run=False)

    def _misuse(self, kind: Kind) -> str:
        request = "[{...}, {...}]" if kind.client_streams else "{...}"
        call = f"service.call({self._target!r}, '{self._service}/{self._name}', {request})"
        how = f"async for reply in {call}" if kind.server_streams else f"reply = await {call}"
        takes = "an iterable of requests, async or not" if kind.client_streams else "one request, which is a mapping"
        return f"{self._service}/{self._name} is {kind.value} and takes {takes}: {how}"


def dynamic_call(
    targets: Targets,
    target: str,
    method: str,
    request: Requests | None,
    timeout: float | None,
    metadata: MetadataLike | None,
    info: CallInfo | None,
    descriptors: Descriptors | None,
) -> DynamicCall:
    """Returns a call that begins at its first use; for the arguments see ``Service.call``.

    Raises:
        TypeError: an argument is of a wrong kind.
        InvalidArgument: the method is not the name of one.
        ValueError: the timeout is NaN.
    """
    if not isinstance(cast("object", target), str) or not target:
        raise TypeError(f"target={target!r}: it is the name of a service to look up, such as 'greeter'")
    if not isinstance(cast("object", method), str):
        raise TypeError(f"method={method!r}: it is text such as 'greeter.Greeter/SayHello'")
    match = _NAME(method)
    if match is None:
        problem = f"'{printable(method, 200)}' is not the name of a method, such as 'greeter.Greeter/SayHello'"
        raise InvalidArgument(problem, may_have_run=False)
    timeout = None if timeout is None else check_timeout(timeout)
    return DynamicCall(targets, target, match[1], match[2], request, timeout, metadata, info, descriptors)


class _Replies(AsyncIterator[dict[str, Any]]):
    """The replies of one loop. When the loop drops it, it drops the replies of the stream, and they cancel the call."""

    __slots__ = ("_open", "_opened")

    def __init__(self, opening: Callable[[], Awaitable[tuple[Found, AsyncIterator[Any]]]]) -> None:
        self._open = opening
        self._opened: tuple[Found, AsyncIterator[Any]] | None = None

    async def __anext__(self) -> dict[str, Any]:
        if self._opened is None:
            self._opened = await self._open()
        found, replies = self._opened
        reply = await anext(replies)
        try:
            return _dict(found, reply)
        except Error:
            await close(replies)
            raise

    async def aclose(self) -> None:
        """Ends the call, if it is not over."""
        if self._opened is not None:
            await close(self._opened[1])


async def _each(found: Found, requests: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    """Yields requests as messages, and closes an async generator that they come from."""
    number = 0
    try:
        if isinstance(requests, AsyncIterable):
            async for request in requests:
                number += 1
                yield _message(found, request, f"request {number} of {found.method.path}", may_have_run=True)
        else:
            for request in requests:
                number += 1
                yield _message(found, request, f"request {number} of {found.method.path}", may_have_run=True)
    finally:
        await close(requests)


def _message(found: Found, request: Any, which: str, *, may_have_run: bool) -> Any:
    """Returns a request as a message.

    Raises:
        InvalidArgument: it does not fit the message; the text names the field.
    """
    kind = found.method.request_type
    problem = f"it is a mapping, not {type(request).__name__}"
    if isinstance(request, Mapping) or _is_well_known(kind):
        try:
            return json_format.ParseDict(cast("Any", request), kind(), descriptor_pool=found.pool)
        except Exception as error:  # What protobuf raises depends on what is wrong.
            problem = printable(" ".join(str(error).split()), _LONGEST) or type(error).__name__
    raise InvalidArgument(
        f"{which} does not fit {kind.DESCRIPTOR.full_name}: {problem}",
        id="micro.bad_request",
        may_have_run=may_have_run,
    )


def _is_well_known(kind: type[Any]) -> bool:
    """Returns whether the JSON of a message may be another value than an object, as that of a ``Timestamp``."""
    name: str = kind.DESCRIPTOR.full_name
    return name.startswith("google.protobuf.")


def _dict(found: Found, reply: Any) -> dict[str, Any]:
    """Returns a reply as a dict.

    Raises:
        Internal: it has no JSON form: the type of what is in an ``Any`` is not known, for one.
    """
    try:
        return json_format.MessageToDict(reply, descriptor_pool=found.pool)
    except Exception as error:  # What protobuf raises depends on what is wrong.
        problem = printable(" ".join(str(error).split()), _LONGEST)
    failure = Internal(f"the reply of {found.method.path} has no JSON form: {problem}", id="micro.no_json")
    failure.outgoing = True
    raise failure
