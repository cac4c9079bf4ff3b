"""Comments become docstrings that read back as the comments, whatever they contain and wherever they are."""

from __future__ import annotations

import ast
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from protoc_gen_micro.python.text import bytes_literal, docstring, indented, literal
from protoc_gen_micro.schema.reader import Reader
from tests.codegen.tools import generate, request, run, write
from tests.helpers.sizes import Size

LETTERS = ('"', "\\", "\t", "\n", " ")
FRAMES = (("", ""), ("a", ""), ("", "a"), ("a", "a"))


def texts(most: int) -> Iterator[str]:
    """Yields every text of up to so many of the letters, alone and beside a word."""
    for length in range(most + 1):
        for letters in itertools.product(LETTERS, repeat=length):
            for before, behind in FRAMES:
                yield f"{before}{''.join(letters)}{behind}"


def batches(items: Iterable[str], size: int = 2000) -> Iterator[list[str]]:
    """Yields the items in lists: parsing many literals at once takes much less time."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def lines(text: str) -> list[str]:
    """Returns the lines of a text, without blanks around them and empty lines around the text."""
    return [line.strip(" \t") for line in text.strip(" \t\n").split("\n")]


def check_format(folder: Path) -> None:
    """Checks that the formatters would change nothing in a folder."""
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", folder)


def evaluated(sources: list[str]) -> list[object]:
    """Returns the values of literals."""
    try:
        return list(ast.literal_eval(f"[{','.join(sources)}]"))
    except SyntaxError:
        return [ast.literal_eval(source) for source in sources]  # the traceback shows the one that is wrong


def test_every_docstring_reads_back_as_its_comment() -> None:
    count = 0
    for batch in batches(texts(7)):
        for text, value in zip(batch, evaluated([docstring(text) for text in batch]), strict=True):
            assert isinstance(value, str)
            assert lines(value) == lines(text), f"{text!r} becomes {docstring(text)}"
            count += 1
    assert count == 4 * sum(5**length for length in range(8))


@pytest.mark.verify("codegen")
def test_every_docstring_is_what_the_formatters_write(tmp_path: Path, size: Size) -> None:
    parts: list[str] = []
    for number, text in enumerate(texts(size(7, ci=5))):
        one = docstring(text)
        parts.append(
            f"class C{number}:\n    {indented(one)}\n\n    a: int\n    {indented(one)}\n\n"
            f"    class D:\n        {indented(one, 2)}\n\n        def f(self):\n            {indented(one, 3)}\n"
        )
    source = "\n\n".join(parts)
    write(tmp_path, {"all.py": source})
    check_format(tmp_path)
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    expected = Counter("\n".join(lines(text)) for text in texts(size(7, ci=5)))
    read = Counter("\n".join(lines(ast.get_docstring(node, clean=False) or "")) for node in found)
    assert read == {text: 3 * count for text, count in expected.items()}


def test_every_literal_reads_back_as_its_text() -> None:
    letters = ('"', "'", "\\", "\n", "a", "\x7f")
    every = ["".join(each) for length in range(7) for each in itertools.product(letters, repeat=length)]
    for batch in batches(every):
        assert evaluated([literal(text) for text in batch]) == batch
        assert evaluated([bytes_literal(text.encode()) for text in batch]) == [text.encode() for text in batch]


PLACES = """\
syntax = "proto3";

package places;

import "google/protobuf/descriptor.proto";
import "micro_rt/annotations.proto";

extend google.protobuf.MessageOptions {
  %string note = 50000;
}
@enum Color {
  @COLOR_NONE = 0;
  @COLOR_RED = 1;
}
@message Empty {}
@message Placed {
  option (micro.event) = {topic: "t" key: "id"};
  @string id = 1;
  @repeated string many = 2;
  @map<string, Placed> by_name = 3;
  @Placed other = 4;
  @optional string maybe = 5;
  @oneof choice {
    @string one = 6;
    @Inner two = 7;
  }
  @message Inner {
    @enum Kind {
      @KIND_NONE = 0;
    }
    @Kind kind = 1;
  }
}
@service Orders {
  @rpc Unary(Empty) returns (Placed);
  @rpc Streams(Empty) returns (stream Placed);
  @rpc Takes(stream Empty) returns (Placed);
  @rpc Both(stream Empty) returns (stream Placed);
}
"""
"""A file in which ``@`` marks every place of a comment, but that of the file, and ``%`` one that only ``messages=protobuf`` writes."""


def commented(said: list[str], marks: str) -> str:
    """Returns the file with a comment at every place that has one of the marks."""
    rest = iter(said)

    def comment(indent: str) -> str:
        return "".join(f"{indent}//{line}\n" for line in next(rest).split("\n"))

    result = [comment("")]
    for line in PLACES.splitlines():
        text = line.lstrip(" ")
        indent = line[: len(line) - len(text)]
        if text and text[0] in marks:
            result.append(comment(indent))
        result.append(f"{indent}{text.lstrip('@%')}\n")
    assert not list(rest)
    return "".join(result)


def docstrings(source: str) -> Iterator[str]:
    """Yields the docstrings of a module: what stands alone as a string anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


