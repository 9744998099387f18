"""The console's files, as they are served: to anybody, whole, of the right type, and to no page but
their own.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from signal_sdk.server.admin import files
from signal_sdk.server.admin.files import console_files
from tests.server.admin.helpers import KEY, URL, asker

FOLDER: Final = Path(files.__file__).with_name("console")
PATHS: Final = sorted(console_files())
UP: Final = "%2e%2e"


def test_every_file_of_the_folder_has_its_place() -> None:
    assert set(PATHS) == {"/"} | {
        f"/{FOLDER.name}/{path.name}" for path in FOLDER.iterdir() if path.name != "index.html"
    }


@pytest.mark.parametrize("path", PATHS)
async def test_a_file_comes_without_a_key_and_is_kept_until_it_is_another(path: str) -> None:
    on_disk = FOLDER / ("index.html" if path == "/" else path.rpartition("/")[2])
    async with asker() as ask:
        answer = await ask("GET", path, key=None)
        assert answer.status_code == HTTPStatus.OK
        assert answer.content == on_disk.read_bytes()
        tag = answer.headers["etag"]
        again = await ask("GET", path, key=None, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content) == (HTTPStatus.NOT_MODIFIED, b"")
        assert again.headers["etag"] == tag
        other = await ask("GET", path, key=None, headers={"If-None-Match": '"other"'})
        assert other.content == answer.content


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/console/main.js", "text/javascript; charset=utf-8"),
        ("/console/uPlot.esm.js", "text/javascript; charset=utf-8"),
        ("/console/look.css", "text/css; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
        ("/console/uPlot.LICENSE", "text/plain; charset=utf-8"),
    ],
)
async def test_a_file_says_what_it_is_and_what_it_may_do(path: str, kind: str) -> None:
    async with asker() as ask:
        headers = (await ask("GET", path, key=None)).headers
        assert headers["content-type"] == kind
        assert headers.get_list("cache-control") == ["no-cache"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy.pop("require-trusted-types-for") == "'script'"
        assert {
            name: policy.pop(name)
            for name in ("script-src", "style-src", "img-src", "connect-src")
            if policy[name] == "'self'"
        }.keys() == {"script-src", "style-src", "img-src", "connect-src"}
        assert set(policy) == {
            *("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types")
        }
        assert set(policy.values()) == {"'none'"}


async def test_what_the_api_answers_is_kept_nowhere() -> None:
    async with asker() as ask:
        for path in ("/v1/key", "/openapi.json", "/no/such"):
            headers = (await ask("GET", path)).headers
            assert headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize(
    "path",
    [
        *("/console", "/console/", "/console/index.html", "/index.html", "/console/main.js/"),
        *(f"/console/{UP}/files.py", f"/console/{UP}%2ffiles.py", "/console/..%2ffiles.py"),
        *("/console/%2fetc%2fpasswd", "/console//main.js", "//console/main.js", "/files.py"),
        *("/console/main.js%00", "/console/MAIN.JS", "/console/%6dain.js"),
    ],
)
async def test_nothing_else_is_served(path: str) -> None:
    async with asker() as ask:
        answer = await ask("GET", path, key=None)
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert answer.json()["type"].endswith(":no-such-path")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_it_can_only_be_read(method: str) -> None:
    async with asker() as ask:
        answer = await ask(method, "/", key=None)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/console/main.js", "/v1/key", "/openapi.json"])
async def test_a_page_from_elsewhere_gets_nothing(path: str) -> None:
    """With a key or without one, by its own origin or by a name of its own that leads here."""
    async with asker() as ask:
        for origin in ("http://evil.example", "null", "http://127.0.0.1:9", "https://127.0.0.1"):
            answer = await ask("GET", path, key=KEY, headers={"Origin": origin})
            assert answer.status_code == HTTPStatus.FORBIDDEN
            assert "access-control-allow-origin" not in answer.headers
        answer = await ask("GET", path, key=KEY, headers={"Host": "evil.example"})
        assert answer.status_code == HTTPStatus.FORBIDDEN
        asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
        answer = await ask("OPTIONS", path, key=None, headers=asked)
        assert answer.status_code == HTTPStatus.FORBIDDEN
        assert "access-control-allow-headers" not in answer.headers
        answer = await ask("GET", path, headers={"Origin": URL})
        assert answer.status_code == HTTPStatus.OK


def test_the_page_has_nothing_that_its_policy_forbids() -> None:
    page = (FOLDER / "index.html").read_text()
    assert re.findall(r"\son\w+=|\sstyle=|<style|javascript:|https?:", page) == []
    for place in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert f"/{place}" in PATHS
    assert re.findall(r"<script(?![^>]*src=)", page) == []
