"""The pytest plugin's fixtures in runs of their own: on trio, asyncio and without a loop, beside
the plugins that run such tests, whichever is installed first.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final

import pytest

pytest_plugins: Final = ["pytester"]
pytestmark = pytest.mark.timeout(240)

MODULES: Final = {
    "trio": "pytest_trio.plugin",
    "anyio": "anyio.pytest_plugin",
    "asyncio": "pytest_asyncio.plugin",
    "ours": "signal_sdk.pytest_plugin",
}
ALL: Final = tuple(MODULES)

BOT: Final = """
from signal_sdk.router import Bot

bot = Bot("whatever", account="desk", channel="lobby")

@bot.message("^/help")
async def help_them(context):
    await context.reply("I help")

@bot.message("^/ask")
async def ask(context):
    await context.reply("Hello " + await context.ask("Who?", timeout=30))

@bot.message("^/call")
async def call(context):
    context.session.channel_invite_user2("back", context.account)

@bot.joined
async def joined(context):
    await context.say(f"Welcome, {context.account}!")

@bot.invited
async def invited(context):
    await (context.accept("yes") if context.call.channel != "closed" else context.refuse("no"))

@bot.dtmf("1")
async def one(context):
    await context.hang_up("bye")
"""

FLOW: Final = """
import time
import pytest
from bot import bot

async def talk(signal_bot, signal_peer):
    await signal_bot(bot)
    await signal_peer.say("/help")
    assert await signal_peer.heard("I help", within=20, by="desk") == "I help"
    await signal_peer.join("lobby")
    await signal_peer.heard("Welcome, peer!", channel="lobby", within=20)
    alice = signal_peer.other("alice")
    await alice.say("/ask")
    await alice.heard("Who?", within=20)
    await alice.say("Alice")
    await alice.heard("Hello Alice", within=20)
    assert await alice.transcript() == [("desk", "Who?"), ("desk", "Hello Alice")]
    call = await signal_peer.call()
    assert await call.accepted(20) == "yes"
    await call.dial("1")
    assert await call.ended(20) == "bye"
    assert await (await signal_peer.call(about="closed")).refused(20) == "no"
    await signal_peer.say("/call")
    await (await signal_peer.called(20)).accept()

async def wait_long(peer):
    began = time.monotonic()
    await peer.heard_nothing(within=300)
    assert time.monotonic() - began < 60
"""

TRIO: Final = """
@pytest.mark.trio
async def test_trio(signal_server, signal_bot, signal_peer):
    await talk(signal_bot, signal_peer)
    assert signal_server.address == ""
    await wait_long(signal_peer)
"""
ANYIO: Final = """
@pytest.mark.anyio
async def test_anyio(anyio_backend, signal_server, signal_bot, signal_peer):
    await talk(signal_bot, signal_peer)
    assert (signal_server.address == "") is (anyio_backend == "trio")
    if anyio_backend == "trio":
        await wait_long(signal_peer)
"""
ASYNCIO: Final = """
@pytest.mark.asyncio
async def test_asyncio(signal_server, signal_bot, signal_peer):
    await talk(signal_bot, signal_peer)
    assert signal_server.address.startswith("127.0.0.1:")
"""
SYNC: Final = """
def test_sync(signal_server, signal_bot, signal_peer):
    signal_bot(bot)
    signal_peer.say("/help")
    assert signal_peer.heard("I help", within=20) == "I help"
    signal_peer.join("lobby")
    signal_peer.heard("Welcome, peer!", channel="lobby", within=20)
    call = signal_peer.call()
    assert call.accepted(20) == "yes"
    call.dial("1")
    assert call.ended(20) == "bye"
    assert signal_peer.call(about="closed").refused(20) == "no"
    signal_peer.say("/call")
    signal_peer.called(20).accept()
    assert signal_server.address.startswith("127.0.0.1:")
    assert [text for _, text in signal_peer.transcript()] == ["I help", "Welcome, peer!"]
