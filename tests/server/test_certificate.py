"""The certificate: taken up when its files have changed, and kept where they cannot be used."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import MockClock

from signal_sdk.errors import ConfigError
from signal_sdk.net.tls import TlsTransport
from signal_sdk.server.certificate import LOOK_SECONDS, Certificate
from signal_sdk.testing.memory import memory_transport_pair
from tests.net.pairs import TlsContexts, tls_pair

NAME = "sig.example"


class Files:
    """The two files, which may be written anew."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.issue()

    def issue(self) -> None:
        self._issued = trustme.CA().issue_cert(NAME)
        self.write_cert()
        self.write_key()

    def issue_half(self) -> None:
        """The key is not written yet."""
        self._issued = trustme.CA().issue_cert(NAME)
        self.write_cert()

    def write_cert(self) -> None:
        blobs = self._issued.cert_chain_pems
        self.cert.write_bytes(b"".join(blob.bytes() for blob in blobs))

    def write_key(self) -> None:
        self.key.write_bytes(self._issued.private_key_pem.bytes())

    def open(self) -> Certificate:
        return Certificate(str(self.cert), str(self.key))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def test_a_renewed_certificate_is_taken_up_within_a_minute(
    files: Files, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    certificate = files.open()
    nursery.start_soon(certificate.watch_loop)
    before = certificate.context()
    await trio.sleep(LOOK_SECONDS + 1)
    assert certificate.context() is before
    files.issue()
    await trio.sleep(LOOK_SECONDS)
    assert certificate.context() is not before
    nursery.cancel_scope.cancel()


def test_files_of_which_one_is_written_yet_leave_what_there_is(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = files.open()
    before = certificate.context()
    files.issue_half()
    for _ in range(3):
        certificate.look()
    assert certificate.context() is before
    [told] = caplog.messages
    start = f"the certificate in force stays: cannot use the certificate {files.cert}"
    assert told.startswith(start)
    files.write_key()
    certificate.look()
    assert certificate.context() is not before


def test_files_that_are_gone_leave_what_there_is(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    certificate = files.open()
    before = certificate.context()
    kept = files.key.read_bytes()
    files.key.unlink()
    certificate.look()
    certificate.look()
    assert certificate.context() is before
    assert len(caplog.records) == 1
    files.key.write_bytes(kept)
    certificate.look()
    assert certificate.context() is not before
    assert "was renewed" in caplog.messages[-1]


def test_other_files_are_taken_or_nothing_changes(files: Files, tmp_path: Path) -> None:
    certificate = files.open()
    before = certificate.context()
    with pytest.raises(ConfigError, match=r"cannot use the certificate nowhere\.pem"):
        certificate.renew("nowhere.pem", str(files.key))
    certificate.look()
    assert certificate.context() is before
    other = Files(tmp_path / "other")
    certificate.renew(str(other.cert), str(other.key))
    assert certificate.context() is not before


def test_only_what_is_still_good_is_agreed_on(files: Files) -> None:
    context = files.open().context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    names = [cipher["name"] for cipher in context.get_ciphers()]
    assert "TLS_AES_256_GCM_SHA384" in names
    assert "ECDHE-RSA-AES128-GCM-SHA256" in names
    assert all("GCM" in name or "CHACHA20" in name for name in names)


async def test_http_1_1_is_what_is_spoken_inside(files: Files) -> None:
    client_context = ssl.create_default_context()
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_NONE
    client_context.set_alpn_protocols(["h2", "http/1.1"])
    contexts = TlsContexts(client_context, files.open().context())
    client, _ = await tls_pair(contexts, memory_transport_pair())
    assert isinstance(client, TlsTransport)
    assert client._tls.selected_alpn_protocol() == "http/1.1"
