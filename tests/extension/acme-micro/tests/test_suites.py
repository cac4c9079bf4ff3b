"""Every part of acme-micro keeps the promises of its part."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import uuid
from pathlib import Path

import pytest
from acme_micro.broker import AcmeBroker
from acme_micro.codec import AcmeCodec
from acme_micro.registry import AcmeRegistry
from acme_micro.selector import FewestCalls, LongestIdle
from acme_micro.transport import AcmeTransport

from micro_rt.broker.base import Broker
from micro_rt.codec.base import Codec
from micro_rt.errors import FailedPrecondition
from micro_rt.node import Node
from micro_rt.registry.base import Registration, Registry
from micro_rt.selector.base import LoadSelector, Selector
from micro_rt.testing.contracts import (
    BrokerContract,
    CodecContract,
    LoadSelectorContract,
    OtherProcess,
    RegistryContract,
    SelectorContract,
    TransportContract,
)
from micro_rt.transport.base import Transport


class TestAcmeRegistry(RegistryContract):
    many = 100
    changes = 50

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.address = f"acme:{tmp_path}/registry.json"

    async def make(self) -> Registry:
        return AcmeRegistry(self.address)

    def other_process(self) -> OtherProcess:
        return OtherProcess("acme_micro.registry:AcmeRegistry", self.address)

    async def write_raw(self, name: str, id: str, entry: str) -> bool:
        self._write(id, entry)
        return True

    def _write(self, id: str, entry: str) -> None:
        file = Path(self.address.removeprefix("acme:"))
        entries = json.loads(file.read_text())
        try:
            entries[id] = json.loads(entry)
        except (ValueError, RecursionError):
            entries[id] = entry
        file.write_text(json.dumps(entries))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, in which other users may have put something."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"acme-micro-{os.getuid()}"


async def registered() -> None:
    registry = AcmeRegistry("acme:")
    await registry.open()
    try:
        await registry.register(Registration(Node("1", "127.0.0.1:1"), ("a",)))
    finally:
        await registry.close()


def test_the_folder_of_the_file_is_for_this_user(temporary: Path) -> None:
    asyncio.run(registered())
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700
    assert sorted(path.name for path in temporary.iterdir()) == ["registry.json", "registry.lock"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in temporary.iterdir()} == {0o600}


@pytest.mark.parametrize("planted", ["link", "file", "open"])
def test_a_folder_that_others_could_have_made_is_refused(temporary: Path, tmp_path: Path, planted: str) -> None:
    if planted == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        temporary.symlink_to(tmp_path / "elsewhere")
    elif planted == "file":
        temporary.touch()
    else:
        temporary.mkdir()
        temporary.chmod(0o777)
    with pytest.raises(FailedPrecondition, match="acme-micro"):
        asyncio.run(registered())


@pytest.mark.parametrize("name", ["registry.lock", "registry.json"])
def test_nothing_is_opened_through_a_link(temporary: Path, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("{}")
    temporary.mkdir(mode=0o700)
    (temporary / name).symlink_to(victim)
    with pytest.raises(FailedPrecondition, match="link"):
        asyncio.run(registered())
    assert victim.read_text() == "{}"


class TestAcmeBroker(BrokerContract):
    session = 0.2
    many = 1000
    bulk = 8 << 20

    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.address = f"acme:{uuid.uuid4()}"

    async def make(self) -> Broker:
        return AcmeBroker(self.address)


class TestLongestIdle(SelectorContract):
    def make(self) -> Selector:
        return LongestIdle()


class TestFewestCalls(LoadSelectorContract):
    spreads = False  # among nodes with as many calls it takes the first

    def make(self) -> LoadSelector:
        return FewestCalls()


class TestAcmeCodec(CodecContract):
    def make(self) -> Codec:
        return AcmeCodec()


class TestAcmeTransport(TransportContract):
    def make(self) -> Transport:
        return AcmeTransport()
