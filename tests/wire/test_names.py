"""Names and limits: each limit at its number and one past it, and what else makes a value wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import looks, names
from signal_sdk.wire.names import JsonValue
from tests.wire import strategies as sts

Check = Callable[[JsonValue], JsonValue]

CHECKS: dict[str, tuple[Check, int]] = {
    "account": (names.check_account, 128),
    "channel": (names.check_channel, 128),
    "attr_name": (names.check_attr_name, 128),
    "message_id": (names.check_message_id, 128),
    "call_id": (names.check_call_id, 128),
    "call_name": (names.check_call_name, 128),
    "user_attr_value": (names.check_user_attr_value, 1024),
    "channel_attr_value": (names.check_channel_attr_value, 8096),
    "message": (names.check_message, 8192),
}
NAMES = ("account", "channel", "attr_name", "message_id", "call_id", "call_name")
VALUES = ("user_attr_value", "channel_attr_value", "message")
WITHOUT_WHITE_SPACE = ("account", "message_id", "call_id")
LOOKED_AT = ("account", "channel", "call_name")
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
HALF_PAIRS = ["\ud800", "\udfff", "a\udc00b", "\ud83d \ude00", "\ude00\ud83d"]


def code_of(check: Check, value: JsonValue) -> ECode:
    with pytest.raises(ParameterError) as caught:
        check(value)
    text = str(caught.value)
    assert text.isprintable(), "an error is one line"
    assert len(text) < 250
    return caught.value.ecode


@pytest.mark.parametrize("char", ["a", "é", "字", "😀", "\u200b", "\u0301"], ids=sts.label)
@pytest.mark.parametrize("kind", CHECKS)
def test_limit_is_allowed_and_one_more_is_1005(kind: str, char: str) -> None:
    """A value of exactly its limit passes unchanged, in every script; one more is too large."""
    check, limit = CHECKS[kind]
    if kind in LOOKED_AT and looks.hidden_char(char):
        # No name that is shown to others may hold it.
        assert code_of(check, char * limit) is ECode.GENERAL_E_WRONG_PARAM
        return
    assert check(char * limit) == char * limit
    assert code_of(check, char * (limit + 1)) is ECode.GENERAL_E_LARGE_PARAM


@pytest.mark.parametrize("kind", VALUES)
def test_control_characters_do_not_count(kind: str) -> None:
    """Values may hold control characters beyond the limit, which counts the visible ones."""
    check, limit = CHECKS[kind]
    value = "\n\x00\x7f".join(["a"] * limit)
    assert check(value) == value
    assert code_of(check, value + "a") is ECode.GENERAL_E_LARGE_PARAM
    assert check("\n" * (limit + 1)) == "\n" * (limit + 1)


@pytest.mark.parametrize("kind", VALUES)
def test_bytes_have_a_limit_of_their_own(kind: str) -> None:
    """Four times as large: text without control characters never meets it."""
    check, limit = CHECKS[kind]
    assert check("\n" * (limit * 4)) == "\n" * (limit * 4)
    with pytest.raises(ParameterError, match=f"has {limit * 4 + 1} bytes; at most {limit * 4} "):
        check("\n" * (limit * 4 + 1))
    # As UTF-8, of which U+0085 takes two bytes.
    assert code_of(check, "\x85" * (limit * 2 + 1)) is ECode.GENERAL_E_LARGE_PARAM
    assert check("😀" * limit) == "😀" * limit


@pytest.mark.parametrize("kind", NAMES)
def test_name_with_a_control_character_is_1004(kind: str) -> None:
    """Names hold visible characters only."""
    check, _ = CHECKS[kind]
    for control in CONTROLS:
        for value in (control, f"a{control}", f"{control}a"):
            assert code_of(check, value) is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize("half", HALF_PAIRS, ids=sts.label)
def test_half_a_surrogate_pair_is_1004(kind: str, half: str) -> None:
    """What UTF-8 cannot hold is refused before any encoder; if too long as well, with 1005."""
    check, limit = CHECKS[kind]
    assert code_of(check, half.replace(" ", "_")) is ECode.GENERAL_E_WRONG_PARAM
    assert code_of(check, "\ud800" * (limit + 1)) is ECode.GENERAL_E_LARGE_PARAM


@pytest.mark.parametrize("kind", WITHOUT_WHITE_SPACE)
@pytest.mark.parametrize("space", [" ", "\u00a0", "\u2003", "\u2028", "\u3000"], ids=sts.label)
def test_accounts_and_ids_hold_no_white_space(kind: str, space: str) -> None:
    """They are fields of message lines, which white space would cut in two."""
    check, _ = CHECKS[kind]
    for value in (space, f"a{space}b", f"{space}a", f"a{space}"):
        assert code_of(check, value) is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize("kind", ["channel", "attr_name", "call_name"])
def test_channel_and_attribute_names_may_hold_spaces(kind: str) -> None:
    """Only accounts are documented as free of spaces."""
    check, _ = CHECKS[kind]
    assert check("a b") == "a b"


@pytest.mark.parametrize("kind", ["account", "channel", "attr_name", "call_name"])
def test_empty_name_is_1004(kind: str) -> None:
    """A name names something."""
    check, _ = CHECKS[kind]
    assert code_of(check, "") is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize("kind", VALUES)
def test_empty_value_is_allowed(kind: str) -> None:
    """An attribute or a message may be empty."""
    check, _ = CHECKS[kind]
    assert check("") == ""


@pytest.mark.parametrize("value", ["", None])
@pytest.mark.parametrize("check", [names.check_message_id, names.check_call_id])
def test_what_has_no_id_has_the_empty_one(check: Check, value: JsonValue) -> None:
    """An id is optional: none, null and the empty text are the same."""
    assert check(value) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (10**30, "1" + "0" * 30),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ([1], "[1]"),
    ],
    ids=sts.label,
)
def test_account_of_another_type_is_its_json_text(value: JsonValue, text: str) -> None:
    """Web pages log in with numbers."""
    assert names.check_account(value) == text


@pytest.mark.parametrize("kind", VALUES)
def test_json_value_is_measured_as_its_text_and_kept(kind: str) -> None:
    """Web pages send objects: the limit is that of the JSON text, the value is relayed."""
    check, limit = CHECKS[kind]
    value = ["a" * (limit - 4)]
    assert check(value) is value
    assert code_of(check, ["a" * (limit - 3)]) is ECode.GENERAL_E_LARGE_PARAM


@pytest.mark.parametrize("kind", VALUES)
def test_nesting_has_a_limit(kind: str) -> None:
    """What is relayed must be readable by programs whose stacks are deeper than the server's."""
    check, _ = CHECKS[kind]
    assert check(sts.nested(names.MAX_JSON_DEPTH - 1))
    assert code_of(check, sts.nested(names.MAX_JSON_DEPTH)) is ECode.GENERAL_E_WRONG_PARAM
    assert code_of(check, {"a": sts.nested(names.MAX_JSON_DEPTH)}) is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize("kind", CHECKS)
