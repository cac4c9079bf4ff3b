"""Settings to objects: what a setting says, which backend it names, and the object made of it. The commands use it too.

Rules:

- A setting comes from code, else from the environment (``MICRO_REGISTRY`` for ``registry``), else from the config
  (``micro.registry``), else it is the default. The errors name where it came from.
- An address names a backend by its scheme: ``consul://host:8500``. A transport, a selector or a codec has a plain name. That of a
  selector may have options behind a question mark.
- A third party's backend is found as ours are: by an entry point in the group of its part, such as ``micro_rt.registry``,
  named like the scheme.
- No error shows a password or a token of an address.
- Nodes name the protocol that their transport speaks, not the transport. The service's own transport serves its protocol;
  for any other protocol, the entry point of that name does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from typing import Any, TypeVar, cast

from micro_rt.codec.base import Codec
from micro_rt.errors import FailedPrecondition
from micro_rt.kit.address import count, scheme_of, seconds, seconds_or_zero
from micro_rt.kit.secrets import scrubbed, without_secrets
from micro_rt.selector.base import Selector
from micro_rt.service.missing import remedy
from micro_rt.transport.base import Transport, capabilities_of
from micro_rt.transport.limits import ServiceLimits, SupportsLimits
from micro_rt.transport.tls import Contexts, SupportsTls

__all__ = [
    "Configured",
    "Transports",
    "backend",
    "codec_named",
    "names_of",
    "number_of",
    "part_at",
    "part_of",
    "seconds_of",
    "selector_factory",
    "setting_of",
    "timeout_of",
]

ValueT = TypeVar("ValueT")

_DEFAULT_TRANSPORT = "grpc"
TIMEOUT = 30.0
"""Seconds that a unary call may take if nobody says anything."""
_DOES: Mapping[str, str] = {
    "unix_sockets": "listens on Unix sockets",
    "places": "listens on several addresses, sockets of systemd, and with options",
    "limits": "bounds what clients make a server spend",
    "message_sizes": "bounds how large messages are",
    "compression": "compresses messages",
    "tls": "secures its connections",
}
"""What a transport with a capability does, for those that settings need."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A setting that code does not give and the config does: it counts where the environment says nothing."""

    value: str
    place: str
    """What errors call it: ``"micro.registry (conf/a.yaml:3)"``."""


def setting_of(given: ValueT | Configured | str | None, name: str, default: str) -> tuple[ValueT | str, str]:
    """Returns a setting, and where it comes from.

    Args:
        given: as given in code, or else by the config; None if it was not.
        name: its name in code.
        default: what it is otherwise.
    """
    if given is not None and not isinstance(given, Configured):
        return given, name
    variable = f"MICRO_{name.upper()}"
    value = os.environ.get(variable)
    if value:
        return value, variable
    return (given.value, given.place) if given is not None else (default, name)


def number_of(given: int | Configured | None, name: str, default: int) -> int:
    """Returns a setting that is a whole number above 0.

    Args:
        given: as given in code, or else by the config; None if it was not.
        name: its name in code.
        default: what it is otherwise.

    Raises:
        FailedPrecondition: the environment says something else.
    """
    return _read(given, name, default, count)


def seconds_of(given: float | Configured | None, name: str, default: float) -> float:
    """Returns a setting that is a time in seconds.

    Args:
        given: as given in code, or else by the config; None if it was not.
        name: its name in code.
        default: what it is otherwise.

    Raises:
        FailedPrecondition: the environment says something else.
    """
    return _read(given, name, default, seconds_or_zero)


def timeout_of(given: float | Configured | None) -> float | None:
    """Returns the seconds that a unary call may take where nothing else says so; None for no limit.

    Args:
        given: as given in code, infinite for no limit, or else by the config; None if it was not.

    Raises:
        FailedPrecondition: the environment or the config says something else than a time above 0 or ``none``.
    """
    found = _read(given, "timeout", TIMEOUT, lambda text: math.inf if text == "none" else seconds(text))
    return None if math.isinf(found) else found


def part_of(part: str, given: object, kind: type[Any]) -> Any:
    """Returns a part that was given as an object, or that its address names; unopened.

    Args:
        part: ``"registry"`` or ``"broker"``; the setting has the same name.
        given: as given in code, or else by the config; None if it was not.
        kind: the interface of the part.

    Raises:
        FailedPrecondition: the address names nothing that can be used.
        TypeError: it is neither an address nor such an object.
    """
    chosen, setting = setting_of(given, part, "local:")
    if isinstance(chosen, str):
        return part_at(part, chosen, setting)
    if not isinstance(chosen, kind):
        # The repr of anything else may be that of an address with a password.
        shown = repr(chosen) if isinstance(chosen, int | float) else f"<{type(chosen).__name__}>"
        raise TypeError(f"{setting}={shown} is neither an address, such as 'local:', nor a {kind.__name__}")
    return chosen


