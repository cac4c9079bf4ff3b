"""Which rules of ``buf.validate`` the requests of a method have.

Rules of a message, of a field and of a oneof are options, under one number. A program need not have imported
``buf.validate.validate_pb2`` to have them: protobuf keeps an option that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.unknown_fields import UnknownFieldSet

from micro_rt.dialects.carried import collect_carried
from micro_rt.method import Method, ServiceInfo

__all__ = ["Rules", "named_rules", "rules_of"]

_OPTION = 1159
"""The number of ``buf.validate.message``, ``buf.validate.field`` and ``buf.validate.oneof`` among the options."""


class Rules(NamedTuple):
    """The rules of a method's requests.

    Attributes:
        request: the request message.
        messages: the messages that state rules: the request, or messages in it, however deep.
        foreign: whether the requests are of a class without descriptors, as in the dialect betterproto.
    """

    request: Descriptor
    messages: tuple[Descriptor, ...]
    foreign: bool


def rules_of(info: ServiceInfo, method: Method[Any, Any]) -> Rules | None:
    """Returns the rules of a method's requests; None if they have none, or if no .proto file is known.

    Args:
        info: the service of the method.
        method: the rpc.
    """
    descriptor = getattr(method.request_type, "DESCRIPTOR", None)
    foreign = not isinstance(descriptor, Descriptor)
    if foreign:
        descriptor = _carried(info, method) if info.descriptors else None
    if descriptor is None:
        return None
    messages = tuple(each for each in _reachable(descriptor) if any(_stating(each)))
    return Rules(descriptor, messages, foreign) if messages else None


def named_rules(message: Descriptor) -> list[str]:
    """Returns the names of what states rules in a message: its fields and oneofs, or ``"message"`` for its own."""
    return list(_stating(message))


def _carried(info: ServiceInfo, method: Method[Any, Any]) -> Descriptor | None:
    """Returns the descriptor of a method's requests, of the files that the stubs carry."""
    files: dict[str, FileDescriptorProto] = {}
    collect_carried(info.descriptors, files)
    pool = descriptor_pool.DescriptorPool()
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    try:
        return pool.FindServiceByName(info.name).methods_by_name[method.name].input_type
    except KeyError:
        return None


def _reachable(message: Descriptor) -> list[Descriptor]:
    """Returns a message and those that it can hold, each once."""
    found: dict[str, Descriptor] = {message.full_name: message}
    pending = [message]
    while pending:
        for field in pending.pop().fields:
            inner = field.message_type
            if inner is not None and inner.full_name not in found:
                found[inner.full_name] = inner
                pending.append(inner)
    return list(found.values())


def _stating(message: Descriptor) -> Iterator[str]:
    if _states(message):
        yield "message"
    yield from (field.name for field in message.fields if _states(field))
    yield from (oneof.name for oneof in message.oneofs if _states(oneof))


def _states(declared: Descriptor | FieldDescriptor | OneofDescriptor) -> bool:
    """Returns whether the options of something have rules."""
    if not declared.has_options:
        return False
    options = declared.GetOptions()
    if any(field.number == _OPTION for field, _ in options.ListFields()):
        return True
    unknown = UnknownFieldSet(options)
    return any(unknown[place].field_number == _OPTION for place in range(len(unknown)))
