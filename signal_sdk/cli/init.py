"""`signal-sdk init`: a configuration to start from, with secrets of its own.

Owns: which keys stand in it and what it says of them, and that nobody else can read it. Must not
know what a server does with it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import click

from signal_sdk.cli.completing import directories, files
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.newfile import new_file
from signal_sdk.cli.output import say
from signal_sdk.printable import one_line
from signal_sdk.server.config_admin import RIGHTS
from signal_sdk.server.config_errors import toml_value

__all__ = ["SECTIONS", "Fresh", "init"]

DATA: Final = "signal-data"


def _secret() -> str:
    """As the original certificates are: 32 characters, of 128 bits that nobody can guess."""
    return secrets.token_hex(16)


@attrs.frozen(kw_only=True)
class Fresh:
    """What is new in each file, and where the state is to be."""

    data: str
    app: str = attrs.field(factory=_secret)
    certificate: str = attrs.field(factory=_secret, repr=False)
    admin_key: str = attrs.field(factory=_secret, repr=False)


def _beginning(_: Fresh) -> str:
    return """\
# The configuration of a signaling server, made by `signal-sdk init`.
#
#     signal-sdk check FILE              says what is wrong in it
#     signal-sdk serve --config FILE     runs the server
#     signal-sdk serve --print-config    prints every key that there is, with its default
#
# It holds secrets: whoever can read it can log in as anybody. What begins with "# " and a key is
# only an example.
"""


def _server(fresh: Fresh) -> str:
    return f"""\
[server]
# The address to listen on: this machine alone; "0.0.0.0" is every IPv4 address.
host = "127.0.0.1"
# The port for the lookup and for plain WebSocket connections; TLS is on the next one.
port = 8001
# The directory where messages that wait, sessions and attributes are kept.
data = {toml_value(fresh.data)}
# TLS: the certificate with its chain, and its private key, in PEM.
# cert = "/etc/signal-sdk/cert.pem"
# key = "/etc/signal-sdk/key.pem"
# The web pages that may use the server; without this, any may.
# allowed_origins = ["https://example.com"]
# The proxies before the server, whose word counts for whom they connect.
# trusted_proxies = ["10.0.0.0/8"]
"""


def _native(_: Fresh) -> str:
    return """\
[native]
# Whether the original native SDK's clients (old phone and desktop apps) are served.
enabled = false
"""


def _app(fresh: Fresh) -> str:
    return f"""\
[[apps]]
# What clients log in with, and the secret that their tokens are signed with: `signal-sdk token
# make` makes one by hand, `signal_sdk.make_token` does in a backend.
id = {toml_value(fresh.app)}
certificate = {toml_value(fresh.certificate)}
# The accounts that may hear who comes, goes, joins and leaves in the whole app.
# listeners = ["monitor"]
"""


def _admin(fresh: Fresh) -> str:
    rights = ", ".join(map(toml_value, RIGHTS))
    return f"""\
[admin]
# The address of those who run the server, for its API, metrics and console. Without this it is
# 127.0.0.1, ten ports above [server] port.
# address = "127.0.0.1:8011"

[[admin.keys]]
# Whoever has this key may do what its rights say, in the app of that id; "*" is in all of them.
name = "operator"
key = {toml_value(fresh.admin_key)}
app = "*"
rights = [{rights}]
"""


def _limits(_: Fresh) -> str:
    return """\
[limits]
# How many connections may be open at once, and how many an address may have; 0 is no limit.
max_connections = 20000
connections_per_address = 1000
"""


SECTIONS: Final[list[Callable[[Fresh], str]]] = [
    _beginning,
    _server,
    _native,
    _app,
    _admin,
    _limits,
]
"""What the file is made of, in this order."""


@click.command(short_help="Write a configuration to start from, with a new app.")
@click.argument("file", metavar="[FILE]", shell_complete=files, default="signal.toml")
@click.option(
    "--data",
    metavar="DIR",
    shell_complete=directories,
    help=f"The directory that state is to be kept in.  [default: {DATA} beside FILE]",
)
@click.option("--force", is_flag=True, help="Replace FILE where it is there already.")
@json_option
def init(*, file: str, data: str | None, force: bool, is_json: bool) -> None:
    """Write a configuration to start from to FILE (signal.toml), with a new app and its secret.

    It is for this user alone (mode 0600). A FILE that is there is left alone, but for --force.
    """
    path = Path(file)
    fresh = Fresh(data=str(Path(data or path.parent / DATA).absolute()))
    text = "\n".join(section(fresh) for section in SECTIONS)
    with new_file(path, is_forced=force) as fd, os.fdopen(fd, "wb", closefd=False) as it:
        it.write(text.encode())
    if is_json:
        say(as_json({"config": file, "app": fresh.app, "data": fresh.data}))
        return
    say(one_line(f"{file}: made, for this user alone, with the app {fresh.app}"))
    say(one_line(f"next: signal-sdk serve --config {file}"))
