"""Channels and point-to-point messages on python-socketio and uvicorn. Prints its port when it
listens.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from typing import Any

import socketio  # type: ignore[import-not-found, unused-ignore]
import uvicorn  # type: ignore[import-not-found, unused-ignore]

APP_ID = os.environ["APP_ID"]
CERTIFICATE = os.environ["CERTIFICATE"]

users: dict[str, str] = {}
accounts: dict[str, str] = {}
server = socketio.AsyncServer(
    async_mode="asgi",
    transports=["websocket"],
    ping_interval=float(os.environ["PING_SECONDS"]),
    ping_timeout=20,
    # Responses to HTTP requests are not measured.
    http_compression=False,
)


def is_token_right(account: str, token: str) -> bool:
    version, app, expiry, digest = token.split(":")
    text = f"{account}{APP_ID}{CERTIFICATE}{expiry}"
    expected = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return (version, app, digest) == ("1", APP_ID, expected) and int(expiry) > time.time()


async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str]) -> bool:
    account = auth["account"]
    if not is_token_right(account, auth["token"]):
        return False
    users[account] = sid
    accounts[sid] = account
    return True


async def join(sid: str, channel: str) -> str:
    await server.enter_room(sid, channel)
    return "^|^="


async def say(sid: str, channel: str, text: str) -> str:
    await server.emit("said", (channel, accounts[sid], text), room=channel)
    return "^|^="


async def tell(sid: str, to: str, text: str) -> str:
    if to in users:
        await server.emit("told", (accounts[sid], text), to=users[to])
    return "^|^="


async def disconnect(sid: str, reason: str) -> None:
    account = accounts.pop(sid, "")
    if users.get(account) == sid:
        del users[account]


for handler in (connect, join, say, tell, disconnect):
    server.on(handler.__name__, handler)


def main() -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(f"port {listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        socketio.ASGIApp(server),
        log_level="error",
        access_log=False,
        ws_ping_interval=None,
        ws_per_message_deflate=False,
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
