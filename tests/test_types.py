"""What type checkers say to a user's program: to a right one nothing, to a wrong one where it is
wrong, in either spelling. Both are run as strictly as they can be.
"""

from __future__ import annotations

import json
import os
import re
import site
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from signal_sdk import IAgoraAPI, ICallBack, Signal

ROOT = Path(__file__).parents[1]
CLASSES = (
    Signal,
    Signal.LoginSession,
    Signal.LoginSession.Channel,
    Signal.LoginSession.Call,
    Signal.UserAttrCallback,
    Signal.LoginCallback,
    Signal.MessageCallback,
    Signal.ChannelCallback,
    Signal.CallCallback,
)
CHECK_SECONDS = 240
"""How long a checker may take on a slow machine that has other things to do."""
pytestmark = pytest.mark.timeout(2 * CHECK_SECONDS)
PAIRS = {name: alias for cls in CLASSES for name, alias in cls.documented_names.items()}
FLAT_PAIRS = {
    **IAgoraAPI.documented_names,
    **ICallBack.documented_names,
    "create_agora_sdk_instance_cpp": "createAgoraSDKInstanceCPP",
    "get_agora_sdk_instance_cpp": "getAgoraSDKInstanceCPP",
}

BOT = """
from __future__ import annotations

from typing import Any

from signal_sdk import (
    Call,
    CallCallback,
    Channel,
    ChannelCallback,
    ECode,
    LoginCallback,
    LoginSession,
    MessageCallback,
    Signal,
    UserAttrCallback,
)


class Calls(CallCallback):
    def on_invite_accepted_by_peer(self, session: LoginSession, call: Call, extra: str) -> None:
        call.channel_invite_dtmf("1")

    async def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> None:
        await session.message_instant_send(call.peer, ecode.meaning)

    def on_invite_msg(self, session: LoginSession, call: Call, extra: str) -> None:
        call.channel_invite_end({"why": extra})


class Sent(MessageCallback):
    def on_message_send_success(self, session: LoginSession) -> None: ...

    async def on_message_send_error(self, session: LoginSession, ecode: ECode) -> None: ...


class Attributes(UserAttrCallback):
    def on_user_set_attr(self, err: str, ret: dict[str, Any]) -> None: ...

    async def on_user_get_attr(self, err: str, ret: dict[str, Any]) -> None: ...


class Bot(LoginCallback, ChannelCallback):
    def on_login_success(self, session: LoginSession, uid: int) -> None:
        print(session.account, uid + 1)

    async def on_message_instant_receive(
        self, session: LoginSession, account: str, uid: int, msg: str
    ) -> None:
        await session.message_instant_send(account, msg.upper(), 60, Sent())
        session.message_instant_send(account, msg, Sent())

    def on_invite_received(self, session: LoginSession, call: Call) -> None:
        call.set_callback(Calls())
        call.channel_invite_accept()

    def on_error(self, session: LoginSession, ecode: ECode, reason: str) -> None:
        print(ecode.name, reason)

    async def on_channel_joined(self, session: LoginSession, channel: Channel) -> None:
        await channel.message_channel_send(channel.get_name())

    def on_channel_attr_updated(
        self, session: LoginSession, channel: Channel, name: str, value: str, type: str
    ) -> None:
        print(name, value, type)


class Later(Bot):
    async def on_logout(self, session: LoginSession, ecode: ECode) -> None: ...


class Wrong(LoginCallback, ChannelCallback, CallCallback):
    def on_login_success(self, session: LoginSession) -> None: ...  # wrong

    async def on_logout(self, session: LoginSession, ecode: str) -> None: ...  # wrong

    def on_error(self, session: LoginSession, ecode: ECode, reason: str, more: int) -> None: ...  # wrong

    def on_channel_joined(self, channel: Channel) -> None: ...  # wrong

    async def on_invite_failed(self, session: LoginSession, call: Call, ecode: ECode) -> int: ...  # wrong


class Odd(Signal):
    def get_status(self, more: int) -> int: ...  # wrong


async def main() -> None:
    async with Signal("app", server="127.0.0.1:8001", proxy="") as signal:
        session = await signal.login("bot", "token", Bot())
        await signal.user_set_attr("name", "value", Attributes())
        value: str = await signal.user_get_attr("bot", "name")
        number: int = await signal.channel_query_user_num("room")
        print(value, number, signal.get_status() + 1)
        async with session.channel_join("room", Bot()) as channel:
            await channel.channel_set_attr("name", "value")
            await channel.channel_leave()
        call = await session.channel_invite_user2("room", "peer", {"a": 1}, Calls())
        await call.channel_invite_end()
        session.message_instant_send(1, "text")  # wrong
        session.message_instant_send("peer", "text", Calls())  # wrong
        session.channel_join("room", Sent())  # wrong
        channel.channel_set_attr("name")  # wrong
        channel.message_channel_send(bytearray(b"text"))  # wrong
        signal.user_set_attr("name", 1)  # wrong
        wrong: str = signal.get_status()  # wrong
        print(wrong)
"""


