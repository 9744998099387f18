#!/usr/bin/env bash
# click 8.5.1: a command's names for help are those of the first context that it was parsed in, for
# the rest of the process. A group that sets help_option_names to -h and --help hands them on to its
# commands; but where a command was parsed once by itself (a test, a documentation builder, a second
# program that has the same command), -h is an unknown option of it ever after, below the group too.
# click 8.1.7 has no such memory. In tests that run in any order it is a failure that comes and goes.
#
# Seen: 8.1.7 group first: 0 0, command first: 0 0; 8.5.1 group first: 0 0, command first: 0 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/show.py" <<'PY'
import sys
from importlib.metadata import version

import click
from click.testing import CliRunner


def code(command_first):
    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    def group():
        """A group."""

    @group.command()
    def work():
        """A command."""

    runner = CliRunner()
    calls = [(work, ["--help"]), (group, ["work", "-h"])]
    codes = [runner.invoke(*call).exit_code for call in (calls if command_first else calls[::-1])]
    return " ".join(map(str, codes if command_first else codes[::-1]))


print(version("click"), "group first:", code(False) + ", command first:", code(True))
PY
for version in 8.1.7 8.5.1; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check "click==$version"
    "$folder/$version/bin/python" "$folder/show.py"
done | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
8.1.7 group first: 0 0, command first: 0 0
8.5.1 group first: 0 0, command first: 0 2
SEEN
