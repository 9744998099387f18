#!/usr/bin/env bash
# pytest-trio 0.8.0 (trio 0.32.0, pytest 8.4.2): the fixture `autojump_clock` makes a test's clock
# virtual only where one of the test function's own arguments is the clock. Where it is asked for by
# `@pytest.mark.usefixtures`, or by another fixture that the test has, the clock is made, the test
# passes, and all its sleeps are real: a suite is slow, and what it says of time-outs depends on the
# machine, and nothing tells so.
#
# Seen, for a sleep of 1.5 s: as an argument virtual, by the mark real, through a fixture real.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pytest==8.4.2 pytest-trio==0.8.0 trio==0.32.0
cat >"$folder/test_clocks.py" <<'PY'
import time

import pytest
import trio


async def slept():
    began = time.perf_counter()
    await trio.sleep(1.5)
    return "real" if time.perf_counter() - began > 1 else "virtual"


@pytest.fixture
def through(autojump_clock):
    return "what the test works with"


@pytest.mark.trio
async def test_as_an_argument(autojump_clock):
    print(f"\nas an argument: {await slept()}")


@pytest.mark.trio
@pytest.mark.usefixtures("autojump_clock")
async def test_by_the_mark():
    print(f"\nby the mark: {await slept()}")


@pytest.mark.trio
async def test_through_a_fixture(through):
    print(f"\nthrough a fixture: {await slept()}")
PY
(cd "$folder" && venv/bin/python -m pytest -q -s -p no:cacheprovider test_clocks.py) | grep -E ': (real|virtual)$' | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
as an argument: virtual
by the mark: real
through a fixture: real
SEEN
