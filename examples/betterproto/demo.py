"""Serves and calls messages that are dataclasses: the same stubs and runtime, generated with messages=betterproto."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import betterproto

import micro_rt as micro
from micro_rt.testing import serve

HERE = Path(__file__).parent


def main() -> None:
    """Generates the code, and uses it."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "micro_rt.cli.main", "generate", f"-I{HERE}", f"--out={out}"]
        options = ["--opt=messages=betterproto", str(HERE / "parcels.proto")]
        subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
        sys.path.insert(0, out)
        asyncio.run(use(import_module("parcels_micro"), import_module("parcels_pb")))


async def use(stubs: Any, pb: Any) -> None:
    """Serves one parcel, and calls for it."""

    class Parcels(stubs.ParcelsBase):  # type: ignore[misc]
        async def find(self, request: Any, context: micro.Context) -> Any:
            return pb.Parcel(
                id=request.id,
                stage=pb.Stage.SENT,
                sent=datetime(2026, 11, 24, 9, 30, tzinfo=UTC),
                stops=[pb.Stop("Lyon"), pb.Stop("Turin")],
                locker="12b",
            )

        async def follow(self, request: Any, context: micro.Context) -> AsyncIterator[Any]:
            for stop in (await self.find(request, context)).stops:
                yield stop

    async with serve(Parcels()) as service:
        parcels = stubs.ParcelsClient(service)
        parcel = await parcels.find(pb.FindRequest(id="p-1"))
        print(f"{parcel.id} is {parcel.stage.name}, since {parcel.sent:%d.%m.%Y %H:%M}")
        print("it goes to", betterproto.which_one_of(parcel, "receiver"))
        print("it stopped at", [stop.place async for stop in parcels.follow(pb.FindRequest(id="p-1"))])
        print(parcel.to_json())
        assert pb.Parcel().parse(bytes(parcel)) == parcel


if __name__ == "__main__":
    main()
