"""Inboxes on Redis: what is posted in one pass of the scheduler goes there as one command.

Owns: which messages are asked for together, what becomes of each, and that whoever it is for hears
of it where that is connected to this node. Must not know how one is done: inboxes.lua does.

Redis is one thread, and more than half of what a message costs there is the beginning and the end
of a function. So one function has many messages done, each by itself: one that is refused, or
fails, is so alone. Where Redis finds its receiver connected to the node that asks, the answer says
so, and nothing is published: all that a node hears comes on one connection, in the order in which
it was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from signal_sdk.server.engine.base import AccountKey, Asked, Known, Page, Post
from signal_sdk.server.engine.pending import Pending
from signal_sdk.server.engine.redis import answers
from signal_sdk.server.engine.redis.answers import About
from signal_sdk.server.engine.redis.changes import Posts
from signal_sdk.server.engine.redis.connection import Failure
from signal_sdk.server.engine.redis.core import Core, deliver, first_uid, pack, tag
from signal_sdk.server.engine.redis.events import unpack
from signal_sdk.server.engine.redis.pipeline import refusal, settle


class InboxOperations(Core):
    """Inboxes, as the contract has them."""

    def post(self, asked: Asked, post: Post) -> Pending[Known | None]:
        """As the contract has it. For how long an entry is good goes by Redis' clock: what this
        node's shows was the same when its end was set.
        """
        (app, account), callid, (_, to) = asked.key, asked.callid, post.key
        message = pack(
            (
                account,
                f"{asked.generation}",
                "" if callid is None else f"{callid}",
                f"{asked.ack}",
                asked.reply,
                to,
                first_uid(app, to),
                post.sender,
                post.line,
                post.expires - self._wall(),
                "1" if post.is_binary else "",
            )
        )
        posts = self._posts.get(app)
        if posts is not None and posts.is_open:
            return posts.add(message, asked, post)
        posts = self._posts[app] = Posts(self, app, self.node, self._servers.slot(tag(app)))
        outcome = posts.add(message, asked, post)
        self._servers.ask(posts)
        return outcome

    def spell_posts(self, posts: Posts) -> bytes:
        """As `Poster` has it."""
        head = b"\xdc" + len(posts.messages).to_bytes(2, "big")
        return self._command(posts.app, "post", (head + b"".join(posts.messages),), posts.node)

    def read_posts(self, posts: Posts, reply: Any) -> None:
        """As `Poster` has it."""
        is_heard = posts.node == self.node and not self._is_mute(posts.app)
        own = self._own
        for (_, post, outcome), found in zip(posts.asked, unpack(reply[1]), strict=True):
            if type(found) is not int:
                settle(outcome, partial(self._known, posts, post), found)
                continue
            if found and is_heard:
                deliver(own, post.key, found, post.line)
            outcome.resolve(None)

    def _known(self, posts: Posts, post: Post, found: Sequence[Any]) -> Known | None:
        """It was done before. Raises why it is refused."""
        if found[1] == "error":
            raise refusal(Failure.of(found[2]))
        about = About(account=post.sender, what=post.key.account)
        reply = [it.encode() if isinstance(it, str) else it for it in found]
        return self._read(posts.app, posts.node, partial(answers.known, about), reply)

    def read_inbox(self, key: AccountKey, ver_clear: int, limit: int) -> Pending[Page]:
        """As the contract has it."""
        return self._ask(key.app, "read_inbox", (key.account, ver_clear, limit), answers.entries)
