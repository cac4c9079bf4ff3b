from __future__ import annotations

import doctest
import importlib
import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoc_gen_micro.python import text
from protoc_gen_micro.run import parameters
from protoc_gen_micro.schema import names, reserved
from protoc_gen_micro.schema.comments import cleaned


@pytest.mark.parametrize("module", [names, parameters, reserved, text], ids=lambda module: module.__name__)
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(importlib.import_module(module.__name__))  # type: ignore[attr-defined]
    assert result.attempted > 0
    assert result.failed == 0


def test_the_keywords_are_those_of_python() -> None:
    assert set(keyword.kwlist) == names.KEYWORDS


_IDENTIFIERS = st.from_regex(r"\A[a-zA-Z_][a-zA-Z0-9_]{0,8}\Z") | st.sampled_from(
    [word + "_" * count for word in keyword.kwlist for count in range(3)]
)


@given(_IDENTIFIERS, _IDENTIFIERS)
def test_safe_names_are_distinct_and_no_keywords(one: str, other: str) -> None:
    assert not keyword.iskeyword(names.safe(one))
    assert names.safe(one).isidentifier()
    assert (names.safe(one) == names.safe(other)) == (one == other)


@given(_IDENTIFIERS)
def test_method_names_can_be_written_and_are_public(name: str) -> None:
    method = names.method_name(name)
    assert method.isidentifier()
    assert not keyword.iskeyword(method)
    assert not method.startswith("_")


@given(st.text())
def test_a_docstring_reads_back_as_its_text(comment: str) -> None:
    read = eval(text.docstring(comment))
    assert read.strip("\n") == cleaned(comment) == cleaned(read)
    assert read.split() == comment.split(), "only blanks change"


@given(st.binary(max_size=400))
def test_bytes_read_back(data: bytes) -> None:
    literal = text.bytes_literal(data)
    assert eval(f"({literal})") == data
    assert all(len(line) <= text.WIDTH - 4 for line in literal.split("\n"))


@given(st.text())
def test_strings_read_back(value: str) -> None:
    assert eval(text.literal(value)) == value
