"""Revoked tokens: what the file names logs nobody in, and ends who is logged in with it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from signal_sdk import Signal
from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.config import AppConfig, Config, ServerConfig
from signal_sdk.server.engine.base import Revoked
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.schema import Batch
from signal_sdk.server.revocations import FILE_NAME, LOOK_SECONDS, Revocation, Revocations, revoke
from signal_sdk.testing import FaultyNetwork
from signal_sdk.testing.server import EPOCH, LocalServer, local_server
from tests.server.helpers import APP, CERTIFICATE, journal_engine, members, resume, told
from tests.server.test_tokens import CONFIG, modern, old_form
from tests.wire_client import logged_in, wire_client

NOW = int(EPOCH)
OTHER = AppConfig(id="other", certificate="another app's certificate, as long as any")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    apps = (*CONFIG.apps, OTHER)
    return attrs.evolve(CONFIG, apps=apps, server=ServerConfig(data=str(tmp_path)))


Serve = Callable[[], Any]


@pytest.fixture
def serve(config: Config, tmp_path: Path, autojump_clock: MockClock) -> Serve:
    """A server on the directory, which may be started again."""
    return lambda: local_server(config, listens=False, engine=journal_engine(tmp_path))


@pytest.fixture
async def server(serve: Serve) -> AsyncIterator[LocalServer]:
    async with serve() as server:
        yield server


async def attempt(server: LocalServer, token: str, account: str = "ann", app: str = APP) -> Any:
    async with wire_client(server.connect()) as client:
        result = await client.login(account, token=token, app=app)
        return result.get("ecode", 0)


# --- which tokens are meant ---


@pytest.mark.parametrize(
    ("revocation", "issued", "expires", "is_meant"),
    [
        (Revocation(app=APP, before=1000), 999, 5000, True),
        (Revocation(app=APP, before=1000), 1000, 5000, False),
        (Revocation(app=APP, before=1000), None, 5000, True),
        (Revocation(app=APP, before=1000, old_before=1060), None, 1059, True),
        (Revocation(app=APP, before=1000, old_before=1060), None, 1060, False),
        (Revocation(app=APP, before=1000, old_before=1060), 999, 5000, True),
        (Revocation(app=APP, account="ann", before=1000), 999, 5000, True),
        (Revocation(app=APP, account="bob", before=1000), 999, 5000, False),
        (Revocation(app="other", before=1000), 999, 5000, False),
        (Revocation(app=APP, before=1000), None, None, False),
    ],
)
def test_which_tokens_are_meant(
    tmp_path: Path,
    revocation: Revocation,
    issued: int | None,
    expires: int | None,
    is_meant: bool,
) -> None:
    """What says when it was made goes by that, what does not by its end; no token never is."""
    revoke(tmp_path, revocation)
    known = Revocations(str(tmp_path))
    assert known.is_revoked(APP, "ann", issued, expires) is is_meant


def test_one_of_the_same_app_and_account_is_replaced_and_others_stay(tmp_path: Path) -> None:
    for account, before in (("", 5), ("ann", 10), ("bob", 20), ("ann", 30)):
        revoke(tmp_path, Revocation(app=APP, account=account, before=before))
    known = Revocations(str(tmp_path))
    for account, last in (("carl", 4), ("ann", 29), ("bob", 19)):
        assert known.is_revoked(APP, account, last, 99)
        assert not known.is_revoked(APP, account, last + 1, 99)


async def test_without_a_directory_or_a_file_nothing_is_revoked(tmp_path: Path) -> None:
    for directory in ("", str(tmp_path)):
        known = Revocations(directory)
        assert not known.is_revoked(APP, "ann", 1, 2)
        assert not await known.look()


# --- the file ---


@pytest.mark.parametrize("umask", [0, 0o777])
def test_it_is_its_owner_s_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        revoke(tmp_path, Revocation(app=APP, before=1))
        revoke(tmp_path, Revocation(app=APP, before=2))
    finally:
        os.umask(before)
    [file] = tmp_path.iterdir()
    assert file.name == FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_is_the_directory_s_owner_s(tmp_path: Path) -> None:
    """The server, which is not root, has to read it."""
    os.chown(tmp_path, 12345, 12346)
    revoke(tmp_path, Revocation(app=APP, before=1))
    found = (tmp_path / FILE_NAME).stat()
    assert (found.st_uid, found.st_gid) == (12345, 12346)


def test_one_of_two_who_write_at_once_does_not_undo_the_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda number: revoke(
                    tmp_path, Revocation(app=APP, account=f"user-{number}", before=9)
                ),
                range(40),
            )
        )
    known = Revocations(str(tmp_path))
    assert all(known.is_revoked(APP, f"user-{number}", 1, 99) for number in range(40))


def test_what_a_killed_writer_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / f"{FILE_NAME}.new").write_bytes(b"[{")
    revoke(tmp_path, Revocation(app=APP, before=9))
    assert Revocations(str(tmp_path)).is_revoked(APP, "ann", 1, 99)


def test_a_directory_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"revoked\.json: No such file or directory$"):
        revoke(tmp_path / "nowhere", Revocation(app=APP, before=9))


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'[{"app": "a"}]', b"\xff", b"[" * 100_000])
async def test_a_file_that_says_nothing_lets_nothing_pass(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """At the start nobody would know who is to be kept out; later, what was known stays."""
    revoke(tmp_path, Revocation(app=APP, before=9))
    known = Revocations(str(tmp_path))
    (tmp_path / FILE_NAME).write_bytes(data)
    with pytest.raises(StorageError) as caught:
        Revocations(str(tmp_path))
    assert "not a list of revoked tokens" in str(caught.value)
    with pytest.raises(StorageError):
        revoke(tmp_path, Revocation(app=APP, before=9))
    assert (tmp_path / FILE_NAME).read_bytes() == data
    for _ in range(3):
        assert not await known.look()
    assert known.is_revoked(APP, "ann", 1, 99)
    [told] = caplog.messages
    assert told.startswith("what was known of revoked tokens stays")


# --- the list that servers share ---


class Shared:
    """An engine's, as a node asks for it."""

    def __init__(self) -> None:
        self.lists: list[Revoked | Exception] = []

    def __call__(self, seen: str) -> Revoked | None:
        latest = self.lists[-1]
        if isinstance(latest, Exception):
            raise latest
        return None if latest.mark == seen else latest


