"""The same frames to our server and to that of the package ``h2``: the same verdict, or a difference in the table.

A verdict is what becomes of the connection: nothing, a stream error or a connection error, with its code. RFC 9113
leaves some choice: an endpoint may treat a stream error as a connection error (section 5.4.1), and where a frame breaks
two rules, either error is right. The table says in short what the section says that we follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import h2.config
import h2.connection
import h2.exceptions
import pytest

from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import PREFACE
from tests.helpers.sizes import Size
from tests.unit.http2.peers import frames_of, seen, server, settings
from tests.unit.http2.test_hostile_bytes import FRAMES

Verdict = tuple[str, int]

FINE: Verdict = ("fine", 0)
PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION = (
    ErrorCode.PROTOCOL_ERROR,
    ErrorCode.FLOW_CONTROL_ERROR,
    ErrorCode.STREAM_CLOSED,
    ErrorCode.FRAME_SIZE_ERROR,
    ErrorCode.COMPRESSION_ERROR,
)

DIFFERENCES: Mapping[tuple[Verdict, Verdict], str] = {
    (("reset", PROTOCOL), ("fatal", PROTOCOL)): (
        "8.1.1: Malformed requests or responses that are detected MUST be treated as a stream error of type "
        "PROTOCOL_ERROR. "
        "6.9: A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window "
        "increment of 0 as a stream "
        "error. (h2 ends the connection.)"
    ),
    (("fatal", PROTOCOL), ("fatal", SIZE)): (
        "5.1: Receiving any frame other than HEADERS or PRIORITY on a stream in this state MUST be treated "
        "as a connection "
        "error of type PROTOCOL_ERROR. (h2 first sees that there is no length of the padding.)"
    ),
    (("fatal", CLOSED), ("fatal", SIZE)): "The same, on a stream that has ended.",
    (("reset", CLOSED), ("fatal", SIZE)): "The same, on a stream that is half-closed (remote).",
    (("fatal", PROTOCOL), FINE): (
        "6.4: RST_STREAM frames MUST NOT be sent for a stream in the idle state. If a RST_STREAM frame "
        "identifying an idle "
        "stream is received, the recipient MUST treat this as a connection error of type PROTOCOL_ERROR."
    ),
    (("fatal", CLOSED), ("fatal", PROTOCOL)): (
        "5.1.1: The first use of a new stream identifier implicitly closes all streams in the 'idle' state "
        "with a lower-valued "
        "stream identifier. (So it is closed for us. For h2, the number is unexpected.)"
    ),
    (("fatal", CLOSED), ("reset", CLOSED)): (
        "5.1: An endpoint that receives any frames after receiving a frame with the END_STREAM flag set MUST "
        "treat that as a "
        "connection error of type STREAM_CLOSED. (Here, the number was skipped.)"
    ),
    (FINE, ("fatal", PROTOCOL)): (
        "5.1: WINDOW_UPDATE or RST_STREAM frames can be received in this state: endpoints MUST ignore them. "
        "6.8: Once GOAWAY is sent, the sender will ignore frames on streams initiated by the receiver if the "
        "stream has an "
        "identifier higher than the included last stream identifier. (h2 takes nothing at all after GOAWAY.)"
    ),
    (("fatal", FLOW), ("fatal", PROTOCOL)): "The same: for h2, any frame after GOAWAY is the error.",
    (("fatal", PROTOCOL), ("fatal", CLOSED)): (
        "6.10: If a CONTINUATION frame is received without a preceding HEADERS, the recipient MUST respond "
        "with a connection "
        "error of type PROTOCOL_ERROR."
    ),
    (("fatal", COMPRESSION), ("fatal", PROTOCOL)): (
        "4.3: A decoding error in a field block MUST be treated as a connection error of type COMPRESSION_ERROR."
    ),
}


class Ours:
    def __init__(self) -> None:
        self._connection = server()

    def verdict(self, frame: bytes) -> Verdict:
        verdict = FINE
        for kind, _, value, by_peer in seen(self._connection, frame):
            if kind == "ended":
                return "fatal", value.code
            if kind in ("reset", "refused") and not by_peer:
                verdict = "reset", value.code
        return verdict


class Theirs:
    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._connection = h2.connection.H2Connection(config)
        self._connection.initiate_connection()
        self._connection.receive_data(PREFACE + settings())
        self._connection.data_to_send()

    def verdict(self, frame: bytes) -> Verdict:
        try:
            self._connection.receive_data(frame)
        except h2.exceptions.ProtocolError as error:
            return "fatal", int(error.error_code)
        resets = [payload for kind, *_, payload in frames_of(self._connection.data_to_send()) if kind == 3]
        return ("reset", int.from_bytes(resets[0], "big")) if resets else FINE


def first_verdicts(frames: Iterable[bytes]) -> tuple[Verdict, Verdict]:
    """Returns the verdicts on the first frame that either package does not like."""
    one, other = Ours(), Theirs()
    for frame in frames:
        verdicts = one.verdict(frame), other.verdict(frame)
        if verdicts != (FINE, FINE):
            return verdicts
    return FINE, FINE


@pytest.mark.verify("calls")
def test_the_verdicts_are_the_same_but_for_the_table(size: Size) -> None:
    sequences = [*product(FRAMES, repeat=1), *product(FRAMES, repeat=2)]
    if size.full:
        sequences += list(product(FRAMES[::2], repeat=3))
    unknown: dict[tuple[Verdict, Verdict], object] = {}
    differences: set[object] = set()
    for sequence in sequences[:: size(1, ci=3)]:
        verdicts = first_verdicts(sequence)
        if verdicts[0] != verdicts[1]:
            differences.add(verdicts)
            if verdicts not in DIFFERENCES:
                unknown[verdicts] = sequence
    assert not unknown
    assert len(differences) >= size(len(DIFFERENCES), ci=len(DIFFERENCES) - 3)  # No row is out of date.
