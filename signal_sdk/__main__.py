"""`signal-sdk` and `python -m signal_sdk`: the way into the command line.

Owns: what is said where the command line's own library is not installed, and the end by Ctrl-C
while libraries are imported. Must not know any command.
"""

from __future__ import annotations

import sys

from signal_sdk.extras import needs_extra

MISSING = needs_extra("signal-sdk's command line", "server")
INTERRUPTED = 130
"""What a shell reports for a program that SIGINT ended. `cli.failures` has it as well, but needs
click, which may not be there yet.
"""


def main() -> int:
    """Run the command line on this process's arguments, and return the exit code."""
    try:
        return _run()
    except KeyboardInterrupt:
        # It came while libraries were imported, which takes half a second on a busy machine.
        return INTERRUPTED


def _run() -> int:
    try:
        import click  # noqa: F401, PLC0415  it may be missing, and that is to be one clear line
    except ModuleNotFoundError as exc:
        if exc.name != "click":
            raise
        sys.stderr.write(f"{MISSING}\n")
        return 2
    from signal_sdk.cli.main import run  # noqa: PLC0415  it imports click

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
