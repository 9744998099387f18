"""What tests of the original clients share of messages that are bytes: an account to which some
were sent, and that an original client takes over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from signal_sdk import ECode, LoginSession, Signal, SignalError
from signal_sdk.testing.server import LocalServer

NO_TOKEN = "_no_need_token"


@asynccontextmanager
async def bytes_left(
    server: LocalServer | str, account: str, *texts: str
) -> AsyncIterator[LoginSession]:
    """Who has sent bytes and these texts, by turns, to a session that takes them and has handled
    none; within the block, another client may log in to that account.
    """
    async with (
        Signal("app", server=server) as ours,
        ours.login("sender", NO_TOKEN, takes_bytes=True) as sender,
        Signal("app", server=server, reconnect=None) as theirs,
        theirs.login(account, NO_TOKEN, takes_bytes=True) as session,
        session.messages(),
    ):
        # The stream is never read: all of it stays with the server.
        for text in texts:
            await sender.message_instant_send(account, b"bytes")
            await sender.message_instant_send(account, text)
        yield sender
        await trio.lowlevel.checkpoint()


async def refuses_bytes(sender: LoginSession, account: str, channel: str) -> None:
    """Nobody can send bytes to an account, nor to a channel that it is in."""
    for sending in (
        sender.message_instant_send(account, b"bytes"),
        sender.message_channel_send_force(channel, b"bytes"),
    ):
        with pytest.raises(SignalError) as refused:
            await sending
        assert refused.value.ecode is ECode.GENERAL_E_WRONG_PARAM
