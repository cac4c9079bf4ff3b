"""The methods of a target, made from its descriptors.

Rules:

- A method is made at its first call. Its message classes come from the private pool of the target.
- Names that come from a peer are escaped in errors.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodDescriptorProto, ServiceDescriptorProto
from google.protobuf.message_factory import GetMessageClass

from micro_rt.dynamic.files import Files, UnusableError, shown
from micro_rt.dynamic.policy import ANNOTATIONS, idempotency_of, policy_of
from micro_rt.errors import Unimplemented
from micro_rt.method import Kind, Method, Policy
from micro_rt.text import near, printable

__all__ = ["Schema", "no_method", "no_service"]

_COMPARED = 1_000
"""Names that a wrong one is compared with, so that a peer with very many of them does not cost more."""
_LISTED = 10
"""Names that the text of an error lists."""


class Schema:
    """What descriptors say of the services of a target.

    Args:
        files: all files that the services need.
        trusted: whether the descriptors come from the caller; False if the peer has sent them.
        longest: seconds that the service allows for a call; None for no limit.

    Attributes:
        pool: has the types; of this schema alone.
        services: full names of the services.

    Raises:
        UnusableError: the files cannot be used; says why.
    """

    def __init__(self, files: Files, *, trusted: bool, longest: float | None) -> None:
        self.pool = files.pool()
        self._trusted = trusted
        self._longest = longest
        self._services: dict[str, tuple[ServiceDescriptorProto, bool]] = {}
        """The services, and whether their files can have options of ours."""
        for file in files:
            for service in file.service:
                name = f"{file.package}.{service.name}" if file.package else service.name
                self._services[name] = service, ANNOTATIONS in file.dependency
        self.services: Collection[str] = self._services.keys()
        self._methods: dict[tuple[str, str], Method[Any, Any]] = {}

    def has(self, service: str, name: str) -> bool:
        """Returns whether a service has a method."""
        descriptor = self._service(service)
        return descriptor is not None and name in descriptor.methods_by_name

    def method(self, service: str, name: str, whose: str) -> Method[Any, Any]:
        """Returns a method.

        Args:
            service: full name of the service.
            name: of the method.
            whose: who has the descriptors, for errors: ``"'greeter'"``.

        Raises:
            Unimplemented: there is no such method; the text has names that are near.
            UnusableError: it cannot be called; says why.
        """
        method = self._methods.get((service, name))
        if method is None:
            descriptor = self._service(service)
            if descriptor is None:
                raise no_service(whose, service, self.services)
            if name not in descriptor.methods_by_name:
                raise no_method(whose, service, name, descriptor.methods_by_name)
            try:
                method = self._made(service, descriptor.methods_by_name[name])
            except Exception as error:  # What protobuf raises depends on its implementation.
                problem = printable(" ".join(str(error).split()), 300)
                raise UnusableError(f"{shown(f'{service}/{name}')} cannot be called: {problem}") from None
            self._methods[service, name] = method
        return method

    def _service(self, name: str) -> ServiceDescriptor | None:
        return self.pool.FindServiceByName(name) if name in self._services else None

    def _made(self, service: str, descriptor: MethodDescriptor) -> Method[Any, Any]:
        declared, annotated = self._services[service]
        method = next(each for each in declared.method if each.name == descriptor.name)
        policy = Policy()
        if annotated:
            policy = policy_of(declared, method, trusted=self._trusted, longest=self._longest)
        return Method(
            service,
            method.name,
            method.name,
            _kind(method),
            GetMessageClass(descriptor.input_type),
            GetMessageClass(descriptor.output_type),
            idempotency_of(method),
            policy,
        )


def no_service(whose: str, service: str, services: Collection[str]) -> Unimplemented:
    """Returns the error of a call of a service that the target does not have.

    Args:
        whose: who does not have it, for the text: ``"'greeter'"``.
        service: full name of the service.
        services: full names of those that there are.
    """
    return _unknown(f"{whose} has no service {shown(service)}", service, services)


def no_method(whose: str, service: str, name: str, methods: Collection[str]) -> Unimplemented:
    """Returns the error of a call of a method that a service does not have; for the arguments see ``no_service``."""
    return _unknown(f"{shown(service)} of {whose} has no method {shown(name)}", name, methods)


def _unknown(problem: str, name: str, names: Collection[str]) -> Unimplemented:
    similar = near(name, islice(names, _COMPARED))
    if similar:
        advice = f"did you mean {' or '.join(map(shown, similar))}?"
    else:
        more = len(names) - _LISTED
        listed = ", ".join(map(shown, sorted(islice(names, _COMPARED))[:_LISTED])) or "nothing"
        advice = f"it has {listed}{f' and {more} more' if more > 0 else ''}"
    return Unimplemented(f"{problem}: {advice}", id="micro.unknown_name", may_have_run=False)


def _kind(method: MethodDescriptorProto) -> Kind:
    if method.client_streaming:
        return Kind.BIDI_STREAM if method.server_streaming else Kind.CLIENT_STREAM
    return Kind.SERVER_STREAM if method.server_streaming else Kind.UNARY
