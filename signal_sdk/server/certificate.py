"""The TLS certificate: two files, which somebody renews from time to time.

Owns: reading them, at the start and whenever they have changed. Must not know who connects.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

import trio

from signal_sdk.errors import ConfigError

__all__ = ["Certificate", "tls_context"]

logger: logging.Logger = logging.getLogger("signal_sdk.server")

LOOK_SECONDS: Final = 60.0
"""Between two looks at the files."""
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Those of TLS 1.2 that are still good; TLS 1.3 has its own, which all are."""
PROTOCOL: Final = "http/1.1"
"""What is spoken inside."""
_State = tuple[tuple[int, int, int], ...]
"""What tells a file from another one under its name."""


def tls_context(cert: str, key: str) -> ssl.SSLContext:
    """The server's TLS settings from its certificate chain and key. Raises `ConfigError`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols([PROTOCOL])
    # Agreeing anew costs the server more than the client.
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            f"cannot use the certificate {cert} with the key {key}: {exc.strerror or exc}"
        ) from None
    return context


class Certificate:
    """The certificate in force. Raises `ConfigError` where the files cannot be used."""

    def __init__(self, cert: str, key: str) -> None:
        self._seen: _State | None = None
        self._files = (cert, key)
        self.renew(cert, key)

    def context(self) -> ssl.SSLContext:
        """The TLS settings for a connection that begins now."""
        return self._context

    def renew(self, cert: str, key: str) -> None:
        """Take it from these files from here on. Raises `ConfigError`, and changes nothing, where
        they cannot be used.
        """
        seen = _state((cert, key))
        self._context = tls_context(cert, key)
        self._files, self._seen = (cert, key), seen

    async def watch_loop(self) -> None:
        """Take up what is renewed, until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Where a file has changed, take up what is there. What cannot be used is told once, and
        tried again once it has changed: whoever renews a certificate writes two files.
        """
        seen = _state(self._files)
        if seen == self._seen:
            return
        try:
            self.renew(*self._files)
        except ConfigError as exc:
            self._seen = seen
            logger.warning("the certificate in force stays: %s", exc)
        else:
            logger.warning("the certificate %s was renewed", self._files[0])


def _state(files: tuple[str, str]) -> _State | None:
    found = []
    for file in files:
        try:
            stat = Path(file).stat()
        except OSError:
            return None
        found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)