"""


def run(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    plugins: Sequence[str] = ALL,
    *,
    settings: str = "",
) -> pytest.RunResult:
    """Run a test file with these plugins, loaded in this order."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini(f"[pytest]\nfilterwarnings = error\n{settings}")
    pytester.makepyfile(bot=BOT)
    pytester.makepyfile(text)
    chosen = [it for name in plugins for it in ("-p", MODULES[name])]
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *chosen)


@pytest.mark.parametrize("plugins", [ALL, ALL[::-1]])
def test_all_kinds_of_tests_in_any_order_of_plugins(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, plugins: Sequence[str]
) -> None:
    result = run(pytester, monkeypatch, FLOW + TRIO + ANYIO + ASYNCIO + SYNC, plugins)
    result.assert_outcomes(passed=5)


ALONE: Final = {
    "sync": (("ours",), SYNC, "", 1),
    "trio": (("ours", "trio"), TRIO, "", 1),
    "anyio": (("anyio", "ours"), ANYIO, "", 2),
    "asyncio": (("ours", "asyncio"), ASYNCIO, "", 1),
    "trio mode": (("ours", "trio"), TRIO.replace("@pytest.mark.trio", ""), "trio_mode = true", 1),
    "anyio auto": (
        ("anyio", "asyncio", "ours"),
        ANYIO.replace("@pytest.mark.anyio", ""),
        "anyio_mode = auto",
        2,
    ),
    "asyncio auto": (
        ("asyncio", "ours"),
        ASYNCIO.replace("@pytest.mark.asyncio", "") + SYNC,
        "asyncio_mode = auto",
        2,
    ),
}


