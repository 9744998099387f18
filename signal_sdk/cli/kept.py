"""`signal-sdk channel` and `signal-sdk account`: what a server keeps, listed and removed while it
does not run.

Owns: which of it the user means, and how it is printed. Must not know the file, or why something
is left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import attrs
import click

from signal_sdk.cli.completing import directories
from signal_sdk.cli.events import as_json, json_option
from signal_sdk.cli.output import say
from signal_sdk.cli.screen import say_table, screen
from signal_sdk.cli.times import shown_time
from signal_sdk.errors import StorageError
from signal_sdk.printable import one_line
from signal_sdk.server.engine import kept
from signal_sdk.server.engine.kept import KeptAccount, KeptChannel
from signal_sdk.wire import names

__all__ = ["account", "channel"]

Kept = TypeVar("Kept", KeptAccount, KeptChannel)
ANY_END: Final = "*"
TIMES: Final = ("empty_since", "ends")
"""Which facts of a channel are times."""


@click.group(
    no_args_is_help=False, short_help="List the channels of a stopped server, or remove some."
)
def channel() -> None:
    """List the channels that a server keeps, or remove empty ones, while it does not run."""


@click.group(
    no_args_is_help=False, short_help="List the accounts of a stopped server, or remove some."
)
def account() -> None:
    """List the accounts that a server keeps, or remove some, while it does not run."""


def _options(*, is_list: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """What all of these commands have, and what both lists, or both ways to remove."""
    text = "Print what would be removed, and change nothing."
    own = [click.option("--dry-run", is_flag=True, help=text), json_option]
    if is_list:
        text = "Print each as one JSON object."
        own = [
            click.option("--by-size", is_flag=True, help="The largest first."),
            click.option("--json", "is_json", is_flag=True, help=text),
        ]
    text = "The app id.  [default: all apps]" if is_list else "The app id."
    every = [
        click.argument("wanted", metavar="[NAME]...", nargs=-1),
        click.option(
            "--data",
            metavar="DIR",
            shell_complete=directories,
            required=True,
            help="The directory that state is kept in.",
        ),
        click.option("--app", metavar="ID", required=not is_list, help=text),
    ]

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(every + own):
            command = option(command)
        return command

    return add


_older_than = click.option(
    "--older-than",
    type=click.IntRange(0),
    default=0,
    metavar="SECONDS",
    help="Those only that have been empty for so long.",
)


@channel.command("list", short_help="Print the channels that a server keeps.")
@_options(is_list=True)
@click.option("--empty", is_flag=True, help="Those without members only.")
@_older_than
def list_channels(*, data: str, older_than: int, empty: bool, **options: Any) -> None:
    """Print the channels that a server keeps in DIR, one in a line; with NAMEs, these only. NAME*
    is all that begin so.
    """
    found = kept.channels_of(kept.read(data))
    if empty or older_than:
        found = _empty(found, older_than)
    _print(found, **options)


@channel.command("remove", short_help="Remove channels without members.")
@_options(is_list=False)
@click.option("--empty", is_flag=True, help="All that have no members.")
@_older_than
def remove_channels(
    *,
    wanted: tuple[str, ...],
    data: str,
    app: str,
    dry_run: bool,
    is_json: bool,
    empty: bool,
    older_than: int,
) -> None:
    """Remove channels without members, with their attributes; NAME* is all that begin so.

    A channel with members is left alone: it ends by itself once they have left.
    """
    if bool(wanted) == empty:
        raise click.UsageError("Give either NAMEs or --empty.")
    names.check_app_id(app)

    def choose(found: Sequence[KeptChannel]) -> list[KeptChannel]:
        chosen = _chosen(found, app, wanted or (ANY_END,), "channel")
        return _empty(chosen, older_than) if empty or older_than else chosen

    if dry_run:
        _would_remove(choose(kept.channels_of(kept.read(data))), is_json=is_json)
        return
    with kept.changed(data) as keeper:
        chosen = choose(kept.channels_of(keeper.state))
        keeper.remove_channels(it for it in chosen if not it.use)
    _sum_up(chosen, dry_run=False, is_json=is_json)


@account.command("list", short_help="Print the accounts that a server keeps.")
@_options(is_list=True)
def list_accounts(*, data: str, **options: Any) -> None:
    """Print the accounts that a server keeps in DIR, one in a line; with NAMEs, these only. NAME*
    is all that begin so.
    """
    _print(kept.accounts_of(kept.read(data)), **options)


@account.command("remove", short_help="Remove accounts, with all that waits for them.")
@_options(is_list=False)
def remove_accounts(
    *, wanted: tuple[str, ...], data: str, app: str, dry_run: bool, is_json: bool
) -> None:
    """Remove accounts, with their attributes and all that waits in their inboxes; NAME* is all that
    begin so.

    An account that is online, or has a call, is left alone. Channels that one has made stay.
    """
    if not wanted:
        raise click.UsageError("Give the NAMEs.")
    names.check_app_id(app)
    if dry_run:
        found = kept.accounts_of(kept.read(data))
        _would_remove(_chosen(found, app, wanted, "account"), is_json=is_json)
        return
    with kept.changed(data) as keeper:
        chosen = _chosen(kept.accounts_of(keeper.state), app, wanted, "account")
        keeper.remove_accounts(it for it in chosen if not it.use)
    _sum_up(chosen, dry_run=False, is_json=is_json)


# --- which are meant ---


def _empty(found: Iterable[KeptChannel], seconds: int) -> list[KeptChannel]:
    """Those that have been empty for so long."""
    # With 0, one that a clock that was set back has emptied in the future is empty, too.
    until = time.time() - seconds if seconds else math.inf
    return [it for it in found if it.empty_since is not None and it.empty_since <= until]


def _chosen(found: Iterable[Kept], app: str, wanted: Sequence[str], kind: str) -> list[Kept]:
    """What is to be removed. Raises `StorageError` where one that is named is not there, or is to
    be left alone.
    """
    mine = {it.name: it for it in found if it.app == app}
    for name in wanted:
        if name.endswith(ANY_END):
            continue
        if name not in mine:
            raise StorageError(f"the app {app!r} has no {kind} {name!r}")
        if mine[name].use:
            raise StorageError(f"the {kind} {name!r} {mine[name].use}, and is left alone")
    return [it for it in mine.values() if _is_meant(it.name, wanted)]


def _is_meant(name: str, wanted: Sequence[str]) -> bool:
    return any(
        name.startswith(it.removesuffix(ANY_END)) if it.endswith(ANY_END) else name == it
        for it in wanted
    )


# --- how they are printed ---


def _print(
    found: Iterable[Kept],
    *,
    wanted: tuple[str, ...],
    app: str | None,
    by_size: bool,
    is_json: bool,
) -> None:
    if app is not None:
        names.check_app_id(app)
        found = [it for it in found if it.app == app]
    if wanted:
        found = [it for it in found if _is_meant(it.name, wanted)]
    if by_size:
        found = sorted(found, key=lambda it: -it.bytes)
    terminal = None if is_json else screen()
    if terminal is not None:
        facts = list(map(_facts, found))
        heads = [name.replace("_", " ") for name in facts[0]] if facts else []
        say_table(terminal, heads, [list(map(_shown, it.items())) for it in facts])
        return
    for it in found:
        say(as_json(_facts(it)) if is_json else _line(it))


def _shown(fact: tuple[str, Any]) -> object:
    """A fact in a table's cell."""
    name, value = fact
    if value is None:
        return ""
    if name in TIMES:
        return shown_time(int(value))
    if isinstance(value, tuple):
        return ", ".join(value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _facts(it: KeptAccount | KeptChannel) -> dict[str, Any]:
    return attrs.asdict(it, recurse=False, filter=lambda field, _: field.name != "record")


def _line(it: KeptAccount | KeptChannel) -> str:
    said = _said_of_account(it) if isinstance(it, KeptAccount) else _said_of_channel(it)
    return one_line(f"{it.app!r} {it.name!r}: {', '.join(said)}")


def _said_of_channel(it: KeptChannel) -> list[str]:
    said = [f"members: {it.members}"]
    if it.empty_since is not None and it.ends is not None:
        since, ends = (shown_time(int(at)) for at in (it.empty_since, it.ends))
        said = [f"empty since {since}", f"ends {ends}"]
    said += [f"attributes: {it.attributes}", f"bytes: {it.bytes}"]
    return [*said, f"made by {it.maker!r}"] if it.maker else said


def _said_of_account(it: KeptAccount) -> list[str]:
    said = ["online" if it.is_online else "offline"]
    if it.channels:
        said.append(f"in {', '.join(map(repr, it.channels))}")
    said += [f"attributes: {it.attributes}", f"entries: {it.entries}", f"bytes: {it.bytes}"]
    counts = (("calls", it.calls), ("channels made", it.made))
    return [*said, *(f"{what}: {count}" for what, count in counts if count)]


def _would_remove(chosen: Sequence[Kept], *, is_json: bool) -> None:
    for it in chosen:
        if not (it.use or is_json):
            say(_line(it))
    _sum_up(chosen, dry_run=True, is_json=is_json)


def _sum_up(chosen: Sequence[Kept], *, dry_run: bool, is_json: bool) -> None:
    gone = [it for it in chosen if not it.use]
    if is_json:
        told = {
            "dry_run": dry_run,
            "names": [it.name for it in gone],
            "bytes": sum(it.bytes for it in gone),
            "in_use": len(chosen) - len(gone),
        }
        say(as_json(told))
        return
    what = "would be removed" if dry_run else "removed"
    say(f"{what}: {len(gone)}, bytes: {sum(it.bytes for it in gone)}")
    if len(gone) < len(chosen):
        say(f"left alone, since they are in use: {len(chosen) - len(gone)}")
