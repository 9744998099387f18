"""What the tests of `signal-sdk doctor --client` share: a server to look at, and what was seen."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import trio
import trustme

from signal_sdk.cli import old_clients
from signal_sdk.cli.probes import Asked
from signal_sdk.server.config import AppConfig, Config, NativeConfig, ServerConfig
from signal_sdk.testing.server import LocalServer
from signal_sdk.wire import names, tokens

APP = "970ca35de60c44645bbae8a215061b33"
CERTIFICATE = "5cfd2fd1755d40ecb72977518be15d3b"
ACCOUNT = "signal-sdk-doctor"
WEB_NAME = "127-0-0-1-sig-web.agora.io"
LOOKUP_NAMES = [f"lbs-{number}-sig.agora.io" for number in (1, 2, 3, 4)]
GOOD = tokens.make_token(APP, CERTIFICATE, ACCOUNT, 10**11)
EXPIRED = tokens.make_token(APP, CERTIFICATE, ACCOUNT, 1)
CLIENTS = ["native", "web", "java"]
LOCAL: dict[str, Any] = {"host": "127.0.0.1"}
TWICE = " (twice: the client dials two)"
IS_IT_ON = (
    "is the server running, with native clients on ([native] enabled = true, or --native),"
    " on this machine?"
)


class Certificates:
    """A CA, and certificates for names, as files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self.ca = str(directory / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)

    def server(
        self,
        *hosts: str,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        **settings: Any,
    ) -> ServerConfig:
        """The configuration of a server whose certificate holds for these."""
        cert, key = (str(self._directory / f"{name}.pem") for name in ("cert", "key"))
        issued = self._authority.issue_cert(*hosts, not_before=not_before, not_after=not_after)
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        return ServerConfig(cert=cert, key=key, **settings)

    def trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context


def config(server: ServerConfig | None = None, **native: Any) -> Config:
    """A server with one app, which needs tokens."""
    return Config(
        server=server or ServerConfig(),
        native=NativeConfig(enabled=True, **native),
        apps=(AppConfig(id=APP, certificate=CERTIFICATE),),
    )


@contextmanager
def bound(kind: socket.SocketKind, *, listens: bool = False) -> Iterator[int]:
    """A port of 127.0.0.1 that is taken, and where nobody answers."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if listens:
            sock.listen()
        yield sock.getsockname()[1]


def lookup_ports(server: LocalServer, client: str) -> tuple[int, ...]:
    ports = {"native": server.lookup_ports, "web": [server.tls_port], "java": [server.port]}
    return tuple(ports[client])


@attrs.define
class Outcome:
    """What was seen, and what was wrong in the end."""

    lines: list[str]
    problem: str

    @property
    def steps(self) -> list[str]:
        """The steps that are told of, a repeated one once."""
        return list(dict.fromkeys(line.partition(":")[0] for line in self.lines))

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.lines if ": warning: " in line]

    @property
    def failed(self) -> str:
        """The step that failed."""
        return self.problem.partition(":")[0]


async def look(client: str, server: LocalServer | None = None, **asked: Any) -> Outcome:
    """Do as the client does, here in the test's process."""
    lines: list[str] = []
    if server is not None:
        asked = {"lookup_ports": lookup_ports(server, client), **asked}
    asked = {"app": APP, "account": ACCOUNT, "token": GOOD, **asked}
    with trio.fail_after(30):
        problem = await old_clients.run(
            client, Asked(**asked), lambda step: lines.append(str(step))
        )
    outcome = Outcome(lines, str(problem) if problem is not None else "")
    for text in (*outcome.lines, outcome.problem):
        assert asked["token"] == names.NO_TOKEN or asked["token"] not in text
        assert "\n" not in text
    return outcome
