"""Documented names: each is there, stands for its PEP 8 name, and takes what is documented."""

from __future__ import annotations

import ast
import csv
import inspect
from pathlib import Path
from typing import Any

import attrs
import pytest

import signal_sdk
from signal_sdk import IAgoraAPI, ICallBack, LoginCallback, MessageCallback, Signal
from signal_sdk.channel_attributes import ChannelAttributes
from signal_sdk.flat.call_methods import CallMethods
from signal_sdk.flat.obsolete import ObsoleteMethods
from signal_sdk.flat.undocumented import UndocumentedMethods
from signal_sdk.spelling import DocumentedNames

SURFACE = Path(__file__).with_name("data") / "api_surface.csv"
SDK = "java"
PATHS = {
    "Signal": Signal,
    "LoginSession": Signal.LoginSession,
    "Channel": Signal.LoginSession.Channel,
    "Call": Signal.LoginSession.Call,
    "UserAttrCallback": Signal.UserAttrCallback,
    "LoginCallback": Signal.LoginCallback,
    "MessageCallback": Signal.MessageCallback,
    "ChannelCallback": Signal.ChannelCallback,
    "CallCallback": Signal.CallCallback,
}
"""Each class where Java has it."""
PARTS = (ChannelAttributes,)
"""Classes that these have some of their names from."""
FLAT = (IAgoraAPI, CallMethods, ObsoleteMethods, UndocumentedMethods, ICallBack)
"""The flat API's classes that have names of their own."""


@attrs.frozen
class Documented:
    cls: str
    kind: str
    documented: str
    python: str
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.cls}.{self.documented}({', '.join(self.parameters)})"


def surface() -> list[Documented]:
    with SURFACE.open(newline="") as file:
        return [
            Documented(
                row["class"],
                row["kind"],
                row["documented_name"],
                row["python_name"],
                tuple(row["parameters"].split()),
            )
            for row in csv.DictReader(file)
            if row["sdk"] == SDK
        ]


def test_the_surface_is_there() -> None:
    assert len(surface()) > 50
    assert {entry.cls for entry in surface()} == set(PATHS)


@pytest.mark.parametrize("entry", surface(), ids=str)
def test_every_documented_name_is_there_in_both_spellings(entry: Documented) -> None:
    """And its positional parameters are accepted in the documented order."""
    cls = PATHS[entry.cls]
    assert getattr(signal_sdk, entry.cls) is cls
    if entry.kind == "constructor":
        inspect.signature(cls).bind(*entry.parameters)
        return
    function = getattr(cls, entry.python)
    assert getattr(cls, entry.documented) is function
    signature = inspect.signature(function)
    signature.bind(None, *entry.parameters)
    assert entry.kind in ("method", "callback")
    assert not inspect.iscoroutinefunction(function)
    returned = signature.return_annotation
    assert (returned == "Answer") == (entry.kind == "callback")


@pytest.mark.parametrize("entry", surface(), ids=str)
def test_every_documented_parameter_has_its_name(entry: Documented) -> None:
    if entry.kind == "constructor" or entry.python == "message_instant_send":
        return
    function = getattr(PATHS[entry.cls], entry.python)
    names = list(inspect.signature(function).parameters)[1:]
    expected = ["do_log" if name == "doLog" else name for name in entry.parameters]
    assert names[: len(expected)] == expected


@pytest.mark.parametrize("entry", surface(), ids=str)
def test_everything_documented_has_a_docstring(entry: Documented) -> None:
    cls = PATHS[entry.cls]
    assert cls.__doc__
    assert entry.kind == "constructor" or getattr(cls, entry.python).__doc__


@pytest.mark.parametrize(
    "entry", [entry for entry in surface() if entry.kind == "callback"], ids=str
)
@pytest.mark.parametrize("spelling", ["python", "documented"])
def test_an_override_in_either_spelling_counts_for_both(entry: Documented, spelling: str) -> None:
    async def override(*_: Any) -> None: ...

    cls: Any = type("Mine", (PATHS[entry.cls],), {getattr(entry, spelling): override})
    assert getattr(cls, entry.python) is override
    assert getattr(cls, entry.documented) is override


def test_an_override_of_both_spellings_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Both defines both on_logout and onLogout"):

        class Both(LoginCallback):
            async def on_logout(self, session: Any, ecode: Any) -> None: ...

            async def onLogout(self, session: Any, ecode: Any) -> None: ...  # noqa: N802


def test_an_alias_spelled_out_again_is_no_conflict() -> None:
    class Mine(LoginCallback):
        async def on_logout(self, session: Any, ecode: Any) -> None: ...

        onLogout = on_logout  # noqa: N815

    assert Mine.onLogout is Mine.on_logout


def test_an_override_in_a_mixin_counts() -> None:
    class Quiet:
        def onError(self, *_: object) -> None: ...  # noqa: N802

    class Mine(Quiet, LoginCallback):
        pass

    assert vars(Mine)["on_error"] is vars(Quiet)["onError"]


