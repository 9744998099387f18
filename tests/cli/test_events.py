"""Events as lines: JSON for programs, and for people nothing that moves their screen."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signal_sdk.cli.events import EVENTS, as_json, as_text

FIELDS: dict[str, Any] = {
    "account": "alice",
    "accounts": ["alice", "bob"],
    "attempt": 1,
    "by": "alice",
    "channel": "lobby",
    "digits": "12#",
    "ecode": 103,
    "extra": '{"a": 1}',
    "msg": "hello",
    "name": "colour",
    "reason": "kicked",
    "size": 5,
    "to": "bob",
    "type": "update",
    "value": "red",
}


def event(_name: str, /, **fields: Any) -> dict[str, Any]:
    return {"event": _name, "ts": 1_600_000_000_123, **fields}


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_has_its_words(name: str) -> None:
    fields = {field for _, field, _, _ in string.Formatter().parse(EVENTS[name]) if field}
    text = as_text(event(name, **{field: FIELDS[field] for field in fields}))
    clock, _, words = text.partition(" ")
    assert clock.endswith(":40")
    assert words
    assert "{" not in words.replace(FIELDS["extra"], "")


def test_an_event_of_a_later_server_is_shown_as_it_is() -> None:
    assert as_text(event("away", account="alice")).endswith(" event=away account=alice")


@given(st.text() | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "So"])))
def test_json_is_one_printable_line_that_means_the_same(text: str) -> None:
    told = event("message", account="alice", msg=text)
    line = as_json(told)
    assert line.isprintable()
    # Two halves of a surrogate pair side by side are one character in any JSON.
    assert json.loads(line) == json.loads(json.dumps(told))


@given(st.text())
def test_text_is_one_printable_line(text: str) -> None:
    assert as_text(event("message", account=text, msg=text)).isprintable()


def test_braces_are_only_braces() -> None:
    shown = as_text(event("message", account="alice", msg="{ts} {0} {account.__class__} %s"))
    assert shown.endswith(" alice: {ts} {0} {account.__class__} %s")
