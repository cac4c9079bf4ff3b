"""The one family of errors: ``Error`` with a gRPC status code, and a subclass for each code.

Codes, their numbers and their meaning are those of gRPC
(https://grpc.io/docs/guides/status-codes/); the error model with typed details is ``google.rpc.Status``
(https://cloud.google.com/apis/design/errors).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any, ClassVar, Self, TypeVar, cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from micro_rt.detail_names import full_name, name_of, standard_name

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "Code",
    "DataLoss",
    "DeadlineExceeded",
    "EndOfStream",
    "Error",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "NOT_SERVED",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "Unauthenticated",
    "UNKNOWN_METHOD",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "code_for_caller",
    "only_leaf",
]

NOT_SERVED = "micro.not_served"
"""The id of an ``Unimplemented`` that says: this server does not serve the proto service at all, so nothing ran."""
UNKNOWN_METHOD = "micro.unknown_method"
"""The id of an ``Unimplemented`` whose server says that it has no such method, and does not say which one it means."""

_DetailT = TypeVar("_DetailT")


class Code(enum.IntEnum):
    """A gRPC status code."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Error(Exception):
    """A call, or another operation of the runtime, that failed with a status.

    Raise a subclass in a handler and the client gets the same class, message, id and details back:
    ``raise micro.NotFound("no order 42", id="orders.not_found")``.

    Args:
        message: what went wrong, for a person, and what to do about it.
        id: a stable identifier for programs, such as ``"orders.not_found"``; travels as
            ``google.rpc.ErrorInfo.reason``.
        details: typed details: messages of either dialect, such as those in ``micro_rt.details``.
        may_have_run: False when the request provably never reached a handler, so that trying again cannot run it twice. Set by
            the client, and by a server that refuses a call; what a handler raises always counts as True.
        unanswered: True when a call that had begun ended without an answer: the connection was lost, or the deadline
            passed. Set by the client's transport; an error that the server sent has False.

    Attributes:
        outgoing: True when it ended a call that this process made, or the publishing of an event. Set by the client and by the
            publisher. A handler that lets such an error through tells its caller no more than that: ``passed_on``.

    Raises:
        TypeError: an id that is not text, or a detail that is not a protobuf message.
    """

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(
        self,
        message: str = "",
        *,
        id: str = "",
        details: Iterable[Any] = (),
        may_have_run: bool = True,
        unanswered: bool = False,
    ) -> None:
        self.message = _text(message)
        super().__init__(self.message)
        self.id = _checked_id(id)
        self.details: tuple[Any, ...] = _checked_details(details) if details else ()
        self.may_have_run = may_have_run
        self.unanswered = unanswered
        self.outgoing = False

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name

    def __reduce__(self) -> tuple[Any, ...]:
        state = {
            "id": self.id,
            "details": self.details,
            "may_have_run": self.may_have_run,
            "unanswered": self.unanswered,
            "outgoing": self.outgoing,
        }
        return (type(self), (self.message,), state)

    def __copy__(self) -> Self:
        """Returns an equal error with no traceback yet: one for each of several who are to get it."""
        other = type(self).__new__(type(self))
        other.args = self.args
        other.__dict__.update(self.__dict__)
        if "__notes__" in self.__dict__:
            other.__notes__ = list(self.__notes__)
        other.__cause__ = self.__cause__
        other.__context__ = self.__context__
        other.__suppress_context__ = self.__suppress_context__
        return other

    def passed_on(self) -> Self:
        """Returns the same error as one of the handler's own, for a caller that is to get all of it.

        An error of a call that the handler made, and lets through, arrives at the handler's caller as a plain ``Unavailable``,
        ``DeadlineExceeded`` or ``Internal``: its text may name services and addresses that are none of the caller's business.
        To pass it on by choice:

            except micro.NotFound as error:
                raise error.passed_on() from error
        """
        own = copy(self)
        own.outgoing = False
        return own

    def detail(self, type_: type[_DetailT]) -> _DetailT | None:
        """Returns the first detail of a type, or None.

        Args:
            type_: a generated class of either dialect. A detail that travels under its name is found whichever class it has,
                or none: ``google.rpc.BadRequest`` by the class in ``micro_rt.details`` and by that of another package.
        """
        name = full_name(type_)
        wanted = None if name is None else standard_name(name)
        read: Callable[[bytes], _DetailT] | None = getattr(type_, "FromString", None)
        for each in self.details:
            if isinstance(each, type_):
                detail: _DetailT = each
                return detail
            if read is not None and wanted is not None and (data := _data_of(each, wanted)) is not None:
                try:
                    return read(data)
                except (ValueError, DecodeError):
                    continue
        return None

    @staticmethod
    def of(
        code: int, message: str = "", *, id: str = "", details: Iterable[Any] = (), may_have_run: bool = True
    ) -> Error:
        """Makes the error of a status code; a number that gRPC does not define gives ``Unknown``."""
        return _BY_CODE.get(code, Unknown)(message, id=id, details=details, may_have_run=may_have_run)