def test_the_nearest_override_wins_whatever_its_spelling() -> None:
    class One(LoginCallback):
        async def on_logout(self, session: Any, ecode: Any) -> None: ...

    class Two(One):
        async def onLogout(self, session: Any, ecode: Any) -> None: ...  # noqa: N802

    class Three(Two):
        pass

    assert Three.on_logout is Two.onLogout
    assert "on_logout" not in vars(Three)


def test_an_untouched_branch_of_a_diamond_hides_nothing() -> None:
    class Plain(LoginCallback):
        pass

    class Loud(LoginCallback):
        async def onError(self, session: Any, ecode: Any, reason: Any) -> None: ...  # noqa: N802

    class Mine(Plain, Loud):
        pass

    assert Mine.on_error is Loud.onError is Mine.onError


def test_methods_of_the_api_classes_can_be_overridden_likewise() -> None:
    class Mine(Signal):
        def getStatus(self) -> int:  # noqa: N802
            return 7

    assert Mine("app").get_status() == 7


@pytest.mark.parametrize("cls", [*PATHS.values(), *PARTS, *FLAT], ids=lambda cls: cls.__name__)
def test_type_checkers_are_told_the_same_of_both_spellings(cls: type[DocumentedNames]) -> None:
    """The documented names are declared for them by hand, beside the aliases that count."""
    [body] = [node for node in ast.walk(_source(cls)) if isinstance(node, ast.ClassDef)]
    [block] = [node for node in body.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    own = {name: other for name, other in cls.documented_names.items() if name in vars(cls)}
    for name, documented in own.items():
        assert _signatures(block.body, documented) == _signatures(body.body, name) != []
    pairs = [(ast.unparse(n.value), ast.unparse(n.targets[0])) for n in _assignments(block.orelse)]
    assert dict(pairs) == own


def test_all_names_of_the_flat_api_are_told_of() -> None:
    for cls in (IAgoraAPI, ICallBack):
        parts = [part for part in FLAT if issubclass(cls, part)]
        assert set(cls.documented_names) <= {name for part in parts for name in vars(part)}


def _source(cls: type) -> ast.Module:
    return ast.parse(inspect.getsource(cls))


def _assignments(body: list[ast.stmt]) -> list[ast.Assign]:
    return [node for node in body if isinstance(node, ast.Assign)]


def _signatures(body: list[ast.stmt], name: str) -> list[tuple[str, ...]]:
    return [
        (ast.unparse(node.args), ast.unparse(node.returns), *map(ast.unparse, node.decorator_list))
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name == name and node.returns is not None
    ]


@pytest.mark.parametrize(
    ("base", "name", "meant"),
    [
        (LoginCallback, "onInviteRecieved", "onInviteReceived"),
        (LoginCallback, "on_invite_recieved", "on_invite_received"),
        (LoginCallback, "onLoginsuccess", "onLoginSuccess"),
        (LoginCallback, "on_loginSuccess", "onLoginSuccess"),
        (Signal.ChannelCallback, "on_message_channel_recieve", "on_message_channel_receive"),
        (Signal.ChannelCallback, "onSpecialEvent", "on_special_event"),
        (Signal.CallCallback, "on_invite_ended_by_peer", "on_invite_end_by_peer"),
        (signal_sdk.ICallBack, "onInviteRecieved", "onInviteReceived"),
        (LoginCallback, "onlogout", "on_logout"),
        (LoginCallback, "oninvitereceived", "on_invite_received"),
        (LoginCallback, "oninviterecieved", "on_invite_received"),
        (LoginCallback, "OnInviteReceived", "onInviteReceived"),
        (LoginCallback, "ON_INVITE_RECEIVED", "onInviteReceived"),
        (LoginCallback, "On_logout", "onLogout"),
        (signal_sdk.ICallBack, "onlog", "on_log"),
        (signal_sdk.ICallBack, "OnError", "onError"),
    ],
)
def test_a_misspelt_callback_is_a_warning_where_its_class_is_made(
    base: type, name: str, meant: str
) -> None:
    text = f"Bot.{name} is no callback, and is never called: is it {meant}?"
    with pytest.warns(UserWarning, match="is never called") as caught:
        type("Bot", (base,), {name: lambda *_: None})
    [warning] = caught
    assert (str(warning.message), warning.filename) == (text, __file__)


def test_what_is_no_callback_s_name_is_one_s_own() -> None:
    """Warnings are errors here."""

    class Bot(LoginCallback, Signal.ChannelCallback):
        on_call: object = None

        def on_channel_joined(self, session: Any, channel: Any) -> None: ...

        def onTick(self) -> None: ...  # noqa: N802

        def on_tick(self) -> None: ...

        def online(self) -> None: ...

        def onlooker(self) -> None: ...

        def once(self) -> None: ...

        def OnTick(self) -> None: ...  # noqa: N802

        def log_out(self) -> None: ...

        def _on_logouts(self) -> None: ...

    class Child(Bot):
        def on_tick(self) -> None: ...

    assert Child.onTick is Bot.onTick is not Bot.on_tick


def test_the_pairs_can_be_listed() -> None:
    assert MessageCallback.documented_names == {
        "on_message_send_success": "onMessageSendSuccess",
        "on_message_send_error": "onMessageSendError",
    }
    assert DocumentedNames.documented_names == {}
