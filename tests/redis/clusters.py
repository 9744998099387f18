"""A real Redis Cluster for a test: three masters without replicas, which share the slots.

Owns: how it is put together, and how slots move while it is in use. Must not know what stands in
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Final, Self

from tests.redis.servers import RedisServer, wait_until

SLOTS: Final = 16_384
MASTERS: Final = 3
MIGRATE_MS: Final = 5_000


class RedisCluster:
    """Three masters in `nodes`, while the block runs; each has a third of the slots at first.

    - `config`: lines of redis.conf for each of them; see `RedisServer`.
    """

    def __init__(self, *, config: Sequence[str] = ()) -> None:
        # What a dead master had is refused by itself alone: the others go on with theirs.
        lines = ["cluster-enabled yes", "cluster-require-full-coverage no", *config]
        self.nodes = [RedisServer(config=lines) for _ in range(MASTERS)]
        self._stack = ExitStack()

    @property
    def urls(self) -> list[str]:
        """Each node's URL."""
        return [node.url for node in self.nodes]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for node in self.nodes:
                stack.enter_context(node)
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _join(self) -> None:
        share = -(-SLOTS // MASTERS)
        first = self.nodes[0]
        for number, node in enumerate(self.nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            begin = number * share
            node.command("CLUSTER", "ADDSLOTSRANGE", begin, min(begin + share, SLOTS) - 1)
            if node is not first:
                node.command("CLUSTER", "MEET", "127.0.0.1", first.port)
        wait_until(lambda: all(_is_whole(node) for node in self.nodes), "the Cluster is not whole")

    # --- where what is ---

    def slot(self, key: str) -> int:
        """The slot of a key."""
        slot: int = self.nodes[0].command("CLUSTER", "KEYSLOT", key)
        return slot

    def owner(self, slot: int) -> RedisServer:
        """The master that has the slot."""
        for begin, end, (_, port, *_), *_ in self.nodes[0].command("CLUSTER", "SLOTS"):
            if begin <= slot <= end:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"nobody has slot {slot}")

    def others(self, node: RedisServer) -> list[RedisServer]:
        """The other masters."""
        return [other for other in self.nodes if other is not node]

    def command(self, key: str, *words: str | bytes | float) -> Any:
        """The reply to a command about that key, from the master that has it."""
        return self.owner(self.slot(key)).command(*words)

    # --- slots that move ---

    def move(self, slots: range, target: RedisServer) -> None:
        """Move those slots to that master with all that is in them, as an operator's tool does."""
        for slot in slots:
            with self.moving(slot, target):
                pass

    @contextmanager
    def moving(self, slot: int, target: RedisServer) -> Iterator[None]:
        """A slot that is on its way to that master while the block runs: who asks for a key that is
        not there any more, is sent there (ASK). Behind the block all of it is there.
        """
        source = self.owner(slot)
        if source is target:
            yield
            return
        name = _name(target)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", _name(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", name)
        yield
        self.carry(slot, target)
        for node in (target, source, *self.others(source)):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", name)

    def carry(self, slot: int, target: RedisServer, count: int = SLOTS) -> list[str]:
        """Carry so many keys of a slot that is `moving` over at most; their names."""
        source = self.owner(slot)
        keys: list[str] = source.command("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            to = ("127.0.0.1", target.port, "", 0, MIGRATE_MS)
            source.command("MIGRATE", *to, "KEYS", *keys)
        return keys


def _name(node: RedisServer) -> str:
    name: str = node.command("CLUSTER", "MYID")
    return name


def _is_whole(node: RedisServer) -> bool:
    lines = node.command("CLUSTER", "INFO").splitlines()
    facts: dict[str, str] = dict(line.split(":", 1) for line in lines)
    return (
        facts["cluster_state"] == "ok"
        and facts["cluster_slots_ok"] == str(SLOTS)
        and facts["cluster_known_nodes"] == str(MASTERS)
    )