async def test_what_cannot_be_read_of_a_shared_list_is_told_once_and_what_was_known_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    shared = Shared()
    shared.lists.append(Revoked("1", [Revocation(app=APP, before=9).encode()]))
    known = Revocations("", shared)
    await known.start()
    assert known.is_revoked(APP, "ann", 1, 99)
    assert not await known.look()
    for latest in (SignalError(ECode.GENERAL_E_FAILED, "away"), Revoked("2", [b"{}"])):
        shared.lists.append(latest)
        for _ in range(3):
            assert not await known.look()
        assert known.is_revoked(APP, "ann", 1, 99)
    with pytest.raises(StorageError, match="cannot be read"):
        await Revocations("", shared).start()
    shared.lists.append(Revoked("3", []))
    assert await known.look()
    assert not known.is_revoked(APP, "ann", 1, 99)
    unreadable, read = caplog.messages
    assert unreadable.startswith("what was known of revoked tokens stays: ")
    assert read == "the list of revoked tokens was read: 0 revocations are in force"


# --- a running server ---


async def test_whoever_is_logged_in_with_it_is_logged_out_within_a_minute(
    server: LocalServer, tmp_path: Path
) -> None:
    async with (
        logged_in(server, "ann", token=modern("ann", 9000)) as ann,
        logged_in(server, "bob", token=modern("bob", 9000)) as bob,
        logged_in(server, "old", token=old_form("old", 9000)) as old,
    ):
        for client in (ann, bob, old):
            await client.call("channel_join", name="room")
        await told(bob)
        for account in ("ann", "old"):
            revoke(tmp_path, Revocation(app=APP, account=account, before=NOW + 1))
        await trio.sleep(LOOK_SECONDS + 1)
        for client in (ann, old):
            assert (await client.expect("close"))["ecode"] == 105
        assert await members(bob, "room") == ["bob"]
        assert [kind for _, kind, _ in await told(bob)] == ["channel_user_leave"] * 2
        for account in ("ann", "old"):
            assert (await bob.call("user_query_user_status", account=account))["status"] == 0
        for client in (ann, old):
            async with wire_client(server.connect()) as again:
                assert (await resume(again, client.line))["ecode"] == 202
    assert await attempt(server, modern("ann", 9000)) == 206
    assert await attempt(server, old_form("old", 9000), "old") == 206
    assert await attempt(server, modern("ann", 9000, issued=2)) == 0


async def test_a_hangup_has_it_read_at_once(server: LocalServer, tmp_path: Path) -> None:
    async with logged_in(server, "ann", token=modern("ann", 9000)) as ann:
        revoke(tmp_path, Revocation(app=APP, before=NOW + 1))
        server.node.reload(server.node.config)
        await ann.wait_closed()
        assert trio.current_time() < 1


