"""Consul, the real one, keeps what every engine of locks promises."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from micro_rt.backends.consul.lock_keys import folder_of
from micro_rt.backends.consul.sync import ConsulSync
from micro_rt.sync.base import SyncEngine
from micro_rt.testing.contracts import OtherSync, SyncContract
from tests.helpers.cutting import CutOff
from tests.servers.server import Server, http_json
from tests.servers.shared import Elsewhere


class TestConsulSync(CutOff, SyncContract):
    url = ""
    ttl = 10.0
    expires = 60.0
    timeout = 240.0
    waiters = 40
    turns = 5

    @pytest.fixture(autouse=True)
    def server(self, consul: Server | Elsewhere) -> None:
        self.address, self.url = consul.address, consul.url

    # Consul lets a session live for twice its ttl, and takes no ttl below 10 s: these wait together.
    test_a_claim_that_nobody_renews_expires: Any = None
    test_a_claim_that_is_renewed_stays: Any = None
    test_a_claim_that_waits_longer_than_its_ttl_keeps_its_place: Any = None
    test_a_holder_whose_loop_stands_still_loses_its_lock_in_time: Any = None
    test_an_observer_sees_that_a_leader_has_died: Any = None

    async def test_what_takes_longer_than_a_ttl(self, tmp_path: Path) -> None:
        hidden = [name for name, value in vars(TestConsulSync).items() if name.startswith("test") and value is None]
        assert len(hidden) == 5
        tests = [inspect.unwrap(getattr(SyncContract, name)) for name in hidden]
        wanted = {"tmp_path": tmp_path}
        await asyncio.gather(
            *(
                test(self, **{name: wanted[name] for name in [*inspect.signature(test).parameters][1:]})
                for test in tests
            )
        )

    async def make(self) -> SyncEngine:
        return ConsulSync(f"{self.url}/?timeout=2")

    def other_process(self) -> OtherSync:
        return OtherSync("micro_rt.backends.consul.sync:ConsulSync", self.url)

    async def drop(self, engine: SyncEngine, name: str) -> bool:
        path = f"/v1/kv/{quote(folder_of(name, 1))}0"
        status, deleted = await asyncio.to_thread(http_json, self.address, "DELETE", path)
        assert (status, deleted) == (200, True)
        return True
