"""The keys of `[hooks]`: what a backend is told, and what it is asked.

Owns: everything about such a key, declared as those of the other tables are in `config_keys`, and
what is wrong with their values together. Must not know: files, or how anything is told.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import attrs

from signal_sdk.server.config_fields import config_key

__all__ = ["ALLOW", "ASKED", "KEY_MARK", "REFUSE", "TOLD", "HooksConfig", "faults", "key_of"]

TOLD: Final = ("login", "logout", "join", "leave", "call", "absent")
"""What a backend can be told: the kinds of happenings that hooks can want."""
ASKED: Final = ("login", "join", "invite")
"""Before what a backend can be asked."""
ALLOW: Final = "allow"
REFUSE: Final = "refuse"
KEY_MARK: Final = "whsec_"
"""What a secret begins with whose rest is its key in Base64."""
MIN_SECRET_CHARS: Final = 32
NO_URL: Final = "expected https://HOST/PATH or http://HOST/PATH"
MIN_KEY_BYTES: Final = 24
"""What Standard Webhooks asks for."""

Fault = tuple[tuple[str | int, ...], str, str | None]
"""Where in the table something is wrong, what, and which value it is, where that may be shown."""


@attrs.frozen(kw_only=True)
class HooksConfig:
    """`[hooks]`: a backend that is told what happens, and may be asked before it does."""

    url: str = config_key(
        "",
        "Where the backend is told what happens, by POST: `https://HOST/PATH`, or `http://` in a "
        "network of your own. Empty tells nobody.",
    )
    secret: str = config_key(
        "",
        "What the requests are signed with: 32 characters or more, or `whsec_` and a key in "
        "Base64. `$SIGNAL_SDK_…` stands for what that environment variable holds.",
        secret=True,
        file="secret_file",
    )
    secret_file: str = config_key(
        "", "The file with the secret, in place of `secret`; nothing else is in it."
    )
    old_secret: str = config_key(
        "",
        "The secret before, while it is replaced: requests are signed with both.",
        secret=True,
        file="old_secret_file",
    )
    old_secret_file: str = config_key("", "The file with that one, in place of `old_secret`.")
    kinds: tuple[str, ...] = config_key(
        TOLD, f"What is told: some of {', '.join(f'`{kind}`' for kind in TOLD)}."
    )
    batch_events: int = config_key(
        100, "How many events a request has at most.", least=1, most=1000
    )
    batch_bytes: int = config_key(
        262_144,
        "How many bytes a request has at most, but for one with a single event.",
        least=1024,
        most=16_777_216,
    )
    timeout_seconds: int = config_key(
        10, "How many seconds the backend has for its answer.", least=1, most=60
    )
    retry_seconds: int = config_key(
        60,
        "The longest pause, in seconds, before a request that has failed is tried again; the first "
        "is about a second, and each is about twice as long as the one before.",
        least=1,
        most=3600,
    )
    queue_events: int = config_key(
        100_000,
        "How many events of an app wait at most while the backend is away; of more, the oldest "
        "are dropped.",
        least=1,
        most=10_000_000,
    )
    ask: tuple[str, ...] = config_key(
        (), "Before what the backend is asked: some of `login`, `join`, `invite`."
    )
    ask_url: str = config_key("", "Where it is asked; empty is `url`.")
    ask_seconds: int = config_key(
        2, "How many seconds it has to answer a question.", least=1, most=30
    )
    ask_default: str = config_key(
        REFUSE,
        "What is done where a question has no answer: `refuse` or `allow`.",
    )
    ask_at_once: int = config_key(
        100,
        "How many questions are under way at once; what is asked beyond that has no answer.",
        least=1,
        most=10_000,
    )


def faults(hooks: HooksConfig) -> Iterator[Fault]:
    """What is wrong with the values together; their bounds are looked at as those of all keys."""
    for key in ("url", "ask_url"):
        if text := _url_problem(getattr(hooks, key)):
            yield (key,), text, None
    if (hooks.url or hooks.ask_url) and not hooks.secret:
        text = "needs what requests are signed with: set secret, or secret_file"
        yield ("url" if hooks.url else "ask_url",), text, None
    for key in ("secret", "old_secret"):
        if text := _secret_problem(getattr(hooks, key)):
            yield (key,), text, None
    if hooks.old_secret and not hooks.secret:
        yield ("old_secret",), "needs the secret that is in force: set secret, too", None
    for key, known in (("kinds", TOLD), ("ask", ASKED)):
        for index, value in enumerate(getattr(hooks, key)):
            if value not in known:
                yield (key, index), f"expected one of {', '.join(known)}", value
    if hooks.ask and not (hooks.url or hooks.ask_url):
        yield ("ask",), "needs whom to ask: set url, or ask_url", None
    if hooks.ask_default not in (ALLOW, REFUSE):
        yield ("ask_default",), f'expected "{ALLOW}" or "{REFUSE}"', hooks.ask_default


def _url_problem(url: str) -> str:
    """What is wrong with it; empty where nothing is. It is not shown: it may hold a secret."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        is_good = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        return NO_URL
    if not is_good or not url.isascii() or not url.isprintable() or " " in url:
        return NO_URL
    if parts.username is not None or parts.password is not None:
        return "may name no user: the signature says who asks"
    if parts.fragment:
        return "may have no fragment (#...)"
    return ""


def _secret_problem(secret: str) -> str:
    if not secret:
        return ""
    if not secret.startswith(KEY_MARK):
        short = f"expected {MIN_SECRET_CHARS} characters or more: a shorter one can be guessed"
        return short if len(secret) < MIN_SECRET_CHARS else ""
    try:
        key = key_of(secret)
    except ValueError:
        return f"what follows {KEY_MARK} is no Base64"
    if len(key) < MIN_KEY_BYTES:
        return f"expected a key of {MIN_KEY_BYTES} bytes or more: a shorter one can be guessed"
    return ""


def key_of(secret: str) -> bytes:
    """What is signed with: the bytes that a `whsec_` holds, and of any other text its own. Raises
    `ValueError`.
    """
    if not secret.startswith(KEY_MARK):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(KEY_MARK), validate=True)
    except binascii.Error as exc:
        raise ValueError("it is no Base64") from exc
