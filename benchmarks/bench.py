"""What every work is given: rounds, sizes, cores, and the peers that take part.

Owns: the choice of peers and the interleaving of rounds. Must not know any one work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import attrs

from benchmarks import servers
from benchmarks.process import BenchmarkError, Cores
from benchmarks.servers import Peer
from benchmarks.trees import Tree


class Labelled(Protocol):
    """Whatever takes its turn."""

    @property
    def label(self) -> str: ...


T = TypeVar("T", bound=Labelled)


@attrs.frozen(kw_only=True)
class Bench:
    """The circumstances of all works."""

    rounds: int
    is_quick: bool
    cores: Cores
    chosen: tuple[str, ...] = ()
    """The peers' names; all, where there are none."""
    against: Tree | None = None
    """Ours are measured as they are there, too, by turns."""

    def say(self, text: str) -> None:
        """Tell whoever waits."""
        print(text, flush=True)

    def takes(self, name: str) -> bool:
        """Does this peer take part?"""
        return not self.chosen or name in self.chosen

    def peers(self, names: Sequence[str]) -> list[Peer]:
        """Those of `names` that take part. Raises `BenchmarkError` where one cannot."""
        peers = []
        for name in names:
            if not self.takes(name):
                continue
            peer = servers.BY_NAME[name]
            if lack := peer.missing():
                raise BenchmarkError(f"{name} cannot take part: {lack}; leave it out by --peers")
            peers.append(peer)
        return peers

    def turns(self, names: Sequence[str], at_most: int = 1000) -> Iterator[Peer]:
        """The peers, one after the other, in each round again: what the machine does meanwhile
        befalls all of them. `at_most` so many rounds.
        """
        groups = [[peer, *self._as_it_was(peer)] for peer in self.peers(names)]
        return self.in_turns(groups, at_most)

    def in_turns(
        self, groups: Sequence[Sequence[T]], at_most: int = 1000, *, parts: int = 1
    ) -> Iterator[T]:
        """As `turns`, of whatever there is. Those of a group are to be compared: each of them is
        the first in every other round, of which there are `parts` times as many.
        """
        rounds = min(self.rounds, at_most) * parts
        for number in range(1, rounds + 1):
            for group in groups:
                for each in group if number % 2 else reversed(group):
                    self.say(f"  round {number} of {rounds}: {each.label}")
                    yield each

    def _as_it_was(self, peer: Peer) -> list[Peer]:
        """The peer with the code of the commit that is measured against, where it has any."""
        if self.against is None or peer.tree is None:
            return []
        [then] = [each for each in servers.ours(self.against) if each.name == peer.name]
        if lack := then.missing():
            self.left_out(then.label, lack)
            return []
        return [then]

    def left_out(self, label: str, lack: str) -> None:
        """Tell that a commit cannot take part in what it is measured against."""
        self.say(f"  {label} is left out: {lack}")
