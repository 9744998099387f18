"""Many sessions of the retired Python SDK in one process, each of which answers what it is told.

    python bots_retired.py PORT SESSIONS

Prints how much memory it has before the first login, and a line when all are logged in. Its log,
which by default has several lines for each message, is switched off.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from agorasigsdk.agora_signal import AgoraSignal  # type: ignore[import-not-found, unused-ignore]
from agorasigsdk.login_session import LoginSession  # type: ignore[import-not-found, unused-ignore]
from twisted.internet import reactor  # type: ignore[import-not-found, unused-ignore]

TOKENS = json.loads(os.environ["TOKENS"])
LOGINS_AT_ONCE = 20


class Answering(LoginSession.LoginCallback):  # type: ignore[misc, unused-ignore]
    """Logs the next one in whenever one has got in."""

    def __init__(self, port: int, sessions: int) -> None:
        self.signal = AgoraSignal(os.environ["APP_ID"])
        self.address = ("127.0.0.1", port)
        self.numbers = iter(range(sessions))
        self.missing = sessions
        self.sent = LoginSession.MessageCallback()
        self.bots: list[Any] = []

    def log_in_next(self) -> None:
        number = next(self.numbers, None)
        if number is not None:
            self.bots.append(
                self.signal.login(
                    f"bot{number}",
                    TOKENS[number],
                    self,
                    is_debugging=True,
                    debug_params=[self.address],
                )
            )

    def on_login_success(self, session: Any, uid: int) -> None:
        self.missing -= 1
        if self.missing == 0:
            print("ready", flush=True)
        self.log_in_next()

    def on_msg_instant_received(self, session: Any, account: str, uid: int, msg: str) -> None:
        session.msg_instant_send(account, msg, self.sent)


def print_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print("before", pages * os.sysconf("SC_PAGE_SIZE"), flush=True)


def main(port: int, sessions: int) -> None:
    logging.disable(logging.CRITICAL)
    print_memory()
    answering = Answering(port, sessions)
    for _ in range(LOGINS_AT_ONCE):
        answering.log_in_next()
    reactor.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
