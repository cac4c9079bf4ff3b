"""The lines in which a service says what it does: at its start and at its stop. They show no secret."""

from __future__ import annotations

from collections.abc import Sequence

from micro_rt.events.subscription import EventSubscription
from micro_rt.handler import Handler, service_info
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.variables import variable
from micro_rt.node import Node
from micro_rt.server.checks import unimplemented
from micro_rt.service.parts import setting_of
from micro_rt.validation.checks import INSTALL

__all__ = ["not_validated", "place_of", "started", "stopping"]


def not_validated(name: str, paths: Sequence[str]) -> str:
    """Returns what a service says at its start whose requests have rules that nothing checks.

    Args:
        name: of the service.
        paths: of the methods.
    """
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return (
        f"{name} does not keep the rules of buf.validate for {', '.join(paths[:_SHOWN])}{more}: protovalidate is not "
        f"installed; {INSTALL}, or pass validate=False to micro.Service"
    )


def place_of(part: str, given: object) -> str:
    """Returns where a part is: its address without secrets, ``local:`` with its namespace; of an object, its class.

    Args:
        part: ``"registry"`` or ``"broker"``.
        given: as given in code; None if it was not.
    """
    chosen, _ = setting_of(given, part, "local:")
    if not isinstance(chosen, str):
        return type(chosen).__name__
    shown = without_secrets(chosen)
    if not chosen.startswith("local:"):
        return shown
    home = variable("MICRO_HOME")
    namespace = variable("MICRO_NAMESPACE") or "default"
    return f"{shown} (namespace {namespace}{f', MICRO_HOME={home}' if home else ''})"


def started(
    name: str,
    node: Node | None,
    names: Sequence[str],
    handlers: Sequence[Handler],
    subscriptions: Sequence[EventSubscription],
    *,
    registry: str,
    broker: str,
) -> str:
    """Returns the line of a service that has started.

    Args:
        name: of the service.
        node: what the registry lists; None if it has no handlers.
        names: under which the node is listed.
        handlers: what it serves.
        subscriptions: what it handles.
        registry: where its registry is.
        broker: where its broker is.
    """
    does: list[str] = []
    if node is not None:
        served = ", ".join(sorted(node.services))
        does.append(f"{node.id} serves {served} at {node.address}, registered as {', '.join(names)} in {registry}")
        left_out = [f"{service_info(each).name} {_rpcs(each)}" for each in handlers if unimplemented(each)]
        if left_out:
            does.append(f"not implemented: {', '.join(left_out)}")
    does += [
        f"{'' if does else f'{name} '}handles events of {', '.join(each.topics)} in group {each.options.group}"
        for each in subscriptions
    ]
    if node is None:
        does.append(f"registry {registry}")
    return "; ".join([*does, f"broker {broker}"])


def stopping(name: str, calls: int, grace: float, subscriptions: Sequence[EventSubscription]) -> str:
    """Returns the line of a service that begins to stop.

    Args:
        name: of the service.
        calls: how many are in flight.
        grace: seconds that they get.
        subscriptions: what it handles.
    """
    events = " and for events that are being handled" if subscriptions else ""
    return f"{name} stops: waits up to {grace:g} s for {calls} calls in flight{events}"


def _rpcs(handler: Handler) -> str:
    return ", ".join(method.path.rpartition("/")[2] for method in unimplemented(handler))


_SHOWN = 5
"""How many methods a warning names; it counts the others."""
