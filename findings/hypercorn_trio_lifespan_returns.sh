#!/usr/bin/env bash
# hypercorn 0.18.0: an ASGI application that has no use for the lifespan scope and just returns from
# it is served by the asyncio worker, and not by the trio one: that raises trio.ClosedResourceError
# out of `serve`, before it listens, which says nothing of a lifespan. The application has returned
# and its channel is closed before the server sends `lifespan.startup` into it. One that raises
# there, which the specification names, is served by both.
#
# Seen: asyncio serves both, trio serves the one that raises, and ends by ClosedResourceError with
# the one that returns, each of 5 times.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hypercorn==0.18.0 trio==0.32.0
cat >"$folder/show.py" <<'PY'
import asyncio

import hypercorn.asyncio
import hypercorn.trio
import trio
from hypercorn.config import Config

TIMES = 5


async def returns(scope, receive, send):
    if scope["type"] == "lifespan":
        return


async def raises(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError


def config():
    made = Config()
    made.bind = ["127.0.0.1:0"]
    made.errorlog = None
    return made


def first(exc):
    while hasattr(exc, "exceptions"):
        exc = exc.exceptions[0]
    return type(exc).__name__


def on_trio(app):
    async def main():
        async with trio.open_nursery() as nursery:
            with trio.fail_after(10):
                await nursery.start(hypercorn.trio.serve, app, config())
            nursery.cancel_scope.cancel()

    trio.run(main)


def on_asyncio(app):
    async def main():
        async def soon():
            await asyncio.sleep(0.2)

        await hypercorn.asyncio.serve(app, config(), shutdown_trigger=soon)

    asyncio.run(main())


for app in (returns, raises):
    for on in (on_asyncio, on_trio):
        seen = set()
        for _ in range(TIMES):
            try:
                on(app)
            except BaseException as exc:
                seen.add(first(exc))
            else:
                seen.add("served")
        print(f"{app.__name__} {on.__name__}: {', '.join(sorted(seen))}")
PY
"$folder/venv/bin/python" "$folder/show.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
returns on_asyncio: served
returns on_trio: ClosedResourceError
raises on_asyncio: served
raises on_trio: served
SEEN
