"""Messages of torture/long.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x12torture/long.proto\x12]torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_t"
    b'o_write.in_any_file"\xda\x12\n_AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidt'
    b"hEvenWithoutIndentation\x12\xa7\x02\n\x06inside\x18\x01 \x03(\x0b2\x96\x02.torture.a_package_with_a_nam"
    b"e.that_is_longer_than.most_people_would.care_to_write.in_any_file.AMessageWhoseNameIsSoLongThatT"
    b"woOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThat"
    b"IsJustAsTalkativeAsTheOneThatHoldsItSoThatTheirNamesAddUp\x12\x0e\n\x06lambda\x18\x02 \x01("
    b"\t\x12\xa5\x02\n\x04from\x18\x03 \x01(\x0b2\x96\x02.torture.a_package_with_a_name.that_is_longer_than.mo"
    b"st_people_would.care_to_write.in_any_file.AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLin"
    b"eOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOn"
    b"eThatHoldsItSoThatTheirNamesAddUp\x1a\x94\r\nWAndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneTha"
    b"tHoldsItSoThatTheirNamesAddUp\x12\xfe\x02\nAa_field_whose_name_is_long_as_well_and_whose_type_is_longer_st"
    b"ill\x18\x01 \x01(\x0e2\xb2\x02.torture.a_package_with_a_name.that_is_longer_than.most_peop"
    b"le_would.care_to_write.in_any_file.AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnyS"
    b"ensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheOneThatHo"
    b"ldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind\x12\x8d\x03\n9a_map_whose_name_is_long_as_well_and_"
    b"whose_type_is_longer\x18\x02 \x03(\x0b2\xc9\x02.torture.a_package_with_a_name.that_is_long"
    b"er_than.most_people_would.care_to_write.in_any_file.AMessageWhoseNameIsSoLongThatTwoOfThemDoNotF"
    b"itInOneLineOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkat"
    b"iveAsTheOneThatHoldsItSoThatTheirNamesAddUp.AMapWhoseNameIsLongAsWellAndWhoseTypeIsLongerEntry\x12a"
    b"\nWthe_first_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure\x18\x03 \x01(\tH"
    b"\x00\x12b\nXthe_second_of_the_long_names_in_a_oneof_with_a_long_name_of_its_own_too_for_good_measure\x18\x04 "
    b"\x01(\tH\x00\x1a\x8a\x03\n2AMapWhoseNameIsLongAsWellAndWhoseTypeIsLongerEntry\x12\x0b\n\x03key\x18\x01 \x01("
    b"\t\x12\xc2\x02\n\x05value\x18\x02 \x01(\x0e2\xb2\x02.torture.a_package_with_a_name.that_is_longer_than.m"
    b"ost_people_would.care_to_write.in_any_file.AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLi"
    b"neOfAnySensibleWidthEvenWithoutIndentation.AndThenItHasAMessageInsideThatIsJustAsTalkativeAsTheO"
    b'neThatHoldsItSoThatTheirNamesAddUp.AnEnumThatDoesNotStayBehind:\x028\x01"\x84\x01\n\x1bAnEnumThatDoesNotStayBehi'
    b"nd\x12e\naAN_ENUM_THAT_DOES_NOT_STAY_BEHIND_BUT_NAMES_ITS_VALUES_AT_THE_SAME_LENGTH_AS_EVERYTHING_EL"
    b"SE_HERE\x10\x00BM\nKa_oneof_with_a_long_name_that_goes_on_for_a_while_before_it"
    b'_comes_to_an_end"\x03\n\x01S2\xd9\x06\n_AServiceWhoseNameIsSoLongThatItsConstantsAreLongerThanALineIsWideEvenB'
    b"eforeTheirMethodsAreNamed\x12\xc4\x03\n9AMethodThatIsNotToBeOutdoneByItsServiceAnd"
    b"HasALongNameToo\x12\xbe\x01.torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_to_w"
    b"rite.in_any_file.AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenWi"
    b"thoutIndentation\x1a\xbe\x01.torture.a_package_with_a_name.that_is_longer_than.most_people_would.care_to_"
    b"write.in_any_file.AMessageWhoseNameIsSoLongThatTwoOfThemDoNotFitInOneLineOfAnySensibleWidthEvenW"
    b'ithoutIndentation"\x03\x88\x02\x010\x01\x12\xae\x02\n\x05Short\x12\xbe\x01.torture.a_package_with_a_name.that'
    b"_is_longer_than.most_people_would.care_to_write.in_any_file.AMessageWhoseNameIsSoLongThatTwoOfTh"
    b"emDoNotFitInOneLineOfAnySensibleWidthEvenWithoutIndentation\x1a`.torture.a_package_with_a_name.that"
    b"_is_longer_than.most_people_would.care_to_write.in_any_file.S(\x010\x01b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