class Cancelled(Error):
    """The call was cancelled by the other side."""

    code = Code.CANCELLED


class Unknown(Error):
    """An error that carries no better status: an unexpected exception in a handler, for one."""

    code = Code.UNKNOWN


class InvalidArgument(Error):
    """The request is wrong whatever the state of the system."""

    code = Code.INVALID_ARGUMENT


class DeadlineExceeded(Error, TimeoutError):
    """The time given for the call ran out; the call may still have had its effect."""

    code = Code.DEADLINE_EXCEEDED


class NotFound(Error):
    """What was asked for does not exist."""

    code = Code.NOT_FOUND


class AlreadyExists(Error):
    """What was to be created exists."""

    code = Code.ALREADY_EXISTS


class PermissionDenied(Error):
    """The caller is known, and may not do this."""

    code = Code.PERMISSION_DENIED


class ResourceExhausted(Error):
    """A quota or limit is used up."""

    code = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(Error):
    """The system is not in the state that the operation needs."""

    code = Code.FAILED_PRECONDITION


class Aborted(Error):
    """The operation lost against a concurrent one; try the whole sequence again."""

    code = Code.ABORTED


class OutOfRange(Error):
    """The operation went past the end of something."""

    code = Code.OUT_OF_RANGE


class Unimplemented(Error):
    """The server does not have this method."""

    code = Code.UNIMPLEMENTED


class Internal(Error):
    """Something that must hold did not: a bug, here or there."""

    code = Code.INTERNAL


class Unavailable(Error):
    """Nobody could take the call now: no node, no connection, or a server that refused."""

    code = Code.UNAVAILABLE


class DataLoss(Error):
    """Data is lost or damaged beyond repair."""

    code = Code.DATA_LOSS


class Unauthenticated(Error):
    """The caller did not say who it is, or could not prove it."""

    code = Code.UNAUTHENTICATED


class EndOfStream(Error, EOFError):
    """``receive()`` was called after the other side's last message."""

    code = Code.OUT_OF_RANGE


def code_for_caller(error: Error) -> Code:
    """Returns the code that a handler's caller gets if the handler lets an error through."""
    if not error.outgoing or error.code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
        return error.code
    return Code.INTERNAL


def only_leaf(error: BaseException) -> BaseException:
    """Returns the one exception that a task group failed with; the given one if there are several, or if it is not a group."""
    while True:
        leaves = cast("tuple[BaseException, ...]", getattr(error, "exceptions", ()))
        if len(leaves) != 1:
            return error
        (error,) = leaves


def _text(message: object) -> str:
    """What is raised with another exception, or anything else, as its message says what that says."""
    return message if isinstance(message, str) else str(message)


def _checked_id(id: object) -> str:
    if not isinstance(id, str):
        raise TypeError(f"an error's id is text such as 'orders.not_found', not {type(id).__name__}")
    return id


def _checked_details(details: Iterable[object]) -> tuple[Any, ...]:
    checked = tuple(details)
    for detail in checked:
        if isinstance(detail, type) or name_of(detail) is None:
            raise TypeError(f"an error's details are protobuf messages, not {type(detail).__name__}")
    return checked


def _data_of(detail: Any, wanted: str) -> bytes | None:
    """Returns the encoding of a detail that travels under a name; None if it travels under another one."""
    if isinstance(detail, AnyMessage) and detail.type_url.rpartition("/")[2] == wanted:
        return detail.value
    name = name_of(detail)
    if name is None or standard_name(name) != wanted:
        return None
    data: bytes = detail.SerializeToString()
    return data


_BY_CODE: Mapping[int, type[Error]] = {
    error.code: error
    for error in (
        Cancelled,
        Unknown,
        InvalidArgument,
        DeadlineExceeded,
        NotFound,
        AlreadyExists,
        PermissionDenied,
        ResourceExhausted,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Unimplemented,
        Internal,
        Unavailable,
        DataLoss,
        Unauthenticated,
    )
}
