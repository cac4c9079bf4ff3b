"""The names of fields in JSON objects and dicts: what is written for a field is read as that field again."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from betterproto.casing import camel_case, pascal_case, safe_snake_case, snake_case

from micro_rt.dialects.fields import Spec
from micro_rt.dialects.foreign import specs_of

__all__ = ["find", "json_keys", "keys", "specs_by_key"]


def specs_by_key(kind: Any) -> Mapping[str, Spec]:
    """Returns the fields of a message class by every key that is read as them; made once for each class.

    A key that several fields could have belongs to the one that has it in JSON, else to the one that has it in the .proto.
    """
    if not hasattr(kind, "_specs_"):
        return _foreign_by_key(kind)
    found: Mapping[str, Spec] | None = kind.__dict__.get("_by_key_")
    if found is None:
        found = kind._by_key_ = _by_key(specs_of(kind))
    return found


def find(kind: Any, key: str) -> Spec | None:
    """Returns the field that a key of a dict means, as liberally as betterproto reads keys; None when there is no such field."""
    known = specs_by_key(kind)
    return known.get(key) or known.get(safe_snake_case(key))


def keys(kind: Any, casing: Any) -> list[str]:
    """Returns the key of each field in a casing of betterproto's.

    A field has another name of its own where its key would be read as another field.
    """
    return _readable(kind, [_cased(casing, spec) for spec in specs_of(kind)])


def json_keys(kind: Any) -> list[str]:
    """Returns the key of each field in JSON."""
    return _readable(kind, [spec.json_name for spec in specs_of(kind)])


def _readable(kind: Any, wanted: list[str]) -> list[str]:
    known = specs_by_key(kind)
    found: list[str] = []
    for spec, first in zip(specs_of(kind), wanted, strict=True):
        choices = (first, spec.name, spec.proto_name, spec.json_name)
        found.append(next((key for key in choices if known.get(key) is spec), first))
    return found


def _cased(casing: Any, spec: Spec) -> str:
    text: str = casing(spec.name).rstrip("_")
    return text


@functools.cache
def _foreign_by_key(kind: Any) -> Mapping[str, Spec]:
    return _by_key(specs_of(kind))


def _by_key(specs: tuple[Spec, ...]) -> dict[str, Spec]:
    found: dict[str, Spec] = {}
    for attribute in ("json_name", "proto_name", "name"):
        for spec in specs:
            found.setdefault(getattr(spec, attribute), spec)
    for casing in (camel_case, snake_case, pascal_case):
        for spec in specs:
            found.setdefault(_cased(casing, spec), spec)
    return found
