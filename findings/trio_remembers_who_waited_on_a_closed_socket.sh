#!/usr/bin/env bash
# trio 0.35.0 (epoll): to wait on a socket object that is closed already raises ValueError, as its
# descriptor is -1 then, but the task stays noted as the reader of descriptor -1 for the rest of the
# run. Whoever waits on any other closed socket later is told BusyResourceError, that another task
# is reading it, though there is none, and the first has long gone on. A server whose connections
# are closed by one task while others are about to wait on them sees an error that points nowhere,
# once in a while, and never the first time: who handles ValueError has not handled this one.
#
# Seen: 0.35.0 one after the other: ValueError BusyResourceError BusyResourceError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/show.py" <<'PY'
import socket
from importlib.metadata import version

import trio


async def main():
    seen = []
    for _ in range(3):
        one, other = socket.socketpair()
        one.close()
        other.close()
        try:
            await trio.lowlevel.wait_readable(one)
        except (ValueError, trio.BusyResourceError) as exc:
            seen.append(type(exc).__name__)
    print(version("trio"), "one after the other:", *seen)


trio.run(main)
PY
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check trio==0.35.0
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
0.35.0 one after the other: ValueError BusyResourceError BusyResourceError
SEEN
