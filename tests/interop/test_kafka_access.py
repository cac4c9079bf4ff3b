"""Kafka with TLS, users and ACLs: who may do what, and what they are told who may not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from micro_rt.backends.kafka.broker import KafkaBroker
from micro_rt.broker.base import Broker, OutgoingRecord, Position, Record, TopicOptions
from micro_rt.errors import Error, InvalidArgument, NotFound, PermissionDenied, Unauthenticated, Unavailable
from micro_rt.events.dead_letter import dead_letter, dead_letter_topic
from micro_rt.events.replay import replay
from micro_rt.testing.contracts.broker.members import Reader
from tests.helpers.kafka_lab import broker, make_topic, name
from tests.servers.certificates import Certificates
from tests.servers.kafka import Kafka

PASSWORD = "correct-horse"


class Secured:
    """A server with a listener for users over TLS, beside the one for whoever is on this machine, who may do anything."""

    def __init__(self, server: Kafka, secure: str, certificates: Certificates) -> None:
        self.server = server
        self.secure = secure
        self.certificates = certificates
        self._admin = AdminClient({"bootstrap.servers": server.address})

    def url(self, user: str, password: str = PASSWORD, sasl: str = "plain", more: str = "") -> str:
        return (
            f"kafka://{user}:{password}@{self.secure}/?sasl={sasl}&tls=true&ca={self.certificates.ca}&session=6{more}"
        )

    def let(self, user: str, kind: ResourceType, resource: str, *operations: AclOperation) -> None:
        acls = [
            AclBinding(
                kind, resource, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW
            )
            for operation in operations
        ]
        for future in self._admin.create_acls(acls).values():
            future.result(30)

    def add_scram(self, user: str) -> None:
        upsertions = [
            UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        for upsertion in upsertions:  # One at a time, says Kafka.
            for future in self._admin.alter_user_scram_credentials([upsertion]).values():
                future.result(30)


@pytest.fixture(scope="module")
def secured(make_kafkas: Callable[..., Kafka], tmp_path_factory: pytest.TempPathFactory) -> Secured:
    """One server for all tests here, which use topics and groups of their own."""
    folder = tmp_path_factory.mktemp("secured")
    certificates = Certificates(folder / "certificates")
    keystore = folder / "keystore.pem"
    # Kafka reads keys as PKCS #8 only.
    key = load_pem_private_key(certificates.key.read_bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keystore.write_bytes(pem + certificates.certificate.read_bytes())
    server = make_kafkas()
    secure = f"127.0.0.1:{server._ports.take()}"
    users = " ".join(f'user_{user}="{PASSWORD}"' for user in ("alice", "bob", "reader"))
    login = "org.apache.kafka.common.security"
    changes = {
        "listeners": f",SECURE://{secure}",
        "advertised.listeners": f",SECURE://{secure}",
        "listener.security.protocol.map": ",SECURE:SASL_SSL",
    }
    lines = server._properties.read_text().splitlines()
    lines = [line + changes.get(line.partition("=")[0], "") for line in lines]
    prefix = "listener.name.secure"
    lines += [
        f"{prefix}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{prefix}.plain.sasl.jaas.config={login}.plain.PlainLoginModule required {users};",
        f"{prefix}.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;",
        f"{prefix}.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;",
        f"{prefix}.ssl.keystore.type=PEM",
        f"{prefix}.ssl.keystore.location={keystore}",
        f"{prefix}.ssl.truststore.type=PEM",
        f"{prefix}.ssl.truststore.location={certificates.ca}",
        f"{prefix}.ssl.client.auth=requested",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
        "auto.create.topics.enable=false",
    ]
    server._properties.write_text("\n".join(lines) + "\n")
    server.start_now()
    return Secured(server, secure, certificates)


async def round_trip(one: Broker, topic: str, group: str) -> None:
    (result,) = await one.publish([OutgoingRecord(topic, b"hello", b"k")])
    assert isinstance(result, Position), result
    reader = Reader(one, [topic], group, "earliest", True, 10, None, 60.0)
    await reader.until(1)
    await reader.stop()


async def refused(one: Broker, *messages: OutgoingRecord) -> list[Error]:
    results = await one.publish(messages)
    assert all(isinstance(result, Error) for result in results), results
    return [result for result in results if isinstance(result, Error)]


async def test_users_and_acls(secured: Secured, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secured.add_scram("carol")
    topic, other, group = name("t"), name("other"), name("g")
    async with broker(secured.server.url) as anybody:
        await anybody.prepare({topic: TopicOptions(partitions=2), other: TopicOptions(partitions=1)})
    for user in ("alice", "carol"):
        secured.let(user, ResourceType.TOPIC, topic, AclOperation.READ, AclOperation.WRITE)
        secured.let(user, ResourceType.GROUP, group, AclOperation.READ)
    secured.let("bob", ResourceType.TOPIC, topic, AclOperation.DESCRIBE)
    secured.let("reader", ResourceType.TOPIC, topic, AclOperation.READ)

    for url in (
        secured.url("alice"),
        secured.url("carol", sasl="scram-sha-256"),
        secured.url("carol", sasl="scram-sha-512"),
    ):
        async with broker(url) as one:
            await one.prepare({topic: TopicOptions()})
            await round_trip(one, topic, group)

    async with broker(secured.url("alice")) as one:
        # A topic that she may not see is refused, and does not keep hers from being accepted.
        error, accepted = await one.publish([OutgoingRecord(other, b""), OutgoingRecord(topic, b"")])
        assert isinstance(error, PermissionDenied | NotFound)
        assert not error.may_have_run
        assert isinstance(accepted, Position)
        with pytest.raises((PermissionDenied, NotFound)):
            await one.prepare({name("new"): TopicOptions()})
        # A group that is not hers.
        reader = Reader(one, [topic], name("not-hers"), "earliest", True, 10, None, 60.0)
        with pytest.raises(PermissionDenied, match="group"):
            await reader.until(1)

    async with broker(secured.url("bob")) as one:
        (error,) = await refused(one, OutgoingRecord(topic, b"from bob", b"k"))
        assert isinstance(error, PermissionDenied)
        assert not error.may_have_run
        assert topic in error.message
        # As soon as he may, he can: nothing has to be made anew.
        secured.let("bob", ResourceType.TOPIC, topic, AclOperation.WRITE)
        for _ in range(100):
            (result,) = await one.publish([OutgoingRecord(topic, b"from bob", b"k")])
            if isinstance(result, Position):
                break
            await asyncio.sleep(0.1)
        assert isinstance(result, Position)

    async with broker(secured.url("reader")) as one:
        (error,) = await refused(one, OutgoingRecord(topic, b"", b"k"))
        assert isinstance(error, PermissionDenied)

    assert PASSWORD not in caplog.text


async def test_what_replaying_needs(secured: Secured) -> None:
    topic, group = name("t"), name("g")
    letters = dead_letter_topic(topic, group)
    values = [b"0", b"1" * 3000, b"2"]
    async with broker(secured.server.url) as anybody:
        await make_topic(secured.server, {"max.message.bytes": "2000"}, named=topic)
        await anybody.prepare({letters: TopicOptions(partitions=1)})
        records = [Record(topic, 0, number, 1.5, b"k", value, ()) for number, value in enumerate(values)]
        results = await anybody.publish([dead_letter(record, group, "broken", None, 5) for record in records])
        assert all(isinstance(result, Position) for result in results)

    async def replayed(*, dry_run: bool = False) -> tuple[list[int], Error | None]:
        found: list[int] = []
        async with broker(secured.url("bob")) as one:
            try:
                async for letter in replay(one, topic, group, dry_run=dry_run):
                    found.append(letter.offset)
            except Error as error:
                return found, error
        return found, None

    async def until(expected: list[int], *, dry_run: bool = False) -> Error | None:
        """Tries until a permission holds that was given just now."""
        for _ in range(100):
            found, error = await replayed(dry_run=dry_run)
            if found == expected:
                return error
            assert isinstance(error, PermissionDenied | NotFound), error
        raise AssertionError(f"{error!r} after {found}")

    found, error = await replayed()
    assert (found, type(error)) == ([], PermissionDenied)
    secured.let("bob", ResourceType.TOPIC, letters, AclOperation.READ)
    found, error = await replayed()
    assert found == []
    secured.let("bob", ResourceType.GROUP, f"{group}.replay", AclOperation.READ)
    assert await until([0, 1, 2], dry_run=True) is None
    found, error = await replayed()
    assert found == []
    assert isinstance(error, PermissionDenied)
    assert topic in error.message
    secured.let("bob", ResourceType.TOPIC, topic, AclOperation.WRITE)
    # Without a way to put the one that is refused behind the others, those behind it are replayed again.
    for expected in ([0, 2], [2]):
        assert isinstance(await until(expected), InvalidArgument)
    secured.let("bob", ResourceType.TOPIC, letters, AclOperation.WRITE)
    assert isinstance(await until([2]), InvalidArgument)
    for _ in range(100):
        found, error = await replayed()
        assert isinstance(error, InvalidArgument)
        if not found:
            break
    assert found == []


async def test_who_is_not_known_is_told_so(secured: Secured) -> None:
    for url in (
        secured.url("alice", "wrong"),
        secured.url("nobody"),
        secured.url("alice", sasl="scram-sha-256"),
    ):
        one = KafkaBroker(url)
        with pytest.raises(Unauthenticated, match="user and password") as raised:
            await one.open()
        assert "wrong" not in str(raised.value)


async def test_tls_that_does_not_fit_is_told(secured: Secured, tmp_path: Path) -> None:
    unknown = Certificates(tmp_path / "others")
    one = KafkaBroker(secured.url("alice").replace(str(secured.certificates.ca), str(unknown.ca)) + "&timeout=3")
    with pytest.raises(Unavailable, match=r"certificate verify failed.*ca="):
        await one.open()
    # Without TLS, to a listener that wants it; and the other way round.
    for url in (f"kafka://{secured.secure}/?timeout=3", f"kafka://{secured.server.address}/?tls=true&timeout=3"):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await KafkaBroker(url).open()


async def test_a_client_certificate(secured: Secured) -> None:
    topic, group = name("t"), name("g")
    files = secured.certificates
    more = f"&cert={files.client_certificate}&key={files.client_key}&compression=lz4"
    secured.let("alice", ResourceType.BROKER, "kafka-cluster", AclOperation.CREATE)
    secured.let("alice", ResourceType.TOPIC, topic, AclOperation.READ, AclOperation.WRITE)
    secured.let("alice", ResourceType.GROUP, group, AclOperation.READ)
    async with broker(secured.url("alice", more=more)) as one:
        await one.prepare({topic: TopicOptions(partitions=1)})
        await round_trip(one, topic, group)
