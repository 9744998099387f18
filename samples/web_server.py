"""Serves the page in samples/web, with the web SDK that npm has installed beside it.

    python samples/web_server.py --port 8080

For this machine only, and for files only: the page itself connects to the signaling server.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
PAGE = Path(__file__).with_name("web")
SDK = PAGE / "node_modules" / "agora-signaling-sdk" / "AgoraSigSDK.min.js"


class Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        # Whoever edits the page wants to see the change.
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


def main(port: int) -> None:
    if not SDK.exists():
        sys.exit(f"error: the web SDK is not installed: run `npm ci` in {PAGE}")
    try:
        server = ThreadingHTTPServer((HOST, port), partial(Handler, directory=str(PAGE)))
    except OSError as exc:
        sys.exit(f"error: cannot listen on {HOST}:{port}: {exc.strerror}")
    # SIGTERM ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), server:
        print(f"the page is at http://{HOST}:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serves the page in samples/web.")
    parser.add_argument("--port", type=int, default=8080, help="0 takes any free one")
    main(parser.parse_args().port)
