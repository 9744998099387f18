"""What every work is given: rounds, sizes, cores, and the peers that take part.

Owns: the choice of peers and the interleaving of rounds. Must not know any one work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from benchmarks import servers
from benchmarks.process import BenchmarkError, Cores
from benchmarks.servers import Peer


@attrs.frozen(kw_only=True)
class Bench:
    """The circumstances of all works."""

    rounds: int
    is_quick: bool
    cores: Cores
    chosen: tuple[str, ...] = ()
    """The peers' names; all, where there are none."""

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
        peers = self.peers(names)
        rounds = min(self.rounds, at_most)
        for number in range(1, rounds + 1):
            for peer in peers:
                self.say(f"  round {number} of {rounds}: {peer.name}")
                yield peer
