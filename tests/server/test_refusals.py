"""What comes too often is refused, and says when to try again; what it costs is what counts."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.ecodes import ECode
from signal_sdk.errors import LoginError, SignalError
from signal_sdk.server import refusals
from signal_sdk.server.config import Config
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import login
from tests.server.helpers import LogIn, dev_config, is_refusal, members, told

QUESTIONS: dict[str, dict[str, Any]] = {
    "user_getmsg": {"ver_clear": 0},
    "user_query_user_status": {"account": "bob"},
    "user_get_attr": {"account": "bob", "name": "a"},
    "user_get_attr_all": {"account": "bob"},
    "channel_query_num": {"name": "room"},
    "channel_query_user_isin": {"name": "room", "account": "bob"},
    "channel_query_userlist": {"name": "room"},
    "channel_query_userlist_all": {"name": "room"},
}
CALL = {"channelName": "room", "peer": "bob", "extra": ""}
CHANGES: dict[str, dict[str, Any]] = {
    "channel_join": {"name": "room"},
    "channel_leave": {"name": "room"},
    "user_set_attr": {"name": "a", "value": "1"},
    "channel_set_attr": {"channel": "room", "name": "a", "value": "1"},
    "channel_del_attr": {"channel": "room", "name": "a"},
    "channel_clear_attr": {"channel": "room"},
    "voip_invite_ack": CALL,
    "voip_invite_accept": CALL,
    "voip_invite_refuse": CALL,
    "voip_invite_bye": CALL,
    "call_bye": {"channelName": "room", "srcNum": "ann", "destNum": "bob"},
}


def of(reply: dict[str, Any]) -> SignalError:
    return SignalError(ECode(reply["ecode"]), reply["reason"])


class TestPaces:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(changes_per_second=4, questions_per_second=4)

    @pytest.mark.parametrize("function", [*QUESTIONS, *CHANGES])
    async def test_every_request_has_a_pace(self, log_in: LogIn, function: str) -> None:
        ann = await log_in("ann")
        await trio.sleep(2)
        args = QUESTIONS.get(function) or CHANGES[function]
        replies = [await ann.call(function, **args) for _ in range(5)]
        assert not any("in a second" in reply.get("reason", "") for reply in replies[:4])
        assert is_refusal(replies[4], 1001)
        assert replies[4]["reason"].startswith("more than 4 ")
        seconds = of(replies[4]).retry_after
        assert seconds is not None
        await trio.sleep(seconds)
        assert "in a second" not in (await ann.call(function, **args)).get("reason", "")

    async def test_questions_and_changes_do_not_count_as_each_other_nor_as_messages(
        self, log_in: LogIn
    ) -> None:
        ann = await log_in("ann")
        for _ in range(4):
            await ann.call("channel_query_num", name="room")
            await ann.call("user_set_attr", name="a", value="1")
        assert is_refusal(await ann.call("channel_query_num", name="room"), 1001)
        sent = await ann.call("user_sendmsg", peer="bob", flag="v1:E:60", t="instant", content="x")
        assert sent["result"] == "ok"

    async def test_what_was_refused_has_changed_nothing(self, log_in: LogIn) -> None:
        ann = await log_in("ann")
        for number in range(5):
            await ann.call("user_set_attr", name="a", value=number)
        await trio.sleep(1)
        assert (await ann.call("user_get_attr", account="ann", name="a"))["value"] == 3

    @pytest.mark.parametrize(
        ("function", "args"),
        [
            ("user_set_attr", {"name": "a", "value": "x" * 1022}),
            ("user_set_attr", {"name": "a", "value": ["x" * 1020]}),
            ("channel_set_attr", {"channel": "room", "name": "a", "value": "é" * 511}),
            ("user_change_attrs", {"set": {"a": "x" * 505, "b": "x" * 505}}),
            ("channel_change_attrs", {"channel": "room", "set": {"a": "x" * 1016}}),
        ],
    )
    async def test_what_is_long_to_write_counts_as_several_changes(
        self, log_in: LogIn, function: str, args: dict[str, Any]
    ) -> None:
        ann = await log_in("ann")
        await trio.sleep(2)
        # As three changes, of which there may be four.
        assert (await ann.call(function, **args))["result"] == "ok"
        assert (await ann.call(function, **args))["result"] == "ok"
        refused = await ann.call("user_set_attr", name="b", value=1)
        assert is_refusal(refused, 1001)
        seconds = of(refused).retry_after
        assert seconds is not None
        assert seconds == pytest.approx(3 / 4, abs=0.15)
        await trio.sleep(seconds)
        assert (await ann.call("user_set_attr", name="b", value=1))["result"] == "ok"

    async def test_one_user_s_pace_is_not_another_s(self, log_in: LogIn) -> None:
        ann, bob = await log_in("ann"), await log_in("bob")
        for _ in range(5):
            await ann.call("channel_query_num", name="room")
        assert (await bob.call("channel_query_num", name="room"))["result"] == "ok"


class TestLongAnswers:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(changes_per_second=0, questions_per_second=4)

    async def test_a_long_answer_counts_as_several_questions(
        self, server: LocalServer, log_in: LogIn
    ) -> None:
        ann = await log_in("ann")
        for number in range(8):
            await ann.call("channel_set_attr", channel="room", name=f"{number}", value="x" * 8000)
            await ann.call("user_set_attr", name=f"{number}", value="x" * 1000)
        # 8,000 characters are one question, as any other.
        for _ in range(4):
            assert (await ann.call("user_get_attr_all", account="ann"))["result"] == "ok"
        await trio.sleep(1)
        for number in range(8, 100):
            await ann.call("user_set_attr", name=f"{number}", value="x" * 1000)
        # 100,000 are seven.
        assert (await ann.call("user_get_attr_all", account="ann"))["result"] == "ok"
        refused = await ann.call("user_get_attr_all", account="ann")
        assert is_refusal(refused, 1001)
        assert of(refused).retry_after == pytest.approx(1.0, abs=0.3)


class TestQuotas:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(account_channels=1)

    async def test_a_join_that_is_refused_changes_nothing(self, log_in: LogIn) -> None:
        ann, bob = await log_in("ann"), await log_in("bob")
        await ann.call("channel_join", name="room")
        await bob.call("channel_join", name="room")
        await told(ann)
        assert is_refusal(await ann.call("channel_join", name="hall"), 1001)
        assert await told(bob) == []
        assert await members(ann, "room") == ["ann", "bob"]
        assert (await ann.call("channel_sendmsg", name="room", msg="here"))["result"] == "ok"
        assert [kind for _, kind, _ in await told(ann)] == ["channel_msg"]
        assert (await bob.call("channel_query_num", name="hall"))["num"] == 0


class TestJoins:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(channel_joins_per_second=4, changes_per_second=0)

    async def test_a_channel_takes_so_many_joins_in_a_second(self, log_in: LogIn) -> None:
        clients = [await log_in(f"u{number}") for number in range(6)]
        replies = [await client.call("channel_join", name="room") for client in clients]
        assert [reply["result"] for reply in replies] == ["ok"] * 4 + ["failed"] * 2
        assert is_refusal(replies[4], 300)
        assert replies[4]["reason"] == (
            'more joins in a second than a channel of 4 members takes; {"retry_after": 0.3}'
        )
        # Who is there already, who leaves, and who joins another is refused nothing.
        assert (await clients[0].call("channel_join", name="room"))["result"] == "ok"
        assert (await clients[4].call("channel_join", name="hall"))["result"] == "ok"
        for client in clients[:4]:
            assert (await client.call("channel_leave", name="room"))["result"] == "ok"
        await trio.sleep(0.3)
        assert (await clients[5].call("channel_join", name="room"))["result"] == "ok"

    async def test_where_nobody_is_told_of_joins_they_are_free(self, log_in: LogIn) -> None:
        clients = [await log_in(f"u{number}") for number in range(6)]
        await clients[0].call("channel_set_attr", channel="room", name="_userNotification", value=0)
        for client in clients:
            assert (await client.call("channel_join", name="room"))["result"] == "ok"

    async def test_a_join_that_many_hear_of_counts_as_several(
        self, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("signal_sdk.server.engine.membership_operations.MEMBERS_PER_JOIN", 2)
        clients = [await log_in(f"u{number}") for number in range(7)]
        for client in clients[:4]:
            assert (await client.call("channel_join", name="room"))["result"] == "ok"
            await trio.sleep(1)
        # Four members: two joins.
        replies = [await client.call("channel_join", name="room") for client in clients[4:]]
        assert [reply["result"] for reply in replies] == ["ok", "ok", "failed"]
        assert of(replies[2]).retry_after == pytest.approx(0.4, abs=0.15)


class TestNoLimit:
    @pytest.fixture
    def config(self) -> Config:
        return dev_config(changes_per_second=0, questions_per_second=0)

    async def test_zero_is_no_limit(self, log_in: LogIn) -> None:
        ann = await log_in("ann")
        for _ in range(1000):
            assert (await ann.call("channel_query_num", name="room"))["result"] == "ok"


@given(st.floats(0, 100_000))
def test_a_refusal_says_when_to_try_again_and_never_too_soon(seconds: float) -> None:
    error = refusals.too_often(
        ECode.GENERAL_E_FAILED, "more than enough", seconds, limit="frames_per_second"
    )
    assert error.reason.startswith("more than enough; ")
    assert error.retry_after is not None
    assert seconds - 1e-5 <= error.retry_after <= max(0.1, seconds + 0.1)


@pytest.mark.parametrize("reason", ["", "no", '{"retry_after": x}', '{"retry_after": 1} later'])
def test_other_refusals_say_nothing_of_that(reason: str) -> None:
    assert SignalError(ECode.GENERAL_E_FAILED, reason).retry_after is None


@pytest.mark.parametrize(
    ("ecode", "token", "is_told"),
    [
        (ECode.LOGIN_E_TOKENWRONG, "guess", False),
        (ECode.LOGIN_E_TOKENWRONG, "", True),
        (ECode.LOGIN_E_TOKENWRONG, "_no_need_token", True),
        (ECode.LOGIN_E_TOKENEXPIRED, "guess", True),
        (ECode.LOGIN_E_NET, "guess", True),
    ],
)
def test_who_tries_tokens_is_not_told_what_of_one_is_wrong(
    ecode: ECode, token: str, *, is_told: bool
) -> None:
    request = login.Login(vid="app", account="ann", token=token)
    told = refusals.public_refusal(LoginError(ecode, "the reason"), request)
    assert told.ecode is ecode
    assert ("the reason" in told.reason) is is_told
    assert told.reason


@pytest.mark.parametrize("request_", [None, login.LineLogin(line="x")])
def test_what_is_no_token_is_told_as_it_is(request_: login.LineLogin | None) -> None:
    error = LoginError(ECode.LOGIN_E_TOKENWRONG, "the reason")
    assert refusals.public_refusal(error, request_) is error