def part_at(part: str, address: str, setting: str) -> Any:
    """Returns the part that an address names, unopened.

    Args:
        part: ``"registry"`` or ``"broker"``.
        address: such as ``"local:"`` or ``"consul://127.0.0.1:8500"``.
        setting: where it was given, for the error.

    Raises:
        FailedPrecondition: the address names nothing that can be used.
    """
    try:
        return backend(part, scheme_of(address, setting), setting)(address)
    except ValueError as error:
        raise FailedPrecondition(f"{setting}={without_secrets(address)!r}: {error}") from None


def selector_factory(given: str | Callable[[], Selector] | Configured | None) -> Callable[[], Selector]:
    """Returns what makes a selector for each name that is looked up.

    Args:
        given: as given in code, or else by the config; None if it was not. A name may have options:
            ``"consistent_hash?key=x-tenant"``.

    Raises:
        FailedPrecondition: no selector has that name or these options.
    """
    chosen, setting = setting_of(given, "selector", "round_robin")
    if not isinstance(chosen, str):
        return chosen
    name, mark, options = chosen.partition("?")
    found = backend("selector", name, setting)
    if not mark:
        plain: Callable[[], Selector] = found
        return plain
    with_options: Callable[[str], Selector] | None = getattr(found, "with_options", None)
    if with_options is None:
        raise FailedPrecondition(f"{setting}={without_secrets(chosen)!r}: the selector {name!r} has no options")
    made = partial(with_options, options)
    try:
        made()
    except ValueError as error:
        raise FailedPrecondition(f"{setting}={without_secrets(chosen)!r}: {error}") from None
    return made


class Transports:
    """The transports of a service, by the protocol that nodes name.

    The default transport is loaded when it is needed first: a service that only publishes events never needs it.

    Args:
        given: the service's own, as given in code; None if it was not.
        limits: what they keep; None if the service says nothing.
        tls: what they secure connections with; None for connections without TLS.

    Raises:
        FailedPrecondition: a transport was named, and none has that name; or it cannot keep the limits of the service, or
            secure its connections.
    """

    def __init__(
        self,
        given: str | Transport | Configured | None,
        limits: ServiceLimits | None = None,
        tls: Contexts | None = None,
    ) -> None:
        chosen, self._setting = setting_of(given, "transport", _DEFAULT_TRANSPORT)
        self._limits = limits
        self._tls = tls
        self._shown = f"{self._setting}={repr(chosen) if isinstance(chosen, str) else f'<{type(chosen).__name__}>'}"
        self._own: Transport | None = None
        if not isinstance(chosen, str):
            self._own = self._prepared(chosen)
        elif chosen != _DEFAULT_TRANSPORT:
            self._own = self._prepared(_transport(chosen, self._setting))
        self._others: dict[str, Transport] = {}
        if limits is not None:
            self._require_limits(limits)
        if tls is not None:
            self.require("tls", "tls= (MICRO_TLS_CERT, MICRO_TLS_ROOTS)", "leave it out")

    @property
    def own(self) -> Transport:
        """The transport that the service was made with."""
        if self._own is None:
            self._own = self._prepared(_transport(_DEFAULT_TRANSPORT, self._setting))
        return self._own

    def require(self, capability: str, needed_by: str, otherwise: str) -> None:
        """Refuses a setting that the service's own transport cannot honor.

        Args:
            capability: the field of ``Capabilities`` that the setting needs.
            needed_by: the setting, and what it says: ``"address='unix:/run/lab.sock'"``.
            otherwise: what to do to keep the transport: ``"listen on host:port"``.

        Raises:
            FailedPrecondition: the transport does not declare the capability.
        """
        if not getattr(capabilities_of(self.own), capability):
            raise FailedPrecondition(
                f"{needed_by} needs a transport that {_DOES[capability]}, and {self._shown} does not: "
                f"use transport={_DEFAULT_TRANSPORT!r}, or {otherwise}"
            )

    def speaking(self, protocol: str) -> Transport:
        """Returns the transport for the nodes of a protocol.

        Args:
            protocol: as nodes name it: ``"grpc"``.

        Raises:
            FailedPrecondition: no transport speaks it, or the one that does cannot keep the limits of the service.
        """
        if self.own.name == protocol:
            return self.own
        other = self._others.get(protocol)
        if other is None:
            other = self._prepared(_transport(protocol, "transport of a node"))
            limits = self._limits
            if limits is not None and limits.max_message is not None and not capabilities_of(other).message_sizes:
                raise FailedPrecondition(
                    f"max_message={limits.max_message} needs a transport that {_DOES['message_sizes']}, and that of the nodes "
                    f"that speak {protocol!r} does not"
                )
            if limits is not None and limits.compression and not capabilities_of(other).compression:
                raise FailedPrecondition(
                    f"compression={limits.compression!r} needs a transport that {_DOES['compression']}, and that of the nodes "
                    f"that speak {protocol!r} does not"
                )
            if self._tls is not None and not capabilities_of(other).tls:
                raise FailedPrecondition(
                    f"tls= needs a transport that {_DOES['tls']}, and that of the nodes that speak {protocol!r} does not"
                )
            self._others[protocol] = other
        return other

    def _require_limits(self, limits: ServiceLimits) -> None:
        if limits.server is not None:
            self.require("limits", "limits=", "leave it out")
        if limits.max_message is not None:
            self.require("message_sizes", f"max_message={limits.max_message}", "leave it out")
        if limits.compression:
            self.require("compression", f"compression={limits.compression!r}", "leave it out")
        if limits.sizes is not None and limits.sized:
            self.require("message_sizes", "the option limits of a method in the .proto", "leave it out")
        if limits.sizes is not None and limits.compressed:
            self.require("compression", "the option compression of a method in the .proto", "leave it out")

    def _prepared(self, transport: Transport) -> Transport:
        """Returns a transport with the limits and the TLS of the service, as far as it has any."""
        can = capabilities_of(transport)
        if self._limits is not None and (can.limits or can.message_sizes or can.compression):
            transport = cast("SupportsLimits", transport).limited(self._limits)
        if self._tls is not None and can.tls:
            transport = cast("SupportsTls", transport).secured(self._tls)
        return transport


