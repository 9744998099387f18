"""The package's names: each is imported when it is asked for, and told of in three places alike."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import signal_sdk

ROOT = Path(__file__).parents[1]


def told_to_type_checkers() -> dict[str, str]:
    """The names that `signal_sdk` imports for type checkers, each with its module."""
    tree = ast.parse(Path(signal_sdk.__file__).read_text())
    [block] = [it for it in tree.body if isinstance(it, ast.If) and "TYPE" in ast.unparse(it.test)][
        :1
    ]
    return {
        alias.name: str(it.module)
        for it in block.body
        if isinstance(it, ast.ImportFrom)
        for alias in it.names
    }


def test_type_checkers_are_told_of_what_there_is() -> None:
    told = told_to_type_checkers()
    assert sorted(told) == sorted(signal_sdk.__all__)
    for name, home in told.items():
        there = getattr(importlib.import_module(home), name)
        assert getattr(signal_sdk, name) is there, name
        assert getattr(there, "__module__", home) in {home, "typing", "types"}, name


def run(code: str) -> Any:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    "code",
    [
        "import signal_sdk; signal_sdk.Signal('app'); signal_sdk.Signal",
        "from signal_sdk import *; Signal, make_token, getAgoraSDKInstanceCPP",
        "import signal_sdk; signal_sdk.errors.SignalError; signal_sdk.client.backoff.Backoff",
        "import signal_sdk; assert set(signal_sdk.__all__) <= set(dir(signal_sdk))",
    ],
)
def test_a_name_is_there_when_it_is_asked_for(code: str) -> None:
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("from signal_sdk import Singal", "cannot import name 'Singal'"),
        (
            "import signal_sdk; signal_sdk.server",
            "AttributeError: module 'signal_sdk' has no attribute 'server'",
        ),
    ],
)
def test_any_other_name_is_not(code: str, said: str) -> None:
    assert said in run(code).stderr.splitlines()[-1]
