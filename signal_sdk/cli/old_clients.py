"""The original clients, as far as their lookup and their login go: what each asks, where it
connects, and what it says (native_protocol.md, sections 1 and 2; protocol.md, sections 1 and 2).

Owns: their names, ports and steps. Must not know how a step is tried or printed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from errno import ECONNREFUSED
from functools import partial
from typing import Any, Final, TypeVar

import trio

from signal_sdk.cli.probes import (
    THEM,
    Address,
    Asked,
    Place,
    Probe,
    Problem,
    Step,
    check_address,
    spelled,
)
from signal_sdk.client.connection import Connection
from signal_sdk.client.log import Log
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError, ProtocolError
from signal_sdk.native import udp
from signal_sdk.native.link import PacketLink
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import Transport
from signal_sdk.wire import call2, datagrams, frames, functions, login, names, packets, words_heard

__all__ = ["CLIENTS", "run"]

T = TypeVar("T", words_heard.LoginResult, words_heard.CallResult)

NATIVE_NAMES: Final = ("ulbs.sig.agora.io", "lbs-sig.agora.io")
NATIVE_VER: Final = 1_01_03_00_009
UDP_SECONDS: Final = 0.5

WEB_NAMES: Final = tuple(f"lbs-{number}-sig.agora.io" for number in (1, 2, 3, 4))
WEB_PORT: Final = 443

JAVA_NAME: Final = "lbs.sig.agora.io"
JAVA_PORT: Final = 80
JAVA_VER: Final = 1_01_00_02_000

DIALED: Final = 2
"""How many of the addresses that a lookup names a client dials at once."""
CALL_ID: Final = 1


async def run(client: str, asked: Asked, tell: Callable[[Step], None]) -> Problem | None:
    """Do as `client` does, and `tell` of each step that succeeds. Returns what has failed."""
    problem = None
    async with trio.open_nursery() as nursery:
        reactor = Reactor()
        await nursery.start(reactor.run)
        with contextlib.ExitStack() as opened:
            try:
                await _COURSES[client](Probe(asked, tell, reactor, opened))
            except Problem as exc:
                problem = exc
        nursery.cancel_scope.cancel()
    return problem


# --- the native SDK -------------------------------------------------------------------------------


async def _native(probe: Probe) -> None:
    places = await probe.find(*NATIVE_NAMES)
    ports = probe.asked.lookup_ports or datagrams.LOOKUP_PORTS
    hosts = dict.fromkeys(place.address for place in places)
    answers = await probe.any_of(
        partial(_ask_by_udp, probe, host, port) for host in hosts for port in ports
    )
    dialed = Counter(answers[0].tcp[:DIALED])
    made = await probe.any_of(partial(_dial_native, probe, *it) for it in dialed.items())
    kept, *later = [transport for transports in made for transport in transports]
    for transport in later:
        transport.close()
    await _log_in_by_packets(probe, kept)


async def _ask_by_udp(probe: Probe, host: str, port: int) -> datagrams.Answer:
    where = f"{host}:{port}"
    try:
        question = datagrams.encode_question(probe.asked.app)
        data = await udp.ask(probe.reactor, host, port, question, UDP_SECONDS)
    except LinkError as exc:
        wrong = str(exc).removeprefix(f"udp {where}: ")
        raise Problem("udp", wrong, _udp_advice(wrong), where) from None
    try:
        answer = datagrams.decode_answer(data)
    except ProtocolError as exc:
        raise _udp_problem(probe.asked, str(exc), where) from None
    probe.seen("udp", f"{where} names {spelled(answer.tcp)}{_twice(answer.tcp)}")
    return answer


_IS_IT_ON: Final = (
    "is the server running, with native clients on ([native] enabled = true, or --native), "
    "on this machine?"
)


def _udp_advice(wrong: str) -> str:
    """What to do where a question had no answer."""
    if wrong == os.strerror(ECONNREFUSED):
        return _IS_IT_ON
    if wrong.startswith("no answer"):
        return f"let UDP to {THEM} through the firewall; and {_IS_IT_ON}"
    return f"see that this machine has a way to {THEM}"


def _udp_problem(asked: Asked, wrong: str, where: str) -> Problem:
    """What is wrong with an answer that names no addresses."""
    reason = wrong.removeprefix("the lookup was refused: ")
    if reason == wrong:
        wrong = f"something answers, but not as a signaling server does ({wrong})"
        advice = f"have UDP {THEM} lead to this server, and to no other program"
        return Problem("udp", wrong, advice, where)
    if reason.startswith(_UNKNOWN_APP):
        return Problem("udp", *_unknown_app(asked), where)
    return Problem("udp", wrong, _NO_ANSWER, where)


async def _dial_native(probe: Probe, address: Address, times: int) -> list[Transport]:
    check_address(address, "udp", "[native] advertise")
    host, port = address
    advice = _tcp_advice("[native] advertise, and without it [server] advertise", port)
    made = [await probe.connect("tcp", host, port, advice) for _ in range(times)]
    probe.seen("tcp", f"{spelled([address])} takes connections{_twice([address] * times)}")
    return made


def _twice(addresses: Sequence[Address]) -> str:
    """A word on addresses of which there is one, several times."""
    is_one = len(addresses) > 1 and len(set(addresses)) == 1
    return " (twice: the client dials two)" if is_one else ""


async def _log_in_by_packets(probe: Probe, transport: Transport) -> None:
    asked = probe.asked
    link = PacketLink(transport, probe.reactor, max_bytes=packets.MAX_PACKET_BYTES)
    said = login.Login(
        vid=asked.app, account=asked.account, token=asked.token, device="", ver=NATIVE_VER
    )
    with probe.bounded("login", "the login", _NO_ANSWER):
        link.send_encoded(packets.encode_plain(words_heard.encode_client(said)))
        result = await _hear(link, words_heard.LoginResult)
    if not result.ok:
        raise _refused(asked, login.ecode_of(result.reason), result.reason)
    probe.seen("login", f"{asked.account} is logged in, with uid {result.uid}")
    # Nothing of what waits in the inbox has been handled.
    args = {"line": result.line, "ver_clear": 0}
    with probe.bounded("logout", "the logout", _NO_ANSWER):
        text = words_heard.encode_client(
            call2.Request(functions.UserLogout.function, CALL_ID, args)
        )
        link.send_encoded(packets.encode_compressed(text))
        answer = await _hear(link, words_heard.CallResult)
        _check_logout(probe, frames.decode_json(answer.text, dict[str, Any], "the logout"))
    await link.aclose()


async def _hear(link: PacketLink, kind: type[T]) -> T:
    """The next that is said of this kind. Raises `LinkError`, `ProtocolError`."""
    while True:
        for text in await link.receive():
            frame = words_heard.decode_server(text)
            if isinstance(frame, kind):
                return frame


# --- the web SDK and the Java SDK -----------------------------------------------------------------


async def _web(probe: Probe) -> None:
    asked = probe.asked
    said = {"account": asked.account, "device": login.WEB_DEVICE}
    await _log_in_by_lookup(probe, await probe.find(*WEB_NAMES), WEB_PORT, said, tls=True)


async def _java(probe: Probe) -> None:
    asked = probe.asked
    said = {"account": asked.account, "device": login.NATIVE_DEVICE, "ver": JAVA_VER}
    await _log_in_by_lookup(probe, await probe.find(JAVA_NAME), JAVA_PORT, said, tls=False)


async def _log_in_by_lookup(
    probe: Probe, places: list[Place], port: int, said: dict[str, Any], *, tls: bool
) -> None:
    asked = probe.asked
    port = (*asked.lookup_ports, port)[0]
    advice = _lookup_advice(asked, port, tls=tls)
    answers = await probe.any_of(
        partial(probe.look_up, place, port, advice, tls=tls) for place in places
    )
    dialed = dict.fromkeys(answers[0][:DIALED])
    kept, *later = await probe.any_of(partial(_dial_web, probe, it, tls=tls) for it in dialed)
    for connection in later:
        connection.abort()
    said = {"vid": asked.app, "uid": 0, "token": asked.token, "ip": "", **said}
    with probe.bounded("login", "the login", _NO_ANSWER):
        kept.send(frames.encode_frame(login.LOGIN, said))
        try:
            success = await kept.login_answer()
        except LoginError as exc:
            raise _refused(asked, exc.ecode, exc.reason) from None
    probe.seen("login", f"{asked.account} is logged in, with uid {success.uid}")
    with probe.bounded("logout", "the logout", _NO_ANSWER):
        kept.send(call2.encode_request(CALL_ID, success.line, functions.UserLogout()))
        while (frame := await kept.receive()).event != call2.REPLY:
            pass
        text = call2.decode_reply(frame).text
        _check_logout(probe, frames.decode_json(text, dict[str, Any], "the logout"))
    await kept.aclose()


def _lookup_advice(asked: Asked, port: int, *, tls: bool) -> str:
    """What to do where nobody takes connections at the lookup's port."""
    key = f" ([server] also_listen = [{port}])" if port == JAVA_PORT else ""
    other = ", or give another with --lookup-port" if asked.host else ""
    more = "; the server listens for TLS on its port + 1, once it has cert and key" if tls else ""
    return (
        f"have TCP port {port} lead to the server{key}{other}, "
        f"and let it through the firewall{more}"
    )


