"""Hostile clients that have logged in, and know all functions: whatever they say, in whichever
order, others are served, nothing is logged as an error, no bound is passed, and once they have left
nothing is left of them.

`HYPOTHESIS_PROFILE=fuzz` tries for longer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from trio.testing import MockClock

from signal_sdk.wire import built_in, names
from signal_sdk.wire.call_functions import CallArguments
from signal_sdk.wire.functions import FUNCTIONS
from tests.packet_client import PacketClient
from tests.server.helpers import settle
from tests.server.hostile import Act, Client, Life, frame, life, send, send_bytes

PATIENT: Final = settings().max_examples
USUAL: Final = 100
EXAMPLES: Final = 15 if PATIENT == USUAL else PATIENT
"""A life takes a second or two, most of it for the two hours at its end. A profile that asks for
more than Hypothesis does by itself gets that.
"""
pytestmark = pytest.mark.timeout(600 if PATIENT == USUAL else 0)


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


ODD_VALUES: Final[Mapping[str, Any]] = {
    "null": None,
    "true": True,
    "-1": -1,
    "0": 0,
    "2**31": 2**31,
    "2**53 + 1": 2**53 + 1,
    "2**63": 2**63,
    "10**30": 10**30,
    "1.5": 1.5,
    "-0.0": -0.0,
    "1e308": 1e308,
    "empty": "",
    "blank": " ",
    "zero byte": "\x00",
    "escape": "\x1b[31m\r\n",
    "line separator": "\u2028",
    "turned around": "\u202e",
    "lone surrogate": "\ud800",
    "128 characters": "x" * 128,
    "200 characters": "x" * 200,
    "control characters": "\x01" * 3000,
    "long": "x" * 9000,
    "wide": "😀" * 3000,
    "the server's": names.SYSTEM_ACCOUNT,
    "__proto__": "__proto__",
    "list": [],
    "lists": [1, [2, {"a": None}]],
    "object": {},
    "a line": {"line": "x"},
    "deep": _nested(150),
}


@attrs.frozen
class Odd:
    """A value of `ODD_VALUES`, by its name, so that a failure can be read."""

    name: str

    @property
    def value(self) -> Any:
        return ODD_VALUES[self.name]


def _json(value: Any) -> str:
    return json.dumps(value, default=lambda odd: odd.value)


ODD: Final = st.sampled_from([Odd(name) for name in ODD_VALUES])
ACCOUNTS: Final = ("eve", "mal", "eve", "mal", "ann", "zoe", "bystander", *"0123")
USUAL_ACCOUNTS: Final = ("eve", "mal")
CHANNELS: Final = ("room", "hall", "square", *sorted(names.SPECIAL_CHANNELS), *"01234567")
ATTRIBUTES: Final = (*sorted(built_in.SETTABLE_NUMBERS), "_conn_timeout", *"abcdefg")
TEXTS: Final = ("", "x", "7", "1", "60", "x" * 700, '{"_timeout":5}')
NUMBERS: Final = (0, 1, 2, 3, 30, 1000)
IDS: Final = ("", "a", "b")
GOOD: Final[Mapping[str, Sequence[Any]]] = {
    "peer": ACCOUNTS,
    "account": ACCOUNTS,
    "srcNum": ACCOUNTS,
    "destNum": ACCOUNTS,
    "name": CHANNELS,
    "channel": CHANNELS,
    "channelName": CHANNELS,
    "flag": ("v1:E:0", "v1:E:1", "v1:E:3600", "v1:E:99999999"),
    "t": ("instant",),
    "force": (False, True),
    "messageID": IDS,
    "msgID": IDS,
    "callID": IDS,
    "ver_clear": NUMBERS,
    "max": NUMBERS,
    "num": NUMBERS,
    "lock": ("door", "gate", "hatch"),
    "askID": ("a", "b", "c"),
    "lease": (1000, 5000, 120_000),
    "wait": (0, 1000, 600_000),
    "cid": CHANNELS,
    "dtmf": ("1", "#*"),
    "set": ({}, {"a": 1}, {"topic": "x" * 200, "_channel_ttl": 5}, {"_setattr_limit": 1}),
    "del": ([], ["a"], ["topic", "_conn_timeout"]),
    "if": ({}, {"a": 0}, {"a": 1}, {"topic": 3}),
    "revision": (None, 0, 1, 2**53 - 1),
    "ttl": (0, 1, 1500, 2_592_000_000),
}
"""Values by the arguments' names: those of a client that means harm, but spells well. All others
take text.
"""


def _good_of(function: str) -> dict[str, Sequence[Any]]:
    """The function's arguments, and what each may well be."""
    good = {**GOOD, "name": ATTRIBUTES} if "_attr" in function else GOOD
    fields = [field.metadata["wire"] for field in attrs.fields(FUNCTIONS[function])]  # type: ignore[arg-type]
    return {name: good.get(name, TEXTS) for name in fields}


