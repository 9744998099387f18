"""The tests in docs/pytest.md pass, are typed, and the page names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from signal_sdk.testing import NetworkFaults, Peer, PeerCall
from tests.test_types import CHECK_SECONDS, run

pytest_plugins: Final = ["pytester"]
pytestmark = pytest.mark.timeout(2 * CHECK_SECONDS)

TEXT: Final = (Path(__file__).parents[2] / "docs" / "pytest.md").read_text()
PROGRAMS: Final = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", TEXT, re.DOTALL))


def test_the_tests_pass_and_are_typed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    files = pytester.makepyfile(**PROGRAMS).parent
    chosen = ("-p", "pytest_trio.plugin", "-p", "signal_sdk.pytest_plugin")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *chosen)
    result.assert_outcomes(passed=7)
    out = run("mypy", "--strict", "--config-file=", files, MYPYPATH=str(files))
    assert "Success" in out, out


def test_on_asyncio_they_are_written_just_so(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    text = PROGRAMS["test_help_bot"].replace("mark.trio", "mark.asyncio")
    # The one thing that takes virtual time.
    pytester.makepyfile(text.replace("within=500", "within=0.1"))
    chosen = ("-p", "pytest_asyncio.plugin", "-p", "signal_sdk.pytest_plugin")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *chosen)
    result.assert_outcomes(passed=6)


@pytest.mark.parametrize("cls", [Peer, PeerCall, NetworkFaults])
def test_the_page_names_all_that_there_is(cls: type) -> None:
    names = {name for name in vars(cls) if not name.startswith("_")}
    unnamed = {name for name in names if not re.search(rf"\b{name}\b", TEXT)}
    assert unnamed <= {"network", "log_in"}
