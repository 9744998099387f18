"""What is fuzzed: for each reader of foreign bytes, a function of bytes that fails where a promise
is broken, and inputs to begin from, which the project's own encoders make.

Owns: the promises. Must not know who makes the bytes: the fuzzer (`__main__.py`), or a test.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import attrs
import msgspec
import trio
from websockets.frames import Frame, Opcode
from websockets.protocol import Side

from signal_sdk.errors import LinkError, ParameterError, ProtocolError, StorageError
from signal_sdk.net.link import StreamLink
from signal_sdk.net.reactor import Reactor
from signal_sdk.server.engine.checkup import examine
from signal_sdk.server.engine.embedded import EmbeddedEngine
from signal_sdk.server.engine.files import FILE_NAME
from signal_sdk.server.engine.journal import Journal
from signal_sdk.server.engine.schema import ENTRIES, FLOORS, TABLES, Batch
from signal_sdk.server.wires.native import NativeClientLink, NativeWires
from signal_sdk.server.wires.web import WebClientLink, WebWires
from signal_sdk.testing.memory import memory_transport_pair
from signal_sdk.websocket import frames as ws_frames
from signal_sdk.websocket import handshake, opening
from signal_sdk.websocket.handshake import HttpAnswer, HttpRequest
from signal_sdk.websocket.link import Link
from signal_sdk.wire import (
    call2,
    call_functions,
    datagrams,
    frames,
    functions,
    json_frames,
    lines,
    login,
    names,
    packets,
    typed,
    words,
)

MAX_BYTES: Final = 4096
"""How long an input is at most, and how long a frame may be that is read."""
SECRET: Final = "plantedsecret"  # noqa: S105  what must be in no error


@attrs.frozen
class Target:
    """A reader, and what it is begun with."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]


class Still:
    """A reactor whose time stands still, and a transport that takes everything: what a link needs
    to be fed by hand.
    """

    peer = "127.0.0.1:1"
    has_unsent = False

    def __init__(self) -> None:
        self.clock = SimpleNamespace(time=lambda: 0.0, time_at=lambda _: 0.0)
        self.flusher = self
        self.alarms = SimpleNamespace(add=lambda *_: None)
        self.is_held = False
        self.sent = bytearray()

    def schedule(self, outbox: Any) -> None:
        outbox.flush(0.0)

    def send_nowait(self, data: bytes) -> int:
        self.sent += data
        return len(data)

    def call_soon(self, action: Callable[[], None]) -> None:
        """Nothing is to be read later: whoever feeds goes on by itself."""

    def send_eof(self) -> None:
        """Nobody is there to hear it."""

    def close(self) -> None:
        """Nothing is open."""


def pieces(data: bytes) -> Iterator[bytes]:
    """The rest of `data`, cut as its first byte says: into pieces of that many bytes."""
    size = data[0] if data else 0
    rest = data[1:]
    if not size:
        yield rest
        return
    for at in range(0, len(rest), size):
        yield rest[at : at + size]


# --- HTTP and the opening handshake ---

HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:8001\r\n\r\n"
LOOKUP: Final = b"GET /getaddr?vid=app&x=%20 HTTP/1.1\r\nHost: [::1]:80\r\nAccept: */*\r\n\r\n"
UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def check_http(data: bytes) -> None:
    """Whatever is said first is answered as HTTP, or not at all, or begins a link, and the reader
    comes to an end. A request that is read at once is one that the library takes, too.
    """
    asked: list[HttpRequest] = []

    def answer(request: HttpRequest) -> HttpAnswer | None:
        asked.append(request)
        return None if request.is_upgrade else HttpAnswer(body=b"ok\n")

    async def accept(parts: Sequence[bytes]) -> tuple[bool, bytes]:
        client, server = memory_transport_pair()
        reactor = Reactor()
        link = None
        async with trio.open_nursery() as nursery:
            await nursery.start(reactor.run)
            for part in parts:
                client.send_nowait(part)
            client.send_eof()
            # What is refused is a line in a server's log.
            with contextlib.suppress(LinkError):
                link = await handshake.accept(
                    server,
                    reactor,
                    answer,
                    make=Link,
                    max_frame_bytes=MAX_BYTES,
                    outbox_bytes=0,
                )
            if link is not None:
                await trio.lowlevel.checkpoint()
            heard = b""
            if link is not None or asked:
                heard = await client.receive_some()
            nursery.cancel_scope.cancel()
        return link is not None, heard

    rest = data[1:]
    plain = opening.read(rest)
    is_link, heard = trio.run(accept, list(pieces(data)))
    assert len(asked) <= 2, "one request, which may be looked at twice"
    assert is_link or plain is None
    if is_link:
        assert heard.startswith(b"HTTP/1.1 101 "), heard
        assert plain is None or heard.startswith(plain.answer)
    elif heard:
        head, _, body = heard.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        assert head.isascii()
        length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        # A HEAD is answered without the body.
        assert int(length) == len(body) or not body


