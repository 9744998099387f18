"""What the figures were measured on: the machine, and the versions of all that took part.

Owns: asking the system. Must not know what is measured.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks import servers
from benchmarks.trees import HERE

PYTHON_PACKAGES: Final = (
    "agora-signaling-sdk",
    "python-socketio",
    "aiohttp",
    "uvicorn",
    "uvloop",
    "websockets",
    "nats-py",
    "twisted",
    "autobahn",
)
OUR_PACKAGES: Final = ("trio", "websockets", "msgspec", "attrs")
_VERSIONS: Final = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        pass
"""


def describe() -> dict[str, str]:
    """The machine, by names that a reader knows."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": f"{cpu[1] if cpu else platform.machine()}, {cores} cores",
        "memory": f"{memory:.0f} GiB",
        # What follows is whoever built it.
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }


def stolen_seconds() -> float:
    """CPU time, of all cores together, that a virtual machine's host has given to others so far."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def versions() -> dict[str, str]:
    """All that took part and is there."""
    found = {
        "signal_sdk": _said("git", "-C", str(HERE.root), "describe", "--always", "--dirty"),
        "python": platform.python_version(),
        "node": _said("node", "--version"),
        "nats-server": _said(servers.nats_command(), "--version").removeprefix("nats-server: "),
    }
    found.update(_packages(sys.executable, OUR_PACKAGES, "ours: "))
    found.update(_packages(str(servers.PEERS_PYTHON), PYTHON_PACKAGES, "peers: "))
    for name in ("ws", "socket.io"):
        package = servers.PEERS / "node_modules" / name / "package.json"
        if package.exists():
            found[f"npm: {name}"] = json.loads(package.read_text())["version"]
    return {name: version for name, version in found.items() if version}


def _packages(python: str, names: tuple[str, ...], prefix: str) -> dict[str, str]:
    lines = _said(python, "-c", _VERSIONS, *names).splitlines()
    return {prefix + name: version for name, version in (line.split() for line in lines)}


def _said(*command: str) -> str:
    """What a program prints; nothing where it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
