"""What is refused is told in words that an app may show its user."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.helpers import LogIn, is_refusal

STATUS = "user_query_user_status"


@pytest.mark.parametrize(
    ("function", "args", "reason"),
    [
        (STATUS, {}, "user_query_user_status needs 'account'"),
        (STATUS, {"account": ""}, "account '' is empty"),
        (STATUS, {"account": {"a": None, "b": [True]}}, None),
        (STATUS, {"account": ["a b"]}, """account '["a b"]' holds white space"""),
        ("make_coffee", {}, "function 'make_coffee' is not known to the server"),
        ("user_getmsg", {"ver_clear": None}, "ver_clear null is not a whole number from 0 to "),
        ("user_getmsg", {"ver_clear": True}, "ver_clear true is not a whole number from 0 to "),
        (
            "user_getmsg",
            {"ver_clear": {"a": [None]}},
            'ver_clear {"a":[null]} is not a whole number from 0 to ',
        ),
        (
            "user_sendmsg",
            {"peer": "b", "flag": 5, "t": "instant", "content": ""},
            "flag is not text",
        ),
    ],
)
async def test_a_reason_is_a_plain_sentence(
    log_in: LogIn, function: str, args: dict[str, Any], reason: str | None
) -> None:
    ann = await log_in("ann")
    reply = await ann.call(function, **args)
    if reason is None:
        # What is no text is the account of its JSON text.
        assert (reply["result"], reply["status"]) == ("ok", 0)
        return
    assert is_refusal(reply, 1004)
    assert reply["reason"].startswith(reason)


async def test_arguments_that_are_no_object_are_named_so(log_in: LogIn) -> None:
    ann = await log_in("ann")
    ann.send("call2", [STATUS, 1, ["account"]])
    reply = await ann.reply(1)
    assert is_refusal(reply, 1004)
    assert reply["reason"] == "the arguments are not an object of JSON values"
