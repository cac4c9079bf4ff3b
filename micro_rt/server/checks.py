"""What a handler must be like to be served; the first call must not be what finds a mistake."""

from __future__ import annotations

from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, unwrap
from typing import Any

from micro_rt.handler import Handler, service_info
from micro_rt.kit.methods import misspelled, takes
from micro_rt.method import Method

__all__ = ["check_handler", "is_left_out", "unimplemented"]


def check_handler(handler: Handler) -> None:
    """Refuses a handler that cannot be served as it is written.

    What is only unusual, such as a callable that is not a function, is left to the first call.

    Raises:
        TypeError: it derives from several generated bases; a method is not of the kind that its rpc is, or takes other
            arguments; or the name of a method is near that of an rpc that the handler does not define.
    """
    cls = type(handler)
    info = service_info(handler)
    bases = [each for each in cls.__mro__ if "_info_" in vars(each)]
    if len(bases) > 1:
        names = " and ".join(each.__name__ for each in bases)
        raise TypeError(f"{cls.__name__} derives from {names}: make a handler for each of them, and handle both")
    for method in info.methods:
        _check(method, getattr(handler, method.python_name))
    missing = [method.python_name for method in unimplemented(handler)]
    for name, near in misspelled(cls, bases[0], missing):
        raise TypeError(
            f"{cls.__name__}.{name}() is not an rpc of {info.name}; did you mean {near}()? "
            f"If it is a helper, call it _{name}()"
        )


def unimplemented(handler: Handler) -> tuple[Method[Any, Any], ...]:
    """Returns the rpcs that a handler leaves to the generated base, which answers them with ``Unimplemented``."""
    return tuple(method for method in service_info(handler).methods if is_left_out(handler, method))


def is_left_out(handler: Handler, method: Method[Any, Any]) -> bool:
    """Returns whether a handler leaves an rpc to the generated base."""
    function = getattr(getattr(handler, method.python_name), "__func__", None)
    for cls in type(handler).__mro__:
        if "_info_" in vars(cls):
            generated = vars(cls).get(method.python_name)
            # A class that has both the description and the methods is not a generated base.
            return function is generated and "_unimplemented" in getattr(generated, "__code__").co_names  # noqa: B009
    return False


def _check(method: Method[Any, Any], function: Any) -> None:
    name = method.python_name
    if not callable(function):
        raise TypeError(f"{method.path}: {name} is {function!r}, not a method")
    inner = unwrap(function)
    if method.kind.server_streams:
        if iscoroutinefunction(function) or iscoroutinefunction(inner):
            raise TypeError(f"{method.path} streams replies: {name}() must be an async generator, and has no yield")
    elif isasyncgenfunction(function) or isasyncgenfunction(inner) or isgeneratorfunction(inner):
        raise TypeError(f"{method.path} has one reply: {name}() must return it, and has a yield")
    if not takes(function, 2):
        request = "requests" if method.kind.client_streams else "request"
        raise TypeError(f"{method.path}: {name}() must take two arguments, ({request}, context), after self")
