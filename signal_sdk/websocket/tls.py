"""TLS around another transport: the standard library's `SSLObject`, which holds no socket, fed and
drained by hand.

Owns: the TLS handshake and the bytes between the two layers. Must not know what the bytes mean, or
where certificates come from.
"""

from __future__ import annotations

import contextlib
import ssl

import trio

from signal_sdk.errors import LinkError
from signal_sdk.websocket.transport import RECEIVE_BYTES, Transport

RECORD_BYTES = 16 * 1024
"""The largest TLS record: a longer write would only be cut into these."""


class TlsTransport:
    """A transport whose bytes travel encrypted in `inner`."""

    def __init__(
        self,
        inner: Transport,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unsent = memoryview(b"")
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )

    @property
    def peer(self) -> str:
        return self._inner.peer

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent) or self._outgoing.pending > 0

    async def handshake(self) -> None:
        """Agree on keys. Raises `LinkError`; the caller bounds the time."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._drain()
                await self._feed()
            except (ssl.SSLError, ssl.CertificateError) as exc:
                self._send_pending()
                reason = getattr(exc, "verify_message", None) or getattr(exc, "reason", None) or exc
                raise LinkError(f"TLS with {self.peer} failed: {reason}") from None
            else:
                await self._drain()
                return

    async def _drain(self) -> None:
        while not self._send_pending():
            await self._inner.wait_writable()

    async def _feed(self) -> None:
        data = await self._inner.receive_some()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _send_pending(self) -> bool:
        """Send what is encrypted already; was that all of it?"""
        while True:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
                if not self._unsent:
                    return True
            sent = self._inner.send_nowait(self._unsent)
            if not sent:
                return False
            self._unsent = self._unsent[sent:]

    def send_nowait(self, data: bytes | memoryview) -> int:
        taken = 0
        view = memoryview(data)
        while self._send_pending() and taken < len(view):
            try:
                taken += self._tls.write(view[taken : taken + RECORD_BYTES])
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as exc:
                raise LinkError(f"sending to {self.peer} failed: {exc.reason or exc}") from None
        return taken

    async def wait_writable(self) -> None:
        await self._inner.wait_writable()

    async def receive_some(self) -> bytes:
        while True:
            try:
                data = self._tls.read(RECEIVE_BYTES)
            except ssl.SSLWantReadError:
                self._send_pending()
                await self._feed()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            except ssl.SSLError as exc:
                raise LinkError(f"receiving from {self.peer} failed: {exc.reason or exc}") from None
            # Data that was decrypted without waiting must not keep the others from running.
            await trio.lowlevel.cancel_shielded_checkpoint()
            return data

    def send_eof(self) -> None:
        # The other side has not said its own farewell yet; ours is in the buffer.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        try:
            if self._send_pending():
                self._inner.send_eof()
        except LinkError:
            # The other side was quicker: there is nobody left to tell.
            pass

    def close(self) -> None:
        self._inner.close()