def http_seeds() -> list[bytes]:
    return [
        bytes([size]) + request
        for size in (0, 7)
        for request in (
            HEALTH,
            LOOKUP,
            UPGRADE,
            HEALTH + HEALTH,
            UPGRADE + ws_frames.encode_masked(ws_frames.TEXT, b'["ping",1]'),
            UPGRADE.replace(b"\r\n\r\n", b"\r\nX: 1\r\nX: 2\r\n\r\n"),
            UPGRADE.replace(b"13", b"12"),
            HEALTH.replace(b"GET", b"HEAD"),
            HEALTH.replace(b"GET", b"POST"),
        )
    ]


# --- WebSocket frames ---


def check_frames(data: bytes) -> None:
    """However the bytes are cut, a link hands on the same frames, of no more than the bound, and
    ends for the same bytes; nothing but typed frames comes out.
    """
    whole = _heard_by_web(iter([data[1:]]))
    cut = _heard_by_web(pieces(data))
    assert whole == cut


def _heard_by_web(parts: Iterator[bytes]) -> tuple[list[str], bool]:
    """What came out, and whether it was sent away. Of a frame that is wrong twice (unmasked, and
    too long), which of that is said is as the cuts have it.
    """
    still = Still()
    reactor = cast("Reactor", still)
    link = WebClientLink(
        WebWires(0, reactor), cast("Any", still), reactor, Side.SERVER, max_bytes=MAX_BYTES
    )
    _feed(link, parts)
    if not link._is_ended:
        link._feed(b"")
    return _heard(link), link._protocol.close_sent is not None


def _feed(link: StreamLink[Any], parts: Iterator[bytes]) -> None:
    for part in parts:
        # Who has ended is not read any more.
        if part and not link._is_ended:
            link._feed(part)
        while link._has_more:
            link._feed_more()


def _heard(link: StreamLink[Any]) -> list[str]:
    """What came out so far, which is typed, whatever was said."""
    heard = list(link._messages)
    assert all(isinstance(it, msgspec.Struct) or attrs.has(type(it)) for it in heard)
    return [repr(it) for it in heard]


def frame_seeds() -> list[bytes]:
    texts = [json_text for json_text in call2_seeds() if len(json_text) < MAX_BYTES]
    wholes = [ws_frames.encode_masked(ws_frames.TEXT, text) for text in texts]
    control = [
        Frame(Opcode.PING, b"x").serialize(mask=True),
        Frame(Opcode.PONG, b"").serialize(mask=True),
        Frame(Opcode.CLOSE, b"\x03\xe8bye").serialize(mask=True),
        Frame(Opcode.TEXT, b'["pi', fin=False).serialize(mask=True)
        + Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
        + Frame(Opcode.PING, b"in between").serialize(mask=True)
        + Frame(Opcode.CONT, b'ng",1]').serialize(mask=True),
        ws_frames.encode_masked(ws_frames.BINARY, frames.compress(b'["ping",1]')),
        b"\x81\x7e\xff\xff",
        b"\x81\xff" + b"\xff" * 8,
    ]
    return [bytes([size]) + text for size in (0, 1, 5) for text in (*wholes, *control)]


# --- the native clients' packets ---


def check_packets(data: bytes) -> None:
    """However the bytes are cut, the same texts come out, of no more than the bound; a text is a
    typed frame; a datagram is a question or none.
    """
    whole = _heard_by_native(iter([data[1:]]))
    assert whole == _heard_by_native(pieces(data))
    reader = packets.PacketReader(MAX_BYTES)
    texts = reader.feed(data[1:])
    while reader.has_more:
        texts += reader.feed(b"")
    for text in texts:
        assert len(text) <= MAX_BYTES
        for is_in in (False, True):
            words.decode_client(text, is_in=is_in)
    datagrams.decode_question(data[1:])
    with contextlib.suppress(ProtocolError):
        datagrams.decode_answer(data[1:])


def _heard_by_native(parts: Iterator[bytes]) -> list[str]:
    still = Still()
    reactor = cast("Reactor", still)
    link = NativeClientLink(
        NativeWires(0, reactor), cast("Any", still), reactor, max_bytes=MAX_BYTES
    )
    _feed(link, parts)
    return _heard(link)


