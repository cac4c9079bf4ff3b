"""Clients and service bases of lab.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from .lab_pb2 import Number, Text

__all__ = ["AnnexBase", "AnnexClient", "LabBase", "LabClient", "PoliciesBase", "PoliciesClient"]

_LAB_ACT = _micro.Method("lab.Lab", "Act", "act", _micro.Kind.UNARY, Text, Text)
_LAB_LOOK = _micro.Method("lab.Lab", "Look", "look", _micro.Kind.UNARY, Text, Text, _micro.Idempotency.NO_SIDE_EFFECTS)
_LAB_COUNT = _micro.Method(
    "lab.Lab", "Count", "count", _micro.Kind.SERVER_STREAM, Number, Number, _micro.Idempotency.NO_SIDE_EFFECTS
)
_LAB_SUM = _micro.Method("lab.Lab", "Sum", "sum", _micro.Kind.CLIENT_STREAM, Number, Number)
_LAB_TALK = _micro.Method("lab.Lab", "Talk", "talk", _micro.Kind.BIDI_STREAM, Text, Text)
_LAB_MISSING = _micro.Method("lab.Lab", "Missing", "missing", _micro.Kind.UNARY, Text, Text)
_LAB_MISSING_STREAM = _micro.Method("lab.Lab", "MissingStream", "missing_stream", _micro.Kind.BIDI_STREAM, Text, Text)
_LAB = _micro.ServiceInfo(
    "lab.Lab", "lab", (_LAB_ACT, _LAB_LOOK, _LAB_COUNT, _LAB_SUM, _LAB_TALK, _LAB_MISSING, _LAB_MISSING_STREAM)
)


class LabClient(_micro.Client):
    """One method of each kind, and what tests need beside."""

    _info_ = _LAB

    async def act(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Runs; nothing is said of running twice."""
        return await self._unary(_LAB_ACT, request, timeout, metadata, info)

    async def look(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Looks and changes nothing."""
        return await self._unary(_LAB_LOOK, request, timeout, metadata, info)

    def count(
        self,
        request: Number,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Number]:
        """Counts up to a number."""
        return self._server_stream(_LAB_COUNT, request, timeout, metadata, info)

    def sum(
        self,
        requests: _micro.Messages[Number] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ClientStreamCall[Number, Number]:
        """Adds numbers."""
        return self._client_stream(_LAB_SUM, requests, timeout, metadata, info)

    def talk(
        self,
        requests: _micro.Messages[Text] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[Text, Text]:
        """Answers each text."""
        return self._bidi_stream(_LAB_TALK, requests, timeout, metadata, info)

    async def missing(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Is left out by the tests' handlers."""
        return await self._unary(_LAB_MISSING, request, timeout, metadata, info)

    def missing_stream(
        self,
        requests: _micro.Messages[Text] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[Text, Text]:
        """Is left out too, and streams."""
        return self._bidi_stream(_LAB_MISSING_STREAM, requests, timeout, metadata, info)


class LabBase(_micro.Handler):
    """One method of each kind, and what tests need beside."""

    _info_ = _LAB

    async def act(self, request: Text, context: _micro.Context) -> Text:
        """Runs; nothing is said of running twice."""
        raise self._unimplemented(_LAB_ACT)

    async def look(self, request: Text, context: _micro.Context) -> Text:
        """Looks and changes nothing."""
        raise self._unimplemented(_LAB_LOOK)

    def count(self, request: Number, context: _micro.Context) -> AsyncIterator[Number]:
        """Counts up to a number."""
        raise self._unimplemented(_LAB_COUNT)

    async def sum(self, requests: AsyncIterator[Number], context: _micro.Context) -> Number:
        """Adds numbers."""
        raise self._unimplemented(_LAB_SUM)

    def talk(self, requests: AsyncIterator[Text], context: _micro.Context) -> AsyncIterator[Text]:
        """Answers each text."""
        raise self._unimplemented(_LAB_TALK)

    async def missing(self, request: Text, context: _micro.Context) -> Text:
        """Is left out by the tests' handlers."""
        raise self._unimplemented(_LAB_MISSING)

    def missing_stream(self, requests: AsyncIterator[Text], context: _micro.Context) -> AsyncIterator[Text]:
        """Is left out too, and streams."""
        raise self._unimplemented(_LAB_MISSING_STREAM)


_ANNEX_LOOK = _micro.Method(
    "lab.Annex", "Look", "look", _micro.Kind.UNARY, Text, Text, _micro.Idempotency.NO_SIDE_EFFECTS
)
_ANNEX = _micro.ServiceInfo("lab.Annex", "lab", (_ANNEX_LOOK,))


class AnnexClient(_micro.Client):
    """A second service of the same package."""

    _info_ = _ANNEX

    async def look(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Looks and changes nothing."""
        return await self._unary(_ANNEX_LOOK, request, timeout, metadata, info)


class AnnexBase(_micro.Handler):
    """A second service of the same package."""

    _info_ = _ANNEX

    async def look(self, request: Text, context: _micro.Context) -> Text:
        """Looks and changes nothing."""
        raise self._unimplemented(_ANNEX_LOOK)


_POLICIES_HURRY = _micro.Method(
    "lab.Policies", "Hurry", "hurry", _micro.Kind.UNARY, Text, Text, policy=_micro.Policy(timeout=0.5)
)
_POLICIES_HURRY_STREAM = _micro.Method(
    "lab.Policies",
    "HurryStream",
    "hurry_stream",
    _micro.Kind.BIDI_STREAM,
    Text,
    Text,
    policy=_micro.Policy(timeout=0.5),
)
_POLICIES_INSIST = _micro.Method(
    "lab.Policies",
    "Insist",
    "insist",
    _micro.Kind.UNARY,
    Text,
    Text,
    policy=_micro.Policy(
        retry=_micro.RetryPolicy(
            attempts=3, backoff=0.001, codes=frozenset({_micro.Code.UNAVAILABLE, _micro.Code.ABORTED}), idempotent=True
        )
    ),
)
_POLICIES_GUARD = _micro.Method(
    "lab.Policies",
    "Guard",
    "guard",
    _micro.Kind.UNARY,
    Text,
    Text,
    _micro.Idempotency.NO_SIDE_EFFECTS,
    policy=_micro.Policy(
        timeout=60.5,
        retry=_micro.RetryPolicy(
            attempts=2,
            backoff=1.0,
            max_backoff=4.0,
            codes=frozenset({_micro.Code.UNAVAILABLE, _micro.Code.RESOURCE_EXHAUSTED, _micro.Code.ABORTED}),
        ),
        auth=_micro.AuthPolicy(scopes=("lab:read",)),
    ),
)
_POLICIES_OPEN = _micro.Method(
    "lab.Policies",
    "Open",
    "open",
    _micro.Kind.UNARY,
    Text,
    Text,
    policy=_micro.Policy(auth=_micro.AuthPolicy(public=True)),
)
_POLICIES = _micro.ServiceInfo(
    "lab.Policies", "lab", (_POLICIES_HURRY, _POLICIES_HURRY_STREAM, _POLICIES_INSIST, _POLICIES_GUARD, _POLICIES_OPEN)
)


class PoliciesClient(_micro.Client):
    """Methods whose policy is in the .proto."""

    _info_ = _POLICIES

    async def hurry(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Is given a moment."""
        return await self._unary(_POLICIES_HURRY, request, timeout, metadata, info)

    def hurry_stream(
        self,
        requests: _micro.Messages[Text] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[Text, Text]:
        """Is given a moment, and streams."""
        return self._bidi_stream(_POLICIES_HURRY_STREAM, requests, timeout, metadata, info)

    async def insist(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """May run three times."""
        return await self._unary(_POLICIES_INSIST, request, timeout, metadata, info)

    async def guard(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Says who may call it."""
        return await self._unary(_POLICIES_GUARD, request, timeout, metadata, info)

    async def open(
        self,
        request: Text,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Text:
        """Is for everybody."""
        return await self._unary(_POLICIES_OPEN, request, timeout, metadata, info)


class PoliciesBase(_micro.Handler):
    """Methods whose policy is in the .proto."""

    _info_ = _POLICIES

    async def hurry(self, request: Text, context: _micro.Context) -> Text:
        """Is given a moment."""
        raise self._unimplemented(_POLICIES_HURRY)

    def hurry_stream(self, requests: AsyncIterator[Text], context: _micro.Context) -> AsyncIterator[Text]:
        """Is given a moment, and streams."""
        raise self._unimplemented(_POLICIES_HURRY_STREAM)

    async def insist(self, request: Text, context: _micro.Context) -> Text:
        """May run three times."""
        raise self._unimplemented(_POLICIES_INSIST)

    async def guard(self, request: Text, context: _micro.Context) -> Text:
        """Says who may call it."""
        raise self._unimplemented(_POLICIES_GUARD)

    async def open(self, request: Text, context: _micro.Context) -> Text:
        """Is for everybody."""
        raise self._unimplemented(_POLICIES_OPEN)
