"""A web endpoint that sends a message: `signal_sdk.aio` in a FastAPI program.

    pip install fastapi uvicorn
    python samples/fastapi_send.py --server 127.0.0.1:8001 --app demo --port 8000
    curl -H 'Content-Type: application/json' -d '{"to": "alice", "text": "Your parcel is here"}' \
        http://127.0.0.1:8000/send

The answer is `{"sent": true}` once the server has the message, or `{"detail": …, "ecode": …}` with
what was wrong: 400 (an argument), 429 with `Retry-After` (too many), 503 (not logged in) or 502
(anything else).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from signal_sdk import ECode, SignalError
from signal_sdk.aio import Signal

STATUS = {
    ECode.GENERAL_E_NOT_LOGIN: 503,
    ECode.GENERAL_E_WRONG_PARAM: 400,
    ECode.GENERAL_E_LARGE_PARAM: 400,
}


class Message(BaseModel):
    to: str
    text: str


def make_app(server: str | None, app_id: str, account: str, token: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # In the process and the loop that serve: a worker that was forked has its own.
        async with Signal(app_id, server=server) as signal, signal.login(account, token) as session:
            app.state.session = session
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/send")
    async def send(message: Message) -> dict[str, bool]:
        await app.state.session.message_instant_send(message.to, message.text)
        return {"sent": True}

    @app.exception_handler(SignalError)
    async def tell(_: Request, exc: SignalError) -> JSONResponse:
        status, headers = STATUS.get(exc.ecode, 502), {}
        if exc.retry_after is not None:
            status, headers = 429, {"Retry-After": str(math.ceil(exc.retry_after))}
        detail = {"detail": exc.reason, "ecode": int(exc.ecode)}
        return JSONResponse(detail, status_code=status, headers=headers)

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="A web endpoint that sends a message.")
    parser.add_argument("--server", help="HOST:PORT (default: $SIGNAL_SDK_SERVER, or this machine)")
    parser.add_argument("--app", default="demo", help="the app's id")
    parser.add_argument("--account", default="sender")
    parser.add_argument("--token", default="_no_need_token")
    parser.add_argument("--port", type=int, default=8000, help="0 takes any free one")
    args = parser.parse_args()
    app = make_app(args.server, args.app, args.account, args.token)
    uvicorn.run(app, host="127.0.0.1", port=args.port)


if __name__ == "__main__":
    main()
