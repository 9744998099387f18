#!/usr/bin/python3
"""The command `signal-sdk` of the Debian package, with the libraries that the package has."""

import sys

sys.path.insert(0, "/usr/lib/signal-sdk")

from signal_sdk.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
