"""Checking requests by their rules, with ``protovalidate``.

The rules that it keeps, and why:

- ``protovalidate`` is loaded when a method has rules, so whoever has none does not wait for it.
- Rules are compiled before the first call, those of messages deep in the request too. A rule that does not compile is an error of
  whoever wrote the .proto file, and no caller's.
- A request is checked up to its first violation. Only if it breaks a rule and is small, the others are looked for: a
  request of 4 MiB can break a million rules, and to list them takes seconds and gigabytes.
- A rule may fail while it runs: it divides by zero, for one. The caller gets ``Internal``, and the log has the cause.
- What goes to a caller is bounded, and can be printed: paths of fields have keys of maps in them, which the caller chose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from micro_rt.errors import FailedPrecondition, Internal, InvalidArgument
from micro_rt.kit.optional import optional
from micro_rt.logs import logger, sparsely
from micro_rt.method import Method, ServiceInfo
from micro_rt.text import printable
from micro_rt.validation.rules import Rules, named_rules, rules_of
from micro_rt.validation.violations import invalid

__all__ = ["INSTALL", "Check", "Validation"]

INSTALL = "pip install 'micro-rt[validate]'"
"""What brings ``protovalidate``."""

Check: TypeAlias = Callable[[Any], None]
"""Returns if a request keeps its rules.

Raises:
    InvalidArgument: it breaks one.
    Internal: a rule fails while it runs.
"""

_LISTED = 16 << 10
"""Bytes of a request up to which all violations are looked for."""

_log = logger("micro_rt.validation")


class Validation:
    """Makes the checks of methods, of one service or one client.

    Attributes:
        missing: paths of the methods whose rules are not kept, because ``protovalidate`` is not installed.
    """

    def __init__(self) -> None:
        self.missing: list[str] = []
        self._library: Any = None
        self._validator: Any = None

    def check_of(self, info: ServiceInfo, method: Method[Any, Any]) -> Check | None:
        """Returns the check of a method's requests; None if they have no rules, or if ``protovalidate`` is not installed.

        Args:
            info: the service of the method.
            method: the rpc.

        Raises:
            ValueError: a rule does not compile.
        """
        rules = rules_of(info, method)
        if rules is None:
            return None
        if not self._loaded():
            self.missing.append(method.path)
            return None
        for message in rules.messages:
            self._compile(message)
        return self._check(method.path, rules)

    def required(self, whose: str) -> None:
        """Does nothing if ``protovalidate`` is installed.

        Args:
            whose: what needs it, for the error.

        Raises:
            FailedPrecondition: it is not installed.
        """
        if not self._loaded():
            problem = f"{whose} needs protovalidate, which is not installed: {INSTALL}"
            raise FailedPrecondition(problem, id="micro.no_validation", may_have_run=False)

    def _loaded(self) -> bool:
        if self._library is None:
            self._library = optional("protovalidate")
            if self._library is None:
                return False
            self._validator = self._library.Validator()
        return True

    def _compile(self, message: Descriptor) -> None:
        """Compiles the rules of a message: the validator does that when it checks the first one."""
        try:
            self._validator.collect_violations(GetMessageClass(message)(), fail_fast=True)
        except self._library.CompilationError as error:
            names = ", ".join(named_rules(message))
            problem = f"{message.full_name}: a rule of buf.validate does not compile (rules are at: {names}): {error}"
            raise ValueError(printable(problem, 1000)) from error
        except self._library.EvaluationError:
            pass  # It compiles, and fails for an empty message; others may do.

    def _check(self, path: str, rules: Rules) -> Check:
        collect: Callable[..., list[Any]] = self._validator.collect_violations
        parse: Callable[[bytes], Any] | None = GetMessageClass(rules.request).FromString if rules.foreign else None

        def check(request: Any) -> None:
            try:
                message = request if parse is None else parse(request.SerializeToString())
                violations = collect(message, fail_fast=True)
                if violations and message.ByteSize() <= _LISTED:
                    violations = collect(message)
            except DecodeError as error:
                raise InvalidArgument(f"the request of {path} cannot be read: {error}") from None
            except Exception as error:
                _log.error("a rule of %s fails: %s", path, printable(str(error), 500), extra=sparsely(path))
                problem = (
                    f"a rule of {path} fails for this request, which is a bug in its .proto file; the log has the cause"
                )
                raise Internal(problem, id="micro.broken_rule") from None
            if violations:
                raise invalid(violations)

        return check
