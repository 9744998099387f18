"""Openings: a connection from when it is accepted until its opening request is whole, without a
task.

Owns: what has come of the request, and how much of that is kept. Must not know what a request says,
nor who is let in.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from signal_sdk.net.strangers import READ_COST_BYTES, Pool, Tab
from signal_sdk.net.transport import Transport, receive_first_nowait
from signal_sdk.server.http import unavailable
from signal_sdk.server.wires.base import STRANGER
from signal_sdk.websocket import opening
from signal_sdk.websocket.handshake import MAX_REQUEST_BYTES, HttpAnswer, gone_halfway

__all__ = ["Opening", "RefusedOpening"]

TOO_LONG: Final = HttpAnswer(
    status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, body=b"the request is too long\n"
)
NO_ROOM: Final = unavailable("too many long requests are on their way")


class RefusedOpening(Exception):
    """The request is answered without being whole."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status.phrase)
        self.answer = answer


class Opening:
    """One connection's; `ends_at` is when its time is over, by the reactor's patient clock."""

    __slots__ = ("_held", "_pool", "_tab", "ends_at", "is_refused")

    def __init__(self, ends_at: float, pool: Pool) -> None:
        self.ends_at: float = ends_at
        self.is_refused: bool = False
        """Has it counted as refused?"""
        self._pool = pool
        self._tab: Tab | None = None
        self._held = b""

    def read(self, transport: Transport) -> bytes | None:
        """Receive, without waiting: the request once it is whole, or as much of one that never will
        be; None where more is to come. Raises `LinkError` and `RefusedOpening`.
        """
        is_first = self._tab is None
        data = receive_first_nowait(transport) if is_first else transport.receive_nowait()
        if data is None:
            return None
        if not data:
            raise gone_halfway(transport)
        held = self._held + data
        if not opening.is_half(held):
            return held
        if self._tab is None:
            self._tab = Tab(MAX_REQUEST_BYTES, STRANGER.kept_bytes, self._pool)
        if not self._tab.affords(len(data) + READ_COST_BYTES):
            raise RefusedOpening(TOO_LONG)
        if not self._tab.keeps(len(held)):
            raise RefusedOpening(NO_ROOM)
        self._held = held
        return None

    def let_go(self) -> None:
        """It is over: nothing is kept any more."""
        self._held = b""
        if self._tab is not None:
            self._tab.let_go()
