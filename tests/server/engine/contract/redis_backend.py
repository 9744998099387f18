"""The engine on Redis under a clock that jumps: it stands still while Redis has not answered.

Owns: what of that engine a test needs otherwise. Must not know a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import trio

from signal_sdk.net.sleeper import Sleeper
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import resp
from signal_sdk.server.engine.redis.engine import RedisEngine
from signal_sdk.server.engine.redis.lives import all_done
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline
from tests.redis.servers import RedisServer

AT_ONCE: Final = (
    *("attach", "bound", "run", "aclose", "statistics", "measures"),
    *("check_writable", "when_durable"),
    *("is_behind", "newest_time", "token_time", "arrival_time", "forget_newer_time"),
    *("unsubscribe", "unwatch"),
    "keep_happenings",
)
"""What is no operation that may be pending."""


class Awaited:
    """An engine whose operations are awaited, whether their results are there at once or not."""

    def __init__(self, engine: Any) -> None:
        self.inner = engine

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.inner, name)
        if name in AT_ONCE:
            return operation

        async def ask(*args: Any, **kwargs: Any) -> Any:
            return await waited(operation(*args, **kwargs))

        return ask


async def spin() -> None:
    """Do nothing, all the time: trio's clock does not jump meanwhile."""
    while True:
        await trio.lowlevel.checkpoint()


class StillPipeline(Pipeline):
    """While something was asked and not answered, some task of this process runs."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._spinner = Sleeper()

    def ask_now(self, ask: Any) -> Any:
        super().ask_now(ask)
        self._spinner.wake()
        return ask

    async def _watch(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._spin)
            await super()._watch()
            nursery.cancel_scope.cancel()

    async def _spin(self) -> None:
        while True:
            if self._asked or self._outgoing:
                await trio.lowlevel.checkpoint()
            else:
                await self._spinner.sleep()


class StillEngine(RedisEngine):
    """An engine of such pipelines."""

    pipeline_class = StillPipeline

    def ping(self) -> Any:
        """Answered once all is heard that was published before."""
        return all_done(
            [pipeline.ask(Ask(resp.command("PING"), bool)) for pipeline in self._servers]
        )


WRONG: Final = """
local wrong, found = {}, {}
local counts = {inviting = 'ki', ringing = 'kr', accepted = 'ka'}
local function add(base, what, by)
  found[base] = found[base] or {ie = 0, mb = 0, ki = 0, kr = 0, ka = 0}
  found[base][what] = found[base][what] + by
end
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local base, kind = string.match(key, '^(.-}:)(%a+:?)')
  if kind == 'i:' then
    add(base, 'ie', redis.call('LLEN', key))
  elseif kind == 'm:' then
    add(base, 'mb', redis.call('ZCARD', key))
  elseif kind == 'calls' then
    for _, packed in ipairs(redis.call('HVALS', key)) do
      add(base, counts[cmsgpack.unpack(packed)[6]], 1)
    end
  elseif kind == 'app' then
    add(base, 'ie', 0)
  end
end
for base, numbers in pairs(found) do
  for what, number in pairs(numbers) do
    local counted = tonumber(redis.call('HGET', base .. 'app', what)) or 0
    if counted ~= number then
      wrong[#wrong + 1] = base .. what .. ': ' .. counted .. ' counted, ' .. number .. ' there'
    end
  end
end
return wrong
"""
"""Which of the numbers in `app` are not those of a look at all that there is."""


def check_counted(servers: Sequence[RedisServer], prefix: str) -> None:
    """What the functions count as they change it is what there is."""
    for server in servers:
        assert server.command("EVAL", WRONG, 0, prefix) == []
