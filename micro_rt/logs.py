"""The logs of the runtime, and those of the libraries that it uses.

What others send reaches the log: paths, ids and addresses of nodes, messages of errors. The rules that every logger of the runtime
keeps:

- No text forges a line, and none controls a terminal: what is not printable is escaped, in the message and in the traceback. Line
  breaks stay only between the lines of a traceback.
- What a request can cause again and again is logged with ``extra=sparsely(…)``: each cause once per second, and then how many more
  there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from micro_rt.text import printable

__all__ = ["log_sparsely", "logger", "quieten", "sparsely"]

_CAUSE = "micro_cause"
"""Attribute of a record: its cause, if it is logged sparsely."""
_INTERVAL = 1.0
"""Seconds in which a cause is logged once."""
_MANY = 256
"""Causes that one logger counts separately; further ones count as one."""


def logger(name: str) -> logging.Logger:
    """Returns a logger of the runtime; modules of the runtime get theirs here.

    Args:
        name: such as ``"micro_rt.server"``.
    """
    found = logging.getLogger(name)
    if not any(isinstance(each, _Guard) for each in found.filters):
        found.addFilter(_Guard(found))
    return found


def sparsely(cause: str) -> Mapping[str, Any]:
    """Returns what ``extra=`` is for a record whose cause is logged once per second.

    The statement that logs, the type and the place of the exception that is logged, and the event loop are part of the cause.

    Args:
        cause: what else distinguishes the cause. Choose a value that the peer cannot vary, such as the path of a method that is served.
    """
    return {_CAUSE: cause}


def log_sparsely(library: str, beginning: str) -> None:
    """Has a library log certain messages once per second.

    Args:
        library: the name of its logger.
        beginning: of the messages.
    """
    found = logging.getLogger(library)
    if not any(isinstance(each, _Repeats) and each.beginning == beginning for each in found.filters):
        found.addFilter(_Repeats(found, beginning))


def quieten(library: str, level: int) -> None:
    """Keeps what a library logs below a level out of the log, unless the program has set a level for that library.

    Args:
        library: the name of its logger.
        level: such as ``logging.CRITICAL``.
    """
    found = logging.getLogger(library)
    if found.level == logging.NOTSET:
        found.setLevel(level)


class _Cause:
    """A cause that was logged less than a second ago."""

    __slots__ = ("left_out", "since", "text", "waits")

    def __init__(self, since: float) -> None:
        self.since = since
        self.left_out = 0
        self.text = ""
        """What the last record that was left out says."""
        self.waits = False
        """Whether a timer will log how many were left out."""


_Causes: TypeAlias = dict[object, _Cause]


class _Sparse:
    """Drops records whose cause was logged less than a second ago, and counts them, for each event loop by itself.

    Args:
        log: whose records they are.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._in_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Causes] = WeakKeyDictionary()
        self._elsewhere: _Causes = {}

    def passes(self, record: logging.LogRecord, cause: object) -> bool:
        """Returns whether a record is to be logged."""
        loop = _loop()
        causes = self._elsewhere if loop is None else self._in_loops.setdefault(loop, {})
        known = causes.get(cause)
        if known is None and len(causes) >= _MANY:
            _forget(causes, record.created)
            if len(causes) >= _MANY:
                cause, known = None, causes.get(None)
        if known is None:
            causes[cause] = _Cause(record.created)
            return True
        passed = record.created - known.since
        if passed >= _INTERVAL or passed < 0:  # The time of day may have been set back.
            if known.left_out:
                record.msg = f"{record.getMessage()} (and {known.left_out} more like this since it was logged last)"
                record.args = None
            known.since, known.left_out = record.created, 0
            return True
        known.left_out += 1
        known.text = record.getMessage()
        if loop is not None and not known.waits:
            known.waits = True
            loop.call_later(_INTERVAL - passed, self._sum_up, known, record.levelno)
        return False

    def _sum_up(self, known: _Cause, level: int) -> None:
        """Logs how many were left out."""
        known.waits = False
        left_out, known.left_out = known.left_out, 0
        if left_out and self._log.isEnabledFor(level):
            text = "%d more within a second: %s"
            record = self._log.makeRecord(self._log.name, level, __file__, 0, text, (left_out, known.text), None)
            known.since = record.created
            self._log.handle(record)


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _forget(causes: _Causes, now: float) -> None:
    for cause, known in list(causes.items()):
        if not known.waits and not 0 <= now - known.since < _INTERVAL:
            del causes[cause]


class _Guard(logging.Filter):
    """Escapes the records of a logger of the runtime, and logs some of them sparsely."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self._sparse = _Sparse(log)

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a record is to be logged, and makes it safe to show."""
        try:
            own: str | None = getattr(record, _CAUSE, None)
            if own is not None and not self._sparse.passes(
                record, (own, record.pathname, record.lineno, _place(record))
            ):
                return False
            text = record.getMessage()
        except Exception:
            return True  # The arguments do not fit the message; logging says so.
        if not text.isprintable():
            record.msg, record.args = printable(text), None
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and record.exc_text is None:
            record.exc_text = _escaped_traceback(error)
        return True


class _Repeats(logging.Filter):
    """Logs the messages of a library that begin with a text once per second."""

    def __init__(self, log: logging.Logger, beginning: str) -> None:
        super().__init__()
        self.beginning = beginning
        self._sparse = _Sparse(log)

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a record is to be logged."""
        if not str(record.msg).startswith(self.beginning):
            return True
        return self._sparse.passes(record, self.beginning)


def _place(record: logging.LogRecord) -> object:
    """Returns the type of the exception that a record logs, and the line that raised it."""
    if not record.exc_info or record.exc_info[1] is None:
        return None
    trace = record.exc_info[2]
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    line = None if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
    return record.exc_info[0], line


def _escaped_traceback(error: BaseException) -> str | None:
    """Returns the traceback of an exception whose text is not printable, with that escaped; None for any other."""
    texts = [text for each in _chain(error, set()) for text in _texts(each) if not text.isprintable()]
    if not texts:
        return None
    shown = "".join(traceback.format_exception(error)).rstrip("\n")
    for text in texts:
        shown = shown.replace(text, printable(text))
    return "\n".join([printable(line) for line in shown.split("\n")])


def _texts(error: BaseException) -> Iterator[str]:
    with contextlib.suppress(Exception):  # The traceback says so.
        yield str(error)
    yield from (note for note in getattr(error, "__notes__", ()) if isinstance(note, str))


def _chain(error: BaseException, seen: set[int]) -> Iterator[BaseException]:
    """Gives an exception, and those that its traceback shows with it."""
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    inner = (error.__cause__, error.__context__, *getattr(error, "exceptions", ()))
    for each in inner:
        if isinstance(each, BaseException):
            yield from _chain(each, seen)