FLAT_BOT = """
from __future__ import annotations

from signal_sdk import (
    ECode,
    IAgoraAPI,
    ICallBack,
    LoginCallback,
    create_agora_sdk_instance_cpp,
    get_agora_sdk_instance_cpp,
)


class Mine(ICallBack):
    def __init__(self, api: IAgoraAPI) -> None:
        self.api = api

    def on_login_success(self, uid: int, fd: int) -> None:
        self.api.message_instant_send("bob", 0, f"hello from {uid + fd}")

    def on_login_failed(self, ecode: ECode) -> None:
        print(ecode.meaning)

    def on_logout(self, ecode: int) -> None:
        print(ecode + 1)

    def on_error(self, name: str, ecode: int, desc: str) -> None:
        print(name, ecode, desc.upper())

    def on_channel_user_list(self, n: int, accounts: list[str], uids: list[int]) -> None:
        print(n + uids[0], accounts[0].upper())

    def on_channel_attr_updated(self, channelID: str, name: str, value: str, type: str) -> None:
        print(channelID, name, value, type)

    def on_invite_received(self, channelID: str, account: str, uid: int, extra: str) -> None:
        self.api.channel_invite_accept(channelID, account, uid, extra)

    def on_message_send_error(self, messageID: str, ecode: ECode) -> None:
        super().on_message_send_error(messageID, ecode)


class Later(Mine):
    def on_reconnecting(self, nretry: int, more: str = "") -> None: ...


class Wrong(ICallBack):
    def on_login_success(self, uid: int) -> None: ...  # wrong

    def on_logout(self, ecode: str) -> None: ...  # wrong

    def on_error(self, name: str, ecode: int, desc: str, more: int) -> None: ...  # wrong

    async def on_reconnected(self, fd: int) -> None: ...  # wrong

    def on_message_instant_receive(self, account: str, msg: str) -> None: ...  # wrong

    def on_invite_failed(self, channelID: str, account: str, uid: int, ecode: int) -> None: ...  # wrong

    def on_bc_call_result(self, reason: str) -> None: ...  # wrong


class Odd(IAgoraAPI):
    def get_status(self, more: int) -> int: ...  # wrong

    def channel_invite_end(self, channelID: str) -> None: ...  # wrong

    def set_background(self) -> None: ...  # wrong


with create_agora_sdk_instance_cpp(server="127.0.0.1:8001") as api:
    api.callback_set(Mine(api))
    api.login2("app", "bot", "token", 0, "", 30, 3)
    msg_id: str = api.message_instant_send("peer", 0, "text", "")
    channel_id: str = api.message_channel_send("room", msg_id)
    print(channel_id, api.get_status() + api.get_sdk_version())
    api.channel_set_attr("room", "name", "value")
    api.channel_invite_user2("room", "peer", "{}")
    print(api.is_online() or api.callback_get())
    api.callback_set(None)
    api.callback_set(LoginCallback())  # wrong
    api.callback_set(Mine)  # wrong
    api.message_instant_send("peer", "text")  # wrong
    api.channel_join(1)  # wrong
    api.channel_set_attr("room", "name")  # wrong
    api.channel_invite_dtmf("room", "peer")  # wrong
    api.message_dtmf_send("1", "2")  # wrong
    api.set_network_status("on")  # wrong
    wrong: str = api.get_status()  # wrong
    print(wrong)
get_agora_sdk_instance_cpp("127.0.0.1:8001")  # wrong
"""


def documented(text: str, pairs: dict[str, str]) -> str:
    return re.sub(r"\b[a-z0-9_]+\b", lambda found: pairs.get(found[0], found[0]), text)


ON_ASYNCIO = "from signal_sdk.aio import Signal\n\n\nclass Calls("
AIO_BOT = BOT.replace("    Signal,\n", "").replace("\n\nclass Calls(", ON_ASYNCIO, 1)
"""The same bot, at whose top another `Signal` is imported."""

