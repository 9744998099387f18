"""The console, through its page in headless Chromium: what whoever runs a server sees and does.

The server and those who are online are in this process; the browser is real.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio
from selenium.webdriver.common.keys import Keys

from signal_sdk import ECode, LoginSession, Signal
from signal_sdk.server.config import AdminKeyConfig, Config
from signal_sdk.server.config_admin import RIGHTS
from signal_sdk.testing.server import LocalServer, local_server
from tests.browser.console import Console, browser
from tests.server.admin.helpers import APP_KEY, KEY, WRONG_KEY, admin_config

# One Chromium at a time is enough for a small machine.
pytestmark = pytest.mark.xdist_group("browser")

EVIL: Final = "<img/src=x/onerror=document.title='owned'>"
EVIL_CHANNEL: Final = "</td><script>document.title='owned'</script>"
FOLLOWER_KEY: Final = "Nb4xQe7LwV1uYs9GtJ3kMz"
NO_TOKEN: Final = "_no_need_token"
TALK_SECONDS: Final = 0.05
MOST_EVENTS: Final = 300
"""How many the page keeps."""


@attrs.define
class World:
    """A server, and those who are online: by our SDK, on sockets."""

    server: LocalServer
    signal: Signal
    profile: Path
    people: dict[str, LoginSession] = attrs.field(factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.admin_port}/"

    async def come(self, account: str, channel: str = "") -> LoginSession:
        """Somebody logs in, and joins a channel."""
        session = self.people[account] = self.signal.login(account, NO_TOKEN)
        await session
        if channel:
            await session.channel_join(channel)
        return session

    async def visit(self, act: Callable[[Console], None], *, errors: bool = False) -> None:
        """Do something in a new browser, in a thread; its log must stay free of errors."""

        def run() -> None:
            with browser(self.url, self.profile) as console:
                act(console)
                assert errors or console.errors() == []

        await trio.to_thread.run_sync(run)


@asynccontextmanager
async def world_of(config: Config, tmp_path: Path) -> AsyncIterator[World]:
    async with (
        local_server(config, clock=time.time) as server,
        Signal("app", server=server.address) as signal,
    ):
        yield World(server, signal, tmp_path / "profile")


async def talk_on(session: LoginSession, to: str, channel: str) -> None:
    """Talk until cancelled."""
    while True:
        await session.message_instant_send(to, "Hello")
        await session.message_channel_send_force(channel, "Hello, all")
        await trio.sleep(TALK_SECONDS)


def looks(console: Console, account: str) -> None:
    console.press(f"Look at the account {account}", "lists")
    console.wait_for_text("about-facts", "State")


@asynccontextmanager
async def busy_world(tmp_path: Path) -> AsyncIterator[World]:
    """Twelve are in a channel, of whom three talk on and on."""
    async with world_of(admin_config(), tmp_path) as world:
        for number in range(10):
            await world.come(f"bot-{number}", "lobby")
        for account in ("alice", "bob"):
            await world.come(account, "lobby")
        async with trio.open_nursery() as nursery:
            for talker in ("alice", "bot-0", "bot-1"):
                nursery.start_soon(talk_on, world.people[talker], "bob", "lobby")
            yield world
            nursery.cancel_scope.cancel()


async def test_whoever_has_a_key_sees_what_a_server_does(tmp_path: Path) -> None:
    def act(console: Console) -> None:
        console.driver.get(f"{console.url}#app=app")
        console.enter(WRONG_KEY)
        console.wait_for_text("login-said", "the key is not one of [[admin.keys]]")
        assert "401" in console.errors()[0]  # as a browser tells of each
        console.open(KEY)
        assert KEY not in console.driver.current_url
        assert console.run("return localStorage.length") == 0
        assert console.run("return sessionStorage.getItem('signal-sdk.key')") == KEY
        console.wait(lambda: len(console.rows()) == 12, "not everybody is in the list")
        console.wait(lambda: moving(console), "the charts do not move")
        looks(console, "bob")
        assert "lobby" in console.text("about-facts")
        console.press("Follow its events", "about-acts")
        console.wait(lambda: console.told() > MOST_EVENTS, "too little is told")
        events = console.events()
        assert len(events) == MOST_EVENTS
        assert "message alice → bob, 5 bytes" in events

        before = places(console)
        for width, height, theme, name in (
            *((1600, 1000, "dark", "console_dark"), (1600, 1000, "light", "console_light")),
            (360, 2600, "light", "console_360"),
        ):
            console.choose("theme", theme)
            console.resize(width, height)
            console.keep_screenshot(name)
            assert console.run("return document.documentElement.scrollWidth") <= width
        console.resize()
        console.wait(lambda: moving(console), "the charts have stopped")
        assert places(console) == before

        console.fill("filter", "BOT-1")
        console.wait(lambda: [it[0] for it in console.rows()] == ["bot-1"], "it does not filter")
        console.find("forget").click()
        console.wait(lambda: console.find("key").is_displayed(), "it is still open")
        assert console.run("return sessionStorage.getItem('signal-sdk.key')") is None

    async with busy_world(tmp_path) as world:
        await world.visit(act)


async def test_whoever_has_a_key_steers_it(tmp_path: Path) -> None:
    def act(console: Console) -> None:
        console.open(KEY)
        looks(console, "bob")
        console.press("Follow its events", "about-acts")
        console.wait_for_text("events-said", "Following")
        console.press("Write", "about-acts")
        console.keys("Good morning, bob! <b>")
        console.press_with_control(Keys.ENTER)
        console.wait_for_text("send-said", "Sent to bob.")
        sent = "message _agora_system → bob, 22 bytes"
        console.wait(lambda: sent in console.events(), "what was sent is not told")

        trio.from_thread.run_sync(world.people["alice"].channel_invite_user2, "room", "bot-1")
        console.press("Calls", "tabs")
        end = "End the call of alice to bot-1 about room"
        console.press(end, "lists")
        console.press("End", "sure")
        console.wait(lambda: console.rows() == [], "the call goes on")
        assert console.text("none") == "Nobody is in a call."

        console.press("Channels", "tabs")
        console.press("Look at the channel lobby", "lists")
        console.wait(lambda: len(console.rows("members")) == 12, "not all members")
        console.press("Remove bot-2 from lobby", "about")
        console.press("Remove", "sure")
        console.wait_for_text("about-said", "bot-2 was removed from lobby.")
        assert "bot-2" not in {row[0] for row in console.rows("members")}

        console.press("Look at the account bob", "about")
        console.press("Kick", "about-acts")
        console.press("Cancel", "sure")
        assert "online" in console.text("about-facts")
        console.press("Kick", "about-acts")
        console.press("Kick", "sure")
        console.wait_for_text("about-said", "bob was kicked.")
        told = "logout bob is offline: by whoever runs the server"
        console.wait(lambda: told in console.events(), "the kick is not told")
        console.wait_for_text("about-facts", "offline")

    async with busy_world(tmp_path) as world:
        await world.visit(act)
        assert await world.people["bob"].wait_logged_out() is ECode.LOGOUT_E_KICKED


def moving(console: Console) -> bool:
    """Do the charts say that messages come and go?"""
    script = (
        "return [...document.querySelectorAll('#charts .chart')]"
        ".map((it) => [...it.querySelectorAll('dd')].map((dd) => dd.textContent))"
    )
    messages, deliveries, connections, lag = console.run(script)
    numbers = [*messages, *deliveries, connections[0], lag[0]]
    return all(re.fullmatch(r"[\d.]*[1-9][\d.k]*", it) for it in numbers) and connections[0] == "12"


def places(console: Console) -> Any:
    """Where the parts of the page are."""
    script = (
        "return [...document.querySelectorAll('header > *, .panel, #figures, thead')]"
        ".map((it) => Object.values(it.getBoundingClientRect().toJSON()))"
    )
    return console.run(script)


async def test_names_that_somebody_chose_are_text(tmp_path: Path) -> None:
    def act(console: Console) -> None:
        console.open(KEY)
        console.wait(lambda: [EVIL] in [row[:1] for row in console.rows()], "it is not there")
        assert console.rows()[0][1] == EVIL_CHANNEL
        looks(console, EVIL)
        console.wait_for_text("about-facts", r"\u{202e}<script>alert(1)</script>")
        assert EVIL in console.text("about-title")
        console.press("Follow its events", "about-acts")
        console.press("Write", "about-acts")
        console.keys("x")
        console.press_with_control(Keys.ENTER)
        console.wait_for_text("send-said", f"Sent to {EVIL}.")
        console.press(f"Look at the channel {EVIL_CHANNEL}", "lists")
        console.wait(lambda: console.rows("members") == [[EVIL, "Remove"]], "no member")
        console.press(f"Remove {EVIL} from {EVIL_CHANNEL}", "about")
        assert f"Remove {EVIL} from {EVIL_CHANNEL}?" in console.text("sure")
        console.press("Remove", "sure")
        left = f"leave {EVIL} left {EVIL_CHANNEL}, 0 there now"
        console.wait(lambda: left in console.events(), "the removal is not told")
        console.fill("look-name", "..")
        console.press("Look", "about")
        console.wait_for_text("about-said", 'a browser cannot ask about the name ".."')
        assert console.driver.title == "Console"
        assert console.run("return document.querySelectorAll('main img, main script').length") == 0
        # What the policy forbids is forbidden even to whoever would get in.
        script = "document.body.innerHTML = '<b>'"
        assert console.run(f"try {{ {script}; return ''; }} catch (e) {{ return e.name; }}") == (
            "TypeError"
        )
        console.errors()

    async with world_of(admin_config(), tmp_path) as world:
        evil = await world.come(EVIL, EVIL_CHANNEL)
        value = "\u202e<script>alert(1)</script>"
        await evil.invoke("user_set_attr", {"name": "<b>", "value": value})
        await world.visit(act)


def step_to(console: Console, where: str) -> None:
    """Press Tab until the focus is there, and is seen to be."""
    for _ in range(60):
        if console.focused() == where:
            break
        console.keys(Keys.TAB)
    assert console.focused() == where
    script = "return getComputedStyle(document.activeElement).outlineStyle"
    assert console.run(script) == "solid", f"it cannot be seen that {where} has the focus"


async def test_it_can_be_used_by_the_keyboard_alone(tmp_path: Path) -> None:
    def act(console: Console) -> None:
        console.driver.get(f"{console.url}#app=app")
        console.wait(lambda: console.focused() == "key", "the key cannot be typed at once")
        console.keys(KEY, Keys.ENTER)
        console.wait(lambda: len(console.rows()) == 2, "nobody is there")
        console.run("document.activeElement.blur()")
        step_to(console, "Skip to who is there")
        console.keys(Keys.ENTER)
        assert console.focused() == "tab-online"
        console.keys(Keys.ARROW_RIGHT)
        assert console.focused() == "tab-channels"
        console.keys(Keys.ARROW_LEFT)
        console.wait(lambda: len(console.rows()) == 2, "nobody is there")
        step_to(console, "Look at the account bob")
        console.keys(Keys.ENTER)
        console.wait(lambda: console.focused() == "about-title", "the focus is elsewhere")
        console.wait(lambda: console.can_press("Kick", "about-acts"), "no kick")
        step_to(console, "Kick")
        console.keys(Keys.ENTER)
        assert console.focused() == "Cancel"
        console.keys(Keys.ESCAPE)
        assert console.focused() == "Kick"
        console.keys(Keys.ENTER)
        step_to(console, "sure-yes")
        console.keys(Keys.ENTER)
        console.wait_for_text("about-said", "bob was kicked.")
        step_to(console, "send-name")
        console.keys("alice", Keys.TAB, Keys.TAB, "Hello", Keys.TAB, Keys.ENTER)
        console.wait_for_text("send-said", "Sent to alice.")
        step_to(console, "events-list")
        unnamed = (
            "return [...document.querySelectorAll('input, select, textarea, button, table')]"
            ".filter((it) => it.checkVisibility() && !(it.labels?.length || it.textContent.trim()))"
            ".map((it) => it.outerHTML)"
        )
        assert console.run(unnamed) == []
        assert console.run("return document.querySelectorAll('th:not([scope])').length") == 0

    async with world_of(admin_config(), tmp_path) as world:
        for account in ("alice", "bob"):
            await world.come(account, "lobby")
        await world.visit(act)


async def test_it_is_dark_or_light_as_the_system_is_or_as_was_chosen(tmp_path: Path) -> None:
    def colour(console: Console) -> str:
        return str(console.run("return getComputedStyle(document.body).backgroundColor"))

    def act(console: Console) -> None:
        console.open(KEY)
        colours = {}
        for theme in ("light", "dark"):
            console.choose("theme", theme)
            colours[theme] = colour(console)
        assert colours == {"light": "rgb(241, 243, 247)", "dark": "rgb(15, 18, 24)"}
        console.driver.refresh()
        console.wait_for_text("link", "Connected")
        assert console.find("theme").get_property("value") == "dark"
        console.choose("theme", "auto")
        for system in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": system}]
            console.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            assert colour(console) == colours[system]

    async with world_of(admin_config(), tmp_path) as world:
        await world.visit(act)


async def test_what_a_key_may_not_do_is_not_offered(tmp_path: Path) -> None:
    def act(console: Console) -> None:
        console.open(APP_KEY)
        console.wait(lambda: len(console.rows()) == 1, "nobody is there")
        looks(console, "alice")
        assert {it.accessible_name for it in console.buttons()} >= {"Look", "Online"}
        names = {it.accessible_name for it in console.buttons()}
        assert names.isdisjoint(
            {"Kick", "Send", "Follow its events", "Write", "Remove from channel"}
        )
        for part in ("load", "send", "events"):
            assert not console.find(part).is_displayed()
        options = console.run(
            "return [...document.getElementById('app').options].map(o => o.value)"
        )
        assert options == ["app"]
        console.find("forget").click()
        console.wait(lambda: console.find("key").is_displayed(), "it is still open")

        console.open(FOLLOWER_KEY, "other")
        console.wait_for_text("events-said", "Following")
        for part in ("load", "lists", "about", "send"):
            assert not console.find(part).is_displayed()

        console.find("forget").click()
        console.wait(lambda: console.find("key").is_displayed(), "it is still open")
        console.open(KEY, "other")
        console.wait(lambda: console.text("none") == "Nobody is online.", "somebody is there")
        console.choose("app", "app")
        console.wait(lambda: len(console.rows()) == 1, "nobody is there")
        assert "app=app" in console.driver.current_url
        # A key that is taken away shuts the console, which says why.
        trio.from_thread.run_sync(world.server.node.reload, admin_config(*keys[1:]))
        console.wait_for_text("login-said", "the key is not one of [[admin.keys]]")
        console.errors()

    config = admin_config()
    keys = (
        *config.admin_keys,
        AdminKeyConfig(name="follower", key=FOLLOWER_KEY, app="other", rights=("events",)),
    )
    assert set(keys[0].rights) == set(RIGHTS)
    async with world_of(admin_config(*keys), tmp_path) as world:
        await world.come("alice", "lobby")
        await world.visit(act)


async def test_it_says_that_it_is_cut_off_and_comes_back(tmp_path: Path) -> None:
    ended = trio.Event()
    again = trio.Event()

    def act(console: Console) -> None:
        console.open(KEY)
        console.wait_for_text("events-said", "Following")
        trio.from_thread.run_sync(ended.set)
        console.wait_for_text("link", "Cut off since ")
        assert "the server cannot be reached" in console.text("link")
        console.wait_for_text("events-said", "Cut off")
        trio.from_thread.run_sync(again.set)
        console.wait(lambda: console.text("link") == "Connected", "it does not come back")
        console.wait(lambda: "login late is online" in " ".join(console.events()), "no events")
        console.errors()

    async with trio.open_nursery() as nursery:
        async with world_of(admin_config(), tmp_path) as world:
            nursery.start_soon(world.visit, act)
            await ended.wait()
        await again.wait()
        config = admin_config(address=f"127.0.0.1:{world.server.admin_port}")
        async with world_of(config, tmp_path) as anew:
            while nursery.child_tasks:
                async with anew.signal.login("late", NO_TOKEN):
                    await trio.sleep(0.5)


class Elsewhere(BaseHTTPRequestHandler):
    """A page of somebody else's."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title>")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as its base calls it
        """Nothing of it is told."""


