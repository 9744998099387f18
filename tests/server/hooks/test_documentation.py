"""What docs/hooks.md says is so: its check of a signature, its configuration, and its examples."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from signal_sdk.server.config import loads
from signal_sdk.server.config_hooks import TOLD, key_of
from signal_sdk.server.engine import happened
from signal_sdk.server.hooks import signing
from tests.server.hooks.backend import SECRET

PAGE = (Path(__file__).parents[3] / "docs" / "hooks.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("secret", [SECRET, "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"])
def test_the_check_of_a_signature_knows_ours_and_no_other(secret: str) -> None:
    namespace: dict[str, Any] = {}
    (text,) = blocks("python")
    exec(text, namespace)  # noqa: S102  the documentation's own
    check = namespace["is_from_the_server"]
    key, now = key_of(secret), time.time()
    headers = dict(signing.headers([b"another", key], "app-1-2", now, b"body"))
    assert check(headers, b"body", key)
    assert not check(headers, b"bodY", key)
    assert not check(headers, b"body", key + b"x")
    assert not check({**headers, "webhook-id": "app-1-3"}, b"body", key)
    assert not check({**headers, "webhook-timestamp": str(int(now) - 1)}, b"body", key)
    old = dict(signing.headers([key], "app-1-2", now - 400, b"body"))
    assert not check(old, b"body", key)


def test_the_configuration_is_one(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    (tmp_path / "secret").write_text(SECRET)
    text = text.replace("/etc/signal-sdk/hooks.secret", str(tmp_path / "secret"))
    hooks = loads(f"[server]\ndev = true\n{text}").hooks
    assert hooks.ask == ("login",)


def test_the_examples_are_what_is_sent() -> None:
    events, question, answer = map(msgspec.json.decode, blocks("json"))
    for event in events["events"]:
        made = happened.of_facts(event)
        assert msgspec.json.decode(happened.encode(made)) == event
    assert question["type"] == "question"
    assert answer["allow"] is False


def test_every_kind_and_every_fact_is_named() -> None:
    rows = {
        kind: row
        for row in PAGE.splitlines()
        if row.startswith("| `")
        for kind in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert rows.keys() == set(TOLD)
    for cls in (happened.Login, happened.Logout, happened.Join, happened.Leave, happened.Call):
        row = rows[str(cls.__struct_config__.tag)]
        for name in cls.__struct_fields__:
            assert name in ("app", "number", "time") or f"`{name}`" in row
    reasons = {value for name, value in vars(happened.Why).items() if name.isupper()}
    assert reasons == {
        it for it in reasons if f"`{it}`" in rows["logout"] or f"`{it}`" in rows["call"]
    }
