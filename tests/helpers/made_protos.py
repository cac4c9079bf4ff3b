"""Services whose .proto files are made in the test, each with a pool of its own; and reflection that says what a test wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from google.protobuf import any_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

import micro_rt as micro
from micro_rt.handler import Handler
from micro_rt.method import Kind, Method, ServiceInfo
from micro_rt.reflection.handler import Reflection, ReflectionAlphaHandler, ReflectionHandler
from micro_rt.reflection.reflection_pb2 import (
    ErrorResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)

__all__ = [
    "Answer",
    "ScriptedReflection",
    "alpha_reflection",
    "error",
    "files",
    "services",
    "shop_file",
    "shop_handler",
]

Answer = Callable[[ServerReflectionRequest], ServerReflectionResponse | None]
"""What reflection answers; None to end the stream."""


def shop_file(
    fields: Sequence[str], methods: Sequence[str] = ("Buy",), name: str = "shop.proto"
) -> FileDescriptorProto:
    """Returns a file whose service ``shop.Shop`` has unary methods that take and return a ``shop.Item``.

    Args:
        fields: names of the message's fields, all of them text.
        methods: names of the methods.
        name: of the file.
    """
    file = FileDescriptorProto(name=name, package="shop", syntax="proto3")
    message = file.message_type.add(name="Item")
    text, single = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.LABEL_OPTIONAL
    for number, field in enumerate(fields, 1):
        message.field.add(name=field, number=number, type=text, label=single)
    service = file.service.add(name="Shop")
    for method in methods:
        service.method.add(name=method, input_type=".shop.Item", output_type=".shop.Item")
    return file


def shop_handler(file: FileDescriptorProto, target: str = "shop") -> Handler:
    """Returns a handler of ``shop.Shop`` that answers with what it was asked.

    Args:
        file: as ``shop_file`` returns it.
        target: the name to register.
    """
    pool = DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    kind = GetMessageClass(pool.FindMessageTypeByName("shop.Item"))
    names = [method.name for method in file.service[0].method]
    methods = tuple(Method("shop.Shop", name, name.lower(), Kind.UNARY, kind, kind) for name in names)

    async def answer(_: Any, request: Any, context: micro.Context) -> Any:
        return request

    members = {"_info_": ServiceInfo("shop.Shop", target, methods), **{name.lower(): answer for name in names}}
    made: Handler = type("Shop", (Handler,), members)()
    return made


class ScriptedReflection(Handler):
    """Answers reflection v1 as a test says, and remembers what it was asked."""

    _info_ = ReflectionHandler._info_  # pyright: ignore[reportPrivateUsage]

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.streams = 0
        self.asked: list[ServerReflectionRequest] = []

    async def server_reflection_info(
        self, requests: AsyncIterator[ServerReflectionRequest], context: micro.Context
    ) -> AsyncIterator[ServerReflectionResponse]:
        """Answers each request."""
        self.streams += 1
        async for request in requests:
            self.asked.append(request)
            reply = self.answer(request)
            if reply is None:
                return
            yield reply


def alpha_reflection(*handlers: Handler) -> Handler:
    """Returns a handler of reflection v1alpha alone."""
    infos = [handler._info_ for handler in handlers]  # pyright: ignore[reportPrivateUsage]
    return ReflectionAlphaHandler(Reflection(lambda: infos))


def files(*sent: FileDescriptorProto | bytes) -> ServerReflectionResponse:
    """Returns an answer with files."""
    data = [each if isinstance(each, bytes) else each.SerializeToString() for each in sent]
    return ServerReflectionResponse(file_descriptor_response=FileDescriptorResponse(file_descriptor_proto=data))


def services(*names: str) -> ServerReflectionResponse:
    """Returns an answer with the names of services."""
    listed = ListServiceResponse(service=[ServiceResponse(name=name) for name in names])
    return ServerReflectionResponse(list_services_response=listed)


def error(code: micro.Code, text: str) -> ServerReflectionResponse:
    """Returns an answer with an error."""
    return ServerReflectionResponse(error_response=ErrorResponse(error_code=code, error_message=text))