def packet_seeds() -> list[bytes]:
    texts = [
        b'login {"vid":"app","account":"ann","token":"_no_need_token","uid":0,"device":"x"}',
        b"line_login LINE 5",
        b"line_ping 17",
        b'channel_sub {"cname":"room","msgid":3}',
        b'call user_sendmsg 5 0 {"line":"l","peer":"bob","flag":"v1:E:5","t":"instant"}',
        b"nonsense",
    ]
    made = [
        packets.encode_bundle([packets.encode_plain(text) for text in texts]),
        *(packets.encode_plain(text) for text in texts),
        *(packets.encode_compressed(text) for text in texts),
        packets.encode_stored(texts[0]),
        packets.encode_plain(texts[2]) + packets.encode_compressed(texts[0]),
        datagrams.encode_question("app"),
        datagrams.encode_question("app", stored=False),
        datagrams.encode_answer([("127.0.0.1", 80)], [("127.0.0.1", 8003)], 1000),
    ]
    return [bytes([size]) + packet for size in (0, 1, 6) for packet in made]


# --- what a client says ---


def check_call2(data: bytes) -> None:
    """A text is a typed frame; a request that is decoded in one go is what it is step by step; its
    arguments are right, or refused in one line that quotes nothing secret, and what is right is the
    same once it has been said again. A message's line is one, or none.
    """
    frame = json_frames.decode_client(data)
    if isinstance(frame, typed.Malformed):
        assert frame.reason.isprintable() or "\n" not in frame.reason
    if isinstance(frame, call2.Request):
        _check_request(data, frame)
    if (message := call2.decode_message(data)) is not None:
        _check_message(data, message)
    with contextlib.suppress(ProtocolError):
        text = data.decode(errors="replace")
        line = lines.decode(text)
        assert lines.decode(line.encode()) == line


def _check_message(data: bytes, message: call2.MessageRequest) -> None:
    """What is decoded and checked in one go is right, and what it is step by step."""
    stepwise = call2.decode_request(frames.decode_frame(data))
    assert (stepwise.function, stepwise.callid) == (message.function, message.callid)
    line, ack, args = call2.decode_args(stepwise)
    said = message.args
    assert (said.line, said.ack) == (line, ack)
    assert isinstance(args, functions.UserSendMessage)
    assert (said.peer, said.content, said.message_id) == (args.peer, args.content, args.message_id)
    assert lines.parse_flag(said.flag) == lines.parse_flag(args.flag)


def _check_request(data: bytes, request: call2.Request) -> None:
    stepwise = call2.decode_request(frames.decode_frame(data))
    assert (stepwise.function, stepwise.callid) == (request.function, request.callid)
    read = _arguments(request)
    assert read == _arguments(stepwise)
    if isinstance(read, str):
        assert SECRET not in read
        return
    line, ack, args = read
    again = call2.encode_request(request.callid, line, args, ack)
    repeated = json_frames.decode_client(again)
    assert isinstance(repeated, call2.Request)
    assert _arguments(repeated) == read


def _arguments(request: call2.Request) -> Any:
    try:
        return call2.decode_args(request)
    except ParameterError as exc:
        return str(exc)


def call2_seeds() -> list[bytes]:
    args = [
        functions.UserSendMessage(
            peer="bob", flag="v1:E:5", kind="instant", content=SECRET, message_id="1"
        ),
        functions.UserSetAttr(name="a", value={"x": [1, None, True, 1.5]}),
        functions.ChannelJoin(channel="room"),
        functions.ChannelSendMessage(channel="room", msg=SECRET, force=True),
        functions.ChannelSetAttr(channel="room", name="_channel_ttl", value="60"),
        call_functions.VoipInvite(channel="room", peer="bob", extra='{"_timeout":5}'),
        functions.UserGetMessages(ver_clear=0, max=30),
        call_functions.PstnDtmf(call="room", digits="12#"),
    ]
    who = login.Login(vid="app", account="ann", token=names.NO_TOKEN)
    line = lines.MessageLine(src="a", dst="b", type="instant", content="c d", time=1, msg_id="7")
    return [
        *(call2.encode_request(n, "line", it, n or None) for n, it in enumerate(args)),
        call2.encode_invoke("id", "line", "user_logout", {}),
        frames.encode_frame(login.LOGIN, attrs.evolve(who, account=5)),
        frames.encode_frame(login.LOGIN, attrs.evolve(who, many_channels=True)),
        frames.encode_frame(login.LOGIN, attrs.evolve(who, takes_bytes=True)),
        frames.encode_frame(login.LINE_LOGIN, login.LineLogin(line="line")),
        frames.encode_frame(login.SET_FLAG, {"binary": 1}),
        frames.encode_frame(login.PING, 17),
        frames.encode_multi([frames.encode_frame(login.PING, 1)]),
        b'["call2",["user_sendmsg",1,{"peer":"\\ud800"}]]',
        line.encode().encode(),
    ]


# --- the journal ---


