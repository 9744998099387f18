"""Calls: every step in every state, every timer, and that each side hears of exactly one end."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

from signal_sdk.server.engine.base import AccountKey, Call
from signal_sdk.server.engine.call_table import (
    ACCEPTED,
    ENDED,
    EVENT_TTL_SECONDS,
    INVITING,
    RINGING,
    STEPS,
)
from signal_sdk.server.engine.pending import waited
from signal_sdk.testing.server import LocalServer, local_server
from tests.server.helpers import APP, LogIn, dev_config, is_refusal, polled, pushed, slow_engine
from tests.wire_client import WireClient, logged_in, wire_client

KINDS: Final = (
    "voip_invite_ack",
    "voip_invite_accept",
    "voip_invite_refuse",
    "voip_invite_bye",
    "voip_invite_msg",
)
PATHS: Final[dict[str, tuple[str, ...]]] = {
    INVITING: (),
    RINGING: ("voip_invite_ack",),
    ACCEPTED: ("voip_invite_ack", "voip_invite_accept"),
}
"""What the callee does to bring a call into a state."""


async def step(
    client: WireClient, kind: str, peer: str, extra: Any = "", channel: str = "room"
) -> dict[str, Any]:
    return await client.call(kind, channelName=channel, peer=peer, extra=extra)


async def invite(client: WireClient, peer: str, extra: Any = "") -> None:
    reply = await step(client, "voip_invite", peer, extra)
    assert reply["result"] == "ok", reply


async def call_in(state: str, ann: WireClient, bob: WireClient) -> None:
    """Ann has called Bob, and the call is in `state`."""
    await invite(ann, "bob")
    for kind in PATHS[state]:
        assert (await step(bob, kind, "ann"))["result"] == "ok"
    await pushed(ann)
    await pushed(bob)


# --- the table ---


async def test_an_invitation_reaches_the_callee_with_what_the_caller_said(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await invite(ann, "bob", {"destMediaUid": 123})
    [(kind, content)] = await pushed(bob)
    assert kind == "voip_invite"
    # The call's id, by which our SDK tells one call from the next.
    assert content.pop("call")
    assert content == {
        "channel": "room",
        "peer": "ann",
        "peeruid": ann.uid,
        "extra": {"destMediaUid": 123},
    }
    assert await pushed(ann) == []


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("role", ["caller", "callee"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_step_does_what_the_table_says_or_nothing(
    server: LocalServer, log_in: LogIn, state: str, role: str, kind: str
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(state, ann, bob)
    actor, other, peer = (ann, bob, "bob") if role == "caller" else (bob, ann, "ann")
    before = await _call(server)
    reply = await step(actor, kind, peer, '{"why": 1}')
    after = STEPS[state].get((role, kind))
    if after is None:
        assert is_refusal(reply, 700)
        assert f"does not fit a call that is {state}" in reply["reason"]
        assert await _call(server) == before
        assert await pushed(other) == []
    else:
        assert reply["result"] == "ok"
        call = await _call(server)
        assert (ENDED if call is None else call.state) == after
        ((told, content),) = await pushed(other)
        assert told == kind
        assert (content["peer"], content["channel"]) == (
            "ann" if actor is ann else "bob",
            "room",
        )
        assert content["extra"] == '{"why": 1}'
    assert await pushed(actor) == []


async def _call(server: LocalServer) -> Call | None:
    """The live call of ann, if there is one."""
    calls = await waited(server.node.engine.calls_of(AccountKey(APP, "ann")))
    return next(iter(calls), None)


def test_the_table_has_every_state_and_only_documented_steps() -> None:
    assert set(STEPS) == {INVITING, RINGING, ACCEPTED}
    for steps in STEPS.values():
        assert {kind for _, kind in steps} <= set(KINDS)
        assert {role for role, _ in steps} == {"caller", "callee"}
        # Whoever wants out gets out.
        for role in ("caller", "callee"):
            assert steps[role, "voip_invite_bye"] == ENDED


@pytest.mark.parametrize("kind", KINDS)
async def test_a_step_without_a_call_fails(log_in: LogIn, kind: str) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    assert is_refusal(await step(ann, kind, "bob"), 700)
    assert await pushed(bob) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_step_in_another_channel_or_by_a_third_party_fails(
    log_in: LogIn, kind: str
) -> None:
    ann, bob, eve = await log_in("ann"), await log_in("bob"), await log_in("eve")
    await call_in(ACCEPTED, ann, bob)
    assert is_refusal(await step(bob, kind, "ann", channel="elsewhere"), 700)
    assert is_refusal(await step(eve, kind, "ann"), 700)
    assert is_refusal(await step(eve, kind, "bob"), 700)
    assert await pushed(ann) == await pushed(bob) == []


@pytest.mark.parametrize("state", [INVITING, RINGING, ACCEPTED])
async def test_inviting_again_while_a_call_is_alive_fails_with_701(
    log_in: LogIn, state: str
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(state, ann, bob)
    assert is_refusal(await step(ann, "voip_invite", "bob"), 701)
    assert is_refusal(await step(bob, "voip_invite", "ann"), 701)
    assert await pushed(ann) == await pushed(bob) == []
    # About another channel, or with somebody else, it is another call.
    reply = await step(ann, "voip_invite", "bob", channel="another")
    assert reply["result"] == "ok"
    await invite(ann, "eve")


@pytest.mark.parametrize("state", [INVITING, RINGING, ACCEPTED])
async def test_after_the_end_one_may_call_again(log_in: LogIn, state: str) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(state, ann, bob)
    assert (await step(bob, "voip_invite_bye", "ann"))["result"] == "ok"
    await invite(ann, "bob")
    # The first one's timers are not the second one's.
    await trio.sleep(19.9)
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_bye"]
    await trio.sleep(0.2)
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_failed"]


async def test_nobody_calls_oneself(log_in: LogIn) -> None:
    ann = await log_in("ann")
    assert is_refusal(await step(ann, "voip_invite", "ann"), 1004)


async def test_digits_and_other_messages_go_both_ways_in_order(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(ACCEPTED, ann, bob)
    for digit in "12#":
        extra = {"msgtype": "dtmf", "msgdata": digit}
        assert (await step(ann, "voip_invite_msg", "bob", extra))["result"] == "ok"
    assert [content["extra"]["msgdata"] for _, content in await pushed(bob)] == ["1", "2", "#"]
    await step(bob, "voip_invite_msg", "ann", '{"msgtype": "dtmf", "msgdata": "*"}')
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_msg"]


async def test_invitations_and_messages_count_against_the_users_rate(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(ACCEPTED, ann, bob)
    for _ in range(59):
        assert (await step(ann, "voip_invite_msg", "bob"))["result"] == "ok"
    assert is_refusal(await step(ann, "voip_invite_msg", "bob"), 400)
    assert is_refusal(await step(ann, "voip_invite", "eve"), 400)
    # Who has said much may still hang up.
    assert (await step(ann, "voip_invite_bye", "bob"))["result"] == "ok"


@pytest.mark.parametrize(
    "extra",
    ['{"_timeout": 0}', {"_timeout": 0.5}, {"_timeout": "x"}, {"_timeout": [1]}],
)
async def test_a_wrong_extra_is_refused_with_1004(log_in: LogIn, extra: Any) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    assert is_refusal(await step(ann, "voip_invite", "bob", extra), 1004)
    assert await pushed(bob) == []


@pytest.mark.parametrize(
    "extra",
    ["busy", "{", " ", "\n", "[1", "NaN", '"\\ud800"', "{'a': 1}", "x" * 8192, "7", None, 7],
)
async def test_extra_is_relayed_as_it_was_given(log_in: LogIn, extra: Any) -> None:
    """In every step, whether it is JSON or not; null is the empty text."""
    ann, bob = await log_in("ann"), await log_in("bob")
    heard = "" if extra is None else extra
    for last in ("voip_invite_refuse", "voip_invite_bye"):
        await invite(ann, "bob", extra)
        for kind in ("voip_invite_accept", "voip_invite_msg"):
            if last == "voip_invite_bye":
                assert (await step(bob, kind, "ann", extra))["result"] == "ok"
        assert (await step(bob, last, "ann", extra))["result"] == "ok"
    assert [content["extra"] for _, content in await pushed(ann)] == [heard] * 4
    assert [content["extra"] for _, content in await pushed(bob)] == [heard] * 2


async def test_extra_over_8192_characters_is_1005_in_every_step(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    assert is_refusal(await step(ann, "voip_invite", "bob", "x" * 8193), 1005)
    await call_in(ACCEPTED, ann, bob)
    for kind in ("voip_invite_msg", "voip_invite_bye"):
        assert is_refusal(await step(ann, kind, "bob", "x" * 8193), 1005)


async def test_the_number_that_a_phone_call_shows_is_not_the_client_s_extra(log_in: LogIn) -> None:
    """What the client gave may be as long as any `extra`, and no longer."""
    ann, phone = await log_in("ann"), await log_in("0123456")
    longest = json.dumps({"a": "x" * (8192 - len('{"a": ""}'))})
    for extra in (longest, "x" * 8192):
        said = {"channelName": "room", "srcNum": "5" * 128, "destNum": "0123456"}
        assert is_refusal(await ann.call("pstn_invite", **said, extra=f"{extra} "), 1005)
        assert (await ann.call("pstn_invite", **said, extra=extra))["result"] == "ok"
        assert (await step(phone, "voip_invite_bye", "ann"))["result"] == "ok"
    heard = [json.loads(content["extra"]) for _, content in await pushed(phone)]
    assert heard == [
        {**json.loads(longest), "srcNum": "5" * 128},
        {"extra": "x" * 8192, "srcNum": "5" * 128},
    ]


@pytest.mark.parametrize("id_", ["c" * 128, "é" * 128])
async def test_a_call_is_dialled_by_its_id_which_has_128_characters_at_most(
    log_in: LogIn, id_: str
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    said = {"channelName": "room", "peer": "bob", "extra": ""}
    reply = await ann.call("voip_invite", **said, callID=f"{id_}c")
    assert is_refusal(reply, 1005)
    assert reply["reason"].startswith("call id has 129 visible characters")
    assert (await ann.call("voip_invite", **said, callID=id_))["result"] == "ok"
    assert (await step(bob, "voip_invite_accept", "ann"))["result"] == "ok"
    await pushed(bob)
    reply = await ann.call("pstn_dtmf", cid=f"{id_}c", dtmf="1")
    assert is_refusal(reply, 1005)
    assert reply["reason"].startswith("call has 129 visible characters")
    assert (await ann.call("pstn_dtmf", cid=id_, dtmf="1"))["result"] == "ok"
    ((kind, content),) = await pushed(bob)
    assert (kind, content["call"]) == ("voip_invite_msg", id_)


@pytest.mark.parametrize("options", ['{"_require_peer_online": 1} ', "_require_peer_online", "[1]"])
async def test_options_are_read_where_extra_is_an_object(log_in: LogIn, options: str) -> None:
    ann = await log_in("ann")
    reply = await step(ann, "voip_invite", "bob", options)
    assert (reply["result"] == "ok") is (not options.startswith("{"))


# --- as the original Java and native SDKs end a call ---


@pytest.mark.parametrize("state", [INVITING, RINGING, ACCEPTED])
@pytest.mark.parametrize("ends", ["caller", "callee"])
async def test_call_bye_ends_a_call_in_any_state_and_another_may_follow(
    log_in: LogIn, state: str, ends: str
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    for _ in range(2):
        await call_in(state, ann, bob)
        (who, src), (other, dst) = (ann, "ann"), (bob, "bob")
        if ends == "callee":
            (who, src), (other, dst) = (other, dst), (who, src)
        said = {"channelName": "room", "srcNum": src, "destNum": dst}
        assert (await who.call("call_bye", **said, extra="bye"))["result"] == "ok"
        ((kind, content),) = await pushed(other)
        assert (kind, content["peer"], content["extra"]) == ("voip_invite_bye", src, "bye")
        assert await pushed(who) == []


async def test_call_bye_in_another_s_name_is_1004(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(ACCEPTED, ann, bob)
    eve = await log_in("eve")
    for client in (ann, eve):
        said = {"channelName": "room", "srcNum": "bob", "destNum": "ann"}
        assert is_refusal(await client.call("call_bye", **said), 1004)
    assert await pushed(ann) == await pushed(bob) == []


# --- time ---


async def test_nobody_acknowledges_and_the_callee_is_online(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await invite(ann, "bob", {"n": 1})
    await trio.sleep(19.9)
    assert await pushed(ann) == []
    await trio.sleep(0.2)
    ((kind, content),) = await pushed(ann)
    assert (kind, content["ecode"], content["peer"]) == ("voip_invite_failed", 704, "bob")
    assert content["extra"] == {"n": 1}
    assert [kind for kind, _ in await pushed(bob)] == ["voip_invite", "voip_invite_bye"]
    assert is_refusal(await step(bob, "voip_invite_accept", "ann"), 700)


async def test_nobody_acknowledges_and_the_callee_is_offline(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await invite(ann, "bob")
    await trio.sleep(19.9)
    assert await pushed(ann) == []
    await trio.sleep(0.2)
    ((kind, content),) = await pushed(ann)
    assert (kind, content["ecode"]) == ("voip_invite_failed", 703)
    # Who comes too late finds nothing.
    assert await polled(await log_in("bob")) == []


async def test_who_comes_online_in_time_finds_the_invitation(log_in: LogIn) -> None:
    ann = await log_in("ann")
    await invite(ann, "bob")
    await trio.sleep(15)
    bob = await log_in("bob")
    assert [kind for kind, _ in await polled(bob)] == ["voip_invite"]
    for kind in ("voip_invite_ack", "voip_invite_accept"):
        assert (await step(bob, kind, "ann"))["result"] == "ok"
    await trio.sleep(100)
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_ack", "voip_invite_accept"]


@pytest.mark.parametrize("spelling", [1, "1", True])
@pytest.mark.parametrize("as_text", [True, False])
async def test_a_peer_that_is_required_online_and_is_not_is_refused_in_the_answer(
    server: LocalServer, log_in: LogIn, spelling: Any, as_text: bool
) -> None:
    ann = await log_in("ann")
    extra: Any = {"_require_peer_online": spelling}
    if as_text:
        extra = str(extra).replace("'", '"').replace("True", "true")
    reply = await step(ann, "voip_invite", "bob", extra)
    assert is_refusal(reply, 703)
    assert reply["reason"] == "peer is not online"
    assert await _call(server) is None
    assert not server.node.statistics().due
    bob = await log_in("bob")
    assert await polled(bob) == []
    await trio.sleep(60)
    assert await polled(ann) == await pushed(ann) == await pushed(bob) == []
    # It was no call, which would stand in the way of the next one.
    await invite(ann, "bob", extra)
    assert [kind for kind, _ in await pushed(bob)] == ["voip_invite"]


async def test_inviting_again_is_what_is_refused_also_where_the_peer_has_to_be_online(
    log_in: LogIn,
) -> None:
    ann = await log_in("ann")
    await invite(ann, "bob")
    assert is_refusal(await step(ann, "voip_invite", "bob", {"_require_peer_online": 1}), 701)


async def test_a_peer_that_is_required_online_and_is_gets_the_call(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await invite(ann, "bob", {"_require_peer_online": 1})
    assert [kind for kind, _ in await pushed(bob)] == ["voip_invite"]


@pytest.mark.parametrize(("timeout", "seconds"), [(1, 1), (5.5, 5.5), ("30", 30), (300, 300)])
async def test_timeout_replaces_the_20_s_and_bounds_the_ringing_too(
    log_in: LogIn, timeout: Any, seconds: float
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await invite(ann, "bob", {"_timeout": timeout})
    await trio.sleep(seconds - 0.1)
    assert await pushed(ann) == []
    await trio.sleep(0.2)
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_failed"]
    await pushed(bob)
    await invite(ann, "bob", {"_timeout": timeout})
    await trio.sleep(seconds - 0.1)
    await step(bob, "voip_invite_ack", "ann")
    await trio.sleep(seconds - 0.1)
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_ack"]
    await trio.sleep(0.2)
    ((kind, content),) = await pushed(ann)
    assert (kind, content["ecode"]) == ("voip_invite_failed", 704)


async def test_ringing_runs_out_with_704_and_a_bye_to_the_callee(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await invite(ann, "bob")
    await trio.sleep(10)
    await step(bob, "voip_invite_ack", "ann")
    await pushed(ann)
    await pushed(bob)
    await trio.sleep(19.9)
    assert await pushed(ann) == await pushed(bob) == []
    await trio.sleep(0.2)
    ((kind, content),) = await pushed(ann)
    assert (kind, content["ecode"]) == ("voip_invite_failed", 704)
    ((kind, content),) = await pushed(bob)
    assert (kind, content["peer"]) == ("voip_invite_bye", "ann")
    await trio.sleep(100)
    assert await pushed(ann) == await pushed(bob) == []


async def test_ringing_that_began_in_the_moment_of_the_call_runs_out_too(log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(RINGING, ann, bob)
    assert trio.current_time() == 0
    await trio.sleep(20.1)
    assert [kind for kind, _ in await pushed(ann)] == ["voip_invite_failed"]


def test_an_event_of_a_call_is_kept_for_an_hour() -> None:
    """Not for as long as a message: nobody has a use for it then."""
    assert EVENT_TTL_SECONDS == 3600


async def test_an_accepted_call_never_runs_out(server: LocalServer, log_in: LogIn) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    await call_in(ACCEPTED, ann, bob)
    await trio.sleep(3600)
    assert await pushed(ann) == await pushed(bob) == []
    assert (await step(ann, "voip_invite_bye", "bob"))["result"] == "ok"
    assert not server.node.statistics().due


# --- presence ---


@pytest.mark.parametrize("state", [INVITING, RINGING, ACCEPTED])
@pytest.mark.parametrize("who", ["caller", "callee"])
@pytest.mark.parametrize("how", ["logout", "lease", "fresh login"])
async def test_the_end_of_a_sides_presence_ends_the_call_and_the_other_hears_once(
    server: LocalServer, log_in: LogIn, state: str, who: str, how: str
) -> None:
    ann, bob = await log_in("ann"), await log_in("bob")
    if how == "lease":
        # Shorter than an invitation lives.
        for client in (ann, bob):
            await client.call("user_set_attr", name="_conn_timeout", value=20)
    await invite(ann, "bob", {"_timeout": 100})
    for kind in PATHS[state]:
        await step(bob, kind, "ann")
    await pushed(ann)
    await pushed(bob)
    gone, other, name = (ann, bob, "ann") if who == "caller" else (bob, ann, "bob")
    if how == "logout":
        await gone.call("user_logout")
    elif how == "lease":
        gone.link.abort()
        await trio.sleep(19)
        assert await pushed(other) == []
        await trio.sleep(2)
    else:
        await log_in(name, device="javasdk")
    ((kind, content),) = await pushed(other)
    assert (kind, content["peer"], content["channel"]) == ("voip_invite_bye", name, "room")
    await trio.sleep(300)
    assert await pushed(other) == []
    assert await _call(server) is None
    assert not server.node.statistics().due


async def test_a_call_survives_a_reconnection(server: LocalServer, log_in: LogIn) -> None:
    ann = await log_in("ann")
    async with wire_client(server.connect()) as bob:
        await bob.login("bob")
        await call_in(ACCEPTED, ann, bob)
    await trio.sleep(60)
    bob = await log_in("bob")
    await trio.sleep(120)
    assert await pushed(ann) == []
    assert (await step(bob, "voip_invite_bye", "ann"))["result"] == "ok"


async def test_every_call_of_an_account_ends_with_its_presence(
    server: LocalServer, log_in: LogIn
) -> None:
    ann, bob, eve = await log_in("ann"), await log_in("bob"), await log_in("eve")
    await invite(ann, "bob")
    await invite(eve, "ann")
    await step(ann, "voip_invite", "eve", channel="another")
    await pushed(bob)
    await pushed(eve)
    await ann.call("user_logout")
    assert [kind for kind, _ in await pushed(bob)] == ["voip_invite_bye"]
    assert sorted(content["channel"] for _, content in await pushed(eve)) == ["another", "room"]
    assert await _call(server) is None


# --- races ---


@pytest.mark.parametrize("seed", range(20))
async def test_of_steps_at_the_same_time_one_ends_the_call(
    autojump_clock: MockClock, seed: int
) -> None:
    """Both hang up, the callee refuses, and the time runs out, all in the same moment, on an
    engine that takes its time.
    """
    async with (
        local_server(dev_config(), listens=False, engine=slow_engine(seed)) as server,
        logged_in(server, "ann") as ann,
        logged_in(server, "bob") as bob,
    ):
        await invite(ann, "bob", {"_timeout": 10})
        await step(bob, "voip_invite_ack", "ann")
        await trio.sleep(10 - 0.002)
        await pushed(ann)
        await pushed(bob)
        ids = [
            (ann, ann.request("voip_invite_bye", channelName="room", peer="bob", extra="")),
            (bob, bob.request("voip_invite_refuse", channelName="room", peer="ann", extra="")),
            (bob, bob.request("voip_invite_bye", channelName="room", peer="ann", extra="")),
        ]
        succeeded = [
            client for client, callid in ids if (await client.reply(callid))["result"] == "ok"
        ]
        await trio.sleep(1)
        for client in (ann, bob):
            heard = [kind for kind, _ in await pushed(client)]
            ends = succeeded.count(client) + len(heard)
            assert ends == 1, (heard, succeeded)
