"""What a name looks like: nothing hidden in it, and nothing that resembles the server's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError
from signal_sdk.wire import looks, names

HIDDEN = {
    "zero width space": "an\u200bn",
    "joiner between letters": "an\u200dn",
    "non-joiner between letters": "an\u200cn",
    "joiner at the end of an emoji": "👨\u200d",
    "joiner at the beginning": "\u200d👨",
    "soft hyphen": "an\u00adn",
    "word joiner": "ann\u2060",
    "byte order mark": "\ufeffann",
    "right to left override": "a\u202enna",
    "isolate": "\u2066ann\u2069",
    "left to right mark": "ann\u200e",
    "Arabic letter mark": "ann\u061c",
    "tag": "ann\U000e0061",
    "Hangul filler": "ann\u3164",
    "combining grapheme joiner": "an\u034fn",
    "Mongolian vowel separator": "an\u180en",
    "emoji selector behind a letter": "ann\ufe0f",
    "selector": "a\ufe00nn",
    "ideographic selector": "字\U000e0100",
}
SHOWN = {
    "family": "👨\u200d👩\u200d👧",
    "heart": "❤\ufe0f",
    "rainbow flag": "🏳\ufe0f\u200d🌈",
    "skin tone and joiner": "👩🏽\u200d🚀",
    "keycap": "1\ufe0f\u20e3",
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Sinhala": "ශ්\u200dරී",
    "accents": "é e\u0301".replace(" ", "-"),
    "Korean": "채널",
    "right to left": "שלום",
}


@pytest.mark.parametrize("check", [names.check_account, names.check_channel])
@pytest.mark.parametrize("name", HIDDEN.values(), ids=HIDDEN.keys())
def test_a_name_that_hides_something_is_1004(name: str, check: Callable[[str], str]) -> None:
    with pytest.raises(ParameterError, match="holds an invisible character") as caught:
        check(name)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("check", [names.check_account, names.check_channel])
@pytest.mark.parametrize("name", SHOWN.values(), ids=SHOWN.keys())
def test_what_scripts_and_emoji_are_written_with_is_fine(
    name: str, check: Callable[[str], str]
) -> None:
    assert check(name) == name
    assert looks.hidden_char(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        "_Agora_system",
        "_AGORA_USER_ONLINE",
        "__agora_channel_event",
        "\uff3fagora_system",
        "_\uff41gora_system",
    ],
)
def test_an_account_that_looks_like_the_server_is_1004(name: str) -> None:
    with pytest.raises(ParameterError, match="looks like a name of the server's own") as caught:
        names.check_account(name)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


@pytest.mark.parametrize(
    "name", ["_Agora_user_online", "__AGORA_CHANNEL_EVENT", "_agora_\uff55ser_online"]
)
def test_a_channel_that_looks_like_a_special_one_is_1004(name: str) -> None:
    with pytest.raises(ParameterError, match="looks like a name of the server's own"):
        names.check_channel(name)


@pytest.mark.parametrize("name", ["_agora", "agora_system", "_agora_systems", "Agora", "_x"])
def test_others_are_names_like_all(name: str) -> None:
    assert names.check_account(name) == name
    assert names.check_channel(name) == name


@pytest.mark.parametrize(
    "app_id", ["", "a:b", "a b", "a\tb", "a\nb", "a\u200bb", "\x1b[2J", "\ud800"]
)
def test_an_app_id_that_could_be_taken_for_another_is_1004(app_id: str) -> None:
    with pytest.raises(ParameterError) as caught:
        names.check_app_id(app_id)
    assert caught.value.ecode is ECode.GENERAL_E_WRONG_PARAM


def test_an_app_id_has_a_limit() -> None:
    assert names.check_app_id("a" * 128) == "a" * 128
    with pytest.raises(ParameterError) as caught:
        names.check_app_id("a" * 129)
    assert caught.value.ecode is ECode.GENERAL_E_LARGE_PARAM