SCRIPT = """
from __future__ import annotations

from signal_sdk import ChannelMessage, MessageCallback, UserJoined
from signal_sdk.sync import Call, Channel, LoginSession, Signal, Stream


def answer(session: LoginSession) -> str:
    for message in session.messages(timeout=1.5):
        session.message_instant_send(message.account, message.text.upper(), 60)
        print(message.uid)  # wrong
    return session.account


def look(channel: Channel) -> int:
    for event in channel.events(10, timeout=0):
        match event:
            case ChannelMessage(text=text):
                print(text.upper())
            case UserJoined(uid=uid):
                return uid
            case _:
                pass
    return 0


with Signal("app", server="127.0.0.1:8001", timeout=None) as signal, signal.login("a", "b") as session:
    value: str = signal.user_get_attr("bot", "name")
    number: int = signal.channel_query_user_num("room")
    print(value, number + look(session.channel("room")), answer(session))
    calls: Stream[Call] = session.invitations()
    for call in calls:
        call.channel_invite_accept({"a": 1})
        call.channel_invite_dtmf(1)  # wrong
    session.message_instant_send("peer", "text", MessageCallback())  # wrong
    session.channel_join("room")  # wrong
    signal.login("a", "b", 5)  # wrong
    wrong: bool = session.channel_query_user_list("room")  # wrong
    print(wrong)
"""

BOTS = {
    "python.py": BOT,
    "asyncio_python.py": AIO_BOT,
    "asyncio_documented.py": documented(AIO_BOT, PAIRS),
    "script.py": SCRIPT,
    "documented.py": documented(BOT, PAIRS),
    "flat_python.py": FLAT_BOT,
    "flat_documented.py": documented(FLAT_BOT, FLAT_PAIRS),
}
WRONG = {
    (name, number)
    for name, text in BOTS.items()
    for number, line in enumerate(text.splitlines(), 1)
    if line.endswith("# wrong")
}


@pytest.fixture(scope="module")
def bots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bots")
    for name, text in BOTS.items():
        (directory / name).write_text(text)
    return directory


def run(*args: object, **variables: str) -> str:
    environment = os.environ | {"MYPYPATH": str(ROOT)} | variables
    done = subprocess.run(
        [sys.executable, "-m", *map(str, args)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=CHECK_SECONDS,
    )
    assert done.stdout, done.stderr
    return done.stdout


def pyright(directory: Path, *args: object) -> Any:
    """What it reports of a project that lies in `directory` and imports what lies here."""
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings))
    python = ("--pythonpath", sys.executable)
    return json.loads(run("pyright", "--project", directory, *python, "--outputjson", *args))


def test_the_two_spellings_differ() -> None:
    assert "def onLoginSuccess(" in BOTS["documented.py"]
    assert "channelJoin(" in BOTS["documented.py"]
    assert "def onBCCall_result(" in BOTS["flat_documented.py"]
    assert "api.callbackSet(" in BOTS["flat_documented.py"]
    assert "from signal_sdk.aio import Signal" in BOTS["asyncio_documented.py"]
    assert len(WRONG) == 2 * (13 + 13 + 20) + 6


def test_mypy_says_where_a_bot_is_wrong_and_nothing_else(bots: Path) -> None:
    out = run("mypy", "--strict", "--config-file=", "--no-error-summary", bots)
    lines = re.findall(r"^(?:.*[/\\])?(\w+\.py):(\d+): error: ", out, re.MULTILINE)
    assert {(name, int(number)) for name, number in lines} == WRONG, out


def test_pyright_says_where_a_bot_is_wrong_and_nothing_else(bots: Path) -> None:
    report = pyright(bots)
    found = {
        (Path(told["file"]).name, told["range"]["start"]["line"] + 1)
        for told in report["generalDiagnostics"]
    }
    assert found == WRONG, report["generalDiagnostics"]


def test_all_that_users_see_has_types(tmp_path: Path) -> None:
    """As it is installed: what is looked at is what the first `python` on the path imports."""
    venv.create(tmp_path, symlinks=True)
    [packages] = tmp_path.glob("lib/python*/site-packages")
    (packages / "paths.pth").write_text("\n".join([str(ROOT), *site.getsitepackages()]))
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    args = ("--verifytypes", "signal_sdk", "--ignoreexternal", "--outputjson")
    report = json.loads(run("pyright", *args, PATH=path))["typeCompleteness"]
    wanting = [
        symbol["name"]
        for symbol in report["symbols"]
        if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]
    ]
    assert len(report["symbols"]) > 1000
    assert (report["completenessScore"], wanting) == (1, [])
