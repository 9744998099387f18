"""A real Redis behind Sentinel for a test: a master, a replica, and one Sentinel, who is enough.

Owns: how they are put together, and a master's death. Must not know what stands in Redis.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from tests.redis.servers import RedisServer, wait_until

NAME: Final = "signal"
"""What the Sentinel calls the master."""
DOWN_AFTER_MS: Final = 300


class RedisSentinel:
    """A master and a replica in `servers`, and a `sentinel`, while the block runs.

    - `config`: lines of redis.conf for the first two; see `RedisServer`.
    - `appends`: as `RedisServer` has it.
    """

    def __init__(self, *, config: Sequence[str] = (), appends: bool = False) -> None:
        self._config = config
        self._appends = appends
        self.servers: list[RedisServer] = []
        self.sentinel = RedisServer()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # A replica is sent what there is at once, not five seconds later for others to come.
            common = ["repl-diskless-sync-delay 0", *self._config]
            first = RedisServer(config=common, appends=self._appends)
            stack.enter_context(first)
            lines = [*common, f"replicaof 127.0.0.1 {first.port}"]
            second = RedisServer(config=lines, appends=self._appends)
            stack.enter_context(second)
            self.servers = [first, second]
            lines = [
                f"sentinel monitor {NAME} 127.0.0.1 {first.port} 1",
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
                f"sentinel failover-timeout {NAME} 2000",
            ]
            self.sentinel = RedisServer(config=lines, command=["--sentinel"])
            stack.enter_context(self.sentinel)
            wait_until(self._is_whole, "the Sentinel does not know a replica that is in step")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where the Sentinel is, as a server's configuration says it."""
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{NAME}"

    def _is_whole(self) -> bool:
        facts = self.sentinel.info("sentinel")["master0"]
        return (
            "status=ok,address=" in facts
            and ",slaves=1," in facts
            and self.replica.info("replication")["master_link_status"] == "up"
            # The master counts it from its first word on.
            and "state=online" in self.master.info("replication").get("slave0", "")
        )

    @property
    def master(self) -> RedisServer:
        """The master, as the Sentinel sees it."""
        _, port = self.sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
        return next(server for server in self.servers if server.port == int(port))

    @property
    def replica(self) -> RedisServer:
        """The other one."""
        master = self.master
        return next(server for server in self.servers if server is not master)

    def kill_master(self) -> RedisServer:
        """Kill the master, and wait until the Sentinel has made the replica one, which is returned.
        What was killed may be started again: it becomes the replica, which takes a Sentinel 10 s
        and more.
        """
        before, after = self.master, self.replica
        before.kill()

        def is_done() -> bool:
            try:
                return self.master is after and after.info("replication")["role"] == "master"
            except ConnectionError:
                # The Sentinel breaks all connections to one that it has made the master.
                return False

        wait_until(is_done, "the Sentinel did not make the replica the master")
        return after
