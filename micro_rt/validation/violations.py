"""From what ``protovalidate`` found to an error that names the fields and the rules."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from micro_rt.details import BadRequest
from micro_rt.errors import InvalidArgument
from micro_rt.text import printable

__all__ = ["invalid"]

_MOST = 16
"""How many violations the details of an error list."""
_NAMED = 3
"""How many violations its message names."""
_LONGEST = 200
"""How many characters of a path, a description or a rule's id are sent."""
_ALL = 3000
"""How many bytes of violations are sent: an error must fit in the trailers that the caller takes."""


def invalid(violations: Sequence[Any]) -> InvalidArgument:
    """Returns the error of a request that breaks rules.

    Args:
        violations: as ``protovalidate`` gives them, at least one.
    """
    listed = [_described(each.proto) for each in violations[:_MOST]]
    sent: list[BadRequest.FieldViolation] = []
    size = 0
    for each in listed:
        size += each.ByteSize()
        if sent and size > _ALL:
            break
        sent.append(each)
    named = [_sentence(each) for each in sent[:_NAMED]]
    if len(violations) > len(named):
        named.append(f"and {len(violations) - len(named)} more")
    return InvalidArgument("; ".join(named), id="micro.invalid", details=[BadRequest(field_violations=sent)])


def _described(violation: Any) -> BadRequest.FieldViolation:
    rule = _bounded(violation.rule_id)
    description = _bounded(violation.message) or "breaks a rule"
    return BadRequest.FieldViolation(
        field=_bounded("".join(_path(violation.field))),
        description=f"key: {description}" if violation.for_key else description,
        reason=rule,
    )


def _sentence(violation: BadRequest.FieldViolation) -> str:
    field = f"{violation.field}: " if violation.field else ""
    rule = f" [{violation.reason}]" if violation.reason else ""
    return f"{field}{violation.description}{rule}"


def _path(field: Any) -> Iterator[str]:
    """Yields the parts of a path: ``items``, ``[0]``, ``.name``; nothing for a rule of the message itself."""
    elements: Iterable[Any] = field.elements if field is not None else ()
    for number, element in enumerate(elements):
        yield f".{element.field_name}" if number else element.field_name
        if element.subscript is not None:
            key = element.subscript.value
            yield f"[{json.dumps(key[:_LONGEST] if isinstance(key, str) else key, ensure_ascii=False)}]"


def _bounded(text: str) -> str:
    return printable(text, _LONGEST)