@pytest.mark.parametrize("kind", ALONE)
def test_each_kind_alone_and_in_the_plugins_modes(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    plugins, text, settings, count = ALONE[kind]
    result = run(pytester, monkeypatch, FLOW + text, plugins, settings=settings)
    result.assert_outcomes(passed=count)


FAILING: Final = """
import re
import pytest
from bot import bot

async def fail(signal_bot, signal_peer):
    await signal_bot(bot)
    await signal_peer.say("/help")
    await signal_peer.heard("I help", within=20)
    await signal_peer.heard(re.compile("^I halp"), within=0.2, by="desk", channel="")

@pytest.mark.trio
async def test_trio(signal_bot, signal_peer):
    await fail(signal_bot, signal_peer)

@pytest.mark.asyncio
async def test_asyncio(signal_bot, signal_peer):
    await fail(signal_bot, signal_peer)

def test_sync(signal_bot, signal_peer):
    signal_bot(bot)
    signal_peer.say("/help")
    signal_peer.heard("I halp", within=0.5)

def test_call(signal_bot, signal_peer):
    signal_bot(bot)
    signal_peer.call(about="closed").accepted(within=1)

def test_nothing(signal_bot, signal_peer):
    signal_bot(bot)
    signal_peer.say("/help")
    signal_peer.heard_nothing(within=20)

def test_uncalled(signal_peer):
    signal_peer.called(within=0.1)

def test_to_whom(signal_peer):
    signal_peer.say("hello")

def test_silence(signal_peer):
    signal_peer.heard("anything", within=0.1)
"""


def test_failures_say_what_there_was_instead(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, FAILING)
    result.assert_outcomes(failed=8)
    # In CI, the summary behind them says them once more.
    text, _, _ = result.stdout.str().partition("short test summary info")
    pattern = "'peer' has not heard what fits '^I halp' from 'desk' within 0.2 s"
    assert text.count(f"AssertionError: {pattern}\n") == 2
    assert text.count("  desk: 'I help'  (taken by an assertion before)") == 2
    result.stdout.re_match_lines(
        [
            r">       signal_peer.heard\(\"I halp\", within=0.5\)",
            r"E       AssertionError: 'peer' has not heard 'I halp' within 0.5 s",
            r"E       It has heard 1 message:",
            r"E        +\d+\.\d\d s  desk: 'I help'",
            r">       signal_peer.call\(about=\"closed\"\).accepted\(within=1\)",
            r"E .*: the call with 'desk' about 'closed' was not accepted within 1 s;.*refused.*",
            r">       signal_peer.heard_nothing\(within=20\)",
            r"E       AssertionError: 'peer' has heard something: desk: 'I help'",
            r"E       AssertionError: nobody has called 'peer' within 0.1 s",
            r"E .*RuntimeError: to whom\? .*",
            r"E       AssertionError: 'peer' has not heard 'anything' within 0.1 s",
            r"E       It has heard nothing.",
        ]
    )


FAULTS: Final = """
import pytest
import trio
from bot import bot
from signal_sdk.testing import Faults

async def strike(signal_bot, signal_peer, signal_faults):
    await signal_bot(bot)
    await signal_peer.say("/help")
    await signal_peer.heard("I help", within=20)
    signal_faults.cut_all()
    await signal_peer.say("/help")
    await signal_peer.heard("I help", within=60)
    signal_faults.cut("desk")
    signal_faults.faults = Faults(mean_delay_seconds=0.01)
    await signal_peer.say("/help")
    await signal_peer.heard("I help", within=60)
    assert signal_faults.faults.mean_delay_seconds == 0.01
    signal_faults.heal()
    assert any("cut" in what for _, _, what in signal_faults.history)

@pytest.mark.trio
async def test_trio(signal_bot, signal_peer, signal_faults):
    await strike(signal_bot, signal_peer, signal_faults)
    signal_faults.half_open_all()
    await trio.sleep(60)
    await signal_peer.say("/help")
    await signal_peer.heard("I help", within=120)

@pytest.mark.asyncio
async def test_asyncio(signal_bot, signal_peer, signal_faults):
    await strike(signal_bot, signal_peer, signal_faults)

def test_sync(signal_server, signal_bot, signal_peer, signal_faults):
    signal_bot(bot)
    signal_faults.is_down = True
    signal_faults.cut_all()
    signal_faults.is_down = False
    assert signal_faults.is_down is False
    signal_peer.say("/help")
    signal_peer.heard("I help", within=60)
    assert signal_server.address.startswith("127.0.0.1:")
"""


def test_faults_on_the_network_of_each_kind(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pytester, monkeypatch, FAULTS).assert_outcomes(passed=3)


OWN: Final = """
import pytest
import time
import trio
from trio.testing import MockClock
from signal_sdk import LoginCallback, Signal

class Echo(LoginCallback):
    async def on_message_instant_receive(self, session, account, uid, msg):
        await session.message_instant_send(account, f"echo {msg}")

async def echo(app, server, *, task_status):
    async with Signal(app, server=server) as signal:
        session = await signal.login("echo", "_no_need_token", Echo())
        task_status.started()
        await session.wait_logged_out()

@pytest.fixture
async def session(signal_server):
    async with Signal(signal_server.app, server=signal_server) as signal:
        yield await signal.login("alice", "_no_need_token", Echo())

@pytest.mark.trio
async def test_a_fixture_of_the_tests_own_and_a_function(
    session, signal_server, signal_bot, signal_peer
):
    await signal_bot(echo, signal_server.app, signal_server, account="echo")
    await signal_peer.say("1")
    await signal_peer.heard("echo 1")
    await signal_peer.say("2", to="alice")
    await signal_peer.heard("echo 2", by="alice")

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_the_same_on_anyio(session, signal_server, signal_bot, signal_peer):
    await signal_bot(echo, signal_server.app, signal_server, account="echo")
    await signal_peer.say("1")
    await signal_peer.heard("echo 1")
    await signal_peer.say("2", to="alice")
    await signal_peer.heard("echo 2", by="alice")
    began = time.monotonic()
    await trio.sleep(100)
    assert time.monotonic() - began < 50

def test_a_function_in_the_thread(signal_server, signal_bot, signal_peer):
    signal_bot(echo, signal_server.app, signal_server, account="echo")
    signal_peer.say("1")
    signal_peer.heard("echo 1", within=20)

@pytest.mark.trio
async def test_a_clock_of_its_own(signal_server, mock_clock):
    before = trio.current_time()
    mock_clock.jump(10)
    assert trio.current_time() - before == 10

@pytest.mark.trio
@pytest.mark.signal_real_time
async def test_the_real_clock(signal_server):
    began = time.monotonic()
    await trio.sleep(0.2)
    assert time.monotonic() - began >= 0.19

@pytest.mark.anyio
@pytest.mark.signal_real_time
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_the_real_clock_on_anyio(signal_server):
    began = time.monotonic()
    await trio.sleep(0.2)
    assert time.monotonic() - began >= 0.19

@pytest.mark.trio
async def test_other_tests_clocks_are_their_own():
    began = time.monotonic()
    await trio.sleep(0.2)
    assert time.monotonic() - began >= 0.19
"""


def test_fixtures_and_functions_and_clocks_of_the_tests_own(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(pytester, monkeypatch, OWN).assert_outcomes(passed=7)


BROKEN: Final = """
import pytest
import trio

async def breaks(*, task_status):
    task_status.started()
    raise KeyError("broken")

async def breaks_at_once(*, task_status):
    raise KeyError("never online")

async def expect(signal_bot, signal_peer):
    await signal_bot(breaks, account="desk")
    await signal_peer.heard("well?", within=0.2)

@pytest.mark.trio
async def test_trio(signal_bot, signal_peer):
    await expect(signal_bot, signal_peer)

def test_sync(signal_bot, signal_peer):
    signal_bot(breaks, account="desk")
    signal_peer.say("are you there?")

@pytest.mark.trio
async def test_expected(signal_bot, signal_peer):
    await signal_bot(breaks)
    await trio.sleep(1)
    [error] = signal_bot.errors
    assert isinstance(error, KeyError)
    signal_bot.errors.clear()

@pytest.mark.trio
async def test_never_online(signal_bot):
    with pytest.raises(KeyError, match="never online"):
        await signal_bot(breaks_at_once)

def test_never_online_in_the_thread(signal_bot):
    with pytest.raises(KeyError, match="never online"):
        signal_bot(breaks_at_once)
"""


def test_a_bot_that_fails_fails_its_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(pytester, monkeypatch, BROKEN)
    result.assert_outcomes(failed=1, passed=4, errors=1)
    result.stdout.fnmatch_lines(["*A bot has failed: KeyError: 'broken'.*"])
    result.stdout.fnmatch_lines(["*raised by the bot 'breaks'*"])


def test_a_fixture_of_the_users_own_name_is_left_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """
import pytest

@pytest.fixture
def signal_server():
    return "mine"

@pytest.mark.trio
async def test_it(signal_server):
    assert signal_server == "mine"
"""
    run(pytester, monkeypatch, text).assert_outcomes(passed=1)


def test_it_is_an_entry_point_of_pytest() -> None:
    [ours] = [it for it in metadata.entry_points(group="pytest11") if it.name == "signal_sdk"]
    assert ours.value == "signal_sdk.pytest_plugin"


def test_it_loads_nothing_until_it_is_asked_for() -> None:
    text = (
        "import pytest, sys; before = set(sys.modules); import signal_sdk.pytest_plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, check=True, text=True, timeout=60
    )
    new = done.stdout.split()
    assert "signal_sdk.pytest_plugin" in new
    loaded = {name.split(".")[0] for name in new} & {
        *("trio", "attrs", "attr", "msgspec", "anyio", "httpx", "websockets", "asyncio", "click")
    }
    assert loaded == set()
    assert not [
        name for name in new if name.startswith(("signal_sdk.client", "signal_sdk.testing"))
    ]
