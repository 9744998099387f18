"""The web SDK finds the server by itself: by the lookup, over TLS, with two connections of which
the slower one gives way.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import trustme

from signal_sdk.server.config import Config, ServerConfig
from signal_sdk.testing.server import local_server
from tests.redis.servers import RedisServer
from tests.two_nodes import nodes_of, two_nodes
from tests.web.conftest import CONFIG
from tests.web.web_peer import web_peer

ADVERTISED = "1.2.3.4"
HOST = "1-2-3-4-sig-web.agora.io"
"""What the SDK makes of the address that the lookup tells it."""
LOOKUP_HOSTS = [f"lbs-{number}-sig.agora.io" for number in (1, 2, 3, 4)]


def with_certificate(folder: Path) -> tuple[Config, Path]:
    """What a server is that the SDK finds, and whom the SDK has to trust for that."""
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST, *LOOKUP_HOSTS)
    authority_file, cert, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(authority_file))
    certificate.cert_chain_pems[0].write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key))
    config = attrs.evolve(
        CONFIG,
        server=ServerConfig(dev=True, cert=str(cert), key=str(key), advertise=(ADVERTISED,)),
    )
    return config, authority_file


async def test_login_by_the_lookup_over_tls_with_one_of_two_racing_connections(
    tmp_path: Path,
) -> None:
    config, authority_file = with_certificate(tmp_path)
    async with (
        local_server(config) as server,
        web_peer(server, certificate_authority=authority_file) as web,
    ):
        session = await web.begin_login("alice", with_lookup=True)
        [lookup, status] = await web.expect("page", "lookup")
        assert lookup in {f"https://{host}/getaddr?vid=app" for host in LOOKUP_HOSTS}
        assert status == 200
        await session.expect("onLoginSuccess")
        address = f"wss://{HOST}:{server.port + 1}/"
        for _ in range(2):
            assert await web.expect("socket", "open") == [address]
        [closed, _code] = await web.expect("socket", "close")
        assert closed == address
        await session.sync()
        assert server.node.sessions == 1


async def test_the_lookup_of_two_nodes_names_both_which_race(
    tmp_path: Path, shared_redis: RedisServer, redis_prefix: str
) -> None:
    """Whichever is asked; the session is at the one of them that was quicker."""
    config, authority_file = with_certificate(tmp_path)
    async with (
        two_nodes(config, shared_redis.unix_url, redis_prefix) as server,
        web_peer(server, certificate_authority=authority_file) as web,
    ):
        nodes = nodes_of(server)
        # Each says where it is, and hears it of both in the end.
        for node in (*nodes, *nodes):
            await node._housekeeping.announce()
        session = await web.begin_login("alice", with_lookup=True)
        [_, status] = await web.expect("page", "lookup")
        assert status == 200
        await session.expect("onLoginSuccess")
        ports = (server.tls_port, server.other.tls_port)
        opened = [await web.expect("socket", "open") for _ in range(2)]
        assert sorted(opened) == sorted([f"wss://{HOST}:{port}/"] for port in ports)
        [closed, _code] = await web.expect("socket", "close")
        assert [closed] in opened
        await session.sync()
        sessions = {
            f"wss://{HOST}:{port}/": it.sessions for port, it in zip(ports, nodes, strict=True)
        }
        assert sessions.pop(closed) == 0
        assert list(sessions.values()) == [1]
