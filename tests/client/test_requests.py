"""Requests: their order, their answers, their ends, and their codes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from signal_sdk.client import requests as requests_module
from signal_sdk.client.log import Log
from signal_sdk.client.operation import Operation
from signal_sdk.client.request import Codes, UnansweredError
from signal_sdk.client.requests import REPLY_SECONDS, Requests
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LogoutError, ParameterError, SignalError
from signal_sdk.wire import call2, functions, names, results

CODES = Codes(other=ECode.SENDMESSAGE_E_OTHER, timeout=ECode.SENDMESSAGE_E_TIMEOUT)


class World:
    """Requests with the wire on one side and callbacks on the other."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.unheard: list[tuple[str, SignalError]] = []
        self.is_full = False
        self.requests = Requests(
            lambda _, what, error: self.unheard.append((what, error)),
            lambda: self.is_full,
            Log(),
        )

    def send(self, frame: bytes) -> None:
        _, [function, callid, args] = msgspec.json.decode(frame)
        self.sent.append((function, callid, args))

    def open(self) -> World:
        self.requests.open("line", self.send)
        return self

    def ask(self, account: str = "bob", **options: Any) -> Operation[int]:
        return self.requests.call(
            lambda: functions.UserQueryStatus(account=account),
            results.QueryStatusResult,
            lambda result: result.status,
            **options,
        )

    def answer(self, callid: int, err: str = "", text: Any = None) -> None:
        text = {"result": "ok", "account": "bob", "status": 1} if text is None else text
        reply = call2.Reply(callid=callid, err=err, text=msgspec.json.encode(text).decode())
        self.requests.answer(reply)


async def error_of(operation: Operation[Any]) -> SignalError:
    with pytest.raises(SignalError) as caught:
        await operation
    return caught.value


async def test_an_answer_ends_its_own_request() -> None:
    world = World().open()
    one, two = world.ask(), world.ask()
    assert [callid for _, callid, _ in world.sent] == [1, 2]
    assert world.sent[0] == (
        "user_query_user_status",
        1,
        {"account": "bob", "line": "line", "ack": 0},
    )
    world.answer(2)
    assert await two == 1
    assert not one.is_done
    assert len(world.requests) == 1


async def test_what_is_asked_before_the_login_goes_out_in_order_after_it() -> None:
    world = World()
    world.ask("a")
    world.requests.invoke("f", {"x": 1})
    world.ask("b")
    assert world.sent == []
    world.open()
    assert [(function, args.get("account")) for function, _, args in world.sent] == [
        ("user_query_user_status", "a"),
        ("f", None),
        ("user_query_user_status", "b"),
    ]


async def test_callbacks_hear_before_awaiters() -> None:
    world = World().open()
    heard: list[bool] = []
    operations: list[Operation[int]] = []
    operations.append(world.ask(done=lambda _: heard.append(operations[0].is_done)))
    world.answer(1)
    assert heard == [False]
    assert operations[0].is_done


@pytest.mark.parametrize("ecode", [1001, None])
async def test_a_refusal_without_a_code_gets_its_kind_s(ecode: int | None) -> None:
    world = World().open()
    operation = world.ask(codes=CODES)
    failure = {"result": "failed", "reason": "no"} | ({"ecode": ecode} if ecode else {})
    world.answer(1, "no", failure)
    error = await error_of(operation)
    assert (error.ecode, error.reason) == (400, "no")


async def test_a_refusal_with_a_code_keeps_it() -> None:
    world = World().open()
    operation = world.ask(codes=CODES)
    world.answer(1, "rate", {"result": "failed", "reason": "rate", "ecode": 1005})
    assert (await error_of(operation)).ecode == 1005


@pytest.mark.parametrize(
    "text", ["nonsense", [], {"result": "ok"}, {"result": "ok", "status": "1"}]
)
async def test_an_answer_that_makes_no_sense_is_a_failure(text: Any) -> None:
    world = World().open()
    operation = world.ask(codes=CODES)
    world.answer(1, "", text)
    error = await error_of(operation)
    assert error.ecode == 400
    assert "not understood" in error.reason


async def test_a_wrong_argument_is_refused_before_sending() -> None:
    world = World().open()
    heard: list[SignalError] = []
    error = await error_of(world.ask("b b", failed=heard.append))
    assert isinstance(error, ParameterError)
    assert error.ecode == 1004
    assert [exc.ecode for exc in heard] == [1004]
    assert world.sent == []


@pytest.mark.parametrize("value", [object(), float, "\ud800", 2j])
async def test_what_is_no_json_is_a_wrong_argument(value: Any) -> None:
    world = World().open()
    assert (await error_of(world.ask(value))).ecode == 1004
    assert (await error_of(world.requests.invoke("f", {"x": value}))).ecode == 1004
    assert world.sent == []


@pytest.mark.parametrize("name", ["", call2.INVOKE_PREFIX, "\udcff"])
async def test_what_is_no_function_s_name_is_refused(name: str) -> None:
    assert (await error_of(World().open().requests.invoke(name, {}))).ecode == 1004


async def test_invoke_wants_an_object() -> None:
    not_an_object: Any = [1]
    assert (await error_of(World().open().requests.invoke("f", not_an_object))).ecode == 1004


async def test_invoke_gives_the_whole_answer_and_never_lets_line_be_chosen() -> None:
    world = World().open()
    req: dict[str, Any] = {"x": [1], "line": "mine"}
    operation = world.requests.invoke("io.agora.signal.f", req)
    req["x"] = 2
    assert world.sent == [("f", 1, {"x": [1], "line": "line", "ack": 0})]
    world.answer(1, "", {"result": "ok", "y": {"z": 1}})
    assert await operation == {"result": "ok", "y": {"z": 1}}