@pytest.mark.parametrize(
    "value",
    [object(), 1j, {None: 1}, ["\ud800"], {"\ud800": 1}, sts.nested(10_000), 10**5000, [10**5000]],
    ids=sts.label,
)
def test_what_json_cannot_hold_is_1004(kind: str, value: object) -> None:
    """No value is so strange that another error comes out, not even while it is named."""
    check, _ = CHECKS[kind]
    assert code_of(check, value) is ECode.GENERAL_E_WRONG_PARAM


def test_list_that_holds_itself_is_1004() -> None:
    """An endless value is refused in finite time."""
    value: list[JsonValue] = []
    value += [value, value]
    assert code_of(names.check_message, value) is ECode.GENERAL_E_WRONG_PARAM


@given(st.sampled_from(sorted(CHECKS)), sts.python_values() | sts.json_values())
def test_check_returns_or_raises_parameter_error(kind: str, value: JsonValue) -> None:
    """Whatever is passed comes back as something that JSON can carry, or is refused."""
    check, _ = CHECKS[kind]
    try:
        checked = check(value)
    except ParameterError:
        return
    msgspec.json.decode(msgspec.json.encode(checked))
    if kind in NAMES:
        assert check(checked) == checked, "a checked name stays as it is"


@sts.few_examples
@given(sts.accounts)
def test_legal_account_passes_unchanged(account: str) -> None:
    """128 visible characters without white space are an account, in every script."""
    assert names.check_account(account) == account


@given(sts.any_texts | st.text(st.sampled_from("a\n\x7f\x85\u2028\ud800😀 "), max_size=30))
@example("")
def test_visible_characters_are_all_but_control_characters(text: str) -> None:
    """The unit of every documented limit: code points that are not of the category Cc."""
    assert names.visible_chars(text) == sum(not sts.is_control(char) for char in text)


@pytest.mark.parametrize(
    ("spelling", "channel"),
    [
        ("_agora_user_online", "_agora_user_online"),
        ("__agora_user_online", "_agora_user_online"),
        ("_agora_channel_event", "_agora_channel_event"),
        ("__agora_channel_event", "_agora_channel_event"),
        ("___agora_user_online", "___agora_user_online"),
        ("__agora_user_online2", "__agora_user_online2"),
        ("__agora_", "__agora_"),
    ],
)
def test_special_channels_have_two_spellings(spelling: str, channel: str) -> None:
    """Both published spellings are one channel; any other is a channel like all."""
    assert names.check_channel(spelling) == names.check_call_name(spelling) == channel


# --- extra ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", None])
def test_extra_may_be_empty(value: JsonValue) -> None:
    """No extra and the empty one are the same."""
    assert names.check_extra(value) == names.check_json_extra(value) == ""


@pytest.mark.parametrize(
    "value", ["{}", '{"_timeout":5}', "[1]", "1", '"x"', " {} ", {"a": 1}, 5, [None]]
)
def test_extra_is_json_as_text_or_as_value(value: JsonValue) -> None:
    """JSON passes as it was given."""
    assert names.check_extra(value) == names.check_json_extra(value) == value


