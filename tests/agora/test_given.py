"""Each argument of each method is sent as it was given, or refused at once by its type."""

from __future__ import annotations

import enum
import math
from typing import Any, Final

import pytest

from signal_sdk import IAgoraAPI
from tests.agora.conftest import Make, ThreadedServer
from tests.agora.ears import Ears
from tests.agora.test_original import error, hears, logged_in

NO_TOKEN = "_no_need_token"
STATUS = "io.agora.signal.user_query_user_status"

pytestmark = pytest.mark.filterwarnings("ignore:.*obsolete:DeprecationWarning")

WRONG: Final = object()
"""Stands for the argument that is wrong."""
SENT, JOINED, LEFT = "on_message_send_error", "on_channel_join_failed", "on_channel_leaved"
INVITED, NUMBER, INVOKED = "on_invite_failed", "on_channel_query_user_num_result", "on_invoke_ret"

TEXTS: list[tuple[str, tuple[Any, ...], str, str, str]] = [
    ("message_instant_send", (WRONG, 0, "m", "i"), SENT, "send_instant_msg", "account"),
    ("message_instant_send", ("b", 0, WRONG, "i"), SENT, "send_instant_msg", "message"),
    ("message_instant_send", ("b", 0, "m", WRONG), SENT, "send_instant_msg", "message id"),
    ("message_instant_send2", ("b", 0, WRONG, "i"), SENT, "send_instant_msg", "message"),
    ("message_channel_send", (WRONG, "m", "i"), SENT, "send_channel_msg", "channel"),
    ("message_channel_send", ("r", WRONG, "i"), SENT, "send_channel_msg", "message"),
    ("message_channel_send_force", (WRONG, "m"), SENT, "send_channel_msg", "channel"),
    ("message_channel_send_force", ("r", WRONG), SENT, "send_channel_msg", "message"),
    ("message_dtmf_send", (0, WRONG, "i"), SENT, "send_dtmf_msg", "DTMF digits"),
    ("message_dtmf_send", (0, "1", WRONG), SENT, "send_dtmf_msg", "message id"),
    ("channel_join", (WRONG,), JOINED, "channel_join", "channel"),
    ("channel_leave", (WRONG,), LEFT, "channel_leave", "channel"),
    ("channel_query_user_num", (WRONG,), NUMBER, "channel_query_num", "channel"),
    ("channel_invite_user", (WRONG, "b"), INVITED, "invite", "channel"),
    ("channel_invite_user", ("r", WRONG), INVITED, "invite", "account"),
    ("channel_invite_phone", ("r", WRONG), INVITED, "invite", "account"),
    ("channel_invite_phone2", ("r", "1", WRONG), INVITED, "invite", "sourcesNum"),
    ("invoke", (STATUS, '{"account":"b"}', WRONG), INVOKED, "invoke", "callID"),
    ("query_user_status", (WRONG,), "", "query_user_status", "account"),
    ("set_attr", (WRONG, "v"), "", "set_attr", "attribute name"),
    ("get_attr", (WRONG,), "", "get_attr", "attribute name"),
    ("get_user_attr", (WRONG, "n"), "", "get_user_attr", "account"),
    ("get_user_attr", ("b", WRONG), "", "get_user_attr", "attribute name"),
    ("get_user_attr_all", (WRONG,), "", "get_user_attr_all", "account"),
    ("channel_query_user_is_in", (WRONG, "b"), "", "channel_query_user_isin", "channel"),
    ("channel_query_user_is_in", ("r", WRONG), "", "channel_query_user_isin", "account"),
    ("channel_set_attr", (WRONG, "n", "v"), "", "channel_set_attr", "channel"),
    ("channel_set_attr", ("r", WRONG, "v"), "", "channel_set_attr", "attribute name"),
    ("channel_del_attr", (WRONG, "n"), "", "channel_del_attr", "channel"),
    ("channel_del_attr", ("r", WRONG), "", "channel_del_attr", "attribute name"),
    ("channel_clear_attr", (WRONG,), "", "channel_clear_attr", "channel"),
    ("channel_invite_accept", (WRONG, "b"), "", "invite_accept", "channel"),
    ("channel_invite_refuse", ("r", WRONG), "", "invite_refuse", "account"),
    ("channel_invite_end", ("r", WRONG), "", "invite_end", "account"),
    ("channel_invite_dtmf", ("r", WRONG, "1"), "", "invite_dtmf", "account"),
    ("channel_invite_dtmf", ("talk", "bob", WRONG), "", "invite_dtmf", "DTMF digits"),
]
"""What takes text alone: what hears of it first, the method's name for `on_error`, the argument."""

VALUES: list[tuple[str, tuple[Any, ...], str, str, str]] = [
    ("set_attr", ("n", WRONG), "", "set_attr", "attribute value"),
    ("channel_set_attr", ("r", "n", WRONG), "", "channel_set_attr", "attribute value"),
    ("channel_invite_user2", ("r", "b", WRONG), INVITED, "invite", "extra"),
    ("channel_invite_phone3", ("r", "1", "2", WRONG), INVITED, "invite", "extra"),
    ("channel_invite_accept", ("talk", "bob", 0, WRONG), "", "invite_accept", "extra"),
    ("channel_invite_refuse", ("talk", "bob", 0, WRONG), "", "invite_refuse", "extra"),
]
"""What takes all that JSON says exactly."""
NO_JSON: list[tuple[Any, str]] = [
    (b"bin", "bytes"),
    (math.nan, "float (nan)"),
    ({1}, "set"),
    ([b"bin"], "bytes"),
    ({"a": -math.inf}, "float (-inf)"),
    ({1: "a"}, "int"),
    (object(), "object"),
]


