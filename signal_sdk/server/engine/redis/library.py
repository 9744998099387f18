"""The functions that run in Redis: what they are called, and that a server has them.

Owns: the files of `lua/`, their digest, and what a server has to be. Must not know what a function
does.

A function's name holds the digest of all their text: nodes of two releases may use one Redis, each
its own functions, and nobody replaces what another calls. The form of the data has a version of its
own (`SCHEMA`): a Redis with another one is refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final

from signal_sdk.errors import SignalError, StorageError
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.engine.redis import resp
from signal_sdk.server.engine.redis.pipeline import Ask, Pipeline, Subscribing

__all__ = ["CLAIMED", "INCOMPLETE", "SCHEMA", "Library", "library"]

SCHEMA: Final = "1"
CLAIMED: Final = "claimed"
INCOMPLETE: Final = "incomplete"
"""What stands in place of the version while another state is carried there: at first that it is
about to be, and then, with the number of the run, that some of it may be there."""
FILES: Final = (
    "core",
    "happenings",
    "marks",
    "accounts",
    "inboxes",
    "channels",
    "attributes",
    "locks",
    "attribute_changes",
    "membership",
    "calls",
    "presence",
    "operator",
    "counts",
    "dues",
    "places",
)
"""In this order they are one text: each stands on those before it."""
MIN_VERSION: Final = 7
KEPT: Final = "kept"
"""The lineage of all data of which nothing was lost."""
_EVICTING: Final = "noeviction"


class Library:
    """The functions' text. `name(it)` is what `it` is called in Redis."""

    def __init__(self, *, is_cluster: bool) -> None:
        texts = [f"local IS_CLUSTER = {str(is_cluster).lower()}"]
        directory = resources.files("signal_sdk.server.engine.redis") / "lua"
        texts += [(directory / f"{file}.lua").read_text("utf-8") for file in FILES]
        text = "\n".join(texts)
        self.digest: str = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.text: str = f"#!lua name=signal_{self.digest}\n" + text.replace("VERSION", self.digest)

    def name(self, function: str) -> bytes:
        """What the function is called."""
        return f"signal_{self.digest}_{function}".encode()


@cache
def library(*, is_cluster: bool) -> Library:
    """The functions, for a Cluster or for one server."""
    return Library(is_cluster=is_cluster)


async def facts_of(pipeline: Pipeline) -> dict[str, str]:
    """What the server says of itself. Raises `StorageError`."""
    info = await _asked(pipeline, f"Redis at {pipeline.place}", "INFO", "everything")
    return dict(re.findall(r"^(\w+):(.*?)\r?$", info.decode("utf-8", "replace"), re.MULTILINE))


def unfit(facts: Mapping[str, str], *, is_cluster: bool) -> str:
    """Why a server that says this of itself cannot be used, as what is said of it; empty where it
    can.
    """
    version = facts.get("redis_version", "")
    if int(version.partition(".")[0] or 0) < MIN_VERSION:
        return f"is version {version}; {MIN_VERSION} or later is needed"
    policy = facts.get("maxmemory_policy", _EVICTING)
    if policy != _EVICTING:
        return (
            f"throws away what it has when it is full (maxmemory-policy {policy}): "
            f"set it to {_EVICTING}"
        )
    if facts.get("role", "master") != "master":
        return "is a replica: the URL has to be its master's"
    if (facts.get("cluster_enabled", "0") == "1") != is_cluster:
        return "is alone" if is_cluster else "is a Cluster's: its URL begins with redis+cluster://"
    return ""


async def prepare(pipeline: Pipeline, prefix: str, *, is_cluster: bool) -> None:
    """Look whether the server can be used, and have it know the functions. Raises `StorageError`
    with one line that says what is wrong.
    """
    where = f"Redis at {pipeline.place}"
    facts = await facts_of(pipeline)
    # In microseconds: from here on this node goes by that clock.
    pipeline.time = int(facts.get("server_time_usec", 0)) / 1e6
    problem = unfit(facts, is_cluster=is_cluster)
    if problem:
        raise StorageError(f"{where} {problem}")
    pipeline.lineage = await _lineage(pipeline, facts)
    names = library(is_cluster=is_cluster)
    known = await _asked(
        pipeline, where, "FUNCTION", "LIST", "LIBRARYNAME", f"signal_{names.digest}"
    )
    if not known:
        await _asked(pipeline, where, "FUNCTION", "LOAD", "REPLACE", names.text)
    if not is_cluster:
        await check_schema(pipeline, prefix)
        await _check_rights(pipeline, where, prefix, names)


async def _lineage(pipeline: Pipeline, facts: Mapping[str, str]) -> str:
    """Whose data it is that the server has. One that has each change on its disk before it answers
    has lost nothing where it begins again; of any other, and of one that was a replica, each life
    is another's.
    """
    was_replica = facts.get("master_replid2", "").strip("0") != ""
    if facts.get("aof_enabled") == "1" and not was_replica:
        try:
            found = await waited(pipeline.raw("CONFIG", "GET", "appendfsync"))
        except SignalError:
            # Its user may not ask.
            found = ()
        if b"always" in (found.values() if isinstance(found, dict) else found):
            return KEPT
    return facts.get("run_id", "")


async def _check_rights(pipeline: Pipeline, where: str, prefix: str, names: Library) -> None:
    """May this user do what is needed, of which nothing was done yet? Raises `StorageError`."""
    key = f"{prefix}{{may}}"
    may = resp.command("FCALL", names.name("may"), 1, key)
    for what, ask in (
        (f"FCALL with {key}", Ask(may, _itself)),
        (f"SSUBSCRIBE {key}", Subscribing(key.encode())),
        (f"SUNSUBSCRIBE {key}", Subscribing(key.encode(), ends=True)),
    ):
        try:
            await waited(pipeline.ask_now(ask))
        except SignalError as exc:
            raise StorageError(f"{where} refuses {what}: {exc.reason}") from None


async def check_schema(pipeline: Pipeline, prefix: str) -> None:
    """Whose data is there, and of which form? Raises `StorageError`."""
    where = f"Redis at {pipeline.place}"
    key = f"{prefix}schema"
    # One that is full takes nothing new, and serves whoever knows it.
    if await _asked(pipeline, where, "GET", key) is None:
        await _asked(pipeline, where, "SET", key, SCHEMA, "NX")
    found = (await _asked(pipeline, where, "GET", key)).decode("utf-8", "replace")
    if problem := unknown(found, key):
        raise StorageError(f"{where} has {problem}")


def unknown(found: str, key: str) -> str:
    """Why data of the version `found` cannot be used, as what a server has; empty where it can."""
    if found == SCHEMA:
        return ""
    if found == CLAIMED or found.startswith(INCOMPLETE):
        return (
            f"the beginning of a state under {key}, since signal-sdk migrate has not ended: "
            "run it again"
        )
    what = f"of version {found}" if found.isdigit() else "of something else"
    return (
        f"data {what} under {key}; this release knows version {SCHEMA}: "
        "use the release that wrote it, or another prefix"
    )


def _itself(reply: Any) -> Any:
    return reply


async def _asked(pipeline: Pipeline, where: str, *words: str) -> Any:
    try:
        reply = await waited(pipeline.raw(*words))
    except SignalError as exc:
        raise StorageError(f"{where} refuses {' '.join(words[:2])[:40]}: {exc.reason}") from None
    return reply