@pytest.mark.parametrize(
    "value",
    ["x", "{", " ", "NaN", "{'a':1}", '"\\ud800"', "9" * 5000, "[" * 4096 + "]" * 4096],
    ids=sts.label,
)
def test_extra_may_be_any_other_text(value: str) -> None:
    assert names.check_extra(value) == value


@pytest.mark.parametrize(
    "value",
    ['"\ud800"', object(), {"a": float("nan"), "b": {1j}}, json.loads("[" * 101 + "]" * 101)],
    ids=sts.label,
)
def test_extra_that_no_json_can_say_is_1004(value: JsonValue) -> None:
    assert code_of(names.check_extra, value) is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "{",
        " ",
        "NaN",
        "{'a':1}",
        "{}{}",
        '"\\ud800"',
        '"\ud800"',
        "1e999",
        "9" * 5000,
        pytest.param("[" * 4096 + "]" * 4096, id="nested-4096-deep"),
        object(),
    ],
    ids=sts.label,
)
def test_extra_of_the_flat_api_that_is_not_json_is_1004(value: JsonValue) -> None:
    """Any other text is refused, as are numbers and nesting that no JSON reader takes."""
    assert code_of(names.check_json_extra, value) is ECode.GENERAL_E_WRONG_PARAM


def test_extra_limit_is_8192() -> None:
    """The limit is that of a message, control characters not counted."""
    value = '"' + "a" * 8190 + '"'
    assert names.check_extra(value) == value
    assert names.check_extra(f"\n{value}\n") == f"\n{value}\n"
    assert code_of(names.check_extra, '"' + "a" * 8191 + '"') is ECode.GENERAL_E_LARGE_PARAM
    assert code_of(names.check_extra, ["a" * 8192]) is ECode.GENERAL_E_LARGE_PARAM


@given(sts.python_values() | sts.json_values() | sts.any_texts)
def test_any_extra_passes_or_is_refused(value: JsonValue) -> None:
    """Nothing but `ParameterError` comes out, and what passes is empty or JSON."""
    try:
        extra = names.check_json_extra(value)
    except ParameterError:
        return
    found = names.check_extra(value)
    # NaN, which Python users may pass, equals nothing.
    assert found is extra or found == extra
    if isinstance(extra, str) and extra:
        msgspec.json.decode(extra)


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 5, 10])
def test_integer_in_its_bounds_passes(value: int) -> None:
    """Both bounds are inside."""
    assert names.check_integer("n", value, 0, 10) == value


@pytest.mark.parametrize(
    "value", [-1, 11, True, False, 1.0, "5", None, [], 10**5000, float("nan")], ids=sts.label
)
def test_other_value_is_no_integer(value: JsonValue) -> None:
    """Out of bounds, or of another type: truth values and whole floats are none either."""
    assert (
        code_of(lambda value: names.check_integer("n", value, 0, 10), value)
        is ECode.GENERAL_E_WRONG_PARAM
    )


def test_limits_are_the_documented_ones() -> None:
    """The numbers of protocol.md, section 8."""
    assert (names.MAX_ACCOUNT_CHARS, names.MAX_NAME_CHARS) == (128, 128)
    assert (names.MAX_USER_ATTR_CHARS, names.MAX_CHANNEL_ATTR_CHARS) == (1024, 8096)
    assert (names.MAX_MESSAGE_CHARS, names.MAX_FRAME_BYTES) == (8192, 131072)
    assert names.NO_TOKEN == "_no_need_token"


@given(sts.any_texts | st.text(st.sampled_from("a~1. \n\x7fé"), max_size=130))
def test_a_plain_name_is_one_that_no_rule_is_against(text: str) -> None:
    """The short way says no more than the long one."""
    if names._is_plain(text, names.MAX_NAME_CHARS):
        assert names._check_name("message id", text, names.MAX_NAME_CHARS) == text
        assert not names._holds_white_space(text)


def test_a_message_is_kept_for_30_days_where_its_sender_says_nothing() -> None:
    """As the original Java SDK says it for each of its messages, and at most."""
    assert names.DEFAULT_TTL_SECONDS == names.MAX_TTL_SECONDS == 2_592_000


def nested(depth: int) -> JsonValue:
    value: JsonValue = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "check",
    [
        names.check_message,
        names.check_extra,
        names.check_json_extra,
        names.check_user_attr_value,
        names.check_channel_attr_value,
        names.check_digits,
    ],
)
@pytest.mark.parametrize(
    "wrong", ["planted\ud800", {"planted": nested(101)}, ["planted", object()]]
)
def test_what_users_say_is_quoted_in_no_error(check: Check, wrong: JsonValue) -> None:
    with pytest.raises(ParameterError) as caught:
        check(wrong)
    assert "planted" not in str(caught.value)
    assert "planted" not in repr(caught.value)
