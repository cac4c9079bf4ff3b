"""Clients and service bases of billing/invoice-list.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found, no-redef"

from __future__ import annotations

from typing import TYPE_CHECKING

import micro_rt as _micro

from .invoice_list_pb2 import Invoice, Label

if TYPE_CHECKING:
    from top_pb2 import Label as _Label  # pyright: ignore[reportMissingImports]
    from ..top_pb2 import Label as _Label
elif (__package__ or "").count(".") >= 1:
    from ..top_pb2 import Label as _Label
else:
    from top_pb2 import Label as _Label

__all__ = ["InvoicesBase", "InvoicesClient"]

_INVOICES_SEND = _micro.Method("billing.Invoices", "Send", "send", _micro.Kind.UNARY, Invoice, _Label)
_INVOICES_DESCRIBE = _micro.Method("billing.Invoices", "Describe", "describe", _micro.Kind.UNARY, Invoice, Label)
_INVOICES = _micro.ServiceInfo("billing.Invoices", "billing", (_INVOICES_SEND, _INVOICES_DESCRIBE))


class InvoicesClient(_micro.Client):
    _info_ = _INVOICES

    async def send(
        self,
        request: Invoice,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _Label:
        return await self._unary(_INVOICES_SEND, request, timeout, metadata, info)

    async def describe(
        self,
        request: Invoice,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Label:
        return await self._unary(_INVOICES_DESCRIBE, request, timeout, metadata, info)


class InvoicesBase(_micro.Handler):
    _info_ = _INVOICES

    async def send(self, request: Invoice, context: _micro.Context) -> _Label:
        raise self._unimplemented(_INVOICES_SEND)

    async def describe(self, request: Invoice, context: _micro.Context) -> Label:
        raise self._unimplemented(_INVOICES_DESCRIBE)
