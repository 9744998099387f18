"""The static server of the sample page."""

from __future__ import annotations

import signal
import socket

import httpx
import pytest

from tests.samples.programs import ROOT, program

SDK = "node_modules/agora-signaling-sdk/AgoraSigSDK.min.js"


@pytest.fixture(autouse=True)
def installed() -> None:
    """Fail in one clear line where npm has not installed the web SDK."""
    if not (ROOT / "samples" / "web" / SDK).exists():
        pytest.fail("the web SDK is not installed: run `npm ci` in samples/web", pytrace=False)


async def test_it_serves_the_page_and_the_web_sdk() -> None:
    async with program("samples/web_server.py", "--port", "0") as server:
        url = (await server.expect(r"the page is at (http://127\.0\.0\.1:\d+/)$"))[1]
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            for path in ("", "page.js", "page.css", "icon.svg", SDK):
                answer = await client.get(path)
                assert answer.status_code == 200, path
                assert answer.headers["Cache-Control"] == "no-cache"
            assert (await client.get("..%2fdemo.py")).status_code == 404
            assert (await client.get("../demo.py")).status_code == 404


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_0(number: signal.Signals) -> None:
    async with program("samples/web_server.py", "--port", "0") as server:
        await server.expect("the page is at")
        server.send(number)
        assert await server.end() == 0
    assert server.lines == []


async def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with program("samples/web_server.py", "--port", str(port)) as server:
            assert await server.end() == 1
    assert server.lines == [f"error: cannot listen on 127.0.0.1:{port}: Address already in use"]