async def _dial_web(probe: Probe, address: Address, *, tls: bool) -> Connection:
    """Connect as these clients do: to a name that is made of the address."""
    check_address(address, "lookup", "[server] advertise")
    host, port = address
    port += tls
    name = f"{host.replace('.', '-')}-sig-web.agora.io"
    await probe.check_name(name, host)
    transport = await probe.connect("tcp", host, port, _tcp_advice("[server] advertise", port))
    probe.seen("tcp", f"{host}:{port} takes connections")
    if tls:
        transport = await probe.secure(transport, name)
    link = await probe.open_websocket(transport, f"{'wss' if tls else 'ws'}://{name}:{port}/")
    return Connection(link, Log(), "doctor")


# --- what they have in common ---------------------------------------------------------------------

_NO_ANSWER: Final = "look into the server's log (signal-sdk serve -v)"
_LET_IN: Final = "give an app and an account that the server lets in (--app, --account)"
_UNKNOWN_APP: Final = "unknown app id"


def _tcp_advice(key: str, port: int) -> str:
    """What to do where nobody takes connections at an address that the lookup names."""
    return (
        f"have the lookup name the server's address ({key}), "
        f"and let TCP port {port} through the firewall"
    )


def _unknown_app(asked: Asked) -> tuple[str, str]:
    """What is wrong, and what to do, where the server does not know the app."""
    note, which = (
        ("", "another --app") if asked.is_app_given else (" (no --app was given)", "--app")
    )
    advice = f"give {which}, or add it to the server's configuration as [[apps]]"
    return f"{_UNKNOWN_APP} {asked.app!r}{note}", advice


