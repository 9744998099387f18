"""Message lines: what is encoded decodes to itself, and what is no line is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from signal_sdk.errors import ProtocolError
from signal_sdk.wire import lines, names
from tests.wire import strategies as sts

V2_TEXT = "msg-v2 alice bob v1:E:3600 instant 1500000000000 hello  big world "
V3_TEXT = "msg-v3 id-7 alice bob v1:E:3600 instant 1500000000000 hello  big world "
LINE = lines.MessageLine(
    src="alice",
    dst="bob",
    type="instant",
    content="hello  big world ",
    time=1500000000000,
    ttl=3600,
)


def test_v2_line_has_the_documented_form() -> None:
    """A line without an id is v2; its content is the rest of the text, spaces and all."""
    assert LINE.encode() == V2_TEXT
    assert lines.decode(V2_TEXT) == LINE


def test_v3_line_has_the_documented_form() -> None:
    """A line with an id is v3, and the id stands before the source."""
    line = structs.replace(LINE, msg_id="id-7")
    assert line.encode() == V3_TEXT
    assert lines.decode(V3_TEXT) == line


@given(sts.message_lines())
def test_a_line_can_be_had_without_its_id(line: lines.MessageLine) -> None:
    """Which changes nothing else of it, and nothing at all of one that has none."""
    assert lines.without_id(line.encode()) == structs.replace(line, msg_id=None).encode()


def test_empty_message_id_is_none() -> None:
    """An empty id, as `functions` has it for "none", makes a v2 line: a v3 line cannot hold it."""
    assert structs.replace(LINE, msg_id="").encode() == V2_TEXT


@given(sts.message_lines())
def test_line_round_trips(line: lines.MessageLine) -> None:
    """Every line of either version decodes to what it was made of."""
    assert lines.decode(line.encode()) == line


@given(sts.message_lines(st.text(st.sampled_from(" \n\r\t\0a{"), max_size=20)))
def test_white_space_in_content_is_kept(line: lines.MessageLine) -> None:
    """Leading, trailing and repeated white space is content."""
    assert lines.decode(line.encode()).content == line.content


@given(
    st.lists(
        st.sampled_from(
            ["msg-v2", "msg-v3", "v1:E:5", "v1:E:99999999999", "007", "a", "", "\ud800"]
        )
        | sts.any_texts,
        max_size=9,
    ).map(" ".join)
    | sts.any_texts
)
def test_any_text_is_a_line_or_a_protocol_error(text: str) -> None:
    """Nothing but `ProtocolError` comes out, and what decodes encodes to a line that means it."""
    try:
        line = lines.decode(text)
    except ProtocolError:
        return
    assert lines.decode(line.encode()) == line


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "msg-v2",
        "msg-v2 ",
        "msg-v1" + V2_TEXT[6:],
        "msg-v4" + V3_TEXT[6:],
        "MSG-V2" + V2_TEXT[6:],
        " " + V2_TEXT,
        "msg-v2 alice bob v1:E:3600 instant 1500000000000",
        "msg-v2  bob v1:E:3600 instant 1500000000000 x",
        "msg-v2 alice  v1:E:3600 instant 1500000000000 x",
        "msg-v2 alice bob v1:E:3600  1500000000000 x",
        "msg-v3  alice bob v1:E:3600 instant 1500000000000 x",
        "msg-v3 alice bob v1:E:3600 instant 1500000000000 x",
        *(
            f"msg-v2 alice bob {flag} instant 1500000000000 x"
            for flag in ("v1:E:", "v1:E:-1", "v1:E:1.5", "v2:E:1", "v1:F:1", "v1", "v1:E:१")
        ),
        "msg-v2 alice bob v1:E:1:2 instant 1500000000000 x",
        *(
            f"msg-v2 alice bob v1:E:3600 instant {time} x"
            for time in ("-1", "1.5", "now", "१", "1" * 17, "1" * 5000)
        ),
    ],
    ids=sts.label,
)
def test_malformed_line_is_refused(text: str) -> None:
    """A missing or empty field, a foreign version, a flag or time that is no number: refused."""
    with pytest.raises(ProtocolError):
        lines.decode(text)


def test_line_may_have_empty_content() -> None:
    """An empty message is a message; the space before it must be there."""
    assert lines.decode("msg-v2 a b v1:E:1 instant 5 ").content == ""


@sts.few_examples
@given(sts.ttls)
def test_flag_round_trips(ttl: int) -> None:
    """A FLAG says the TTL that it was made of."""
    assert lines.parse_flag(lines.make_flag(ttl)) == ttl


@pytest.mark.parametrize("ttl", [names.MAX_TTL_SECONDS + 1, 10**12 - 1])
def test_ttl_over_the_maximum_is_cut_to_it(ttl: int) -> None:
    """A longer TTL is no error: the inbox keeps the message as long as it keeps any."""
    assert lines.parse_flag(lines.make_flag(ttl)) == names.MAX_TTL_SECONDS


@pytest.mark.parametrize("digits", ["1" * 13, "9" * 5000], ids=sts.label)
def test_ttl_of_too_many_digits_is_refused(digits: str) -> None:
    """A number that nobody means is not converted at all."""
    with pytest.raises(ProtocolError):
        lines.parse_flag(f"v1:E:{digits}")


@sts.few_examples
@given(sts.any_texts)
def test_any_text_becomes_one_field(text: str) -> None:
    """A channel's name takes one field's place in a line, whatever white space it holds."""
    field = lines.field(text)
    assert field
    assert not any(map(str.isspace, field))


@sts.few_examples
@given(sts.accounts)
def test_account_is_a_field_as_it_is(account: str) -> None:
    """What holds no white space is not changed."""
    assert lines.field(account) == account


@given(sts.message_lines())
def test_the_time_is_found_without_the_rest(line: lines.MessageLine) -> None:
    assert lines.time_ms(line.encode()) == line.time


@pytest.mark.parametrize("text", ["", "msg-v2", "msg-v3 a b c d e", "msg-v2 a b c d later x"])
def test_what_has_no_time_has_none(text: str) -> None:
    assert lines.time_ms(text) == 0
