"""`signal-sdk ready`: does a server let clients in? For a container's health check and a script.

Owns: the question and its answer. Must not know how a server decides. It asks with the standard
library alone, so that it costs a fraction of what the SDK would each time.
"""

from __future__ import annotations

import http.client
import os
from typing import Final

import click

from signal_sdk.cli.events import as_json
from signal_sdk.cli.output import say
from signal_sdk.errors import LinkError

__all__ = ["ready"]

SECONDS: Final = 5
DEFAULT: Final = "127.0.0.1:8001"
SHOWN_CHARS: Final = 200


def _place(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, int]:
    text = value or os.environ.get("SIGNAL_SDK_SERVER") or DEFAULT
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise click.BadParameter(f"{text!r} is no HOST:PORT.")
    return host.removeprefix("[").removesuffix("]"), int(port)


@click.command()
@click.option(
    "--server",
    "place",
    metavar="HOST:PORT",
    callback=_place,
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
