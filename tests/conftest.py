"""What all tests share: Hypothesis's profiles, and that a skipped test fails the run.

Fixtures of one part's tests stand beside those tests.
"""

from __future__ import annotations

import os
import ssl

import pytest
import trustme
from hypothesis import settings

from tests.net.pairs import TlsContexts
from tests.redis.fixtures import redis_prefix, shared_cluster, shared_redis, shared_valkey

__all__ = ["redis_prefix", "shared_cluster", "shared_redis", "shared_valkey", "tls"]

# No deadlines: how long an example takes says more about the machine than about the code.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("fuzz", deadline=None, print_blob=True, max_examples=5000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")
)


@pytest.fixture(scope="session")
def tls() -> TlsContexts:
    """A server called sig.example, and a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("sig.example").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return TlsContexts(client, server)


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