def names_of(part: str) -> list[str]:
    """Returns the names under which a part is implemented, sorted."""
    return sorted({point.name for point in entry_points(group=f"micro_rt.{part}")})


def backend(part: str, name: str, setting: str) -> Any:
    """Returns what implements a part under a name.

    Args:
        part: ``"registry"``, ``"transport"``, ``"selector"``, ``"codec"`` …
        name: the scheme of an address, or the plain name where there are no addresses.
        setting: where it was given, for the error.

    Raises:
        FailedPrecondition: nothing implements it, or what it needs is not installed.
    """
    found = {point.name: point for point in entry_points(group=f"micro_rt.{part}")}
    point = found.get(name)
    if point is None:
        known = ", ".join(sorted(found)) or "none: is micro-rt installed?"
        shown = without_secrets(name)
        raise FailedPrecondition(f"{setting}={shown!r}: there is no such {part}; known: {known}")
    try:
        return point.load()
    except ModuleNotFoundError as error:
        raise FailedPrecondition(f"{setting}={name!r} {remedy(point, error.name or '')}") from error


def codec_named(name: str, setting: str = "codec") -> Codec:
    """Returns the codec of a content subtype.

    Args:
        name: of its entry point, which is the content subtype.
        setting: where it was given, for the error.

    Raises:
        FailedPrecondition: nothing implements it, what it needs is not installed, or it has another content subtype.
    """
    codec: Codec = backend("codec", name, setting)()
    if codec.content_subtype != name:
        raise FailedPrecondition(
            f"{setting}={name!r}: {type(codec).__name__} has the content subtype {codec.content_subtype!r}; "
            "its entry point must have the same name"
        )
    return codec


def _transport(name: str, setting: str) -> Transport:
    made: Transport = backend("transport", name, setting)()
    return made


def _read(given: ValueT | Configured | None, name: str, default: ValueT, reader: Callable[[str], ValueT]) -> ValueT:
    """Returns a setting that the environment and the config give as a text.

    Raises:
        FailedPrecondition: the text makes no sense.
    """
    chosen, setting = setting_of(given, name, str(default))
    if not isinstance(chosen, str):
        return chosen
    try:
        return reader(chosen)
    except ValueError as error:
        problem = str(error)  # It repeats the setting, so it must not become the context of the error below.
    raise FailedPrecondition(scrubbed(f"{setting}={chosen!r}: {problem}"))
