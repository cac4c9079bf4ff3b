"""The seeds of the fuzzer: short conversations, each a file in ``corpus`` with a name that says what it is.

A file is text, so that a change can be reviewed. Its first line says whose side hears the conversation, what that side
does with requests (``HABITS`` in engines.py), and whether the connection is ``greeted`` already or ``fresh``. Each
other line is a frame, in hexadecimal, with a comment that says what it is; ``00*100`` stands for a hundred zeros.

``python -m tests.unit.http2.seeds`` writes the files anew from ``CONVERSATIONS``, which is how most of them were made.
What a fuzzer finds is added by hand as ``found-….hex``; this script leaves it alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.unit.http2.engines import GREETING, HABITS, SIDES
from tests.unit.http2.peers import GET, OK, POST, Block, Pairs, frames_of, headers, raw, settings

__all__ = ["CONVERSATIONS", "CORPUS", "Seed", "files", "load", "text"]

CORPUS: Final = Path(__file__).with_name("corpus")


class Seed(NamedTuple):
    """A conversation: what one side of a connection hears."""

    name: str
    side: str
    habit: str
    greeted: bool
    frames: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        """All of its bytes."""
        return b"".join(self.frames)


def load() -> list[Seed]:
    """Reads the files of the corpus."""
    return [_parsed(path.stem, path.read_text()) for path in sorted(CORPUS.glob("*.hex"))]


def _parsed(name: str, lines: str) -> Seed:
    first, *others = lines.splitlines()
    side, habit, greeted = first.removeprefix("# ").split()
    assert side in SIDES, name
    assert habit in HABITS, name
    assert greeted in ("greeted", "fresh"), name
    frames = tuple(b"".join(map(_bytes, line.partition("#")[0].split())) for line in others)
    return Seed(name, side, habit, greeted == "greeted", frames)


def _bytes(word: str) -> bytes:
    digits, _, times = word.partition("*")
    return bytes.fromhex(digits) * int(times or 1)


def text(seed: Seed) -> str:
    """Returns what the file of a seed has in it."""
    lines = [f"# {seed.side} {seed.habit} {'greeted' if seed.greeted else 'fresh'}"]
    lines += [f"{_digits(frame)}  # {_described(frame)}" for frame in seed.frames]
    return "\n".join(lines) + "\n"


def _digits(frame: bytes) -> str:
    return re.sub(
        r"\b((?:..)*?)((?:00){64,})", lambda found: f"{found[1]} 00*{len(found[2]) // 2} ", frame.hex()
    ).strip()


def files() -> Iterator[tuple[Path, str]]:
    """Gives the path and the text of each file that this script writes."""
    for seed in CONVERSATIONS:
        yield CORPUS / f"{seed.name}.hex", text(seed)


_NAMES: Final = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
]
_FLAGS: Final = ((1, "END_STREAM or ACK"), (4, "END_HEADERS"), (8, "PADDED"), (0x20, "PRIORITY"))


def _described(frame: bytes) -> str:
    if len(frame) < 9 or len(frame) != 9 + int.from_bytes(frame[:3], "big"):
        return f"{len(frame)} bytes that are no whole frame"
    ((kind, flags, stream, payload),) = frames_of(frame)
    name = _NAMES[kind] if kind < len(_NAMES) else f"type {kind:#x}"
    said = [text for flag, text in _FLAGS if flags & flag and (kind in (0, 1, 9) or flag == 1)]
    return ", ".join([f"{name} on {stream}", *said, f"{len(payload)} bytes"])


# What conversations are made of


def _get(stream: int, *more: tuple[bytes, bytes], ended: bool = True) -> bytes:
    return headers(stream, (*GET, *more), ended)


def _post(stream: int, *more: tuple[bytes, bytes]) -> bytes:
    return headers(stream, (*POST, *more))


def _data(stream: int, data: bytes, ended: bool = False) -> bytes:
    return raw(0, ended, stream, data)


def _trailers(stream: int, pairs: Pairs = ((b"grpc-status", b"0"),)) -> bytes:
    return headers(stream, pairs, ended=True)


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _window(stream: int, value: int) -> bytes:
    return raw(8, 0, stream, _number(value))


def _reset(stream: int, code: int = 8) -> bytes:
    return raw(3, 0, stream, _number(code))


def _goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return raw(7, 0, 0, _number(last) + _number(code) + debug)


def _server(name: str, *frames: bytes, habit: str = "silent") -> Seed:
    return Seed(f"server-{name}", "server", habit, True, frames)


def _client(name: str, *frames: bytes) -> Seed:
    return Seed(f"client-{name}", "client", "silent", True, frames)


def _fresh(side: str, name: str, *frames: bytes) -> Seed:
    return Seed(f"{side}-{name}", side, "silent", False, frames)


_PING: Final = raw(6, 0, 0, b"12345678")
_BLOCK: Final = Block.of(GET)
_INDEXED: Final = bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")
"""The first request of RFC 7541, appendix C.4.1: indices, an entry for the table, Huffman."""

CONVERSATIONS: Sequence[Seed] = (
    _server("get", _get(1), _get(3), habit="answers"),
    _server("post-with-trailers", _post(1), _data(1, b"hello"), _data(1, b"again"), _trailers(1), habit="answers"),
    _server("streams-in-turns", _post(1), _post(3), _data(3, b"c"), _data(1, b"a", True), _data(3, b"d", True)),
    _server("continuation", raw(1, 1, 1, _BLOCK[:7]), raw(9, 0, 1, _BLOCK[7:8]), raw(9, 4, 1, _BLOCK[8:])),
    _server("continuation-of-nothing", raw(1, 1, 1), raw(9, 0, 1), raw(9, 4, 1, _BLOCK), raw(9, 4, 1)),
    _server("continuation-of-no-block", _get(3), raw(9, 4, 1, _BLOCK)),
    _server("block-interrupted", raw(1, 1, 1, _BLOCK[:7]), _PING, raw(9, 4, 1, _BLOCK[7:])),
    _server("block-of-another-stream", raw(1, 1, 1, _BLOCK[:7]), raw(9, 4, 3, _BLOCK[7:])),
    _server("block-that-is-malformed-from-the-start", raw(1, 1, 1, b"\0\1A\1a"), raw(9, 4, 1, _BLOCK)),
    _server("padding", raw(1, 0xC, 1, b"\4" + Block.of(POST) + bytes(4)), raw(0, 9, 1, b"\3x\0\0\0")),
    _server("padding-alone", _post(1), raw(0, 8, 1, b"\3\0\0\0"), raw(0, 9, 1, b"\0")),
    _server("padding-too-long", _post(1), raw(0, 8, 1, b"\4\0\0\0")),
    _server("padding-without-length", _post(1), raw(0, 8, 1)),
    _server("headers-padded-too-long", raw(1, 0xD, 1, b"\xff" + _BLOCK)),
    _server("priority", raw(2, 0, 3, b"\0\0\0\1\7"), raw(1, 0x25, 1, b"\x80\0\0\0\7" + _BLOCK), raw(2, 0, 1, bytes(5))),
    _server("priority-of-itself", raw(2, 0, 1, b"\0\0\0\1\7")),
    _server("headers-priority-of-itself", raw(1, 0x25, 1, b"\0\0\0\1\7" + _BLOCK)),
    _server("priority-of-wrong-length", _post(1), raw(2, 0, 1, b"\0\0\0\3")),
    _server("empty-data", _post(1), _data(1, b""), _data(1, b""), _data(1, b"x"), _data(1, b"", True)),
    _server("reset-in-the-same-read", _post(1), _reset(1), _get(3), _reset(3, 0), habit="answers"),
    _server("reset-and-go-on", _post(1), _reset(1), _data(1, b"late"), _trailers(1), _window(1, 9), _reset(1)),
    _server("reset-by-us", _post(1), _data(1, b"late"), _window(1, 9), _trailers(1), _reset(1), habit="resets"),
    _server("reset-by-us-and-malformed", _post(1), headers(1, OK), habit="resets"),
    _server("after-the-end", _get(1), _data(1, b"late"), _window(1, 9), _reset(1)),
    _server("headers-after-the-end", _get(1), _get(1)),
    _server("after-both-ends", _get(1), _window(1, 9), _reset(1), _data(1, b"late"), habit="answers"),
    _server("block-after-the-end", _get(1), raw(1, 1, 1, _BLOCK[:7]), raw(9, 4, 1, _BLOCK[7:])),
    _server("headers-after-both-ends", _get(1), _get(1), habit="answers"),
    _server("data-after-our-end", _post(1), _data(1, b"x"), _trailers(1), habit="answers"),
    _server("stream-skipped", _get(5), _window(3, 9), _reset(3), _data(3, b"x")),
    _server("stream-lower", _get(5), _get(3)),
    _server("stream-even", _get(2)),
    _server("stream-0", headers(0, GET)),
    _server("data-on-0", _data(0, b"x")),
    _server("data-when-idle", _data(1, b"x")),
    _server("window-when-idle", _get(1), _window(3, 9)),
    _server("reset-when-idle", _get(1), _reset(3)),
    _server("ping", _PING, raw(6, 1, 0, b"12345678"), raw(6, 0, 0, b"1234567")),
    _server("settings", settings((1, 0), (3, 1), (4, 70_000), (5, 16_385), (6, 99), (0xABCD, 7)), settings()),
    _server("settings-twice", settings((4, 1), (4, 2), (1, 0), (1, 4_096)), _get(1), settings((4, 0))),
    _server("settings-acknowledged-again", raw(4, 1), raw(4, 1)),
    _server("settings-of-wrong-length", raw(4, 0, 0, bytes(5))),
    _server("settings-acknowledged-with-more", raw(4, 1, 0, bytes(6))),
    _server("settings-on-a-stream", _get(1), raw(4, 0, 1)),
    *(
        _server(f"settings-illegal-{name}", settings((number, value)))
        for name, number, value in (
            ("push", 2, 2),
            ("window", 4, 2**31),
            ("small-frame", 5, 16_383),
            ("frame", 5, 2**24),
        )
    ),
    _server("settings-overflow-a-window", _post(1), _window(1, 9), settings((4, 2**31 - 1))),
    _server("window", _post(1), _window(0, 9), _window(1, 9), raw(8, 0, 0, b"\x80\0\0\1"), raw(8, 0, 0, b"123")),
    _server("window-of-nothing", _window(0, 0)),
    _server("window-of-nothing-on-a-stream", _post(1), _window(1, 0)),
    _server("window-too-large", _window(0, 2**31 - 1)),
    _server("window-too-large-on-a-stream", _post(1), _window(1, 2**31 - 1)),
    _server("flow-control", _post(1), *[_data(1, bytes(16_384))] * 3, _data(1, bytes(16_383)), _data(1, b"x")),
    _server("goaway", _post(1), _goaway(0, 0, b"debug"), _data(1, b"x"), _get(3), _PING),
    _server("goaway-rises", _post(1), _goaway(5), _goaway(7)),
    _server("push", _get(1), raw(5, 4, 1, b"\0\0\0\2" + _BLOCK)),
    _server("unknown", raw(0xBE, 0xFF, 1, b"x"), _get(1), raw(0xFF, 0, 0), raw(6, 0xFE, 0, b"12345678")),
    _server("unknown-in-a-block", raw(1, 1, 1, _BLOCK[:7]), raw(0xBE, 0, 1), raw(9, 4, 1, _BLOCK[7:])),
    _server("extensions", raw(10, 0, 0, b"\0\0x"), raw(12, 0, 0, b"x"), raw(16, 0, 0, b"123"), raw(16, 0, 1, bytes(4))),
    _server("extensions-in-settings", settings((8, 2))),
    _server("priorities-in-settings", settings((9, 2))),
    _server("frame-too-large", (16_385).to_bytes(3, "big") + raw(0, 0, 1)[3:]),
    _server("huffman-and-table", raw(1, 5, 1, _INDEXED), raw(1, 5, 3, b"\x82\x86\x84\xbe"), raw(1, 5, 5, b"\x20\xbe")),
    _server("hpack-index-0", raw(1, 5, 1, b"\x80")),
    _server("hpack-index-too-high", raw(1, 5, 1, b"\xff\x7f")),
    _server("hpack-integer-too-long", raw(1, 5, 1, b"\xff" + b"\xff" * 12)),
    _server("hpack-string-too-short", raw(1, 5, 1, b"\0\7abc")),
    _server("hpack-huffman-padding", raw(1, 5, 1, b"\0\x81\0\1x")),
    _server("hpack-table-too-large", raw(1, 5, 1, b"\x3f\xff\x7f" + _BLOCK)),
    _server("connect", headers(1, ((b":method", b"CONNECT"), (b":authority", b"host:1"))), _data(1, b"x", True)),
    _server("options", headers(1, ((b":method", b"OPTIONS"), (b":scheme", b"http"), (b":path", b"*"), GET[3]), True)),
    _server("content-length", _post(1, (b"content-length", b"3")), _data(1, b"ab"), _data(1, b"c", True)),
    _server("content-length-too-long", _post(1, (b"content-length", b"3")), _data(1, b"abcd")),
    _server("content-length-too-short", _post(1, (b"content-length", b"3")), _data(1, b"ab", True)),
    _server("content-length-of-nothing", _get(1, (b"content-length", b"3"))),
    _server("content-length-twice", _post(1, (b"content-length", b"3"), (b"content-length", b"3"))),
    _server("trailers-without-end", _post(1), headers(1, ((b"a", b"b"),))),
    _server("trailers-with-pseudo", _post(1), _trailers(1, ((b":path", b"/"),))),
    _server("cookies", _get(1, (b"cookie", b"a=b"), (b"cookie", b"c=d")), _get(3, (b"te", b"trailers"))),
    *(
        _server(f"malformed-{name}", _get(1, *more))
        for name, more in (
            ("upper-case", ((b"Name", b"value"),)),
            ("empty-name", ((b"", b"value"),)),
            ("blank-around-value", ((b"name", b" value"),)),
            ("line-break", ((b"name", b"a\r\nb: c"),)),
            ("connection", ((b"connection", b"close"),)),
            ("te", ((b"te", b"gzip"),)),
            ("pseudo-later", ((b"name", b"value"), (b":path", b"/"))),
            ("pseudo-unknown", ((b":what", b"ever"),)),
            ("path-twice", ((b":path", b"/"),)),
            ("status", ((b":status", b"200"),)),
            ("host", ((b"host", b"other"),)),
        )
    ),
    _server("unusual-names", _get(1, (b"a/b", b"c")), _get(3, (b"(a)", b"c"))),
    _server("unusual-values", _get(1, (b"a", b"b\1c")), _get(3, (b"a", b"b\xffc\td"))),
    _server("unusual-target", headers(1, (*GET[:2], (b":path", b"/\1"), GET[3]), True)),
    _server("without-authority", headers(1, GET[:3], True)),
    _server("connect-extended", headers(1, ((b":method", b"CONNECT"), (b":protocol", b"a"), *GET[1:]))),
    _server("connect-without-authority", headers(1, ((b":method", b"CONNECT"), (b":authority", b"")))),
    _server("malformed-path", headers(1, (*GET[:2], (b":path", b"a"), GET[3]), True)),
    _server("malformed-method", headers(1, ((b":method", b""), *GET[1:]), True)),
    _server("malformed-user", headers(1, (*GET[:3], (b":authority", b"user@host")), True)),
    _server("malformed-no-path", headers(1, GET[:2], True)),
    _server("malformed-empty-path", headers(1, (*GET[:2], (b":path", b"")), True)),
    _client("response", headers(1, OK), _data(1, b"hello"), _data(1, b"", True), headers(3, OK, True)),
    _client("trailers", headers(1, OK), _data(1, b"hello"), _trailers(1), headers(5, OK), _data(5, b"x")),
    _client(
        "interim", headers(1, ((b":status", b"103"),)), headers(1, OK, True), headers(3, ((b":status", b"100"),), True)
    ),
    _client("status-101", headers(1, ((b":status", b"101"),))),
    _client("status-illegal", headers(1, ((b":status", b"99"),)), headers(3, ())),
    _client("final-twice", headers(1, OK), headers(1, OK)),
    _client("data-first", _data(1, b"x")),
    _client("content-length", headers(1, (*OK, (b"content-length", b"2"))), _data(1, b"abc")),
    _client("reset", _reset(1), _reset(3, 7), headers(5, OK), _reset(5, 0), _data(5, b"late"), _trailers(5)),
    _client("reset-after-the-response", headers(1, OK, True), _reset(1), headers(5, OK, True), _reset(5, 0)),
    _client("after-both-ends", headers(1, OK, True), _window(1, 9), _data(1, b"late")),
    _client("goaway", _goaway(1, 0, b"bye"), headers(1, OK, True), _PING, settings()),
    _client("goaway-with-the-reserved-bit", _goaway(2**31 + 1), headers(1, OK, True)),
    _client("goaway-of-all", _goaway(0, 11, b"calm"), _PING),
    _client("goaway-twice", _goaway(2**31 - 1), headers(1, OK), _goaway(3), headers(3, OK, True), _goaway(5)),
    _client("push", raw(5, 4, 1, b"\0\0\0\2" + _BLOCK)),
    _client("push-set", settings((2, 1))),
    _client("stream-even", headers(2, OK)),
    _client("stream-unknown", headers(7, OK)),
    _client("streams-limited", settings((3, 1)), headers(1, OK, True), settings((3, 0))),
    _client(
        "extensions", raw(10, 0, 0, b"\0\1xy"), raw(10, 0, 1, b"\0\0y"), raw(10, 0, 0, b"x"), raw(12, 0, 0, b"\0\1x")
    ),
    _client("not-modified", headers(1, ((b":status", b"304"), (b"content-length", b"9")), True)),
    _client(
        "no-content",
        headers(1, ((b":status", b"204"), (b"content-length", b"0")), True),
        headers(3, ((b":status", b"204"),)),
    ),
    _client("request", _get(1)),
    _fresh("server", "from-the-start", GREETING["server"], _get(1), _PING),
    _fresh("server", "http1", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    _fresh("server", "preface-cut", GREETING["server"][:20]),
    _fresh("server", "without-settings", GREETING["server"][:24] + _PING),
    _fresh("client", "from-the-start", GREETING["client"], headers(1, OK, True)),
    _fresh("client", "without-settings", headers(1, OK, True)),
)


if __name__ == "__main__":
    CORPUS.mkdir(exist_ok=True)
    for path, content in files():
        path.write_text(content)
