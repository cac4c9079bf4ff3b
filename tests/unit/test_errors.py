"""What an error may be made of, and that nothing in it keeps a status from being sent."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import UninterpretedOption
from google.protobuf.wrappers_pb2 import StringValue

from micro_rt.errors import DeadlineExceeded, Error, NotFound, Unavailable, Unimplemented
from micro_rt.metadata import EMPTY, FACTS_KEY, Metadata
from micro_rt.status import Facts, decode_details, decode_facts, encode_details, encode_facts
from micro_rt.transport.wire import decode_metadata, error_of_trailers, trailers_of


def test_another_exception_as_the_message_is_what_it_says() -> None:
    what: Any = ValueError("no order 42")
    error = NotFound(what)
    assert error.message == "no order 42"
    assert str(error) == "NOT_FOUND: no order 42"
    assert error.args == ("no order 42",)


@pytest.mark.parametrize("id", [5, None, b"orders.not_found"])
def test_an_id_that_is_no_text_is_refused(id: Any) -> None:
    with pytest.raises(TypeError, match="id is text such as"):
        NotFound(id=id)


@pytest.mark.parametrize("details", [["text"], "text", [StringValue(), 5], [StringValue]])
def test_a_detail_that_is_no_message_is_refused(details: Any) -> None:
    with pytest.raises(TypeError, match="an error's details are protobuf messages, not "):
        NotFound(details=details)


def sent(error: Error) -> Error:
    arrived = error_of_trailers(dict(trailers_of(error, EMPTY)))
    assert arrived is not None
    return arrived


def test_a_surrogate_that_stands_alone_arrives_as_a_question_mark() -> None:
    arrived = sent(NotFound("file \udcff", id="lab.\ud800"))
    assert (type(arrived), arrived.message, arrived.id) == (NotFound, "file ?", "lab.?")
    arrived = sent(NotFound("\udcff" * 10_000, id="lab.long"))
    assert arrived.id == "lab.long"
    assert arrived.message.startswith("????")


@pytest.mark.parametrize("bad", ["text", UninterpretedOption.NamePart()])
def test_a_detail_that_cannot_be_encoded_is_left_out_and_logged(bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    error = NotFound("nothing here", id="lab.nothing")
    error.details = (StringValue(value="1"), bad, StringValue(value="2"))
    assert decode_details(encode_details(error) or b"", "why") == (
        "lab.nothing",
        "why",
        (StringValue(value="1"), StringValue(value="2")),
        True,
        True,
    )
    assert f"a detail of NOT_FOUND is not sent: {type(bad).__name__}" in caplog.text
    assert sent(error).message == "nothing here"


def test_what_is_assigned_later_is_sent_as_text() -> None:
    error: Any = NotFound()
    error.message, error.id = 404, 5
    arrived = sent(error)
    assert (arrived.message, arrived.id) == ("404", "5")


class OfOurs(NotFound):
    def __init__(self, order: int) -> None:
        super().__init__(f"no order {order}", id="orders.not_found", details=[StringValue(value="d")])
        self.order = order


@pytest.mark.parametrize("error", [OfOurs(42), DeadlineExceeded("too late", id="lab.late", may_have_run=False)])
def test_a_copy_is_an_error_of_its_own(error: Error) -> None:
    error.add_note("noted")
    cause = ValueError()
    try:
        raise error from cause
    except Error as caught:
        copied = copy(caught)
    assert type(copied) is type(error)
    assert vars(copied) == vars(error)
    assert (copied.args, str(copied)) == (error.args, str(error))
    assert copied.__traceback__ is None
    assert copied.__cause__ is cause
    assert copied.__suppress_context__
    copied.add_note("by one")
    copied.message = "changed"
    assert error.__notes__ == ["noted"]
    assert error.message != "changed"


# What the runtime says of an error


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (NotFound("gone", id="orders.not_found"), None),
        (DeadlineExceeded("late", id="micro.deadline"), Facts("micro.deadline", True)),
        (Unavailable("full", id="micro.refused", may_have_run=False), Facts("micro.refused", False)),
        (Unavailable("full", id="orders.full", may_have_run=False), Facts("", False)),
        (Unimplemented("not yet"), Facts("", True)),
    ],
)
def test_what_the_runtime_says_is_no_detail(error: Error, facts: Facts | None) -> None:
    trailers = dict(trailers_of(error, EMPTY, path="/a.B/C"))
    assert decode_facts(trailers.get(FACTS_KEY, ""), "/a.B/C") == facts
    assert ("grpc-status-details-bin" in trailers) is error.id.startswith("orders.")
    arrived = error_of_trailers(trailers, "/a.B/C")
    assert arrived is not None
    assert (arrived.id, arrived.may_have_run, arrived.details) == (error.id, error.may_have_run, ())


def test_a_call_that_did_not_run_is_the_one_that_is_named() -> None:
    text = encode_facts(Unavailable("full", may_have_run=False), "/a.B/C d&e=f") or ""
    assert decode_facts(text, "/a.B/C d&e=f") == Facts("", False)
    assert decode_facts(text, "/a.B/Other") == Facts("", True)
    assert decode_facts(text) == Facts("", False)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("", None),
        ("nonsense", None),
        ("&".join(f"key{number}=1" for number in range(1000)), None),
        ("id=orders.not_found&run=maybe", Facts("", True)),
        ("id=micro.%0Aforged", Facts("", True)),
        ("id=%ff&run=%ff", Facts("", True)),
        ("run=yes", Facts("", True)),
    ],
)
def test_facts_of_a_hostile_server(text: str, facts: Facts | None) -> None:
    assert decode_facts(text, "/a.B/C") == facts
    assert error_of_trailers({"grpc-status": "5", FACTS_KEY: text}, "/a.B/C") is not None


def test_a_handler_cannot_say_that_a_call_did_not_run() -> None:
    with pytest.raises(ValueError, match="'Micro-Error' is set by the runtime"):
        Metadata([("Micro-Error", "run=no&path=%2Fa.B%2FC")])


def test_what_the_runtime_says_is_no_metadata() -> None:
    trailers = trailers_of(Unimplemented("not yet"), Metadata([("a", "1")]))
    assert list(decode_metadata(trailers).pairs) == [("a", "1")]
