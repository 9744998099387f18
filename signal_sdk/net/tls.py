"""TLS around another transport: the standard library's `SSLObject`, which holds no socket, fed and
drained by hand.

Owns: the TLS handshake and the bytes between the two layers. Must not know what the bytes mean, or
where certificates come from.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from functools import partial

import trio

from signal_sdk.errors import LinkError
from signal_sdk.net.transport import (
    RECEIVE_BYTES,
    OnReadable,
    Transport,
    Watcher,
    receive_first,
)

RECORD_BYTES = 16 * 1024
"""The largest TLS record: a longer write would only be cut into these."""
HANDSHAKE_BYTES = 64 * 1024
"""What the other side may send before keys are agreed on: a chain of certificates takes 10 KiB."""
READ_COST_BYTES = 64
"""What a read counts beside its bytes: after each, all that has come is looked at again."""


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
        self._on_readable: OnReadable | None = None
        self._call_soon: Callable[[], None] = lambda: None
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )

    @property
    def peer(self) -> str:
        return self._inner.peer

    @property
    def host(self) -> str:
        return self._inner.host

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent) or self._outgoing.pending > 0

    async def handshake(self) -> None:
        """Agree on keys. Raises `LinkError`, also where that takes more bytes than it ever does,
        which is `NothingSaid` where a client goes without a byte; the caller bounds the time.
        """
        is_first = self._tls.server_side
        room = HANDSHAKE_BYTES
        while room > 0:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._drain()
                if is_first:
                    self._take(await receive_first(self._inner))
                    is_first = False
                else:
                    room -= await self._feed() + READ_COST_BYTES
            except (ssl.SSLError, ssl.CertificateError) as exc:
                self._send_pending()
                reason = getattr(exc, "verify_message", None) or getattr(exc, "reason", None) or exc
                raise LinkError(f"TLS with {self.peer} failed: {reason}") from None
            else:
                await self._drain()
                return
        raise LinkError(f"TLS with {self.peer} failed: no end after {HANDSHAKE_BYTES} bytes")

    async def _drain(self) -> None:
        while not self._send_pending():
            await self._inner.wait_writable()

    async def _feed(self) -> int:
        data = await self._inner.receive_some()
        self._take(data)
        return len(data)

    def _take(self, data: bytes) -> None:
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
        while (data := self._read()) is None:
            await self._feed()
        # Data that was decrypted without waiting must not keep the others from running.
        await trio.lowlevel.cancel_shielded_checkpoint()
        return data

    def _read(self) -> bytes | None:
        """What is decrypted; None where more has to come first."""
        try:
            return self._tls.read(RECEIVE_BYTES)
        except ssl.SSLWantReadError:
            self._send_pending()
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as exc:
            raise LinkError(f"receiving from {self.peer} failed: {exc.reason or exc}") from None

    async def receive_exactly(self, count: int) -> bytes:
        return await self._inner.receive_exactly(count)

    def pass_for(self, host: str) -> None:
        self._inner.pass_for(host)

    def receive_nowait(self) -> bytes | None:
        while (data := self._read()) is None:
            received = self._inner.receive_nowait()
            if received is None:
                return None
            self._take(received)
        self._call_soon()
        return data

    def watch(self, reactor: Watcher, on_readable: OnReadable) -> bool:
        if not self._inner.watch(reactor, on_readable):
            return False
        # The socket tells nothing of what is decrypted already, nor of an end that was.
        self._on_readable = on_readable
        self._call_soon = partial(reactor.call_soon, self._tell)
        self._call_soon()
        return True

    def _tell(self) -> float | None:
        return None if self._on_readable is None else self._on_readable()

    def unwatch(self) -> None:
        self._on_readable = None
        self._inner.unwatch()

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
        self.unwatch()
        self._inner.close()