@pytest.mark.parametrize(("messages", "marks"), [("protobuf", "@%"), ("betterproto", "@")])
def test_a_comment_may_say_anything_in_any_place(messages: str, marks: str, tmp_path: Path) -> None:
    places = 1 + sum(PLACES.count(mark) for mark in marks)
    every = [text for text in texts(6) if text.strip()]
    sample = iter(random.Random(14).sample(every, 30 * places))
    for number in range(30):
        # The word says which place it is; it leaves either end of the text as it is.
        said = [
            f"w{place} {next(sample)}" if place % 2 == number % 2 else f"{next(sample)} w{place}"
            for place in range(places)
        ]
        folder = tmp_path / str(number)
        response = generate(folder / "protos", {"places.proto": commented(said, marks)}, f"messages={messages}")
        assert not response.error
        write(folder / "out", {file.name: file.content for file in response.file})
        check_format(folder / "out")
        assert json.loads((folder / "out" / "places.asyncapi.json").read_text())
        modules = [file.content for file in response.file if not file.name.endswith(".json")]
        found = ["\n".join(["", *lines(each), ""]) for module in modules for each in docstrings(module)]
        for text in said:
            assert any("\n".join(["", *lines(text), ""]) in each for each in found), f"the comment {text!r} is lost"


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        ("/** Text. */", "Text."),
        ("/** Text. **/", "Text."),
        ("/**Text.*/", "Text."),
        ("/*** Banner ***/", "Banner"),
        ("/** **Bold** text. */", "**Bold** text."),
        ("/**\n * One.\n *   Two.\n */", "One.\n  Two."),
        ("/**\n * One.\n ****/", "One."),
        ("/********\n * One.\n ********/", "One."),
        ("/**One.\n * Two.\n */", "One.\nTwo."),
        ("/* One.\n   Two.\n*/", "One.\nTwo."),
        ("//**Bold** text.", "**Bold** text."),
        ("// * One\n// * Two", "* One\n* Two"),
        ("//   One\n//     Two", "One\n  Two"),
        ("//\tTab.", "Tab."),
        ("//\tOne.\n//\tTwo.", "One.\nTwo."),
        ("// Code:\n//\tif (a) {\n//\t\tb();\n//\t}", "Code:\n    if (a) {\n        b();\n    }"),
        ("// A\ttab inside.", "A\ttab inside."),
        ("// Blanks.  \t\n//\n//\n// End.", "Blanks.\n\n\nEnd."),
        ("/***/", ""),
        ("/// Triple.", "Triple."),
        ("///Triple.", "Triple."),
        ("/// One.\n///\n///   Two.", "One.\n\n  Two."),
        ("/// One.\n// Two.", "One.\nTwo."),
        ("///< Behind.", "Behind."),
        ("/**< Behind. */", "Behind."),
        ("//! Bang.\n//!   More.", "Bang.\n  More."),
        ("//!< Bang.", "Bang."),
        ("/*! Bang.\n * More.\n */", "Bang.\nMore."),
        ("//!important", "important"),
        ("// ! One\n// / Two", "! One\n/ Two"),
        ("// /usr/bin\n// http://example.com/ or file:///etc", "/usr/bin\nhttp://example.com/ or file:///etc"),
        ("//////////////\n// Banner.\n//////////////", "Banner."),
        ("//////////////\n// Banner.  //\n//////////////\n// Text.", "Banner.  //\n\nText."),
        ("//////////////\n// Banner.  //\n//////////////", "Banner."),
        ("// ***********\n// * Box     *\n// *   in    *\n// ***********", "Box\n  in"),
        ("/**************\n * Box        *\n * of stars   *\n **************/", "Box\nof stars"),
        ("// One.\n// ***\n// Two.", "One.\n\nTwo."),
        ("// Matches a *\n// or b *", "Matches a *\nor b *"),
        ("// -----\n// Title\n// -----", "-----\nTitle\n-----"),
        ("// One.\n// buf:lint:ignore ENUM_ZERO\n// Two.", "One.\nTwo."),
        ("// buf:lint:ignore ENUM_ZERO", ""),
        ("// buf:breaking:ignore FIELD", ""),
        ("// See buf:lint:ignore.", "See buf:lint:ignore."),
        ("// -*- mode: protobuf -*-\n// Text.", "Text."),
        ("// Text.\n// vim: set ts=2:", "Text."),
        ("// Uses vim: it is good.", "Uses vim: it is good."),
        ("// Text.\n// (-- api-linter: core::0131=disabled\n//     aip.dev/not-precedent: none. --)", "Text."),
        ("// (-- a --)One.(-- b --) Two (-- open", "One. Two (-- open"),
    ],
)
def test_markers_of_a_comment_are_no_part_of_it(comment: str, text: str, tmp_path: Path) -> None:
    source = f'syntax = "proto3";\n{comment}\nmessage M {{}}\n'
    write(tmp_path, {"m.proto": source})
    file = Reader(request([tmp_path], ["m.proto"]).proto_file).read("m.proto")
    assert file.messages[0].comment == text