@pytest.mark.parametrize(("is_away", "ecode"), [(False, 105), (True, 100)])
async def test_bots_of_the_sdk_hear_the_codes_that_their_pages_name(
    server: LocalServer, tmp_path: Path, is_away: bool, ecode: int
) -> None:
    """Who is there hears 105; who comes back later finds his token refused, which is 100."""
    async with (
        FaultyNetwork(server, seed=1) as network,
        Signal(APP, server=network.client("bot")) as signal,
    ):
        session = await signal.login("ann", modern("ann", 9000))
        revoke(tmp_path, Revocation(app=APP, before=NOW + 1))
        if is_away:
            server.node.reload(server.node.config)
            network.cut_all()
        assert await session.wait_logged_out() == ecode


async def test_a_session_that_has_lost_its_connection_ends_too(
    server: LocalServer, tmp_path: Path
) -> None:
    async with logged_in(server, "ann", token=modern("ann", 9000)) as ann:
        pass
    revoke(tmp_path, Revocation(app=APP, before=NOW + 1))
    server.node.reload(server.node.config)
    async with wire_client(server.connect()) as again:
        assert (await resume(again, ann.line))["ecode"] == 202


async def test_what_was_revoked_while_the_server_was_away_counts(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve() as server, logged_in(server, "ann", token=modern("ann", 9000)) as ann:
        pass
    revoke(tmp_path, Revocation(app=APP, before=NOW + 1))
    async with serve() as server:
        async with wire_client(server.connect()) as again:
            assert (await resume(again, ann.line))["ecode"] == 202
        assert await attempt(server, modern("ann", 9000)) == 206


async def test_another_app_s_tokens_are_not_meant(server: LocalServer, tmp_path: Path) -> None:
    theirs = modern("ann", 9000, app="other", certificate=OTHER.certificate)
    async with logged_in(server, "ann", token=theirs, app="other") as ann:
        revoke(tmp_path, Revocation(app=APP, before=NOW + 100))
        server.node.reload(server.node.config)
        await trio.sleep(2)
        assert ann.closed is None
        assert await attempt(server, theirs, app="other") == 0


async def test_who_logged_in_without_a_token_is_not_meant(
    config: Config, tmp_path: Path, autojump_clock: MockClock
) -> None:
    app = AppConfig(id=APP, certificate=CERTIFICATE, allow_no_token=True)
    config = attrs.evolve(config, apps=(app,))
    async with (
        local_server(config, listens=False, engine=journal_engine(tmp_path)) as server,
        logged_in(server, "ann") as ann,
    ):
        revoke(tmp_path, Revocation(app=APP, before=NOW + 100))
        server.node.reload(config)
        await trio.sleep(2)
        assert ann.closed is None


async def test_one_whose_login_is_on_its_way_is_refused(
    config: Config, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It was let in, and has not heard so yet, as its login is being written."""

    async def write(write: Callable[[Batch], None], batch: Batch) -> None:
        await trio.sleep(1)
        write(batch)

    engine = EmbeddedEngine(journal=Journal.open(tmp_path), write_in_thread=write)
    async with (
        local_server(config, listens=False, engine=engine) as server,
        wire_client(server.connect()) as ann,
    ):
        ann.send("login", {"vid": APP, "account": "ann", "token": modern("ann", 9000)})
        while not await waited(server.node.engine.online()):
            await trio.lowlevel.checkpoint()
        revoke(tmp_path, Revocation(app=APP, before=NOW + 1))
        server.node.reload(server.node.config)
        assert (await ann.login_ret())["ecode"] == 206
        await ann.wait_closed()
        assert await waited(server.node.engine.online()) == []


async def test_no_token_is_told_of(
    server: LocalServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = modern("ann", 9000)
    async with logged_in(server, "ann", token=token) as ann:
        revoke(tmp_path, Revocation(app=APP, before=NOW + 1))
        server.node.reload(server.node.config)
        await ann.wait_closed()
    assert any("1 revocations are in force" in text for text in caplog.messages)
    assert token not in caplog.text


async def test_who_could_not_be_logged_out_is_looked_for_again(
    config: Config,
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As where the engine is away in that moment: the server goes on."""
    engine = journal_engine(tmp_path)
    async with (
        local_server(config, listens=False, engine=engine) as server,
        logged_in(server, "ann", token=modern("ann", 9000)) as ann,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(engine, "online", is_away)
            revoke(tmp_path, Revocation(app=APP, account="ann", before=NOW + 1))
            await trio.sleep(LOOK_SECONDS + 1)
            assert (await ann.call("user_query_user_status", account="ann"))["status"] == 1
        await trio.sleep(LOOK_SECONDS)
        assert (await ann.expect("close"))["ecode"] == 105
    assert "who is to be logged out is looked for again: away" in caplog.messages


def is_away() -> Any:
    raise SignalError(ECode.GENERAL_E_FAILED, "away")
