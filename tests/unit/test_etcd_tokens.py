"""Who asks for a token of etcd, and how often: making one is expensive for the server, which is why it is asked with care."""

from __future__ import annotations

import asyncio

import pytest

from micro_rt.backends.etcd import client
from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import Tokens
from micro_rt.errors import Unauthenticated, Unavailable

WHO = EtcdAddress(("h:1",), user="me", password="hush")


class Server:
    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def authenticate(self) -> str:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return f"token {self.asked}"


async def test_all_who_wait_get_the_token_that_one_asked_for() -> None:
    server = Server()
    tokens = Tokens(WHO, server.authenticate)
    assert set(await asyncio.gather(*(tokens.get() for _ in range(100)))) == {"token 1"}
    assert server.asked == 1
    for _ in range(100):
        tokens.expired("token 1")
    assert set(await asyncio.gather(*(tokens.get() for _ in range(100)))) == {"token 2"}
    tokens.expired("token 1")  # A late one says nothing of the new token.
    assert await tokens.get() == "token 2"
    assert server.asked == 2


async def test_who_has_no_name_asks_for_none() -> None:
    server = Server()
    tokens = Tokens(EtcdAddress(("h:1",)), server.authenticate)
    tokens.expired("")
    assert await tokens.get() == ""
    assert server.asked == 0


async def test_after_a_refusal_the_server_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REFUSED", (0.5, 10.0))
    server = Server()
    server.error = Unauthenticated("no")
    tokens = Tokens(WHO, server.authenticate)
    for _ in range(50):
        with pytest.raises(Unauthenticated):
            await tokens.get()
    assert server.asked < 50
    server.error = None
    async with asyncio.timeout(30):
        while True:
            try:
                assert await tokens.get()
                break
            except Unauthenticated:
                await asyncio.sleep(0.01)


async def test_a_server_that_cannot_be_reached_has_refused_nobody() -> None:
    server = Server()
    server.error = Unavailable("away")
    tokens = Tokens(WHO, server.authenticate)
    with pytest.raises(Unavailable):
        await tokens.get()
    server.error = None
    assert await tokens.get() == "token 2"
