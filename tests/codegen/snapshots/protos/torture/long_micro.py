"""Clients and service bases of torture/long.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from .long_pb2 import AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation, S

__all__ = [
    "AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamedBase",
    "AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamedClient",
]

_A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_A_METHOD_THAT_IS_NOT_TO_BE_OUTDONE_BY_ITS_SERVICE_AND_HAS_A_LONG_NAME_TOO = _micro.Method(
    "torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_to_write.in_any_file.AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamed",
    "AMethodThatIsNotToBeOutdoneByItsServiceAndHasALongNameToo",
    "a_method_that_is_not_to_be_outdone_by_its_service_and_has_a_long_name_too",
    _micro.Kind.SERVER_STREAM,
    AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation,
    AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation,
)
_A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_SHORT = _micro.Method(
    "torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_to_write.in_any_file.AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamed",
    "Short",
    "short",
    _micro.Kind.BIDI_STREAM,
    AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation,
    S,
)
_A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED = _micro.ServiceInfo(
    "torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_to_write.in_any_file.AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamed",
    "torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_to_write.in_any_file",
    (
        _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_A_METHOD_THAT_IS_NOT_TO_BE_OUTDONE_BY_ITS_SERVICE_AND_HAS_A_LONG_NAME_TOO,
        _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_SHORT,
    ),
)


class AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamedClient(
    _micro.Client
):
    _info_ = _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED

    @_micro.deprecated(
        "torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_to_write.in_any_file.AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamed.AMethodThatIsNotToBeOutdoneByItsServiceAndHasALongNameToo is deprecated"
    )
    def a_method_that_is_not_to_be_outdone_by_its_service_and_has_a_long_name_too(
        self,
        request: AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[
        AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation
    ]:
        """Deprecated."""
        return self._server_stream(
            _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_A_METHOD_THAT_IS_NOT_TO_BE_OUTDONE_BY_ITS_SERVICE_AND_HAS_A_LONG_NAME_TOO,
            request,
            timeout,
            metadata,
            info,
        )

    def short(
        self,
        requests: _micro.Messages[
            AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation
        ]
        | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[
        AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation, S
    ]:
        return self._bidi_stream(
            _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_SHORT,
            requests,
            timeout,
            metadata,
            info,
        )


class AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenBeforeTheirMethodsAreNamedBase(
    _micro.Handler
):
    _info_ = _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED

    def a_method_that_is_not_to_be_outdone_by_its_service_and_has_a_long_name_too(
        self,
        request: AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation,
        context: _micro.Context,
    ) -> AsyncIterator[AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation]:
        """Deprecated."""
        raise self._unimplemented(
            _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_A_METHOD_THAT_IS_NOT_TO_BE_OUTDONE_BY_ITS_SERVICE_AND_HAS_A_LONG_NAME_TOO
        )

    def short(
        self,
        requests: AsyncIterator[
            AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation
        ],
        context: _micro.Context,
    ) -> AsyncIterator[S]:
        raise self._unimplemented(
            _A_SERVICE_WHOSE_NAME_IS_SO_LONG_THAT_ITS_CONSTANTS_ARE_LONGER_THAN_A_LINE_IS_WIDE_EVEN_BEFORE_THEIR_METHODS_ARE_NAMED_SHORT
        )
