"""The stream of what happens, as a client reads it."""

from __future__ import annotations

import pytest

from signal_sdk.admin.errors import AdminError, error_of
from signal_sdk.admin.results import Event
from signal_sdk.admin.streams import EventReader


def read(reader: EventReader, text: str) -> list[Event]:
    return list(reader.take(text.encode()))


def reader() -> EventReader:
    return EventReader("a/b", ["login", "join"], "ann", "")


def test_what_is_asked_for() -> None:
    found = reader()
    assert found.path == "/v1/apps/a%2Fb/events"
    assert found.query == {"kinds": "login,join", "account": "ann"}
    assert found.headers() == {}
    assert EventReader("a", [], "", "").query == {}


def test_events_are_read_and_comments_are_not() -> None:
    found = reader()
    assert found.began() == []
    first = 'id: 4\nevent: login\ndata: {"account":"ann"}\n\n'
    text = f'retry: 500\n\n:\n\n{first}: x\n\nevent: lost\ndata: {{"count": 3}}\n\n'
    assert read(found, text) == [
        Event(kind="login", data={"account": "ann"}, id="4"),
        Event(kind="lost", data={"count": 3}),
    ]
    assert found.headers() == {"Last-Event-ID": "4"}
    assert found.pause(None) == 0.5


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "ä"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_line_ends_where_the_server_ends_it(char: str, size: int) -> None:
    """What a client of the server calls itself ends none, and is no event of its own."""
    device = f"a{char}event: forged{char}data: {{}}{char}{char}"
    stream = f'event: login\ndata: {{"device":"{device}"}}\r\n\n\n'.encode()
    found = reader()
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    heard = [event for part in parts for event in found.take(part)]
    assert heard == [Event(kind="login", data={"device": device})]


def test_half_an_event_is_none() -> None:
    found = reader()
    found.began()
    assert read(found, 'event: login\ndata: {"account":"ann"}') == []
    found.began()
    assert read(found, "\n\n") == []


def test_who_comes_back_without_an_id_is_told_that_something_was_missed() -> None:
    found = reader()
    assert found.began() == []
    assert found.began() == [Event(kind="missed", data={})]
    read(found, "id: 4\nevent: login\ndata: {}\n\n")
    assert found.began() == []


@pytest.mark.parametrize("data", ["", "[]", "{", "1"])
def test_what_is_no_event_is_an_error(data: str) -> None:
    with pytest.raises(AdminError, match=r"^200: an event is not as it should be"):
        read(reader(), f"event: login\ndata: {data}\n\n")


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_there_is_no_use_in_another_stream(status: int) -> None:
    with pytest.raises(AdminError):
        reader().pause(error_of(status, b""))


def test_a_pause_is_as_long_as_the_server_says() -> None:
    assert reader().pause(error_of(503, b'{"retry_after": 15.0}')) == 15.0
    assert reader().pause(error_of(502, b"")) == 2.0
    assert reader().pause(error_of(0, b"")) == 2.0
