"""The original clients, as far as their lookup and their login go: what each asks, where it
connects, and what it says (native_protocol.md, sections 1 and 2; protocol.md, sections 1 and 2).

Owns: their names, ports and steps. Must not know how a step is tried or printed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import trio

from signal_sdk.cli.probes import (
    Address,
    Asked,
    Place,
    Probe,
    Problem,
    Step,
    bounded,
    check_address,
    spelled,
)
from signal_sdk.client.connection import Connection
from signal_sdk.client.log import Log
from signal_sdk.ecodes import ECode
from signal_sdk.errors import LinkError, LoginError
from signal_sdk.native import udp
from signal_sdk.native.link import PacketLink
from signal_sdk.net.reactor import Reactor
from signal_sdk.net.transport import Transport
from signal_sdk.wire import call2, datagrams, frames, functions, login, packets, words_heard

__all__ = ["CLIENTS", "run"]

T = TypeVar("T", words_heard.LoginResult, words_heard.CallResult)

NATIVE_NAMES: Final = ("ulbs.sig.agora.io", "lbs-sig.agora.io")
NATIVE_PORTS: Final = (8180, 8181)
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
    ports = probe.asked.lookup_ports or NATIVE_PORTS
    hosts = dict.fromkeys(place.address for place in places)
    answers = await probe.any_of(
        partial(_ask_by_udp, probe, host, port) for host in hosts for port in ports
    )
    dialed = answers[0].tcp[:DIALED]
    kept, *later = await probe.any_of(partial(_dial_native, probe, it) for it in dialed)
    for transport in later:
        transport.close()
    await _log_in_by_packets(probe, kept)


async def _ask_by_udp(probe: Probe, host: str, port: int) -> datagrams.Answer:
    app = probe.asked.app
    advice = f"start the server with --native, and let UDP port {port} through the firewall"
    try:
        data = await udp.ask(host, port, datagrams.encode_question(app), UDP_SECONDS)
    except LinkError as exc:
        raise Problem("udp", str(exc).removeprefix("udp "), advice) from None
    with bounded("udp", host, _UNKNOWN_APP):
        answer = datagrams.decode_answer(data)
    probe.seen("udp", f"{host}:{port} names {spelled(answer.tcp)}")
    return answer


async def _dial_native(probe: Probe, address: Address) -> Transport:
    check_address(address, "udp", "[native] advertise")
    return await probe.connect(*address)


async def _log_in_by_packets(probe: Probe, transport: Transport) -> None:
    asked = probe.asked
    link = PacketLink(transport, probe.reactor, max_bytes=packets.MAX_PACKET_BYTES)
    said = login.Login(
        vid=asked.app, account=asked.account, token=asked.token, device="", ver=NATIVE_VER
    )
    with bounded("login", "the login", _NO_ANSWER):
        link.send_encoded(packets.encode_plain(words_heard.encode_client(said)))
        result = await _hear(link, words_heard.LoginResult)
    if not result.ok:
        raise _refused(asked, login.ecode_of(result.reason), result.reason)
    probe.seen("login", f"{asked.account} is logged in, with uid {result.uid}")
    # Nothing of what waits in the inbox has been handled.
    args = {"line": result.line, "ver_clear": 0}
    with bounded("logout", "the logout", _NO_ANSWER):
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
    answers = await probe.any_of(partial(probe.look_up, place, port, tls=tls) for place in places)
    dialed = dict.fromkeys(answers[0][:DIALED])
    kept, *later = await probe.any_of(partial(_dial_web, probe, it, tls=tls) for it in dialed)
    for connection in later:
        connection.abort()
    said = {"vid": asked.app, "uid": 0, "token": asked.token, "ip": "", **said}
    with bounded("login", "the login", _NO_ANSWER):
        kept.send(frames.encode_frame(login.LOGIN, said))
        try:
            success = await kept.login_answer()
        except LoginError as exc:
            raise _refused(asked, exc.ecode, exc.reason) from None
    probe.seen("login", f"{asked.account} is logged in, with uid {success.uid}")
    with bounded("logout", "the logout", _NO_ANSWER):
        kept.send(call2.encode_request(CALL_ID, success.line, functions.UserLogout()))
        while (frame := await kept.receive()).event != call2.REPLY:
            pass
        text = call2.decode_reply(frame).text
        _check_logout(probe, frames.decode_json(text, dict[str, Any], "the logout"))
    await kept.aclose()


async def _dial_web(probe: Probe, address: Address, *, tls: bool) -> Connection:
    """Connect as these clients do: to a name that is made of the address."""
    check_address(address, "lookup", "[server] advertise")
    host, port = address
    port += tls
    name = f"{host.replace('.', '-')}-sig-web.agora.io"
    await probe.check_name(name, host)
    transport = await probe.connect(host, port)
    if tls:
        transport = await probe.secure(transport, name)
    link = await probe.open_websocket(transport, f"{'wss' if tls else 'ws'}://{name}:{port}/")
    return Connection(link, Log(), "doctor")


# --- what they have in common ---------------------------------------------------------------------

_NO_ANSWER: Final = "look into the server's log (signal-sdk serve -v)"
_UNKNOWN_APP: Final = "give an app and an account that the server lets in (--app, --account)"


def _refused(asked: Asked, ecode: ECode, reason: str) -> Problem:
    """A login that was refused."""
    refused = f"{asked.account} was refused: {reason} ({int(ecode)})"
    if ecode in (ECode.LOGIN_E_TOKENEXPIRED, ECode.LOGIN_E_TOKENWRONG):
        advice = "make a token for this app and account: signal-sdk token make"
        return Problem("token", refused, advice)
    return Problem("login", refused, _UNKNOWN_APP)


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
