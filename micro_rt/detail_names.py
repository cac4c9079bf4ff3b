"""The names of the messages that an error can carry as details.

The standard details of google.rpc have classes of our own in ``micro_rt.details``, so that they need no further package. A
program may have those of another package too: they are the same messages on the wire, and one is as good as the other.
"""

from __future__ import annotations

from typing import Any

__all__ = ["full_name", "name_of", "own_name", "standard_name"]

_OWN, _STANDARD = "micro.rpc.", "google.rpc."


def full_name(message_type: type[Any]) -> str | None:
    """Returns the name in the .proto of a generated class, of whichever dialect it is; None for another class."""
    descriptor = getattr(message_type, "DESCRIPTOR", None)
    name = getattr(message_type, "_full_name_", None) if descriptor is None else getattr(descriptor, "full_name", None)
    return name if isinstance(name, str) and name else None


def name_of(message: object) -> str | None:
    """Returns the same of a message; None for another object."""
    return full_name(type(message))


def standard_name(name: str) -> str:
    """Returns the name under which a message travels."""
    return _STANDARD + name.removeprefix(_OWN) if name.startswith(_OWN) else name


def own_name(name: str) -> str:
    """Returns the name of our own message for one that travels under a name of google.rpc; another name as it is."""
    return _OWN + name.removeprefix(_STANDARD) if name.startswith(_STANDARD) else name
