"""A cluster of which no member can be used: each is tried once a round, and the error says why for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient
from micro_rt.backends.etcd.messages_pb2 import RangeRequest
from micro_rt.errors import Unavailable
from micro_rt.method import RetryPolicy
from tests.helpers.raw_server import raw_server
from tests.servers.certificates import Certificates


class Member:
    """Accepts connections, and closes them at once."""

    def __init__(self) -> None:
        self.accepted = 0
        self.address = ""

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.accepted += 1

        async with raw_server(accept, tls=tls) as self.address:
            yield


async def test_no_member_can_be_used(tmp_path: Path) -> None:
    strange = Certificates(tmp_path / "strange")
    trusted = Certificates(tmp_path / "trusted")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(strange.certificate, strange.key)
    one, two, three = members = [Member() for _ in range(3)]
    async with one.listening(), two.listening(tls), three.listening():
        address = EtcdAddress(tuple(member.address for member in members), tls=True, ca=str(trusted.ca))
        client = EtcdClient(address)
        await client.open()
        try:
            async with asyncio.timeout(20):
                for _ in range(3):  # the later calls find every member set aside
                    with pytest.raises(Unavailable) as caught:
                        await client.range(RangeRequest(key=b"x"))
        finally:
            await client.close()
    for member in members:
        assert f"cannot connect to {member.address}: " in caught.value.message
    assert f"cannot connect to {two.address}: its certificate is not accepted" in caught.value.message
    assert not caught.value.may_have_run
    rounds = RetryPolicy().attempts
    assert one.accepted + three.accepted <= 3 * 2 * rounds
