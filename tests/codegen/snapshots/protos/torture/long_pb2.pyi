"""Messages of torture/long.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation",
    "S",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation(_message.Message):
    @property
    def inside(
        self,
    ) -> _containers.RepeatedCompositeFieldContainer[
        AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp
    ]: ...
    def __init__(
        self,
        *,
        inside: _abc.Iterable[
            AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp
        ]
        | None = ...,
        **keywords: _typing.Unpack[
            _AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation_keywords
        ],
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["from"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["inside", "lambda", "from"]) -> None: ...

    INSIDE_FIELD_NUMBER: _typing.Final = 1
    LAMBDA_FIELD_NUMBER: _typing.Final = 2
    FROM_FIELD_NUMBER: _typing.Final = 3

    @_typing.final
    class AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp(_message.Message):
        a_field_whose_name_is_long_as_well_and_whose_type_is_longer_still: AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind
        @property
        def a_map_whose_name_is_long_as_well_and_whose_type_is_longer(
            self,
        ) -> _containers.ScalarMap[
            str,
            AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind,
        ]: ...
        the_first_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure: str
        the_second_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure: str

        def __init__(
            self,
            *,
            a_field_whose_name_is_long_as_well_and_whose_type_is_longer_still: AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind
            | None = ...,
            a_map_whose_name_is_long_as_well_and_whose_type_is_longer: _abc.Mapping[
                str,
                AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind,
            ]
            | None = ...,
            the_first_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure: str | None = ...,
            the_second_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure: str | None = ...,
        ) -> None: ...
        def HasField(
            self,
            field_name: _typing.Literal[
                "the_first_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure",
                "the_second_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure",
                "a_oneof_with_a_long_name_that_goes_on_for_a_while_before_it_comes_to_an_end",
            ],
        ) -> bool: ...
        def ClearField(
            self,
            field_name: _typing.Literal[
                "a_field_whose_name_is_long_as_well_and_whose_type_is_longer_still",
                "a_map_whose_name_is_long_as_well_and_whose_type_is_longer",
                "the_first_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure",
                "the_second_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure",
                "a_oneof_with_a_long_name_that_goes_on_for_a_while_before_it_comes_to_an_end",
            ],
        ) -> None: ...
        def WhichOneof(
            self,
            oneof_group: _typing.Literal["a_oneof_with_a_long_name_that_goes_on_for_a_while_before_it_comes_to_an_end"],
        ) -> (
            _typing.Literal[
                "the_first_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure",
                "the_second_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure",
            ]
            | None
        ): ...

        A_FIELD_WHOSE_NAME_IS_LONG_AS_WELL_AND_WHOSE_TYPE_IS_LONGER_STILL_FIELD_NUMBER: _typing.Final = 1
        A_MAP_WHOSE_NAME_IS_LONG_AS_WELL_AND_WHOSE_TYPE_IS_LONGER_FIELD_NUMBER: _typing.Final = 2
        THE_FIRST_OF_THE_LONG_NAMES_IN_A_ONEOF_WITH_A_LONG_NAME_OF_ITS_OWN_TOO_FOR_GOOD_MEASURE_FIELD_NUMBER: _typing.Final = 3
        THE_SECOND_OF_THE_LONG_NAMES_IN_A_ONEOF_WITH_A_LONG_NAME_OF_ITS_OWN_TOO_FOR_GOOD_MEASURE_FIELD_NUMBER: _typing.Final = 4

        class AnEnumThatDoesNotStayBehind(int, metaclass=_enums.EnumTypeWrapper):
            AN_ENUM_THAT_DOES_NOT_STAY_BEHIND_BUT_NAMES_ITS_VALUES_AT_THE_SAME_LENGTH_AS_EVERYTHING_ELSE_HERE: _typing.ClassVar[
                AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind
            ]

            @classmethod
            def Value(
                cls, name: str
            ) -> AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind: ...
            @classmethod
            def values(
                cls,
            ) -> list[
                AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind
            ]: ...
            @classmethod
            def items(
                cls,
            ) -> list[
                tuple[
                    str,
                    AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind,
                ]
            ]: ...

        AN_ENUM_THAT_DOES_NOT_STAY_BEHIND_BUT_NAMES_ITS_VALUES_AT_THE_SAME_LENGTH_AS_EVERYTHING_ELSE_HERE: _typing.ClassVar[
            AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind
        ]

@_typing.final
class S(_message.Message):
    def __init__(self) -> None: ...

_AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation_keywords = _typing.TypedDict(
    "_AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation_keywords",
    {
        "lambda": str | None,
        "from": AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp
        | None,
    },
    total=False,
)