async def test_invoke_takes_its_arguments_as_they_are_when_it_is_called() -> None:
    world = World()
    req = {"x": [1]}
    world.requests.invoke("f", req)
    req["x"].append(2)
    world.open()
    assert world.sent == [("f", 1, {"x": [1], "line": "line", "ack": 0})]


async def test_a_frame_that_the_server_would_hang_up_on_is_not_sent() -> None:
    world = World().open()
    operation = world.requests.invoke("f", {"x": "x" * names.MAX_FRAME_BYTES})
    assert (await error_of(operation)).ecode == 1005
    assert world.sent == []


async def test_a_request_without_an_answer_times_out(autojump_clock: MockClock) -> None:
    world = World().open()
    old = world.ask(codes=CODES)
    await trio.sleep(4)
    young = world.ask(codes=CODES)
    assert world.requests.expire(trio.current_time()) == REPLY_SECONDS
    await trio.sleep(REPLY_SECONDS - 4)
    assert world.requests.expire(trio.current_time()) == REPLY_SECONDS + 4
    assert (await error_of(old)).ecode == 401
    assert not young.is_done
    world.answer(1)  # too late, and passed over
    world.answer(2)
    assert await young == 1


async def test_a_session_s_end_ends_its_requests() -> None:
    world = World().open()
    operation = world.ask()
    world.requests.close(LogoutError(ECode.LOGOUT_E_KICKED, "elsewhere"))
    error = await error_of(operation)
    assert isinstance(error, LogoutError)
    assert error.ecode == 103
    assert (await error_of(world.ask())).ecode == 1003


async def test_what_was_never_sent_was_never_logged_in() -> None:
    world = World()
    operation = world.ask()
    world.requests.close(SignalError(ECode.LOGIN_E_TOKENWRONG))
    assert (await error_of(operation)).ecode == 1003


async def test_a_sealed_session_takes_nothing_new_and_finishes_the_old() -> None:
    world = World().open()
    old = world.ask()
    world.requests.seal("the session is logging out")
    assert (await error_of(world.ask())).ecode == 1003
    world.answer(1)
    assert await old == 1


async def test_how_many_are_under_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "MAX_REQUESTS", 2)
    for world in (World(), World().open()):
        assert not world.ask().is_done
        assert not world.ask().is_done
        error = await error_of(world.ask(codes=CODES))
        assert error.ecode == 400
        assert "2 requests are under way" in error.reason


async def test_nothing_is_asked_while_callbacks_are_too_far_behind() -> None:
    world = World().open()
    world.is_full = True
    assert "callbacks" in (await error_of(world.ask())).reason
    assert not world.ask(always=True).is_done


async def test_a_failure_nobody_hears_is_handed_on() -> None:
    world = World().open()
    world.ask()
    world.ask(failed=lambda _: None)
    world.requests.close(LogoutError(ECode.LOGOUT_E_NET))
    [(what, error)] = world.unheard
    assert (what, error.ecode) == ("user_query_user_status", 102)


async def test_a_failure_that_is_moot_is_none() -> None:
    world = World().open()
    operation: Operation[Any] = world.ask(moot=lambda: True)
    world.answer(1, "over already", {})
    assert await operation is None
    assert world.unheard == []


# --- over a lost connection ---


async def test_what_was_not_answered_is_sent_again_in_the_order_of_its_ids() -> None:
    world = World().open()
    operations = [world.ask(account) for account in "abc"]
    world.answer(2)
    world.requests.suspend()
    waiting = world.ask("d")
    del world.sent[:]

    def ahead() -> None:
        world.ask("ahead")

    world.requests.open("another line", world.send, ahead)
    assert [(callid, args["account"]) for _, callid, args in world.sent] == [
        (5, "ahead"),
        (1, "a"),
        (3, "c"),
        (4, "d"),
    ]
    assert {(args["line"], args["ack"]) for _, _, args in world.sent} == {("another line", 0)}
    for callid in (1, 3, 4):
        world.answer(callid)
    assert [await operation for operation in [*operations, waiting]] == [1, 1, 1, 1]


async def test_an_ack_says_up_to_where_nothing_is_waited_for() -> None:
    world = World().open()
    for _ in range(3):
        world.ask()
    world.answer(1)
    world.ask()
    world.answer(3)
    world.answer(2)
    world.ask()
    world.answer(4)
    world.answer(5)
    world.requests.invoke("f", {"ack": 99})
    assert [args["ack"] for _, _, args in world.sent] == [0, 0, 0, 1, 3, 5]


async def test_what_has_lapsed_fails_instead_of_being_sent_again() -> None:
    world = World().open()
    why = SignalError(ECode.INVITE_E_NET, "over")
    lapsed, kept = world.ask(lapse=lambda: why), world.ask(lapse=lambda: None)
    world.requests.suspend()
    del world.sent[:]
    world.open()
    assert (await error_of(lapsed)).ecode == 702
    assert [callid for _, callid, _ in world.sent] == [2]
    assert not kept.is_done


async def test_without_a_connection_a_request_waits_no_longer_than_for_an_answer(
    autojump_clock: MockClock,
) -> None:
    world = World().open()
    world.requests.suspend()
    errors: list[SignalError] = []
    operation = world.ask(codes=CODES, undo=errors.append)
    assert (await error_of(world.ask("b b"))).ecode == 1004, "refused at once, as ever"
    await trio.sleep(REPLY_SECONDS)
    world.requests.expire(trio.current_time())
    assert (await error_of(operation)).ecode == 401
    assert isinstance(errors[0], UnansweredError)
    world.open()
    assert world.sent == []


async def test_the_sdk_s_own_requests_go_out_beside_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests_module, "MAX_REQUESTS", 1)
    world = World().open()
    world.ask()
    assert not world.ask(always=True).is_done
