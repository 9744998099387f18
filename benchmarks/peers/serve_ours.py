"""Our server, which first says where its code is, as two trees of it are measured side by side.

python serve_ours.py ARGUMENT...    as `python -m signal_sdk serve ARGUMENT...`
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import signal_sdk

print("signal_sdk is of", Path(signal_sdk.__file__).parents[1], flush=True)
sys.argv = [sys.argv[0], "serve", *sys.argv[1:]]
runpy.run_module("signal_sdk", run_name="__main__", alter_sys=True)
