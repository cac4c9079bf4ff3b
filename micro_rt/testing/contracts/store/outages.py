"""Tests of stores that cannot be reached, or cannot write."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib

import pytest

from micro_rt.errors import Error, NotFound
from micro_rt.kit.clock import loop_time
from micro_rt.testing.contracts.store.suite import StoreSuite, prefix, until
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Outages"]


class Outages(StoreSuite):
    """Tests of stores that cannot be reached, or cannot write."""

    async def test_a_store_that_is_cut_off_answers_in_time_and_works_again(self) -> None:
        cut = self.cut_off()
        if cut is None:
            pytest.skip("nothing cuts off memory of this process")
        async with self.store() as store, self.store() as watching:
            place = prefix()
            version = await store.write(place + "a", b"1")
            async with watching.watch(place) as watch:
                async with cut:
                    begun = loop_time()
                    with pytest.raises(Error) as error:
                        await store.write(place + "a", b"2", timeout=1.0, if_version=version)
                    assert str(error.value)
                    assert loop_time() - begun < self.settle
                    with pytest.raises(Error):
                        await store.write_many({place + "b": b"2"}, timeout=1.0)

                async def written() -> int:
                    try:
                        return await store.write(place + "a", b"3", timeout=5.0)
                    except Error:
                        return 0

                last = await eventually(written, within=self.settle)
                assert (await store.read(place + "a")).value == b"3"
                await until(watch, place + "a", last, self.settle)

    async def test_a_call_that_is_cancelled_harms_no_other(self) -> None:
        async with self.store() as store:
            place = prefix()
            for number in range(100):
                writing = asyncio.ensure_future(store.write(place + "a", b"%d" % number))
                await asyncio.sleep(0 if number % 2 else 0.0005)
                writing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await writing
            await store.write(place + "b", b"")
            with contextlib.suppress(NotFound):
                int((await store.read(place + "a")).value)
            assert (await store.read(place + "b")).value == b""

    async def test_a_timeout_that_cannot_be_is_refused(self) -> None:
        async with self.store() as store:
            for timeout in (0, -1, float("nan"), float("inf")):
                with pytest.raises(ValueError, match="timeout"):
                    await store.read("a", timeout=timeout)
