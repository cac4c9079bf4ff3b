"""What a .proto says of its methods holds on both sides: the timeout, and which calls are sent again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

import micro_rt as micro
import micro_rt.testing
from tests.helpers.handlers import Serve
from tests.protos.lab_micro import PoliciesBase, PoliciesClient
from tests.protos.lab_pb2 import Text


class Policies(PoliciesBase):
    """Remembers what deadlines it was given, and fails or hangs when asked to."""

    def __init__(self, failures: int = 0, error: type[micro.Error] = micro.Aborted) -> None:
        self.calls = 0
        self.remaining: list[float | None] = []
        self.hung = asyncio.Event()
        self.failures = failures
        self.error = error

    async def hurry(self, request: Text, context: micro.Context) -> Text:
        self._note(context)
        if request.value == "hang":
            await self._hang()
        if request.value == "hang, then time out":
            try:
                await self._hang()
            except asyncio.CancelledError:
                raise TimeoutError("of the handler's own") from None
        if request.value == "stuck":
            raise TimeoutError("of the handler's own")
        return request

    async def hurry_stream(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        self._note(context)
        async for request in requests:
            yield request
            await self._hang()

    async def insist(self, request: Text, context: micro.Context) -> Text:
        self._note(context)
        if self.calls <= self.failures:
            raise self.error("not now")
        return request

    async def guard(self, request: Text, context: micro.Context) -> Text:
        self._note(context)
        return request

    def _note(self, context: micro.Context) -> None:
        self.calls += 1
        loop = asyncio.get_running_loop()
        self.remaining.append(None if context.deadline is None else context.deadline - loop.time())

    async def _hang(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            self.hung.set()


async def test_the_timeout_is_that_of_calls_that_do_not_say(serve: Serve) -> None:
    handler = Policies()
    async with serve(handler, auth="off") as service:
        client = PoliciesClient(service)
        while not handler.hung.is_set():  # The time may pass before the handler has begun, and it ends a moment later.
            with pytest.raises(micro.DeadlineExceeded):
                await client.hurry(Text(value="hang"))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(handler.hung.wait(), 0.5)
        await client.guard(Text())
        await client.insist(Text())
    *hurried, guarded, insisted = [remaining or 0.0 for remaining in handler.remaining]
    assert hurried
    assert all(0 < remaining <= 0.5 for remaining in hurried)
    assert 0.5 < guarded <= 60.5
    assert 0.5 < insisted <= 30  # That of the service, as nothing else says it.


@pytest.mark.parametrize("said", ["by the call", "by the client"])
async def test_the_server_keeps_to_it_whatever_a_client_asks_for(serve: Serve, said: str) -> None:
    handler = Policies()
    async with serve(handler, auth="off") as service:
        client = PoliciesClient(service, timeout=None if said == "by the call" else 3600)
        with pytest.raises(micro.DeadlineExceeded, match=r"its policy gives a handler 0\.5 s") as caught:
            await client.hurry(Text(value="hang"), timeout=3600 if said == "by the call" else None)
        assert caught.value.id == "micro.deadline"
        assert handler.hung.is_set()
        handler.hung.clear()
        async with client.hurry_stream(timeout=3600) as call:
            await call.send(Text(value="a"))
            assert (await call.receive()).value == "a"
            with pytest.raises(micro.DeadlineExceeded, match="its policy"):
                await call.receive()
        assert handler.hung.is_set()


@pytest.mark.parametrize("what", ["hang", "hang, then time out"])
async def test_the_access_log_says_that_the_time_of_the_policy_has_passed(
    serve: Serve, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    caplog.set_level(logging.INFO, "micro_rt.access")
    async with serve(Policies(), interceptors=[micro.AccessLog()], auth="off") as service:
        with pytest.raises(micro.DeadlineExceeded):
            await PoliciesClient(service).hurry(Text(value=what), timeout=3600)
    assert "server /lab.Policies/Hurry DEADLINE_EXCEEDED" in caplog.text


async def test_a_shorter_timeout_of_the_client_wins(serve: Serve) -> None:
    handler = Policies()
    async with serve(handler, auth="off") as service:
        await PoliciesClient(service, timeout=30).guard(Text())
        await PoliciesClient(service, timeout=3600).guard(Text(), timeout=30)
    assert all(remaining is not None and remaining <= 30 for remaining in handler.remaining)


async def test_a_timeout_of_the_handlers_own_is_its_failure(serve: Serve) -> None:
    async with serve(Policies(), auth="off") as service:
        with pytest.raises(micro.Unknown, match="failed with TimeoutError"):
            await PoliciesClient(service, timeout=3600).hurry(Text(value="stuck"))


async def test_calls_are_sent_again_as_the_policy_says(serve: Serve) -> None:
    handler = Policies(failures=2)
    async with serve(handler, auth="off") as service:
        info = micro.CallInfo()
        assert (await PoliciesClient(service).insist(Text(value="x"), info=info)).value == "x"
        assert (handler.calls, info.attempts) == (3, 3)


async def test_no_more_often_than_the_policy_says_and_only_after_its_codes(serve: Serve) -> None:
    many, other = Policies(failures=100), Policies(failures=1, error=micro.Internal)
    async with serve(many, auth="off") as service:
        with pytest.raises(micro.Aborted):
            await PoliciesClient(service).insist(Text())
        assert many.calls == 3
    async with serve(other, auth="off") as service:
        with pytest.raises(micro.Internal):
            await PoliciesClient(service).insist(Text())
        assert other.calls == 1


async def test_the_retries_of_the_client_win(serve: Serve) -> None:
    handler = Policies(failures=1)
    async with serve(handler, auth="off") as service:
        with pytest.raises(micro.Aborted):
            await PoliciesClient(service, retry=micro.RetryPolicy()).insist(Text())
    assert handler.calls == 1


def test_the_policy_is_data_on_the_method() -> None:
    policies = {method.name: method.policy for method in PoliciesBase._info_.methods}
    assert policies["Guard"] == micro.Policy(
        timeout=60.5,
        retry=micro.RetryPolicy(
            attempts=2,
            backoff=1.0,
            max_backoff=4.0,
            codes=frozenset({micro.Code.UNAVAILABLE, micro.Code.RESOURCE_EXHAUSTED, micro.Code.ABORTED}),
        ),
        auth=micro.AuthPolicy(scopes=("lab:read",)),
    )
    assert policies["Open"] == micro.Policy(auth=micro.AuthPolicy(public=True))
    assert policies["Hurry"] == micro.Policy(timeout=0.5)


class Enforces(micro.Interceptor):
    """Lets those through who say the right word."""

    enforces_auth = True

    async def unary(self, request: Any, call: micro.Call, proceed: Any) -> Any:
        auth = call.method.policy.auth
        if auth is not None and not auth.public and call.metadata.get("scope") not in auth.scopes:
            raise micro.PermissionDenied("no")
        return await proceed(request, call)


class Looks(micro.Interceptor):
    """Sees every call and enforces nothing."""

    async def unary(self, request: Any, call: micro.Call, proceed: Any) -> Any:
        return await proceed(request, call)


async def test_a_service_whose_auth_policy_nothing_enforces_does_not_start() -> None:
    for interceptors in ([], [Looks()]):
        service = micro.Service("lab", registry="memory:", transport="memory", interceptors=interceptors)
        service.handle(Policies())
        with pytest.raises(
            micro.FailedPrecondition, match=r"/lab\.Policies/Guard.* enforces_auth = True.*auth=\"off\""
        ) as caught:
            async with service:
                pass
        assert caught.value.id == "micro.auth_not_enforced"
        assert "/lab.Policies/Open" not in caught.value.message, "anybody may call it"
        assert service.node is None


@pytest.mark.parametrize("where", ["service", "handler", "method"])
async def test_an_interceptor_that_enforces_auth_lets_the_service_start(where: str) -> None:
    interceptors = [Enforces()]
    service = micro.Service(
        "lab", registry="memory:", transport="memory", interceptors=interceptors if where == "service" else ()
    )
    service.handle(
        Policies(),
        interceptors=interceptors if where == "handler" else (),
        method_interceptors={"guard": interceptors} if where == "method" else None,
    )
    async with service:
        client = PoliciesClient(service)
        await client.guard(Text(), metadata={"scope": "lab:read"})
        with pytest.raises(micro.PermissionDenied):
            await client.guard(Text())


async def test_an_interceptor_of_another_method_or_kind_enforces_nothing_here() -> None:
    class OnlyStreams(micro.Interceptor):
        enforces_auth = True

        async def stream(self, requests: Any, call: micro.Call, proceed: Any) -> AsyncIterator[Any]:
            async for reply in proceed(requests, call):
                yield reply

    for options in ({"interceptors": [OnlyStreams()]}, {"method_interceptors": {"insist": [Enforces()]}}):
        service = micro.Service("lab", registry="memory:", transport="memory")
        service.handle(Policies(), **options)  # type: ignore[arg-type]
        with pytest.raises(micro.FailedPrecondition, match="no interceptor enforces it"):
            async with service:
                pass


async def test_what_is_not_off_is_refused() -> None:
    on: Any = "on"
    with pytest.raises(ValueError, match='it is "off", or left out'):
        micro.Service("lab", registry="memory:", auth=on)
    async with micro_rt.testing.serve(Policies(), auth="off") as service:
        await PoliciesClient(service).guard(Text())
