"""Tests that name an xdist_group are run by one worker, since they share a browser or a server."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("one")
def test_a_group_is_told_to_whoever_shares_out_the_tests(request: pytest.FixtureRequest) -> None:
    """By the test's id, which is all that pytest-xdist knows of it there."""
    shares_groups = getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@one") == shares_groups