async def test_a_page_from_elsewhere_and_one_that_frames_it_get_nothing(tmp_path: Path) -> None:
    fetching = """
        const [url, key, done] = arguments;
        const asks = [
          fetch(url, {headers: {Authorization: `Bearer ${key}`}}),
          fetch(url),
          fetch(url, {mode: "no-cors"}),
          import(`${url.replace("v1/key", "console/main.js")}`),
        ];
        Promise.allSettled(asks).then((all) => done(all.map((it) => it.status)));
    """
    framing = """
        const [url, done] = arguments;
        const frame = document.createElement("iframe");
        frame.onload = () => done();
        frame.src = url;
        document.body.append(frame);
    """

    def act(console: Console) -> None:
        console.driver.get(f"http://127.0.0.1:{elsewhere.server_port}/")
        found = console.driver.execute_async_script(fetching, f"{console.url}v1/key", KEY)
        assert found == ["rejected"] * 4
        console.driver.execute_async_script(framing, console.url)
        console.driver.switch_to.frame(0)
        assert console.run("return document.getElementById('login')") is None
        console.driver.switch_to.default_content()
        assert any("frame-ancestors" in line for line in console.errors())

    elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    serving = threading.Thread(target=elsewhere.serve_forever)
    serving.start()
    try:
        async with world_of(admin_config(), tmp_path) as world:
            await world.visit(act, errors=True)
    finally:
        await trio.to_thread.run_sync(elsewhere.shutdown)
        serving.join()
        elsewhere.server_close()
