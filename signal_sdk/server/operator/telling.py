"""What an operator says: to an account, to many, to a channel.

Owns: as whom it is said, and how a message that comes again is known. Must not know who is
connected.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from signal_sdk.ecodes import ECode
from signal_sdk.errors import SignalError
from signal_sdk.server.engine.base import AccountKey, Answer, Pending, Post
from signal_sdk.server.engine.pending import waited
from signal_sdk.server.operator.base import Base, account_key, channel_key, no_channel
from signal_sdk.server.operator.facts import MAX_PAGE, Outcome
from signal_sdk.wire import events, lines, names
from signal_sdk.wire.names import JsonValue
from signal_sdk.wire.parameter_errors import wrong
from signal_sdk.wire.properties import Properties, attach, encode_bytes, is_binary

TOLD_PER_TURN: Final = 50
"""How many accounts are told before others run: a millisecond's work, or two."""
MAX_TTL: Final = 10**12 - 1
BINARY: Final = Properties(binary=True)
NOBODYS_UID: Final = 0
"""As whose it is told what has no account's uid."""


class Telling(Base):
    """Sending, as `Operator` has it."""

    async def send(
        self,
        app: str,
        account: str,
        message: JsonValue | bytes,
        *,
        sender: str = names.SYSTEM_ACCOUNT,
        message_id: str = "",
        ttl: int = names.DEFAULT_TTL_SECONDS,
    ) -> None:
        """Put a message into the inbox of an account, online or not, as from `sender`: an account's
        name, whoever has it, or the server's own. It waits there for `ttl` seconds (0 to 30 days,
        to which more is cut).

        `bytes`, at most 6 KiB, go to who reads them: `SignalError` (1004) where the account is not
        online with a session that takes them.

        `message_id` (at most 128 characters, no white space) tells a message that is sent again
        from a new one: an SDK that has had one of this app's operators with this id passes over the
        next. Empty, it is a new message each time.
        """
        self._begin(app)
        post = self._post(app, account, message, sender, message_id, ttl)
        await waited(self._engine.tell(post))
        await self._durable()

    async def send_to_many(
        self,
        app: str,
        accounts: Sequence[str],
        message: JsonValue | bytes,
        *,
        sender: str = names.SYSTEM_ACCOUNT,
        message_id: str = "",
        ttl: int = names.DEFAULT_TTL_SECONDS,
    ) -> Sequence[Outcome]:
        """As `send`, to each of at most 1,000 accounts: what became of each, in their order. Raises
        only where nobody can be sent it; a wrong account is a refusal of its own.
        """
        self._begin(app)
        names.check_integer("number of accounts", len(accounts), 1, MAX_PAGE)
        # What is wrong for all is refused once.
        self._post(app, "-", message, sender, message_id, ttl)
        asked: list[Answer[None] | SignalError] = []
        for number, account in enumerate(accounts):
            if number % TOLD_PER_TURN == 0:
                await self._turns.wait()
            try:
                post = self._post(app, account, message, sender, message_id, ttl)
                asked.append(self._engine.tell(post))
            except SignalError as exc:
                asked.append(exc)
        refusals = [await _refusal(it) for it in asked]
        if None in refusals:
            await self._durable()
        return [
            Outcome(account=account, refusal=refusal)
            for account, refusal in zip(accounts, refusals, strict=True)
        ]

    async def send_to_channel(
        self,
        app: str,
        channel: str,
        message: JsonValue | bytes,
        *,
        sender: str = names.SYSTEM_ACCOUNT,
        message_id: str = "",
    ) -> None:
        """Tell the members of a channel a message, as from `sender`; ids are as in `send`. It
        counts in the channel's rate. Nobody sends to a special channel. `SignalError` (1004) where
        it is `bytes`, and a member takes none.
        """
        self._begin(app)
        key = channel_key(app, channel)
        if key.channel in names.SPECIAL_CHANNELS:
            raise SignalError(
                ECode.SENDMESSAGE_E_OTHER, f"nobody sends to the special channel {key.channel!r}"
            )
        who = _sender(sender)
        content, properties = _content(message)
        told = events.ChannelMessage(
            channel=key.channel,
            account=who,
            uid=await self._uid(AccountKey(app, who)),
            msg=content,
            id=names.check_message_id(message_id),
            properties=properties,
        )
        if not await waited(self._engine.tell_channel(key, told)):
            raise no_channel(key)

    def _post(
        self,
        app: str,
        account: str,
        message: JsonValue | bytes,
        sender: str,
        message_id: str,
        ttl: int,
    ) -> Post:
        key, who, now = account_key(app, account), _sender(sender), self._clock()
        content, properties = _content(message)
        names.check_integer("ttl", ttl, 0, MAX_TTL)
        seconds = min(ttl, names.MAX_TTL_SECONDS)
        number = names.check_message_id(message_id) or secrets.token_hex(8)
        line = lines.encode_message(
            # No account has this uid: no user's choice of ids hides an operator's message.
            attach(f"{NOBODYS_UID}.{number}", properties),
            who,
            key.account,
            seconds,
            events.INSTANT,
            int(now * 1000),
            names.json_text(content),
        )
        return Post(key, who, line, now + seconds, is_binary(properties))

    async def _uid(self, key: AccountKey) -> int:
        """The uid that members hear, of an account that is online."""
        if key.account == names.SYSTEM_ACCOUNT:
            return NOBODYS_UID
        presence = await waited(self._engine.presence(key))
        return presence.uid if presence is not None else NOBODYS_UID


def _content(message: JsonValue | bytes) -> tuple[JsonValue, Properties | None]:
    """What is said, as it is told, and what goes with it."""
    if isinstance(message, bytes):
        return encode_bytes(message), BINARY
    return names.check_message(message), None


def _sender(sender: str) -> str:
    if sender == names.SYSTEM_ACCOUNT:
        return sender
    if sender in names.RESERVED_ACCOUNTS:
        raise wrong("sender", sender, "is a special channel's own name")
    return names.check_account(sender)


async def _refusal(asked: Answer[None] | SignalError) -> SignalError | None:
    """Why it was not done, if it was not."""
    if isinstance(asked, SignalError):
        return asked
    if isinstance(asked, Pending):
        try:
            await waited(asked)
        except SignalError as exc:
            return exc
    return None
