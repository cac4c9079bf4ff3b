"""What the options of a method say of its calls, read from descriptors as the generator reads them.

A peer that answers reflection says how it wants to be called, and may be hostile: what it says makes no call longer and no message
larger than the service that calls allows, and does not have a call sent more than ``MOST_ATTEMPTS`` times.
"""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import MethodDescriptorProto, ServiceDescriptorProto
from google.protobuf.duration_pb2 import Duration

from micro_rt import annotations_pb2
from micro_rt.errors import Code
from micro_rt.method import AuthPolicy, Idempotency, LimitPolicy, Policy, RetryPolicy

__all__ = ["ANNOTATIONS", "MOST_ATTEMPTS", "idempotency_of", "policy_of"]

ANNOTATIONS = annotations_pb2.DESCRIPTOR.name
"""The file that declares the options. Only files that import it have them."""
MOST_ATTEMPTS = 16
"""How many times a call is sent at most because a peer says so."""

_DEFAULT = RetryPolicy()


def idempotency_of(method: MethodDescriptorProto) -> Idempotency:
    """Returns the ``idempotency_level`` of a method; ``UNKNOWN`` for one that this version does not know."""
    try:
        return Idempotency(method.options.idempotency_level)
    except ValueError:
        return Idempotency.UNKNOWN


def policy_of(
    service: ServiceDescriptorProto, method: MethodDescriptorProto, *, trusted: bool, longest: float | None
) -> Policy:
    """Returns what ``(micro.method)``, and the timeout of ``(micro.service)``, say of a method.

    Args:
        service: declares the method.
        method: the method.
        trusted: whether the descriptors come from the caller; False if the peer has sent them.
        longest: seconds that the service allows for a call; None for no limit. It bounds what a peer says.

    Raises:
        ValueError: an option says what cannot be.
    """
    said = method.options.Extensions[annotations_pb2.method]
    timeout = _seconds(said.timeout) if said.HasField("timeout") else None
    unary = not method.client_streaming and not method.server_streaming
    if timeout is None and unary and (own := service.options.Extensions[annotations_pb2.service]).HasField("timeout"):
        timeout = _seconds(own.timeout)
    if timeout is not None and not trusted and longest is not None:
        timeout = min(timeout, longest)
    limits = None
    if trusted and said.HasField("limits"):
        limits = LimitPolicy(said.limits.max_request_bytes or None, said.limits.max_reply_bytes or None)
    return Policy(
        timeout=timeout,
        retry=_retry(said.retry, trusted=trusted) if said.HasField("retry") else None,
        auth=AuthPolicy(tuple(said.auth.scopes), said.auth.public) if said.HasField("auth") else None,
        limits=limits,
        compression=said.compression or None if trusted else None,
    )


def _retry(said: annotations_pb2.RetryOptions, *, trusted: bool) -> RetryPolicy:
    attempts = said.attempts if said.HasField("attempts") else _DEFAULT.attempts
    return RetryPolicy(
        attempts=attempts if trusted else min(attempts, MOST_ATTEMPTS),
        backoff=_seconds(said.backoff) if said.HasField("backoff") else _DEFAULT.backoff,
        max_backoff=_seconds(said.max_backoff) if said.HasField("max_backoff") else _DEFAULT.max_backoff,
        codes=frozenset(Code(code) for code in said.codes) or _DEFAULT.codes,
        idempotent=said.idempotent if said.HasField("idempotent") else None,
        attempt_timeout=_seconds(said.attempt_timeout) if said.HasField("attempt_timeout") else None,
    )


def _seconds(duration: Duration) -> float:
    seconds = duration.seconds + duration.nanos / 1e9
    if not seconds > 0:
        raise ValueError(f"a time is {seconds:g} s; it must be more than 0")
    return seconds
