"""Clients and service bases of names.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

import micro_rt as _micro

if TYPE_CHECKING:
    from names_pb import *  # pyright: ignore[reportMissingImports]
    from .names_pb import *
elif __package__:
    from .names_pb import Import, None_
else:
    from names_pb import Import, None_

__all__ = ["NamesBase", "NamesClient"]

_NAMES_IMPORT = _micro.Method("names.Names", "Import", "import_", _micro.Kind.UNARY, Import, None_)
_NAMES = _micro.ServiceInfo("names.Names", "names", (_NAMES_IMPORT,))


class NamesClient(_micro.Client):
    _info_ = _NAMES

    async def import_(
        self,
        request: Import,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> None_:
        return await self._unary(_NAMES_IMPORT, request, timeout, metadata, info)


class NamesBase(_micro.Handler):
    _info_ = _NAMES

    async def import_(self, request: Import, context: _micro.Context) -> None_:
        raise self._unimplemented(_NAMES_IMPORT)
