"""File descriptors: a server has as many as the process may have, and too few are told of."""

from __future__ import annotations

import logging
import resource

import pytest

from signal_sdk.cli.descriptors import OWN, all_descriptors


class Limits:
    """The process's limit, as far as this test goes."""

    def __init__(self, soft: int, hard: int, *, is_fixed: bool = False) -> None:
        self.now = (soft, hard)
        self.is_fixed = is_fixed

    def get(self, _: int) -> tuple[int, int]:
        return self.now

    def set(self, _: int, limits: tuple[int, int]) -> None:
        if self.is_fixed and limits != self.now:
            raise ValueError("current limit exceeds maximum limit")
        self.now = limits


@pytest.fixture(autouse=True)
def with_infos(caplog: pytest.LogCaptureFixture) -> None:
    """As `serve -v`."""
    caplog.set_level(logging.INFO, "signal_sdk.server")


def patch(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    monkeypatch.setattr(resource, "getrlimit", limits.get)
    monkeypatch.setattr(resource, "setrlimit", limits.set)


def test_all_that_there_may_be_are_used_and_given_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(1024, 50_000)
    patch(monkeypatch, limits)
    with all_descriptors(20_000):
        assert limits.now == (50_000, 50_000)
    assert limits.now == (1024, 50_000)
    assert caplog.messages == []


def test_too_few_for_the_connections_are_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patch(monkeypatch, Limits(1024, 20_000 + OWN - 1))
    with all_descriptors(20_000):
        (message,) = caplog.messages
        assert message.startswith("the process may have 20063 file descriptors (ulimit -n)")
        assert "too few for 20000 connections (max_connections in [limits])" in message
    caplog.clear()
    with all_descriptors(19_999), all_descriptors(0):
        assert caplog.messages == []


def test_a_limit_that_cannot_be_raised_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(1024, resource.RLIM_INFINITY, is_fixed=True)
    patch(monkeypatch, limits)
    with all_descriptors(2000):
        assert limits.now[0] == 1024
        assert len(caplog.messages) == 1
