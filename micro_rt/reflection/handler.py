"""The handlers of ``grpc.reflection.v1`` and ``v1alpha`` (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md).

Rules:

- A request that cannot be answered gets an error as its answer, and the stream goes on.
- A client gets a file and its transitive imports. What was sent on a stream is not sent again on it, but for the file that
  the client asks for.
- What a client sends is bounded before it is looked at, and escaped in the text of an error. The field ``original_request`` of an
  answer has the request as it came, as the protocol says.
- A stream ends when the server stops, so that a tool that stays connected does not hold up the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from micro_rt.context import Context
from micro_rt.errors import Code
from micro_rt.handler import Handler
from micro_rt.kit.tasks import unless
from micro_rt.method import Kind, Method, ServiceInfo
from micro_rt.reflection.files import find
from micro_rt.reflection.index import Index
from micro_rt.reflection.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from micro_rt.text import printable

__all__ = ["LARGEST_REQUEST", "Reflection", "ReflectionAlphaHandler", "ReflectionHandler"]

LARGEST_REQUEST = 8 * 1024
"""Bytes of a request that is answered. No name in a .proto file comes near it."""

_SHOWN = 200
"""Characters of a client's name that the text of an error shows."""


class Reflection:
    """Answers requests for what is served.

    Args:
        services: returns the services that are served. It is called with each request, and may return more of them later.
    """

    def __init__(self, services: Callable[[], Sequence[ServiceInfo]]) -> None:
        self._services = services
        self._index: Index | None = None
        self._known = 0
        """How many services there were when the index was made."""

    def answer(self, request: ServerReflectionRequest, sent: set[str]) -> ServerReflectionResponse:
        """Returns the answer to a request.

        Args:
            request: from a client.
            sent: the paths of files that were sent on the stream. What the answer has is added.
        """
        size = request.ByteSize()
        if size > LARGEST_REQUEST:
            problem = f"the request has {size} bytes, and at most {LARGEST_REQUEST} are read"
            return ServerReflectionResponse(error_response=_error(Code.INVALID_ARGUMENT, problem))
        reply = ServerReflectionResponse(valid_host=request.host, original_request=request)
        index = self._current()
        kind = request.WhichOneof("message_request")
        if kind == "file_by_filename":
            path = request.file_by_filename
            self._file(reply, index.file(path), f"there is no file {_shown(path)} here", sent)
        elif kind == "file_containing_symbol":
            name = request.file_containing_symbol
            self._file(reply, index.symbol(name), _unknown_symbol(index, name), sent)
        elif kind == "file_containing_extension":
            asked = request.file_containing_extension
            problem = f"there is no extension {asked.extension_number} of {_shown(asked.containing_type)} here"
            self._file(reply, index.extension(asked.containing_type, asked.extension_number), problem, sent)
        elif kind == "all_extension_numbers_of_type":
            name = request.all_extension_numbers_of_type
            numbers = index.numbers(name)
            if numbers is None:
                reply.error_response.CopyFrom(_error(Code.NOT_FOUND, f"there is no message {_shown(name)} here"))
            else:
                found = ExtensionNumberResponse(base_type_name=name, extension_number=numbers)
                reply.all_extension_numbers_response.CopyFrom(found)
        elif kind == "list_services":
            listed = [ServiceResponse(name=name) for name in index.services]
            reply.list_services_response.CopyFrom(ListServiceResponse(service=listed))
        else:
            problem = "the request asks for nothing that this server knows"
            reply.error_response.CopyFrom(_error(Code.UNIMPLEMENTED, problem))
        return reply

    def _current(self) -> Index:
        services = self._services()
        if self._index is None or self._known != len(services):
            self._index, self._known = Index(find(services)), len(services)
        return self._index

    def _file(self, reply: ServerReflectionResponse, path: str | None, problem: str, sent: set[str]) -> None:
        """Puts a file and its imports into an answer, or what is wrong if there is no such file."""
        if path is None:
            reply.error_response.CopyFrom(_error(Code.NOT_FOUND, problem))
        else:
            files = self._current().with_imports(path, sent)
            reply.file_descriptor_response.CopyFrom(FileDescriptorResponse(file_descriptor_proto=files))


class _Answers(Handler):
    """Answers on streams, whichever version of the protocol a client speaks.

    Args:
        reflection: what answers.
    """

    def __init__(self, reflection: Reflection) -> None:
        self._reflection = reflection

    async def server_reflection_info(
        self, requests: AsyncIterator[ServerReflectionRequest], context: Context
    ) -> AsyncIterator[ServerReflectionResponse]:
        """Answers each request, in their order; ends when the server stops."""
        sent: set[str] = set()
        while True:
            asking = await unless(context.until_draining(), anext(requests, None))
            request = None if asking.cancelled() else asking.result()
            if request is None:
                return
            yield self._reflection.answer(request, sent)


def _info(package: str) -> ServiceInfo:
    name = f"{package}.ServerReflection"
    info = Method(
        name,
        "ServerReflectionInfo",
        "server_reflection_info",
        Kind.BIDI_STREAM,
        ServerReflectionRequest,
        ServerReflectionResponse,
    )
    return ServiceInfo(name, package, (info,))


class ReflectionHandler(_Answers):
    """Serves ``grpc.reflection.v1.ServerReflection``."""

    _info_ = _info("grpc.reflection.v1")


class ReflectionAlphaHandler(_Answers):
    """Serves ``grpc.reflection.v1alpha.ServerReflection``, which older tools ask."""

    _info_ = _info("grpc.reflection.v1alpha")


def _unknown_symbol(index: Index, name: str) -> str:
    reason = index.reasons.get(name)
    return f"{_shown(name)} is served, but {reason}" if reason else f"there is no symbol {_shown(name)} here"


def _error(code: Code, problem: str) -> ErrorResponse:
    return ErrorResponse(error_code=code, error_message=problem)


def _shown(name: str) -> str:
    return f"'{printable(name, _SHOWN)}'"
