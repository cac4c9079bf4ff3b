"""Two versions of a subscriber in one group: what only the new one handles is never passed over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord, Record
from micro_rt.events.dead_letter import dead_letter_topic
from micro_rt.kit.clock import monotonic
from tests.events.test_tombstones import subscriber_with
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import PATIENCE, eventually
from tests.servers.server import Server


def has_all(subscription: micro.EventSubscription) -> bool:
    return len(subscription.status()) == 4


@pytest.mark.verify("events")
async def test_a_rolling_update_that_adds_a_handler_loses_nothing(
    broker: str, shop: Shop, publish: Publishes, size: Size, figures: Figures
) -> None:
    handled: set[tuple[str, int]] = set()
    published: set[tuple[str, int]] = set()

    async def placed(event: Any, context: micro.EventContext) -> None:
        handled.add(("placed", event.total_cents))

    async def paid(event: Any, context: micro.EventContext) -> None:
        handled.add(("paid", event.paid_cents))

    def old() -> Any:
        return subscribed(broker, shop.subscriber(order_placed=placed), group="g", on_unknown="skip")

    def new() -> Any:
        return subscribed(broker, shop.subscriber(order_placed=placed, order_paid=paid), group="g")

    going = True

    async def publish_both() -> None:
        for number in itertools.count():
            if not going:
                return
            key = str(number % 20)
            await publish.placed(key, number)
            published.add(("placed", number))
            await publish.paid(key, number)
            published.add(("paid", number))
            await asyncio.sleep(0.005)

    async with contextlib.AsyncExitStack() as first, contextlib.AsyncExitStack() as last:
        await first.enter_async_context(old())
        _, second = await first.enter_async_context(old())
        await eventually(lambda: second.status())
        _, third = await last.enter_async_context(new())
        await eventually(lambda: has_all(third), within=PATIENCE)
        publishing = asyncio.ensure_future(publish_both())  # The new event appears once a new member is there.
        until = monotonic() + size(60.0, ci=3.0)
        await first.aclose()
        while True:  # Members of both versions come and go; one of the new ones is always there.
            async with old() as (_, returns), new() as (_, fourth):
                await eventually(lambda each=fourth: each.status(), within=PATIENCE)
                await eventually(lambda each=returns: not each.status(), within=PATIENCE)
            if monotonic() >= until:
                break
        going = False
        await publishing
        await eventually(lambda: published <= handled, lambda: f"{len(published - handled)} unseen", within=PATIENCE)
        await eventually(lambda: has_all(third), within=PATIENCE)
        assert not any(each.unknown for each in third.status())
    figures.add("published", len(published))
    figures.add("unseen", len(published - handled))


async def test_what_no_member_handles_any_more_is_no_longer_passed_over_but_put_aside(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (service, old):
        async with subscribed(broker, shop.subscriber(order_placed=log, order_paid=log), group="g") as (_, new):
            await eventually(lambda: has_all(new), within=PATIENCE)
            await eventually(lambda: not old.status(), within=PATIENCE)
        await publish.paid("k")  # as after a rollback
        await publish.placed("k")
        (letter,) = await read_all(service, dead_letter_topic(shop.topic("orders"), "g"))
        await eventually(lambda: len(log) == 1)
    headers = dict(letter.headers)
    assert headers["ce_type"] == b"shop.OrderPaid"
    assert (
        b"this member of group g has no method for 'shop.OrderPaid', and another one has"
        in headers["micro-dead-reason"]
    )


async def test_what_an_update_has_removed_is_passed_over_after_a_while(
    broker: str, shop: Shop, publish: Publishes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micro_rt.broker.groups.announced.REMEMBERED_FOR", 0.0)
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (_, new):
        async with subscribed(broker, shop.subscriber(order_placed=log, order_paid=log), group="g") as (_, old):
            await eventually(lambda: has_all(old) and not new.status(), within=PATIENCE)
        await eventually(lambda: has_all(new), within=PATIENCE)
        await publish.paid("k")
        await publish.placed("k")
        await eventually(lambda: len(log) == 1)
        assert [each.unknown for each in new.status() if each.unknown] == [{"shop.OrderPaid": 1}]


async def test_members_none_of_which_handles_everything_put_aside_what_they_do_not(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    one, two = Log(), Log()
    async with (
        subscribed(broker, shop.subscriber(order_placed=one), group="g") as (service, first),
        subscribed(broker, shop.subscriber(order_paid=two), group="g") as (_, second),
    ):
        await eventually(lambda: len(first.status()) == 2 and len(second.status()) == 2, within=PATIENCE)
        for number in range(20):
            await publish.placed(str(number))
            await publish.paid(str(number))

        letters: list[Record] = []
        async with asyncio.timeout(PATIENCE):
            while len(one) + len(two) + len(letters) < 40:
                # Not one more than there were: all of them may be there already, and the rest is still to be handled.
                letters = await read_all(service, dead_letter_topic(shop.topic("orders"), "g"), max(len(letters), 1))
                await asyncio.sleep(0.05)
    assert len(one) + len(two) + len(letters) == 40
    reasons = {dict(letter.headers)["micro-dead-reason"] for letter in letters}
    assert all(b"has no method for" in reason for reason in reasons)


async def test_a_static_member_that_returns_with_more_types_takes_the_topic_over(kafka: Server, shop: Shop) -> None:
    """Kafka gives a static member what it had, without asking the leader of the group."""
    log = Log()
    group = shop.topic("g")  # Static members do not leave: the next join of this group waits for their sessions to end.

    def at(instance: str, **methods: Any) -> Any:
        return subscribed(f"{kafka.url}/?instance={instance}", shop.subscriber(**methods), group=group)

    async with at("one", order_placed=log) as (service, one):
        async with at("two", order_placed=log) as (_, two):
            await eventually(lambda: len(one.status()) == 2 and len(two.status()) == 2, within=PATIENCE)
        async with at("two", order_placed=log, order_paid=log) as (_, two):
            await eventually(lambda: len(two.status()) == 4 and not one.status(), within=PATIENCE)
            publish = Publishes(shop, service)
            for number in range(20):
                await publish.paid(str(number))
            await eventually(lambda: len(log) == 20)


async def test_an_update_that_adds_the_method_for_tombstones_loses_none(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log, deleted = Log(), []

    async def tombstone(context: micro.EventContext) -> None:
        deleted.append(context.key)

    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (service, old):
        async with subscribed(broker, subscriber_with(shop, tombstone, order_placed=log), group="g") as (_, new):
            await eventually(lambda: has_all(new), within=PATIENCE)
            await (await service.broker()).publish(
                [OutgoingRecord(shop.topic("orders"), b"", b"%d" % number, tombstone=True) for number in range(20)]
            )
            await eventually(lambda: len(deleted) == 20)
            await eventually(lambda: not old.status(), within=PATIENCE)
        await publish.publisher.tombstone(shop.events["order_placed"].message_type, key="k")
        (letter,) = await read_all(service, dead_letter_topic(shop.topic("orders"), "g"))
    assert letter.tombstone
    assert b"has no method for '(tombstones)'" in dict(letter.headers)["micro-dead-reason"]
