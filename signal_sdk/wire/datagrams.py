"""The lookup: which servers there are, asked and answered by UDP.

Owns: native_protocol.md, section 1, for both roles. Must not know which servers there are, or who
may ask.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError
from signal_sdk.wire import frames, packets

LOOKUP_PORTS: Final = (8180, 8181)
"""Where the original clients ask: nothing tells them of others."""
MAX_QUESTION_BYTES: Final = 1500
"""What fits into one packet of nearly any network; a question has about 70."""
MAX_ANSWER_BYTES: Final = 2**16 - 1
"""What an answer may have, before and after it is inflated."""
MAX_REASON_CHARS: Final = 500
"""How much of a refusal an error repeats."""

_ZLIB_BYTES: Final = 64
"""More than zlib adds to any datagram's text that it cannot make smaller."""
_QUESTION: Final = b"getaddr "
_ANSWER: Final = b"ok "

Address: TypeAlias = tuple[str, int]
_Port = Annotated[int, msgspec.Meta(ge=0, le=2**16 - 1)]
_Addresses = Annotated[tuple[tuple[str, _Port], ...], msgspec.Meta(min_length=2)]


class _Question(msgspec.Struct, frozen=True, gc=False):
    appid: Annotated[str, msgspec.Meta(min_length=1)]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Where the servers are, as (IP address, port); the first are the best. Each kind has two at
    least, which may be the same.
    """

    http: _Addresses
    tcp: _Addresses


# --- the server -----------------------------------------------------------------------------------


def decode_question(data: bytes) -> str | None:
    """The app id that a datagram asks for; None where it is no question. Never raises."""
    if len(data) > MAX_QUESTION_BYTES:
        return None
    try:
        text = packets.inflate(data, MAX_QUESTION_BYTES)
        if not text.startswith(_QUESTION):
            return None
        return frames.decode_json(text[len(_QUESTION) :].decode(), _Question, "question").appid
    except (ProtocolError, UnicodeDecodeError):
        return None


def answer_bound(question: bytes) -> int:
    """How many bytes an answer may have: who asks may not be who he says he is, and must not be
    able to send another one much more than he sends himself.
    """
    return 3 * len(question) + 200


def encode_answer(http: Sequence[Address], tcp: Sequence[Address], max_bytes: int) -> bytes:
    """The datagram that names as many addresses from the front as `max_bytes` allow, and one of
    each kind in any case. Raises `ParameterError` (1004) where there is none.
    """
    if not http or not tcp:
        raise ParameterError(ECode.GENERAL_E_WRONG_PARAM, "an answer without an address")
    datagram = _answer(http[:1], tcp[:1])
    for count in range(2, max(len(http), len(tcp)) + 1):
        longer = _answer(http[:count], tcp[:count])
        if len(longer) > max_bytes:
            break
        datagram = longer
    return datagram


def _answer(http: Sequence[Address], tcp: Sequence[Address]) -> bytes:
    # The client dials two at once, so a server that is alone is named twice.
    return _compress(_ANSWER + frames.encode_json({"http": [*http, *http], "tcp": [*tcp, *tcp]}))


def encode_refusal(reason: str, max_bytes: int) -> bytes:
    """The datagram of a refusal, `reason` cut where it is too long for `max_bytes` (without any
    text it has 8).
    """
    if reason.startswith(_ANSWER.decode()):
        reason = f"failed: {reason}"
    text = reason.encode(errors="replace")
    datagram = _compress(text)
    if len(datagram) <= max_bytes:
        return datagram
    room = min(max_bytes, MAX_ANSWER_BYTES) - _ZLIB_BYTES
    return _compress(text[: max(room, 0)].decode(errors="ignore").encode())


def _compress(text: bytes) -> bytes:
    # Unlike on a connection, what counts is how much fits; of so little it takes no longer.
    return zlib.compress(text, zlib.Z_BEST_COMPRESSION)


# --- the client -----------------------------------------------------------------------------------


def encode_question(appid: str, *, stored: bool = True) -> bytes:
    """The datagram that asks for an app's servers: `stored`, as the original clients write it, or
    compressed. Raises `ParameterError` (1004) where `appid` is not UTF-8 text.
    """
    text = _QUESTION + frames.encode_json({"appid": appid}, "appid")
    return zlib.compress(text, zlib.Z_NO_COMPRESSION) if stored else _compress(text)


def decode_answer(data: bytes) -> Answer:
    """The addresses in an answer. Raises `ProtocolError` for nonsense, and with its text in it for
    a refusal.
    """
    text = packets.inflate(data, MAX_ANSWER_BYTES)
    if not text.startswith(_ANSWER):
        reason = text.decode(errors="replace")[:MAX_REASON_CHARS]
        raise ProtocolError(f"the lookup was refused: {reason}")
    return frames.decode_json(text[len(_ANSWER) :], Answer, "answer")
