"""The certificates of this directory's tests."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.websocket.pairs import TlsContexts


@pytest.fixture(scope="session")
def tls() -> TlsContexts:
    """A server called sig.example, and a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("sig.example").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return TlsContexts(client, server)
