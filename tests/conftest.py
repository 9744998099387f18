"""What all tests share: Hypothesis's profiles, and that a skipped test fails the run.

Fixtures of one part's tests stand beside those tests.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# No deadlines: how long an example takes says more about the machine than about the code.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped: what was not tested did not pass."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    is_worker = hasattr(session.config, "workerinput")
    if is_worker or reporter is None or session.exitstatus != pytest.ExitCode.OK:
        return
    if skipped := reporter.stats.get("skipped"):
        reporter.ensure_newline()
        reporter.write_line(f"{len(skipped)} skipped: nothing may be", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
