"""`signal-sdk ready`: does a server let clients in? For a container's health check and a script.

Owns: the question and its answer. Must not know how a server decides. It asks with the standard
library alone, so that it costs a fraction of what the SDK would each time.
"""

from __future__ import annotations

import http.client
import os
from typing import Final
from urllib.parse import urlsplit

import click

from signal_sdk.cli.events import as_json
from signal_sdk.cli.output import say
from signal_sdk.errors import LinkError
from signal_sdk.printable import one_line

__all__ = ["ready"]

SECONDS: Final = 5
DEFAULT: Final = "127.0.0.1:8001"
PORTS: Final = {"": 8001, "http": 80, "ws": 80}
SHOWN_CHARS: Final = 200


def _given_place(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int]:
    text = value or os.environ.get("SIGNAL_SDK_SERVER") or DEFAULT
    try:
        return _place(text)
    except ValueError:
        raise click.BadParameter(f"{one_line(text)!r} is no HOST:PORT of a plain port.") from None


def _place(text: str) -> tuple[str, int]:
    """The host and the port. Raises `ValueError`."""
    # As for other commands, of whose addresses some are of no use here.
    parts = urlsplit(text if "://" in text else f"//{text}")
    port = parts.port if parts.port is not None else PORTS.get(parts.scheme)
    if not parts.hostname or not port or parts.scheme not in PORTS:
        raise ValueError
    return parts.hostname, port


@click.command(short_help="Ask a server whether it lets clients in.")
@click.option(
    "--server",
    "place",
    metavar="HOST:PORT",
    callback=_given_place,
    help=f"The server's plain port.  [default: $SIGNAL_SDK_SERVER, or {DEFAULT}]",
)
@click.option("--alive", is_flag=True, help="Ask only whether it serves, be it full or going away.")
@click.option("--json", "is_json", is_flag=True, help="Print it as one JSON object.")
def ready(place: tuple[str, int], *, alive: bool, is_json: bool) -> None:
    """Ask a server whether it lets clients in, and end with 0 if it does, else with 1."""
    host, port = place
    where = f"{f'[{host}]' if ':' in host else host}:{port}"
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz" if alive else "/readyz")
        answer = connection.getresponse()
        said = answer.read(SHOWN_CHARS).decode(errors="replace").strip()
    except OSError as exc:
        raise LinkError(f"{where}: {exc.strerror or exc}") from None
    except http.client.HTTPException:
        raise LinkError(f"{where}: what answers there speaks no HTTP") from None
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        raise LinkError(f"{where} lets nobody in: {answer.status} {said}")
    if is_json:
        say(as_json({"server": where, "alive" if alive else "ready": True}))
        return
    say(f"{where} {'serves' if alive else 'lets clients in'}")
