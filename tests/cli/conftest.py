"""What `signal-sdk doctor --client` looks at: a server, its certificates, and other ports."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from signal_sdk.testing.server import LocalServer, local_server
from tests.cli.looked_at import LOOKUP_NAMES, WEB_NAME, Certificates, bound, config


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.fixture
async def server(certificates: Certificates) -> AsyncIterator[LocalServer]:
    async with local_server(config(certificates.server(WEB_NAME, *LOOKUP_NAMES))) as running:
        yield running


@pytest.fixture
def closed() -> Iterator[int]:
    """A TCP port that refuses connections."""
    with bound(socket.SOCK_STREAM) as port:
        yield port


@pytest.fixture
def silent() -> Iterator[int]:
    """A TCP port that takes connections, and never says anything."""
    with bound(socket.SOCK_STREAM, listens=True) as port:
        yield port
