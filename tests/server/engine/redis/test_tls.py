"""A Redis that is spoken to inside TLS, which looks at who comes, and who is looked at. By the real
clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trustme

from signal_sdk.errors import StorageError
from signal_sdk.server.engine.base import Asked
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import connection
from tests.redis.servers import RedisServer, free_port
from tests.server.engine.redis.nodes import ANN, ROOM, nodes, until


@attrs.frozen
class Inside:
    """A Redis inside TLS: its port, and the files of who trusts it and whom it trusts."""

    port: int
    authority: Path
    known: Path
    """The certificate and the key of a client of the authority's."""
    stranger: Path
    """Those of another's."""

    def url(self, *, trusts: bool = True, shows: Path | None = None) -> str:
        shown = shows or self.known
        files = [f"ssl_certfile={shown}", f"ssl_keyfile={shown}"]
        if trusts:
            files.append(f"ssl_ca_certs={self.authority}")
        return f"rediss://127.0.0.1:{self.port}?{'&'.join(files)}"


@contextmanager
def inside_tls(folder: Path) -> Iterator[Inside]:
    ours, other = trustme.CA(), trustme.CA()
    port = free_port()
    at = Inside(port, folder / "ca.pem", folder / "known.pem", folder / "stranger.pem")
    own = folder / "redis.pem"
    ours.cert_pem.write_to_path(at.authority)
    for path, authority, name in (
        (own, ours, "127.0.0.1"),
        (at.known, ours, "node.example"),
        (at.stranger, other, "node.example"),
    ):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(path)
    config = [f"tls-port {port}", f"tls-cert-file {own}", f"tls-key-file {own}"]
    with RedisServer(config=[*config, f"tls-ca-cert-file {at.authority}"]):
        yield at


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside_tls(tmp_path_factory.mktemp("tls")) as it:
        yield it


async def test_nodes_talk_through_it(inside: Inside) -> None:
    async with nodes(2, inside.url(), prefix="both:") as (here, there):
        ann = await here.log_in(ANN)
        await waited(there.engine.subscribe(ROOM))
        await here.join(ANN, ann)
        await here.say(ANN, ann, "hello", 1)
        await until(lambda: ("event", 2) in there.heard.all)
        here.lose()
        await until(lambda: not here.is_up)
        await until(lambda: here.is_up)
        left = await waited(here.engine.leave(Asked(ANN, ann.generation), "room"))
        assert left is None
        await until(lambda: ("event", 3) in there.heard.all)


async def refusal(url: str) -> str:
    """The one line with which a node does not begin there."""
    with pytest.RaisesGroup(StorageError, flatten_subgroups=True) as caught:
        async with nodes(1, url):
            pass
    [error] = caught.value.exceptions
    assert "\n" not in str(error)
    return str(error)


async def test_one_whom_nobody_trusts_is_not_spoken_to(inside: Inside) -> None:
    line = await refusal(inside.url(trusts=False))
    assert f"127.0.0.1:{inside.port} cannot be reached" in line
    assert "certificate verify failed" in line


async def test_one_that_does_not_trust_us_says_so(inside: Inside) -> None:
    line = await refusal(inside.url(shows=inside.stranger))
    assert f"127.0.0.1:{inside.port} cannot be reached" in line
    # In TLS 1.3 it says so once this side has begun to talk, which may be too late to hear why.
    assert "alert" in line or "Connection lost" in line


async def test_one_that_is_not_inside_it_is_asked_for(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It waits for the end of a line, which TLS has none of.
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.5)
    with RedisServer() as bare:
        line = await refusal(inside.url().replace(str(inside.port), str(bare.port)))
    assert line.startswith(f"Redis at 127.0.0.1:{bare.port} does not answer within 0.5 s")
    assert line.endswith(": is it not inside TLS (redis://)?")


async def test_one_that_is_inside_it_unasked_hangs_up(inside: Inside) -> None:
    line = await refusal(f"redis://127.0.0.1:{inside.port}")
    assert line.startswith(f"Redis at 127.0.0.1:{inside.port} cannot be reached")
    assert line.endswith(": is it inside TLS (rediss://)?")


async def test_a_file_that_is_not_there_is_said(inside: Inside, tmp_path: Path) -> None:
    line = await refusal(inside.url(shows=tmp_path / "nothing.pem"))
    assert "the TLS files in the URL of Redis cannot be used" in line
