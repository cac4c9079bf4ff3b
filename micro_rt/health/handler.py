"""The handler of ``grpc.health.v1.Health`` (https://github.com/grpc/grpc/blob/master/doc/health-checking.md)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from micro_rt.context import Context
from micro_rt.errors import NotFound
from micro_rt.handler import Handler
from micro_rt.health.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse
from micro_rt.health.state import Health
from micro_rt.method import Idempotency, Kind, Method, ServiceInfo

__all__ = ["HealthHandler"]

_NAME = "grpc.health.v1.Health"
_CHECK = Method(
    _NAME, "Check", "check", Kind.UNARY, HealthCheckRequest, HealthCheckResponse, Idempotency.NO_SIDE_EFFECTS
)
_LIST = Method(_NAME, "List", "list", Kind.UNARY, HealthListRequest, HealthListResponse, Idempotency.NO_SIDE_EFFECTS)
_WATCH = Method(
    _NAME, "Watch", "watch", Kind.SERVER_STREAM, HealthCheckRequest, HealthCheckResponse, Idempotency.NO_SIDE_EFFECTS
)


class HealthHandler(Handler):
    """Answers for the health of a service.

    Args:
        health: what it answers.
    """

    _info_ = ServiceInfo(_NAME, "grpc.health.v1", (_CHECK, _LIST, _WATCH))

    def __init__(self, health: Health) -> None:
        self._health = health

    async def check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        """Says whether calls are welcome now."""
        serving = self._health.serving(request.service)
        if serving is None:
            raise NotFound(f"{request.service!r} is not served here")
        return HealthCheckResponse(status=_status(serving))

    async def list(self, request: HealthListRequest, context: Context) -> HealthListResponse:
        """Says whether calls are welcome now, for the server as a whole and for each service."""
        names = ("", *self._health.services)
        return HealthListResponse(
            statuses={name: HealthCheckResponse(status=_status(self._health.serving(name))) for name in names}
        )

    async def watch(self, request: HealthCheckRequest, context: Context) -> AsyncIterator[HealthCheckResponse]:
        """Says whether calls are welcome, now and after each change; ends when the server stops."""
        sent: HealthCheckResponse.ServingStatus | None = None
        while True:
            change = self._health.change()
            status = _status(self._health.serving(request.service))
            if status != sent:
                sent = status
                yield HealthCheckResponse(status=status)
            if not self._health.running:
                return
            await change.wait()


def _status(serving: bool | None) -> HealthCheckResponse.ServingStatus:
    if serving is None:
        return HealthCheckResponse.SERVICE_UNKNOWN
    return HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
