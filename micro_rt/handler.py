"""The base of every generated server class."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar, Generic, TypeVar

from micro_rt.errors import Unimplemented
from micro_rt.method import Method, ServiceInfo

__all__ = ["Handler", "Requests", "service_info"]


MessageT = TypeVar("MessageT", covariant=True)


class Requests(AsyncIterator[MessageT], Iterator[MessageT], Generic[MessageT]):
    """The requests of a call, as generated bases declare them.

    A handler that is a coroutine function or an async generator reads them with ``async for``, and declares them as
    ``AsyncIterator``. One that is a plain function reads them with ``for``, and declares them as ``Iterator``.
    """


class Handler:
    """Serves one proto service. Generated classes derive from it, and users from those: ``class Greeter(GreeterBase)``."""

    _info_: ClassVar[ServiceInfo]

    def _unimplemented(self, method: Method[Any, Any]) -> Unimplemented:
        """What a method that was left out answers."""
        return Unimplemented(
            f"{method.path} is not implemented by this server: {type(self).__name__} does not define {method.python_name}()"
        )


def service_info(handler: Handler) -> ServiceInfo:
    """Returns what the .proto says of the service that a handler serves.

    It is not a method, because every public name of a handler may be that of an rpc.
    """
    return handler._info_  # pyright: ignore[reportPrivateUsage]
