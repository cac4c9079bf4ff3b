"""Clients and service bases of old.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

import micro_rt as _micro

if TYPE_CHECKING:
    from old_pb2 import *  # pyright: ignore[reportMissingImports]
    from .old_pb2 import *
elif __package__:
    from .old_pb2 import Record
else:
    from old_pb2 import Record

__all__ = ["RecordsBase", "RecordsClient"]

_RECORDS_KEEP = _micro.Method("old.Records", "Keep", "keep", _micro.Kind.UNARY, Record, Record)
_RECORDS = _micro.ServiceInfo("old.Records", "old", (_RECORDS_KEEP,))


class RecordsClient(_micro.Client):
    _info_ = _RECORDS

    async def keep(
        self,
        request: Record,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Record:
        return await self._unary(_RECORDS_KEEP, request, timeout, metadata, info)


class RecordsBase(_micro.Handler):
    _info_ = _RECORDS

    async def keep(self, request: Record, context: _micro.Context) -> Record:
        raise self._unimplemented(_RECORDS_KEEP)
