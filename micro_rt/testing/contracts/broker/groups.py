"""The part of the contract suite of brokers about groups: members that share, join, leave and die."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib

import pytest

from micro_rt.broker.base import OutgoingRecord, Partition, TopicOptions
from micro_rt.errors import Error, FailedPrecondition, NotFound
from micro_rt.kit.clock import monotonic
from micro_rt.testing.contracts.broker.members import Reader, Recorder
from micro_rt.testing.contracts.broker.suite import BrokerSuite, expect_each_once, unique_name
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Groups"]


class Groups(BrokerSuite):
    """Groups: members that share, join, leave and die."""

    # Groups

    async def test_each_record_goes_to_one_member(self) -> None:
        async with self.open_topic() as (one, topic), self.open_broker() as two:
            group = unique_name("g")
            async with self.start_reader(one, topic, group=group) as a, self.start_reader(two, topic, group=group) as b:
                await self.until_shared(topic, a, b)
                assert {len(a.partitions), len(b.partitions)} == {self.partitions // 2}
                await self.publish(one, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(200)))
                await eventually(lambda: len(a.records) + len(b.records) >= 200, within=self.settle)
            expect_each_once([a, b], 200)
            assert a.records and b.records

    async def test_each_group_gets_every_record(self) -> None:
        async with self.open_topic() as (one, topic), self.open_broker() as two:
            async with (
                self.start_reader(one, topic) as a,
                self.start_reader(two, topic) as b,
                self.start_reader(one, topic) as c,
            ):
                await self.publish(two, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(100)))
                for reader in (a, b, c):
                    await reader.until(100)
            for reader in (a, b, c):
                expect_each_once([reader], 100)

    async def test_members_join_and_leave_while_events_flow(self) -> None:
        async with self.open_topic() as (one, topic), self.open_broker() as two:
            group = unique_name("g")
            board: dict[Partition, Reader] = {}
            going = True

            async def publish() -> int:
                count = 0
                while going:
                    await self.publish(one, *(OutgoingRecord(topic, b"%d" % count, b"%d" % key) for key in range(10)))
                    count += 10
                    await asyncio.sleep(0.005)
                return count

            publishing = asyncio.ensure_future(publish())
            async with contextlib.AsyncExitStack() as stack:
                readers = [await stack.enter_async_context(self.start_reader(one, topic, group=group, board=board))]
                await self.until_shared(topic, *readers)
                for broker in (two, one):
                    readers.append(
                        await stack.enter_async_context(self.start_reader(broker, topic, group=group, board=board))
                    )
                    await self.until_shared(topic, *readers)
                await readers[0].stop()
                await self.until_shared(topic, *readers[1:])
                await readers[2].stop()
                await self.until_shared(topic, readers[1])
                going = False
                count = await publishing

                def read() -> int:
                    return len({record[:3] for reader in readers for record in reader.records})

                await eventually(lambda: read() >= count, within=self.settle)
                await asyncio.sleep(0.2)
            expect_each_once(readers, count)
            for reader in readers:
                reader.expect_order()

    async def test_who_takes_over_goes_on_at_the_committed_position(self) -> None:
        async with self.open_topic() as (broker, topic):
            group = unique_name("g")
            async with self.start_reader(broker, topic, group=group) as a:
                await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(50)))
                await a.until(50)
            async with self.start_reader(broker, topic, group=group) as b:
                await self.until_all_assigned(b, topic)
                await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(50)))
                await b.until(50)
            expect_each_once([a, b], 100)

    async def test_a_group_reads_what_came_while_it_had_no_member(self) -> None:
        async with self.open_topic(1) as (broker, topic), self.open_broker() as other:
            group, partition = unique_name("g"), Partition(topic, 0)
            await self.publish(broker, OutgoingRecord(topic, b"old"))
            async with self.join(broker, topic, group=group) as (member, _):
                (record,) = await self.read(member, 1)
                await member.commit({partition: record.offset + 1})
            await self.publish(broker, OutgoingRecord(topic, b"new"))
            # The group has a position, so it is not a new one, although nobody was in it and all was read.
            async with self.join(other, topic, group=group, start="latest") as (member, _):
                assert [record.value for record in await self.read(member, 1)] == [b"new"]

    async def test_more_members_than_partitions(self) -> None:
        async with self.open_topic(2) as (broker, topic):
            group = unique_name("g")
            async with contextlib.AsyncExitStack() as stack:
                readers = [
                    await stack.enter_async_context(self.start_reader(broker, topic, group=group)) for _ in range(4)
                ]
                await eventually(lambda: sum(len(reader.partitions) for reader in readers) == 2, within=self.settle)
                await eventually(lambda: all(len(reader.partitions) < 2 for reader in readers), within=self.settle)
                await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(50)))
                await eventually(lambda: sum(len(reader.records) for reader in readers) >= 50, within=self.settle)
                for reader in [reader for reader in readers if reader.partitions]:
                    await reader.stop()
                    readers.remove(reader)
                await self.until_shared(topic, *readers, partitions=2)

    async def test_the_last_chance_to_commit_is_before_another_reads(self) -> None:
        async with self.open_topic() as (broker, topic):
            group = unique_name("g")
            board: dict[Partition, Reader] = {}
            # They commit nothing but when their partitions are revoked.
            async with self.start_reader(broker, topic, group=group, commit=False, board=board) as a:
                a.commit_on_revoke = True
                await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(60)))
                await a.until(60)
                async with self.start_reader(broker, topic, group=group, commit=False, board=board) as b:
                    b.commit_on_revoke = True
                    await self.until_shared(topic, a, b)
                    await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(60)))
                    await eventually(lambda: len(a.records) + len(b.records) >= 120, within=self.settle)
                    await asyncio.sleep(0.2)
            expect_each_once([a, b], 120)

    async def test_one_member_reads_several_topics(self) -> None:
        async with self.open_topic() as (broker, a):
            b = await self.prepare_topic(broker, 2)
            group = unique_name("g")
            async with (
                self.start_reader(broker, a, b, group=group) as one,
                self.start_reader(broker, a, b, group=group) as two,
            ):
                everything = {Partition(a, n) for n in range(self.partitions)} | {Partition(b, n) for n in range(2)}
                await eventually(
                    lambda: (
                        one.partitions | two.partitions == everything
                        and one.partitions.isdisjoint(two.partitions)
                        and abs(len(one.partitions) - len(two.partitions)) <= 1
                    ),
                    within=self.settle,
                )
                await self.publish(
                    broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(50) for topic in (a, b))
                )
                await eventually(lambda: len(one.records) + len(two.records) >= 100, within=self.settle)
            expect_each_once([one, two], 100)

    async def test_members_of_one_group_read_different_topics(self) -> None:
        async with self.open_topic() as (broker, a):
            b = await self.prepare_topic(broker)
            group = unique_name("g")
            async with (
                self.start_reader(broker, a, group=group) as one,
                self.start_reader(broker, b, group=group) as two,
            ):
                await self.until_all_assigned(one, a)
                await self.until_all_assigned(two, b)
                await self.publish(
                    broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(50) for topic in (a, b))
                )
                await one.until(50)
                await two.until(50)
                assert {record.topic for record in one.records} == {a}
                assert {record.topic for record in two.records} == {b}
                async with self.start_reader(broker, a, b, group=group) as three:
                    await eventually(
                        lambda: {each.topic for each in three.partitions} >= {a, b} or len(three.partitions) > 1,
                        within=self.settle,
                    )
            expect_each_once([one, two, three], 100)

    # Members that handle different types

    async def test_a_topic_goes_to_the_members_that_handle_every_type(self) -> None:
        async with self.open_topic() as (one, topic), self.open_broker() as two:
            group = unique_name("g")
            board: dict[Partition, Reader] = {}
            async with self.start_reader(one, topic, group=group, board=board, types=["a"]) as old:
                await self.until_all_assigned(old, topic)
                await self.publish(one, *(OutgoingRecord(topic, b"a", b"%d" % number) for number in range(50)))
                await old.until(50)
                assert not old.announced(topic, "b")
                async with self.start_reader(two, topic, group=group, board=board, types=["b", "a"]) as new:
                    await self.until_all_assigned(new, topic)
                    await eventually(lambda: not old.partitions, within=self.settle)
                    await eventually(lambda: old.announced(topic, "b"), within=self.settle)
                    assert new.announced(topic, "a") and new.announced(topic, "b")
                    assert not old.announced(topic, "c") and not old.announced(unique_name("t"), "b")
                    await self.publish(one, *(OutgoingRecord(topic, b"b", b"%d" % number) for number in range(50)))
                    await new.until(50)
                    async with self.start_reader(one, topic, group=group, board=board, types=["a", "b"]) as newer:
                        await self.until_shared(topic, new, newer)
                await self.until_all_assigned(old, topic)
                assert old.announced(topic, "b"), "it is not remembered"
            assert {record.value for record in old.records} == {b"a"}
            expect_each_once([old, new, newer], 100)

    async def test_of_members_none_of_which_handles_every_type_those_with_the_most_read(self) -> None:
        async with self.open_topic() as (one, topic), self.open_broker() as two:
            group = unique_name("g")
            async with (
                self.start_reader(one, topic, group=group, types=["a"]) as few,
                self.start_reader(two, topic, group=group, types=["b", "c"]) as many,
            ):
                await self.until_all_assigned(many, topic)
                await eventually(lambda: not few.partitions, within=self.settle)
                await eventually(lambda: many.announced(topic, "a"), within=self.settle)

    async def test_a_member_that_announces_nothing_counts_as_handling_every_type(self) -> None:
        async with self.open_topic() as (one, topic), self.open_broker() as two:
            group = unique_name("g")
            other = await self.prepare_topic(one)
            async with (
                self.start_reader(one, topic, group=group, types=["a", "b"]) as says,
                self.start_reader(two, topic, group=group) as silent,
            ):
                await self.until_shared(topic, says, silent)
                async with self.start_reader(one, other, group=group, types=["c"]) as elsewhere:
                    await self.until_all_assigned(elsewhere, other)
                    await self.until_shared(topic, says, silent)

    # Closing

    async def test_closing_a_subscription_revokes_and_ends_it(self) -> None:
        async with self.open_topic() as (broker, topic):
            recorder = Recorder()
            subscription = broker.subscribe([topic], unique_name("g"), "earliest", recorder)
            await self.until_assigned(subscription, recorder, self.partitions)
            await subscription.close()
            assert recorder.partitions == set()
            assert recorder.history[-1][0] == "revoked"
            history = list(recorder.history)
            await subscription.close()
            assert recorder.history == history
            with pytest.raises(Error):
                await subscription.fetch(1, 0.0)

    async def test_a_subscription_that_never_fetched_can_be_closed(self) -> None:
        async with self.open_topic() as (broker, topic):
            recorder = Recorder()
            await broker.subscribe([topic], unique_name("g"), "earliest", recorder).close()
            assert recorder.history == []

    async def test_closing_the_broker_ends_its_subscriptions(self) -> None:
        async with self.open_topic() as (other, topic):
            group = unique_name("g")
            broker = await self.make()
            await broker.open()
            recorder, idle = Recorder(), Recorder()
            subscription = broker.subscribe([topic], group, "earliest", recorder)
            unused = broker.subscribe([topic], group, "earliest", idle)
            await self.until_assigned(subscription, recorder, self.partitions)
            fetching = asyncio.ensure_future(subscription.fetch(10, 100.0))
            await asyncio.sleep(0.1)
            await broker.close()
            async with asyncio.timeout(self.settle):
                with contextlib.suppress(Error):
                    assert await fetching == {}
            for each in (subscription, unused):
                with pytest.raises(Error):
                    await each.fetch(1, 0.0)
            assert recorder.partitions == set()
            assert idle.history == []
            async with self.start_reader(other, topic, group=group) as reader:
                await self.until_all_assigned(reader, topic)

    async def test_opening_again(self) -> None:
        async with self.open_topic() as (other, topic):
            broker = await self.make()
            await broker.close()
            for number in range(2):
                await broker.open()
                await self.publish(broker, OutgoingRecord(topic, b"%d" % number, b"k"))
                async with self.start_reader(broker, topic) as reader:
                    await reader.until(number + 1)
                await broker.close()
            await broker.close()
            async with self.start_reader(other, topic) as reader:
                await reader.until(2)
            assert [record.value for record in reader.records] == [b"0", b"1"]

    async def test_a_broker_that_is_not_open_says_so(self) -> None:
        broker = await self.make()
        topic = unique_name("t")

        async def expect_refusal() -> None:
            with pytest.raises(FailedPrecondition):
                await broker.publish([OutgoingRecord(topic, b"")])
            with pytest.raises(FailedPrecondition):
                await broker.prepare({topic: TopicOptions()})
            with pytest.raises(FailedPrecondition):
                broker.subscribe([topic], "g", "earliest", Recorder())

        await expect_refusal()
        await broker.open()
        assert broker.problem == ""
        await broker.close()
        await expect_refusal()

    async def test_reading_a_topic_that_is_not_there(self) -> None:
        async with self.open_broker() as broker:
            missing = unique_name("missing")
            subscription = broker.subscribe([missing], unique_name("g"), "earliest", Recorder())
            with pytest.raises(NotFound, match=missing):
                await subscription.fetch(1, self.settle)
            await subscription.close()

    # Members that die

    async def test_the_partitions_of_a_member_whose_task_has_ended_go_to_another(self) -> None:
        async with self.open_topic() as (broker, topic), self.open_broker() as other:
            group = unique_name("g")
            recorder = Recorder()
            crashes = broker.subscribe([topic], group, "latest", recorder)

            async def crash() -> None:
                await self.until_assigned(crashes, recorder, self.partitions)
                await crashes.commit({Partition(topic, 0): 0})
                raise RuntimeError("a bug")

            with contextlib.suppress(RuntimeError):
                await asyncio.ensure_future(crash())
            await self.publish(other, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(40)))
            async with self.start_reader(other, topic, group=group, start="latest") as reader:
                await self.until_all_assigned(reader, topic, after=3 * self.session)
                await reader.until(40)
                assert recorder.partitions, "nothing has told it"
                # Whoever reads on with it is a member again.
                async with asyncio.timeout(self.settle):
                    while recorder.history[-1][0] != "assigned" or len(recorder.partitions) == self.partitions:
                        await crashes.fetch(1, 0.1)
                assert [what for what, _ in recorder.history].count("lost") == 1
            await crashes.close()

    async def test_a_member_that_others_read_stays_one(self) -> None:
        async with self.join_beside_another() as (_, _, subscription, recorder):
            history = list(recorder.history)
            end = monotonic() + 2.5 * self.session
            while monotonic() < end:  # Each time in a task that ends.
                assert await asyncio.ensure_future(subscription.fetch(10, 0.1)) == {}
            assert recorder.history == history

    async def test_the_partitions_of_a_killed_process_go_to_another(self) -> None:
        async with self.open_topic() as (broker, topic), self.start_other(topic) as (other, group):
            await self.publish(
                broker, *(OutgoingRecord(topic, b"%d" % number, b"%d" % number) for number in range(100))
            )
            committed = await other.read_and_commit(40, self.settle)
            await other.kill()
            async with self.start_reader(broker, topic, group=group) as reader:
                await self.until_all_assigned(reader, topic, after=self.session)
                expected = 100 - len(committed)
                await reader.until(expected)
                await asyncio.sleep(0.2)
            read = {(record.partition, record.offset) for record in reader.records}
            assert committed.isdisjoint(read)
            assert len(read | committed) == 100
            reader.expect_no_repetition()

    async def test_a_process_that_was_stopped_for_too_long_cannot_commit(self) -> None:
        async with self.open_topic() as (broker, topic), self.start_other(topic) as (other, group):
            await self.publish(
                broker, *(OutgoingRecord(topic, b"%d" % number, b"%d" % number) for number in range(100))
            )
            committed = await other.read_and_commit(40, self.settle)
            await other.hold(self.settle)
            other.pause()
            async with self.start_reader(broker, topic, group=group) as reader:
                await self.until_all_assigned(reader, topic, after=self.session)
                await reader.until(100 - len(committed))
                other.resume()
                assert await other.commit_zero(self.settle) == "Aborted"
                await other.lost(self.settle)
                await asyncio.sleep(0.2)
            async with self.start_reader(broker, topic, group=group) as last:
                await other.kill()
                await self.until_all_assigned(last, topic, after=2 * self.session)
                await self.publish(broker, *(OutgoingRecord(topic, b"new", b"%d" % number) for number in range(100)))
                await last.until(100)
            assert {record.value for record in last.records} == {b"new"}, "what was done was read again"

    async def test_the_death_of_a_publisher_loses_nothing_it_was_told_is_there(self) -> None:
        async with self.open_topic() as (broker, topic), self.start_other(topic) as (other, _):
            accepted = await other.publish_until_killed(200, self.settle)
            async with self.start_reader(broker, topic) as reader:
                await eventually(
                    lambda: accepted <= {int(record.value) for record in reader.records},
                    "some are lost",
                    within=self.settle,
                )
            reader.expect_order()
