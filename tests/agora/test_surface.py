"""The documented names of the Linux SDK: each is there in both spellings, and takes what is
documented.
"""

from __future__ import annotations

import csv
import inspect
from pathlib import Path
from typing import Any

import attrs
import pytest

import signal_sdk
from signal_sdk import IAgoraAPI, ICallBack

SURFACE = Path(__file__).parents[1] / "data" / "api_surface.csv"
DOCUMENT = Path(__file__).parents[2] / "docs" / "linux_api.md"
SDK = "linux"
PATHS: dict[str, Any] = {"": signal_sdk, "IAgoraAPI": IAgoraAPI, "ICallBack": ICallBack}

IRREGULAR = {
    "message_channel_send_force": "messageChannelSendForce",
    "channel_invite_dtmf": "channelInviteDTMF",
    "message_dtmf_send": "messageDTMFSend",
    "channel_invite_user2": "channelInviteUser2",
}
"""Names that no rule would make of the PEP 8 ones."""


HEADER_ONLY: dict[str, dict[str, tuple[str, str]]] = {
    "IAgoraAPI": {
        "message_instant_send2": ("messageInstantSend2", "account uid msg msgID options"),
        "message_app_send": ("messageAppSend", "msg msgID"),
        "message_push_send": ("messagePushSend", "account uid msg msgID"),
        "message_chat_send": ("messageChatSend", "account uid msg msgID"),
        "set_background": ("setBackground", "bOut"),
        "set_network_status": ("setNetworkStatus", "bOut"),
        "ping": ("ping", ""),
        "start": ("start", ""),
        "stop": ("stop", ""),
        "bc_call": ("bc_call", "func json_args callID"),
        "dbg": ("dbg", "a b"),
        "destory": ("destory", ""),
    },
    "ICallBack": {
        "on_message_send_progress": ("onMessageSendProgress", "account messageID type info"),
        "on_message_app_received": ("onMessageAppReceived", "msg"),
        "on_msg": ("onMsg", "from_ t msg"),
        "on_bc_call_result": ("onBCCall_result", "reason json_ret callID"),
        "on_dbg": ("onDbg", "a b"),
    },
}
"""What is in the original's header, and in none of its documents: the other name, and the
parameters."""


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
                "" if row["class"] == "module" else row["class"],
                row["kind"],
                row["documented_name"],
                row["python_name"],
                tuple(row["parameters"].split()),
            )
            for row in csv.DictReader(file)
            if row["sdk"] == SDK
        ]


def test_the_surface_is_there() -> None:
    assert len(surface()) == 70
    assert {entry.cls for entry in surface()} == set(PATHS)


@pytest.mark.parametrize("entry", surface(), ids=str)
def test_every_documented_name_is_there_in_both_spellings(entry: Documented) -> None:
    """And its parameters have the documented names, in the documented order."""
    function = getattr(PATHS[entry.cls], entry.python)
    assert getattr(PATHS[entry.cls], entry.documented) is function
    assert function.__doc__
    assert not inspect.iscoroutinefunction(function)
    if entry.cls:
        parameters = list(inspect.signature(function).parameters)[1:]
        assert parameters == list(entry.parameters)
    else:
        assert entry.python in signal_sdk.__all__
        assert entry.documented in signal_sdk.__all__
        inspect.signature(function).bind()


@pytest.mark.parametrize("cls", HEADER_ONLY)
def test_what_only_the_header_has_is_there_in_both_spellings(cls: str) -> None:
    """And is in the documentation."""
    document = DOCUMENT.read_text()
    for python, (documented, parameters) in HEADER_ONLY[cls].items():
        function = getattr(PATHS[cls], python)
        assert getattr(PATHS[cls], documented) is function
        assert function.__doc__
        assert list(inspect.signature(function).parameters)[1:] == parameters.split()
        assert f"`{documented}`" in document
        assert f"`{python}(" in document


def test_nothing_is_there_that_neither_document_nor_header_has() -> None:
    documented = {entry.python for entry in surface()} | {entry.documented for entry in surface()}
    for cls in (IAgoraAPI, ICallBack):
        header = HEADER_ONLY[cls.__name__]
        known = documented | set(header) | {documented for documented, _ in header.values()}
        public = {name for name in dir(cls) if not name.startswith("_")}
        assert public - known == {"documented_names"}


@pytest.mark.parametrize("cls", ["IAgoraAPI", "ICallBack"])
def test_the_pairs_are_the_documented_ones(cls: str) -> None:
    pairs = {
        entry.python: entry.documented
        for entry in surface()
        if entry.cls == cls and entry.python != entry.documented
    }
    header = {name: other for name, (other, _) in HEADER_ONLY[cls].items() if name != other}
    assert PATHS[cls].documented_names == pairs | header
    assert cls != "IAgoraAPI" or IRREGULAR.items() <= pairs.items()


@pytest.mark.parametrize(
    "entry", [entry for entry in surface() if entry.kind == "callback"], ids=str
)
@pytest.mark.parametrize("spelling", ["python", "documented"])
def test_an_override_in_either_spelling_counts_for_both(entry: Documented, spelling: str) -> None:
    def override(*_: Any) -> None: ...

    cls: Any = type("Mine", (ICallBack,), {getattr(entry, spelling): override})
    assert getattr(cls, entry.python) is override
    assert getattr(cls, entry.documented) is override


def test_a_callback_that_nobody_overrides_does_nothing() -> None:
    for entry in surface():
        if entry.kind == "callback":
            assert getattr(ICallBack(), entry.python)(*entry.parameters) is None


def test_uid_and_device_are_defaulted() -> None:
    for entry in surface():
        if entry.cls != "IAgoraAPI" or entry.python == "message_dtmf_send":
            continue
        parameters = inspect.signature(getattr(IAgoraAPI, entry.python)).parameters
        for name in ("uid", "deviceID"):
            assert name not in parameters or parameters[name].default in (0, ""), entry


@pytest.mark.parametrize("entry", surface(), ids=str)
def test_every_name_is_in_the_documentation(entry: Documented) -> None:
    """In the table of docs/linux_api.md, with its parameters."""
    [row] = [
        line for line in DOCUMENT.read_text().splitlines() if f"| `{entry.documented}` |" in line
    ]
    shown = row.split("|")[2].strip().strip("`")
    name, _, parameters = shown.rstrip(")").partition("(")
    assert name == entry.python
    names = [one.partition("=")[0] for one in parameters.split(", ") if one]
    assert not entry.cls or names == list(entry.parameters)