def use(api: IAgoraAPI, method: str, args: tuple[Any, ...], value: object) -> None:
    getattr(api, method)(*[value if arg is WRONG else arg for arg in args])


def told(ears: Ears, first: str, name: str) -> str:
    """What `on_error` hears, behind the callback that hears of it first, and nothing else."""
    if first:
        codes = {code for code in ears.wait(first) if isinstance(code, int | str)}
        assert codes & {1004, "1004", 700}, (first, codes)
    heard, ecode, desc = ears.wait("on_error")
    assert (heard, ecode) == (name, 1004)
    assert [event for event in ears.events if event[0] != "on_log"] == []
    return str(desc)


def test_what_takes_text_takes_nothing_else(far_server: ThreadedServer, make: Make) -> None:
    api, ears = in_a_call(far_server, make)
    for method, args, first, name, what in TEXTS:
        for value in (b"bin", None, 7, True, math.nan, {1}, ["a"], {"a": 1}, object()):
            if what == "message id" and value is None:
                continue  # as without one: a new one is made
            use(api, method, args, value)
            expected = f"{what} is of the type {type(value).__name__}, not str"
            assert told(ears, first, name) == expected, (method, value)


def test_what_takes_json_takes_what_that_says_exactly(
    far_server: ThreadedServer, make: Make
) -> None:
    api, ears = in_a_call(far_server, make)
    for method, args, first, name, what in VALUES:
        for value, named in NO_JSON:
            use(api, method, args, value)
            desc = told(ears, first, name)
            assert desc.startswith((f"{what} ", f"a key in {what} ")), (method, desc)
            assert f"of the type {named}" in desc, (method, desc)
    for method, args, first, name, what in VALUES[:2]:
        use(api, method, args, None)
        assert told(ears, first, name) == f"{what} is of the type NoneType, not str"
    for value in (0, {"a": 1}):
        api.channel_invite_phone3("r", "1", "2", value)  # type: ignore[arg-type]
        kind = type(value).__name__
        assert told(ears, INVITED, "invite") == f"extra is of the type {kind}, not str"


def in_a_call(server: ThreadedServer, make: Make) -> tuple[IAgoraAPI, Ears]:
    """Alice, whom bob calls."""
    bob, heard = logged_in(make, server, "bob")
    api, ears = logged_in(make, server)
    bob.channel_invite_user("talk", "alice")
    ears.wait("on_invite_received")
    heard.wait("on_invite_received_by_peer")
    ears.events.clear()
    return api, ears


def test_what_json_says_exactly_arrives_as_it_was_given(
    far_server: ThreadedServer, make: Make
) -> None:
    class Mood(enum.StrEnum):
        GOOD = "good"

    api, ears = logged_in(make, far_server)
    for value, text in [
        ("", ""),
        ("x", "x"),
        (Mood.GOOD, "good"),
        (7, "7"),
        ([1, None], "[1,null]"),
    ]:
        api.set_attr("n", value)  # type: ignore[arg-type]
        api.get_attr("n")
        hears(ears, ("on_user_attr_result", ("alice", "n", text)))


def test_a_uid_is_a_number_where_it_counts(far_server: ThreadedServer, make: Make) -> None:
    api, ears = logged_in(make, far_server)
    for uid, shown in [("7", "of the type str"), (7.5, "7.5"), (True, "True"), (-1, "-1")]:
        api.message_dtmf_send(uid, "1", "i")  # type: ignore[arg-type]
        desc = f"uid {shown} is not a whole number from 0 to 9007199254740991"
        hears(ears, (SENT, ("i", 1004)), error("send_dtmf_msg", 1004, desc))
    api.message_instant_send("bob", "the message", "", "i")  # type: ignore[arg-type]
    desc = "uid is of the type str, not int"
    hears(ears, (SENT, ("i", 1004)), error("send_instant_msg", 1004, desc))


@pytest.mark.parametrize("value", [None, 5, {1}, b"token"], ids=str)
@pytest.mark.parametrize("which", ["app id", "account", "token"])
def test_a_login_takes_text(make: Make, which: str, value: Any) -> None:
    api, ears = make("127.0.0.1:1")
    args = {"app id": "app", "account": "alice", "token": NO_TOKEN, which: value}
    for login in (api.login, api.login2):
        login(*args.values())
        desc = f"{which} is of the type {type(value).__name__}, not str"
        hears(ears, ("on_login_failed", (1004,)), error("login", 1004, desc))
        assert api.get_status() == 0


@pytest.mark.parametrize(
    ("seconds", "count", "desc"),
    [
        (math.nan, 3, "retry_time_in_s nan is not from 0 to 2592000"),
        (None, 3, "retry_time_in_s None is not a number"),
        (True, 3, "retry_time_in_s True is not a number"),
        ("30", 3, "retry_time_in_s of the type str is not a number"),
        (30, None, "retry_count None is not a whole number from 0 to 1000000"),
        (30, 1.5, "retry_count 1.5 is not a whole number from 0 to 1000000"),
        (30, True, "retry_count True is not a whole number from 0 to 1000000"),
        (30, 10**99, f"retry_count 1{'0' * 39}… (100 characters) is not a whole number"),
        (30, 10**9999, "retry_count of the type int is not a whole number from 0 to 1000000"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) else "int",
)
def test_what_is_wrong_with_a_number_is_said_in_python_s_words(
    make: Make, seconds: Any, count: Any, desc: str
) -> None:
    api, ears = make("127.0.0.1:1")
    api.login2("app", "alice", NO_TOKEN, 0, "", seconds, count)
    ears.wait("on_login_failed", 1004)
    assert ears.wait("on_error")[2].startswith(desc)
