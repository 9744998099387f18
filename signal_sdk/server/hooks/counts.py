"""How hooks fare, as plain numbers that whoever measures reads.

Owns: which numbers there are. Must not know who counts, or who reads.
"""

from __future__ import annotations

import attrs


@attrs.define
class HookCounts:
    """Since the node was made, of this process: events that a backend has (`delivered`), requests
    that it has (`posted`) and that have failed (`failed`); questions (`asked`), and what became of
    them: `allowed`, `refused`, and `unanswered`, which were decided by default.

    As they were seen last, of all apps that this node knows, whichever node sends: events that wait
    (`queued`), since when the oldest does (`oldest`, Unix milliseconds, 0 where none waits), and
    how many were `dropped` because there were too many.
    """

    delivered: int = 0
    posted: int = 0
    failed: int = 0
    asked: int = 0
    allowed: int = 0
    refused: int = 0
    unanswered: int = 0
    queued: int = 0
    oldest: int = 0
    dropped: int = 0
