"""`signal-sdk serve`: the admin address, in dev mode by itself, and one for each worker."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import trio

from tests.cli.program import address_in, dev_server, one_line_of, program
from tests.cli.serves import ADMIN_LINE, connected, free_ports, listening_pair, write_config
from tests.redis.servers import RedisServer
from tests.server.admin.helpers import KEY
from tests.server.configs import SECRET

KEYS = (
    f'[[apps]]\nid = "app"\ncertificate = "{SECRET}"\n[[admin.keys]]\nname = "backend"\n'
    f'key = "{KEY}"\napp = "*"\nrights = ["read"]\n'
)


async def ask(url: str, key: str) -> httpx.Response:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
        return await client.get(f"{url}v1/key")


async def ask_until_it_serves(url: str, key: str) -> httpx.Response:
    """The second worker begins once the first serves."""
    while True:
        try:
            return await ask(url, key)
        except httpx.ConnectError:
            await trio.sleep(0.1)


async def test_in_dev_mode_there_is_one_with_a_key_that_is_said_once() -> None:
    async with dev_server("--no-native", "-vv") as (server, _):
        line = await server.out.next()
        found = ADMIN_LINE.fullmatch(line)
        assert found, line
        answer = await ask(found[1], found[2])
        assert (answer.json()["name"], answer.json()["app"]) == ("dev", "*")
        ended = await server.end(signal.SIGTERM)
    assert (ended.code, ended.out) == (0, "")
    assert found[2] not in ended.err


async def test_in_dev_mode_it_is_ten_ports_up_or_done_without() -> None:
    free, taken = listening_pair(10)
    port = free.getsockname()[1]
    free.close()
    with taken:
        async with program("serve", "--dev", "--no-native", "--port", str(port)) as server:
            address = address_in(await server.out.next())
            async with connected(address) as client:
                assert (await client.login("ann"))["result"] == "ok"
            ended = await server.end(signal.SIGTERM)
    assert (ended.code, ended.out) == (0, "")
    assert f"there is no admin address: cannot listen on 127.0.0.1:{port + 10}" in ended.err


async def test_without_dev_mode_it_is_there_with_keys_of_which_none_is_said(
    tmp_path: Path,
) -> None:
    [port] = free_ports(1)
    data = str(tmp_path / "data")
    path = write_config(
        tmp_path, f'[server]\nport = 0\n[admin]\naddress = "127.0.0.1:{port}"\n{KEYS}'
    )
    async with program("serve", "--config", path, "--data", data, "-vv") as server:
        await server.out.next()
        assert await server.out.next() == f"admin address: http://127.0.0.1:{port}/"
        assert (await ask(f"http://127.0.0.1:{port}/", KEY)).json()["name"] == "backend"
        async with program("serve", "--config", path, "--data", f"{data}2") as second:
            ended = await second.end()
        assert f"cannot listen on 127.0.0.1:{port}: " in one_line_of(ended)
        ended = await server.end(signal.SIGTERM)
    assert ended.code == 0
    assert KEY not in ended.err


async def test_each_worker_has_its_own_and_all_have_one_key(
    shared_redis: RedisServer, redis_prefix: str
) -> None:
    environment = {"SIGNAL_SDK_SERVER_REDIS_PREFIX": redis_prefix}
    flags = ("--redis", shared_redis.unix_url, "--workers", "2", "--no-native")
    async with program("serve", "--dev", "--port", "0", *flags, environment=environment) as server:
        await server.out.next()
        line = await server.out.next()
        places, _, key = line.removeprefix("admin address: ").removesuffix(")").partition(" (key ")
        first, second = places.split(" and ")
        ports = [int(place.rsplit(":", 1)[1].rstrip("/")) for place in (first, second)]
        assert ports[1] == ports[0] + 1
        for place in (first, second):
            assert (await ask_until_it_serves(place, key)).json()["name"] == "dev"
        ended = await server.end(signal.SIGTERM)
    assert ended.code == 0
