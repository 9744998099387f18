"""Frames: `[event, payload]` as JSON text, several in one as `multi`, and the same text
zlib-compressed as a binary frame.

Owns: protocol.md, section 2's envelope, for both roles. Must not know what a payload holds.
Whatever arrives, only `FrameError` comes out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from signal_sdk.ecodes import ECode
from signal_sdk.errors import ParameterError, ProtocolError
from signal_sdk.wire import names
from signal_sdk.wire.hidden import hides

T = TypeVar("T")

MULTI: Final = "multi"

_envelope = msgspec.json.Decoder(tuple[str, msgspec.Raw])
_envelopes = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]])


class FrameError(ProtocolError):
    """What arrived is not a frame.

    Where the text has a frame's shape and only some value in it is wrong (half a surrogate pair),
    `event` and `callid` say what it was meant to be, so that the request can be refused instead of
    the connection.
    """

    def __init__(
        self, reason: str, event: str | None = None, callid: int | str | None = None
    ) -> None:
        super().__init__(reason)
        self.event = event
        self.callid = callid


@hides("payload")
class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event and its payload, which is still JSON text."""

    event: str
    payload: msgspec.Raw

    def decode(self, type_: type[T]) -> T:
        """The payload as `type_`. Raises `FrameError`."""
        return decode_json(self.payload, type_, self.event)

    def decode_by(self, decoder: msgspec.json.Decoder[T]) -> T:
        """The payload as `decoder` makes it. Raises `FrameError`."""
        return decode_by(decoder, self.payload, self.event)


def decode_json(text: bytes | str | msgspec.Raw, type_: type[T], what: str) -> T:
    """JSON `text` as `type_`. Raises `FrameError` with `what` in its text, never with the JSON
    itself, which may hold secrets.
    """
    return decode_by(_decoder(type_), text, what)


def decode_by(decoder: msgspec.json.Decoder[T], text: bytes | str | msgspec.Raw, what: str) -> T:
    """As `decode_json`, for types that are decoded so often that it counts."""
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise FrameError(f"{what}: {_cause(exc)}") from None


_decoders: dict[object, msgspec.json.Decoder[Any]] = {}


def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    """Made once for each type, of which there are few: to make one takes far longer than to decode
    a frame.
    """
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.json.Decoder(type_)
    return decoder


def encode_json(value: object, what: str = "argument") -> bytes:
    """`value` as JSON. Raises `ParameterError` (1004) where it holds what JSON cannot."""
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as exc:
        raise ParameterError(
            ECode.GENERAL_E_WRONG_PARAM, f"{what} is not JSON: {_cause(exc)}"
        ) from None


def encode_frame(event: str, payload: object) -> bytes:
    """The text of one frame."""
    return encode_json([event, payload], event)


def encode_multi(frames: Iterable[bytes]) -> bytes:
    """Several frames' texts as the text of one `multi` frame."""
    return b'["multi",[%b]]' % b",".join(frames)


def compress(text: bytes) -> bytes:
    """A frame's text as the content of a binary frame (RFC 1950)."""
    # The quickest level: the best one takes twice as long for a tenth less.
    return zlib.compress(text, zlib.Z_BEST_SPEED)


def decompress(data: bytes, max_bytes: int = names.MAX_FRAME_BYTES) -> bytes:
    """The text in a binary frame. Raises `FrameError` where it is damaged, cut off, or would grow
    past `max_bytes`.
    """
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, max_bytes)
    except zlib.error:
        raise FrameError("a binary frame is not zlib data") from None
    if not inflater.eof:
        raise FrameError(f"a binary frame is cut off, or larger than {max_bytes} bytes")
    if inflater.unused_data:
        raise FrameError("a binary frame has something behind its zlib data")
    return text


def decode_frame(text: bytes) -> Frame:
    """The one frame in `text`. Raises `FrameError`."""
    try:
        event, payload = _envelope.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise _explain(text, exc) from None
    return Frame(event, payload)


def decode_frames(text: bytes) -> list[Frame]:
    """The frames in `text`, those inside a `multi` taken out in order. Raises `FrameError`."""
    frame = decode_frame(text)
    if frame.event != MULTI:
        return [frame]
    try:
        inner = _envelopes.decode(frame.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as exc:
        raise FrameError(f"multi: {_cause(exc)}") from None
    return [Frame(event, payload) for event, payload in inner]


def _cause(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "nested too deep"
    if isinstance(exc, UnicodeError):
        return "not UTF-8 text"
    return str(exc)


def _explain(text: bytes, exc: Exception) -> FrameError:
    """The error for a text that is no frame.

    The standard library reads what msgspec refuses (half a surrogate pair, NaN), and so finds the
    id of the request to refuse.
    """
    reason = f"not a frame: {_cause(exc)}"
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return FrameError(reason)
    match value:
        case [str(event), _] if not names.is_encodable(event):
            return FrameError(reason)
        case [str(event), [str(), bool(), *_]]:  # Python takes true for an integer
            return FrameError(reason, event)
        case [str(event), [str(), int() | str() as callid, *_]] if names.is_encodable(str(callid)):
            return FrameError(reason, event, callid)
        case [str(event), _]:
            return FrameError(reason, event)
    return FrameError(reason)
