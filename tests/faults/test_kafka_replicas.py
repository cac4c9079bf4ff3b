"""How many replicas the topics have that micro-rt makes: what the cluster says, whichever brokers are up."""

from __future__ import annotations

import logging
from collections.abc import Callable

import aiokafka.admin
import pytest

from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from micro_rt.errors import FailedPrecondition
from tests.helpers.kafka_lab import broker, name
from tests.servers.kafka import Kafka, KafkaCluster


async def test_a_topic_that_is_made_while_a_broker_is_away_has_all_its_replicas(kafka_cluster: KafkaCluster) -> None:
    topic, letters = name("t"), name("t.g.dead")
    away = kafka_cluster.brokers[2]
    await away.stop()
    try:
        async with broker(kafka_cluster.url) as one:
            await one.prepare({topic: TopicOptions(partitions=3)})
            await one.prepare({letters: TopicOptions(partitions=1, holds=topic)})
            (result,) = await one.publish([OutgoingRecord(topic, b"", b"k")])
            assert isinstance(result, Position)
        assert await kafka_cluster.replicas(topic) == {number: [1, 2, 3] for number in range(3)}
        assert await kafka_cluster.replicas(letters) == {0: [1, 2, 3]}
    finally:
        await away.start()
        await kafka_cluster.until_in_sync()
    async with broker(f"{kafka_cluster.url}/?replication=2") as one:
        topic = name("t")
        await one.prepare({topic: TopicOptions(partitions=1)})
        assert [len(nodes) for nodes in (await kafka_cluster.replicas(topic)).values()] == [2]


async def test_a_topic_on_one_broker_alone_is_warned_of(
    kafka_cluster: KafkaCluster, caplog: pytest.LogCaptureFixture
) -> None:
    topics = {replicas: name(f"t{replicas}") for replicas in (1, 3)}
    admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=kafka_cluster.address)
    await admin.start()
    await admin.create_topics([aiokafka.admin.NewTopic(topic, 1, count) for count, topic in topics.items()])
    await admin.close()
    async with broker(kafka_cluster.url) as one:
        assert one._cluster is not None
        with caplog.at_level(logging.WARNING, "micro_rt.broker"):
            await one._cluster._warn_of_one_replica(list(topics.values()))
    (warning,) = caplog.messages
    assert warning.startswith(f"{topics[1]}: ")
    assert "default.replication.factor" in warning


async def test_the_cluster_says_how_many_and_the_address_may_say_otherwise(
    make_kafka: Callable[..., Kafka], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_kafka(properties={"default.replication.factor": "2"})
    await server.start()
    async with broker(server.url) as one:
        with pytest.raises(FailedPrecondition, match=r"fewer brokers than .*default\.replication\.factor"):
            await one.prepare({name("t"): TopicOptions()})
        # A cluster before Kafka 2.4 cannot be asked for its default.
        monkeypatch.setattr("micro_rt.backends.kafka.client.CLUSTER_DEFAULT_FROM", 99)
        await one.prepare({name("t"): TopicOptions()})
    monkeypatch.undo()
    async with broker(f"{server.url}/?replication=1") as one:
        await one.prepare({name("t"): TopicOptions()})