def _likely(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly what is understood, so that something happens, and sometimes anything."""
    return st.one_of(*[good] * 9, ODD)


def _args_of(function: str) -> st.SearchStrategy[dict[str, Any]]:
    good = _good_of(function)
    return st.fixed_dictionaries(
        {name: _likely(st.sampled_from(values)) for name, values in good.items()}
    )


CALLS: Final = st.sampled_from(sorted(FUNCTIONS)).flatmap(
    lambda function: st.tuples(st.just(function), _args_of(function))
)
SLOTS: Final = st.integers(0, 1)
CALLIDS: Final = st.one_of(st.integers(0, 6), st.integers(0, 6), ODD)
ACKS: Final = st.one_of(st.none(), st.integers(0, 7), ODD)
LINES: Final = st.sampled_from(["own"] * 12 + ["other", "near", "far", "none", ""])
RAW: Final = (
    frame(b'["ping', 1, fin=False),
    frame(b"", 0, fin=False),
    frame(b"", 9, fin=True) * 20,
    frame(b"\xff\xfe", 1, fin=True),
    frame(b"x" * 300, 2, fin=True),
    frame(b'["ping",1]', 1, fin=True) * 40,
    b"\x83\x85\x00\x00\x00\x00hello",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x80\x00\x00\x0fline_ping:1",
    b"\x80\x00\x00\x0fline_ping:1" * 40,
    b"\x81\x00\x00\x08abcd",
    b"\x80\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"",
)
SAID: Final = st.sampled_from(
    [
        ("ping", 1),
        ("ping", -1),
        ("set_flag", {"binary": 1}),
        ("line_login", {"line": "", "msgid": 2**60}),
        ("channel_sub", {"cname": "room", "msgid": 0}),
        ("channel_sub", {"cname": "square", "msgid": 10**6}),
        ("x" * 500, None),
        ("line_ping:9", ""),
        ("\x1b[2J", "\n"),
    ]
)
STEPS: Final = sorted(cls.function for cls in FUNCTIONS.values() if issubclass(cls, CallArguments))
LOGINS: Final = st.fixed_dictionaries(
    {"account": _likely(st.sampled_from(USUAL_ACCOUNTS))},
    optional={
        "device": _likely(st.sampled_from(["websdk", "javasdk", ""])),
        "ver": _likely(st.sampled_from([0, 1_02_00_00_000, 1_01_03_00_009])),
        "instance": _likely(st.sampled_from(["a", "b"])),
        "again": st.booleans(),
        "many_channels": st.booleans(),
        "token": _likely(st.just(names.NO_TOKEN)),
    },
)


class Hostile(RuleBasedStateMachine):
    """Notes what two hostile clients do; it happens, and is judged after each act, at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[Act] = []

    @rule(slot=SLOTS, wire=st.sampled_from(["web", "native"]), said=LOGINS)
    def log_in(self, slot: int, wire: str, said: dict[str, Any]) -> None:
        self.acts.append(lambda life: life.log_in(slot, wire, _json(said)))

    @rule(slot=SLOTS, call=CALLS, callid=CALLIDS, ack=ACKS, line=LINES)
    def ask(self, slot: int, call: tuple[str, Any], callid: Any, ack: Any, line: str) -> None:
        self._will_ask(slot, [call], callid, ack, line)

    @rule(slot=SLOTS, calls=st.lists(CALLS, min_size=4, max_size=12))
    def ask_much(self, slot: int, calls: list[tuple[str, Any]]) -> None:
        self._will_ask(slot, calls, 100, None, "own")

    @rule(slot=SLOTS, call=CALLS, count=st.integers(10, 40))
    def flood(self, slot: int, call: tuple[str, Any], count: int) -> None:
        self._will_ask(slot, [call] * count, 1000, None, "own")

    @rule(
        steps=st.lists(
            st.tuples(SLOTS, st.sampled_from(STEPS), st.sampled_from(CHANNELS)),
            min_size=2,
            max_size=8,
        )
    )
    def call_each_other(self, steps: list[tuple[int, str, str]]) -> None:
        for slot, function, channel in steps:
            args = {"channelName": channel, "peer": USUAL_ACCOUNTS[1 - slot]}
            self._will_ask(slot, [(function, args)], 50, None, "own")

    @rule(seed=st.integers(0, 2**32), count=st.integers(30, 80))
    def storm(self, seed: int, count: int) -> None:
        """Much that is well spelt, by both, as fast as their rates allow: it goes deep."""

        async def act(life: Life) -> None:
            chance = random.Random(seed)
            for number in range(count):
                slot = chance.randrange(2)
                function = chance.choice([*FUNCTIONS, *STEPS, *STEPS, "channel_join"])
                args = {name: chance.choice(it) for name, it in _good_of(function).items()}
                if function in STEPS and chance.random() < 0.8:
                    args |= {"channelName": "room", "peer": USUAL_ACCOUNTS[1 - slot]}
                client = await _client(life, slot)
                _send_call(client, function, number, {"line": client.line, **args})
                await trio.sleep(chance.choice([0, 0.05, 0.1, 0.3]))

        self.acts.append(act)

    @rule(slot=SLOTS, said=SAID, line=st.sampled_from(["", "own", "other", "near", "far", "x"]))
    def say(self, slot: int, said: tuple[str, Any], line: str) -> None:
        async def act(life: Life) -> None:
            client = await _client(life, slot)
            event, payload = said
            if event == "line_login":
                payload = {**payload, "line": life.line(slot, line)}
            if not isinstance(client, PacketClient):
                send(client, json.dumps([event, payload]))
            elif event == "line_login":
                send(client, f"line_login2 {payload['line']} 2 {payload['msgid'] % 7}")
            else:
                send(client, f"{event} {json.dumps(payload)}")

        # Whoever has the line of a bystander is that bystander: nobody else is served as him.
        if line not in ("near", "far") or said[0] != "line_login":
            self.acts.append(act)

    @rule(slot=SLOTS, data=st.sampled_from(range(len(RAW))))
    def send_raw(self, slot: int, data: int) -> None:
        async def act(life: Life) -> None:
            send_bytes(await _client(life, slot), RAW[data])

        self.acts.append(act)

    @rule(slot=SLOTS)
    def cut(self, slot: int) -> None:
        async def act(life: Life) -> None:
            client = await _client(life, slot)
            if isinstance(client, PacketClient):
                client.close()
            else:
                client.link.abort()
            life.slots[slot] = None

        self.acts.append(act)

    @rule(seconds=st.sampled_from([0.1, 1, 6, 25, 65, 125]))
    def wait(self, seconds: float) -> None:
        async def act(_: Life) -> None:
            await trio.sleep(seconds)

        self.acts.append(act)

    def _will_ask(self, slot: int, calls: list[Any], callid: Any, ack: Any, line: str) -> None:
        async def act(life: Life) -> None:
            client = await _client(life, slot)
            number = callid
            for function, said in calls:
                args = {"line": life.line(slot, line), **said}
                if ack is not None:
                    args["ack"] = ack
                _send_call(client, function, number, args)
                if len(calls) > 1:
                    number += 1

        self.acts.append(act)

    def teardown(self) -> None:
        async def main() -> None:
            async with life() as lived:
                await lived.live(self.acts)

        trio.run(main, clock=MockClock(autojump_threshold=0))


def _send_call(client: Client, function: str, number: Any, args: dict[str, Any]) -> None:
    if isinstance(client, PacketClient):
        send(client, f"call {function} {_json(number)} 0 {_json(args)}")
    else:
        send(client, _json(["call2", [function, number, args]]))


async def _client(life: Life, slot: int) -> Any:
    """Who is in the slot, logged in if there is nobody yet or the server has closed."""
    client = life.slots[slot]
    is_gone = client is None or (
        client.is_closed if isinstance(client, PacketClient) else client.closed is not None
    )
    if is_gone:
        said = _json({"account": USUAL_ACCOUNTS[slot]})
        await life.log_in(slot, ("web", "native")[slot], said)
        await settle()
        client = life.slots[slot]
    return client


TestHostile = Hostile.TestCase
TestHostile.settings = settings(max_examples=EXAMPLES, stateful_step_count=25)
