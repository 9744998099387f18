"""The console's files, as they are served: a page for whoever runs the server, and what it needs.

Owns: which files there are, how each is called and typed, and what a browser is told to keep others
out. Must not know what the page asks: that comes by the API, with a key. All of them are read once,
at the start: a request names an entry of a table, never a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["ConsoleFile", "console_files"]

FOLDER: Final = Path(__file__).with_name("console")
PAGE: Final = "index.html"
TYPES: Final = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".LICENSE": "text/plain; charset=utf-8",
    }
)
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""What the page may do: have what is its own, ask its own address, and nothing else. Text that
somebody chose becomes no script, since no text does.
"""
HEADERS: Final = MappingProxyType(
    {
        "Cache-Control": "no-cache",
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }
)
"""A browser keeps the files, but asks each time whether they are still these: an update of the
server is one of its page.
"""


@attrs.frozen
class ConsoleFile:
    """One file."""

    kind: str
    content: bytes
    tag: str

    async def answer(self, request: Request) -> Response:
        """It, or that whoever asks has it already."""
        headers = {**HEADERS, "ETag": self.tag}
        known = request.headers.get("if-none-match", "")
        if self.tag in (it.strip().removeprefix("W/") for it in known.split(",")):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.content, headers={**headers, "Content-Type": self.kind})


def console_files() -> dict[str, ConsoleFile]:
    """Every file by its path at the address: the page itself is at the root."""
    return dict(_files())


def _files() -> Iterator[tuple[str, ConsoleFile]]:
    for path in sorted(FOLDER.iterdir()):
        content = path.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        place = "/" if path.name == PAGE else f"/{FOLDER.name}/{path.name}"
        yield place, ConsoleFile(TYPES[path.suffix], content, tag)
