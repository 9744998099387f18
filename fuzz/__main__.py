"""`python -m fuzz [--seconds N | --short] [TARGET ...]`: coverage-guided fuzzing of what reads
foreign bytes, each target in a process of its own, all within that time. What makes one fail is
kept in fuzz/findings. `--short` takes the same walk each time, so that a change makes it fail.

Owns: the fuzzer, its bounds, and what is told of a run. Must not know what is promised.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FINDINGS: Final = Path(__file__).parent / "findings"
NAMES: Final = ("http", "frames", "packets", "call2", "journal")
SHORT: Final = {"http": 1500, "frames": 3000, "packets": 5000, "call2": 50_000, "journal": 300}
"""How many inputs of each a short run tries: some ten seconds' work."""
SHORT_SECONDS: Final = 60
MEMORY_MB: Final = 1024
INPUT_SECONDS: Final = 20
"""How long one input may take."""
GRACE_SECONDS: Final = 60.0
"""How long a process may take beside: it instruments what it imports, and tries the seeds."""
_DONE: Final = re.compile(r"^Done (\d+) runs", re.MULTILINE)
_COVERAGE: Final = re.compile(r"\bcov: (\d+) ft: (\d+) corp: (\d+)")


def run_all(names: list[str], seconds: int, *, is_short: bool) -> int:
    """Fuzz one after the other; the exit code."""
    failed = []
    for name in names:
        FINDINGS.mkdir(exist_ok=True)
        began = time.monotonic()
        each = max(1, seconds // len(names))
        command = [sys.executable, "-m", "fuzz", "--only", name, "--seconds", str(each)]
        if is_short:
            command.append("--short")
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": "0"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=each + GRACE_SECONDS,
                check=False,
                text=True,
                errors="replace",
            )
            told, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as exc:
            told, code = (exc.stdout or b"").decode(errors="replace"), -1
        runs, seen = _DONE.search(told), _COVERAGE.findall(told)
        print(
            f"{name}: {runs[1] if runs else 'unknown'} executions in"
            f" {time.monotonic() - began:.0f} s; coverage {seen[-1][0] if seen else 0},"
            f" features {seen[-1][1] if seen else 0}, inputs kept {seen[-1][2] if seen else 0}",
            flush=True,
        )
        if code or not runs:
            failed.append(name)
            print("\n".join(told.splitlines()[-60:]), flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}; what made them fail is in {FINDINGS}")
    return bool(failed)


def fuzz(name: str, seconds: int, *, is_short: bool) -> None:
    """Fuzz one target in this process, which ends with it."""
    bound = [f"-runs={SHORT[name]}", "-seed=1"] if is_short else [f"-max_total_time={seconds}"]
    import atheris  # noqa: PLC0415  only who fuzzes needs it

    # What is behind the seams has promises of its own; it would only slow this down.
    with atheris.instrument_imports(include=["signal_sdk", "websockets", "fuzz"]):
        from fuzz.targets import MAX_BYTES, TARGETS  # noqa: PLC0415  to be instrumented
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds()):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        atheris.Setup(
            [
                "fuzz",
                *bound,
                f"-timeout={INPUT_SECONDS}",
                f"-rss_limit_mb={MEMORY_MB}",
                f"-max_len={MAX_BYTES}",
                f"-artifact_prefix={FINDINGS}/{name}-",
                "-print_final_stats=1",
                corpus,
            ],
            target.check,
        )
        atheris.Fuzz()


def main() -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("targets", nargs="*", choices=[*NAMES, []], metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=120, help="for all targets together")
    parser.add_argument("--short", action="store_true", help="a fixed walk of about a minute")
    parser.add_argument("--only", choices=NAMES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        fuzz(given.only, given.seconds, is_short=given.short)
        return 0
    seconds = SHORT_SECONDS * len(NAMES) if given.short else given.seconds
    return run_all(given.targets or list(NAMES), seconds, is_short=given.short)


if __name__ == "__main__":
    sys.exit(main())