def _refused(asked: Asked, ecode: ECode, reason: str) -> Problem:
    """A login that was refused."""
    refused = f"{asked.account} was refused: "
    if reason.startswith(_UNKNOWN_APP):
        wrong, advice = _unknown_app(asked)
        return Problem("login", f"{refused}{wrong}", advice)
    refused += f"{reason} ({int(ecode)})"
    make = (
        f"signal-sdk token make --app {shlex.quote(asked.app)} "
        f"--account {shlex.quote(asked.account)} --config FILE"
    )
    if ecode is ECode.LOGIN_E_TOKENEXPIRED:
        return Problem("token", refused, f"make a new one: {make}")
    if ecode is not ECode.LOGIN_E_TOKENWRONG:
        return Problem("login", refused, _LET_IN)
    if asked.token == names.NO_TOKEN:
        return Problem(
            "token",
            "no token was given, and the app wants one",
            f"make one, and put it into SIGNAL_SDK_TOKEN: {make} "
            "(or set allow_no_token = true for the app)",
        )
    if reason == "TokenErrorWrong":
        # Which is all that native clients are told.
        refused += ": it is not of this app, this account and the server's certificate for it"
    return Problem(
        "token",
        refused,
        "signal-sdk token check says more, and so does the server's log (serve -v)",
    )


def _check_logout(probe: Probe, result: dict[str, Any]) -> None:
    if result.get("result") != "ok":
        raise Problem("logout", f"it was refused: {result.get('reason')}", _NO_ANSWER)
    probe.seen("logout", f"{probe.asked.account} is logged out")


_COURSES: Final[Mapping[str, Callable[[Probe], Awaitable[None]]]] = {
    "native": _native,
    "web": _web,
    "java": _java,
}
CLIENTS: Final = tuple(_COURSES)
"""Which there are."""
