from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote

import pytest

from micro_rt.backends.etcd.sync import PREFIX
from micro_rt.sync.base import SyncEngine
from micro_rt.testing.contracts import OtherSync, SyncContract
from tests.helpers import sync_engines
from tests.helpers.cutting import CutOff
from tests.servers.server import Server, http_json
from tests.servers.shared import Elsewhere


class TestEtcdSync(CutOff, SyncContract):
    ttl = 2.0  # etcd raises what is less.
    url = ""
    waiters = 60  # Each hand-over writes to etcd's disk; 1,000 wait in tests/faults.

    @pytest.fixture(autouse=True)
    def server(self, etcd: Server | Elsewhere) -> None:
        self.address, self.url = etcd.address, etcd.url

    async def make(self) -> SyncEngine:
        return sync_engines.etcd(f"{self.url}/?timeout=10")

    def other_process(self) -> OtherSync:
        return OtherSync("tests.helpers.sync_engines:etcd", self.url)

    async def drop(self, engine: SyncEngine, name: str) -> bool:
        begin = f"{PREFIX}{quote(name, safe='')}/1/"
        end = begin[:-1] + "0"
        answer = self.request("/v3/kv/deleterange", {"key": text64(begin), "range_end": text64(end)})
        assert int(answer["deleted"]) == 1
        return True

    def request(self, path: str, body: Any) -> Any:
        status, answer = http_json(self.address, "POST", path, body)
        assert status == 200, answer
        return answer


def text64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
