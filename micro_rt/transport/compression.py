"""How messages are compressed: the algorithms, their bounds, and where the work is done.

The algorithms are those of gRPC (compression.md): ``gzip``, ``deflate``, which is the format of zlib (RFC 1950), and
``zstd`` where Python has it (3.14) or the package ``backports.zstd`` is installed.

Rules kept here, and why:

- The size of a message is the one that it has when it is decompressed. Decompressing ends as soon as there is more than
  the limit, so a message of a few bytes that stands for gigabytes costs no memory, and little time.
- A message is one whole piece of its format. One that is cut off, is followed by anything, or needs a window of more than
  8 MiB (RFC 8878, section 3.1.1.1.2), is an error.
- The event loop never waits for more than a few milliseconds: what is large is compressed and decompressed in a thread.
  zlib and zstd let other threads run meanwhile.
- A message below ``LEAST`` bytes is sent as it is: compressing it takes more time than sending it, and often makes it
  larger. A message says itself whether it is compressed.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

from micro_rt.errors import Internal, ResourceExhausted

__all__ = ["ACCEPTED", "IDENTITY", "LEAST", "Compressed", "compress", "compression_of", "decompress"]

IDENTITY: Final = "identity"
"""The name of no compression."""
LEAST: Final = 256
"""Bytes of a message from which on it is compressed."""
_AT_ONCE: Final = 32 << 10
"""Bytes of a message up to which it is compressed in the event loop."""
_TAKEN_AT_ONCE: Final = 64 << 10
"""Bytes of a compressed message up to which the event loop begins to decompress it."""
_GIVEN_AT_ONCE: Final = 256 << 10
"""Bytes up to which the event loop decompresses it; a thread does it if there is more."""
_LEVEL: Final = 6
_ZSTD_LEVEL: Final = 3
_GZIP: Final = 31
"""What zlib calls the format of gzip."""
_ZLIB: Final = 15
_ZSTD_WINDOW: Final = 23
"""The window that every decompressor of zstd has, as a power of two (RFC 8878, section 3.1.1.1.2)."""


class Compressed(bytes):
    """A message as it came, compressed."""


class _Decompressor(Protocol):
    """Decompresses one piece."""

    @property
    def eof(self) -> bool:
        """Whether the end of the piece was there."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows it."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """Returns as many bytes at most."""
        ...


class _Algorithm(NamedTuple):
    compress: Callable[[bytes], bytes]
    decompressor: Callable[[], _Decompressor]
    fault: type[Exception]
    """What the decompressor raises."""


def compression_of(name: str) -> str:
    """Returns a name of an algorithm that can be used; nothing for no compression.

    Args:
        name: ``gzip``, ``deflate`` or ``zstd``; ``identity`` or nothing for no compression.

    Raises:
        ValueError: it cannot be used; the message says why and what to do.
    """
    if not name or name == IDENTITY:
        return ""
    if name in _ALGORITHMS:
        return name
    if name == "zstd":
        raise ValueError("compression 'zstd' needs Python 3.14, or: pip install 'micro-rt[zstd]'")
    raise ValueError(f"compression {name!r} is unknown; there are {', '.join(_ALGORITHMS)}, and '' for none")


async def compress(name: str, message: bytes) -> bytes:
    """Returns a message, compressed.

    Args:
        name: of the algorithm, as ``compression_of`` gives it.
        message: the message.
    """
    work = _ALGORITHMS[name].compress
    if len(message) <= _AT_ONCE:
        return work(message)
    return await asyncio.get_running_loop().run_in_executor(None, work, message)


async def decompress(name: str, message: bytes, limit: int, path: str, advice: str) -> bytes:
    """Returns a message as it was before it was compressed.

    Args:
        name: of the algorithm, as ``compression_of`` gives it.
        message: as it came.
        limit: bytes that it may have when it is decompressed.
        path: of the call, for errors.
        advice: what the error says of messages that are larger.

    Raises:
        ResourceExhausted: it would have more.
        Internal: it cannot be decompressed.
    """
    try:
        whole = _within(name, message, min(limit, _GIVEN_AT_ONCE)) if len(message) <= _TAKEN_AT_ONCE else None
        if whole is None and (limit > _GIVEN_AT_ONCE or len(message) > _TAKEN_AT_ONCE):
            whole = await asyncio.get_running_loop().run_in_executor(None, _within, name, message, limit)
    except _UnreadableError as fault:
        raise Internal(f"{path}: a message cannot be decompressed with {name}: {fault}") from None
    if whole is None:
        raise ResourceExhausted(
            f"{path}: a message of {len(message)} bytes that are compressed with {name}, and come to more than {limit}; "
            f"{limit} is the most that is taken; {advice}"
        )
    return whole


class _UnreadableError(Exception):
    """A message cannot be decompressed."""


def _within(name: str, message: bytes, limit: int) -> bytes | None:
    """Returns a message decompressed; None if it has more bytes than the limit.

    Raises:
        _UnreadableError: it cannot be decompressed.
    """
    algorithm = _ALGORITHMS[name]
    decompressor = algorithm.decompressor()
    try:
        whole = decompressor.decompress(message, limit + 1)
    except algorithm.fault as error:
        raise _UnreadableError(str(error)) from None
    if len(whole) > limit:
        return None
    if not decompressor.eof:
        raise _UnreadableError("its end is missing")
    if decompressor.unused_data:
        raise _UnreadableError("something follows it")
    return whole


def _zlib(format: int) -> _Algorithm:
    """Returns one of the formats of zlib."""
    return _Algorithm(
        partial(zlib.compress, level=_LEVEL, wbits=format), partial(zlib.decompressobj, format), zlib.error
    )


def _zstd() -> _Algorithm | None:
    """Returns zstd, if Python or a package has it."""
    module: Any
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        checked = {
            module.CompressionParameter.compression_level: _ZSTD_LEVEL,
            module.CompressionParameter.checksum_flag: 1,
        }
        options = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW}
        return _Algorithm(
            partial(module.compress, options=checked),
            partial(module.ZstdDecompressor, options=options),
            module.ZstdError,
        )
    return None


_FOUND: Mapping[str, _Algorithm | None] = MappingProxyType(
    {
        "gzip": _zlib(_GZIP),
        "deflate": _zlib(_ZLIB),
        "zstd": _zstd(),
    }
)
_ALGORITHMS: Mapping[str, _Algorithm] = MappingProxyType({name: each for name, each in _FOUND.items() if each})
ACCEPTED: Final = tuple(_ALGORITHMS)
"""The names of the algorithms that there are, in the order in which they are announced."""