@attrs.frozen
class Image:
    """A journal's file, and the lines that it holds."""

    data: bytes
    lines: frozenset[str]


def make_image() -> Image:
    """A small journal, as the server writes it."""
    facts = (b"digest", "javasdk", 1, None, "instance", "room", None, 7, "", 3)
    none = (*(None,) * 9, 0)
    texts = [f"msg-v2 a b v1:E:5 instant 1 {SECRET}{n}" for n in range(8)]
    rows: dict[str, list[Any]] = {
        "accounts": [(1, "app", "ann", 1, 1, 2000, *facts), (2, "app", "b", 2, 1, 9, *none)],
        "user_attributes": [(1, "a", 3, 9e9, f'"{SECRET}"')],
        "entries": [(n, 1 + n % 2, n, 9e9, text) for n, text in enumerate(texts, 1)],
        "replies": [(1, 1, 5, "{}")],
        "facts": [("newest_time", 5.0)],
        "channels": [(1, "app", "room", 2000, 1, None, 2)],
        "members": [(1, 1, 1)],
        "channel_attributes": [(1, "name", 2, None, f'"{SECRET}"')],
        "locks": [(1, "door", 1, "ask", 1, 4, 9.0, 9e9)],
        "calls": [("app", "room", "ann", "b", "i", "ann", "b", '""', "new", 5.0, None, 0)],
    }
    batch: Batch = {
        name: {row[: len(TABLES[name].key)]: row for row in table} for name, table in rows.items()
    }
    with tempfile.TemporaryDirectory() as name:
        with closing(Journal.open(name)) as journal:
            journal.write(batch)
            # One that was moved up, and the floor that says so.
            journal.write(
                {ENTRIES: {(9,): (9, 2, 1, 9e9, texts[0])}, FLOORS: {(ENTRIES,): (ENTRIES, 1)}}
            )
        return Image((Path(name) / FILE_NAME).read_bytes(), frozenset(texts))


_images: list[Image] = []


def patched(data: bytes, image: bytes) -> bytes:
    """The file with other bytes: each five of `data` say where, how many times, and which."""
    file = bytearray(image)
    for at in range(0, len(data) - 4, 5):
        where = int.from_bytes(data[at : at + 3], "big") % len(file)
        count = 1 + data[at + 3] % 16
        file[where : where + count] = bytes([data[at + 4]]) * min(count, len(file) - where)
    return bytes(file)


def check_journal(data: bytes) -> None:
    """Whatever became of the file, a start succeeds or fails in one line, which the doctor knows of
    before; no message comes out that was not put in, and nothing that is told quotes one.
    """
    if not _images:
        logging.disable()
        _images.append(make_image())
    image = _images[0]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / FILE_NAME
        file.write_bytes(patched(data, image.data))
        file.chmod(0o600)
        before = file.read_bytes()
        problems = examine(name).problems
        assert file.read_bytes() == before
        assert not any(SECRET in problem or not problem.isprintable() for problem in problems)
        lost, error = _started(Path(name), image)
        assert SECRET not in error
        assert error.isprintable()
        assert problems or not (lost or error), (lost, error)
        if not error:
            again, error = _started(Path(name), image)
            assert not error
            assert again == lost
    shutil.rmtree(name, ignore_errors=True)


def _started(directory: Path, image: Image) -> tuple[int, str]:
    """Start there: how many messages are gone, or why that failed."""
    try:
        journal = Journal.open(directory)
    except StorageError as exc:
        return 0, str(exc)
    try:
        engine = EmbeddedEngine(journal=journal)
    except StorageError as exc:
        return 0, str(exc)
    finally:
        journal.close()
    found = [entry.line for it in engine._accounts.values() for entry in it.inbox.entries]
    assert image.lines.issuperset(found)
    assert len(set(found)) == len(found)
    return len(image.lines) - len(found), ""


def journal_seeds() -> list[bytes]:
    if not _images:
        _images.append(make_image())
    image = _images[0].data
    found = []
    for text in (SECRET.encode(), b"digest", b"room", b"ann", b"instance", b"entries_floor"):
        at = image.index(text)
        found.append(at.to_bytes(3, "big") + b"\0\xff")
        found.append(at.to_bytes(3, "big") + b"\3A")
    return [
        b"",
        *found,
        b"".join(found),
        b"\0\0\x64\1\x0d",
        (4096 * 3).to_bytes(3, "big") + b"\2\5",
    ]


TARGETS: Final = {
    target.name: target
    for target in (
        Target("http", check_http, http_seeds),
        Target("frames", check_frames, frame_seeds),
        Target("packets", check_packets, packet_seeds),
        Target("call2", check_call2, call2_seeds),
        Target("journal", check_journal, journal_seeds),
    )
}
