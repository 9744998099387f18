"""A hundred instances in one process, each called from its own thread."""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path
from typing import Final

from signal_sdk import ICallBack
from tests.agora.conftest import ThreadedServer, instances
from tests.agora.ears import HEAR_SECONDS, sdk_threads, wait_for_no_threads
from tests.two_nodes import nodes_of

INSTANCES: Final = 100
MESSAGES: Final = 10_000
EACH: Final = MESSAGES // INSTANCES
STEP: Final = 7
"""Each instance sends to this many others in turn."""
BOUND_SECONDS: Final = 60


def memory_bytes() -> int:
    """What this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Counting(ICallBack):
    """What each sender has said, in order, and what became of one's own messages."""

    def __init__(self) -> None:
        self.said: dict[str, list[int]] = {}
        self.sent: list[str] = []
        self.is_in = threading.Event()
        self.has_all = threading.Event()

    def on_login_success(self, uid: int, fd: int) -> None:
        self.is_in.set()

    def on_message_instant_receive(self, account: str, uid: int, msg: str) -> None:
        self.said.setdefault(account, []).append(int(msg))
        self._count()

    def on_message_send_success(self, messageID: str) -> None:  # noqa: N803  its documented name
        self.sent.append(messageID)
        self._count()

    def _count(self) -> None:
        if len(self.sent) == EACH and sum(map(len, self.said.values())) == EACH:
            self.has_all.set()


def test_a_hundred_instances_lose_and_double_nothing(far_server: ThreadedServer) -> None:
    before = memory_bytes()
    with instances() as make:
        apis = []
        for number in range(INSTANCES):
            api, _ = make(far_server.address)
            ears = Counting()
            api.callback_set(ears)
            apis.append((api, ears))
            api.login("app", f"user{number}", "_no_need_token")
        for _, ears in apis:
            assert ears.is_in.wait(HEAR_SECONDS)
        sessions: list[int] = []
        far_server.do(lambda running: sessions.extend(it.sessions for it in nodes_of(running)))
        assert sum(sessions) == INSTANCES
        assert min(sessions) >= INSTANCES // 5

        ids: list[list[str]] = [[] for _ in apis]

        def talk(number: int) -> None:
            api, _ = apis[number]
            for count in range(EACH):
                to = (number + 1 + count % STEP) % INSTANCES
                ids[number].append(api.message_instant_send(f"user{to}", 0, str(count)))

        callers = [threading.Thread(target=talk, args=(n,)) for n in range(INSTANCES)]
        begun = time.monotonic()
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(BOUND_SECONDS)
        for _, ears in apis:
            assert ears.has_all.wait(BOUND_SECONDS)
        seconds = time.monotonic() - begun
        threads = len(sdk_threads())
        held = memory_bytes() - before

        for number, (_, ears) in enumerate(apis):
            assert ears.sent == ids[number]
            assert ears.said == {
                f"user{(number - 1 - step) % INSTANCES}": list(range(step, EACH, STEP))
                for step in range(STEP)
            }
        assert len({one for each in ids for one in each}) == MESSAGES
        assert threads == INSTANCES + 1
    wait_for_no_threads()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(  # noqa: T201  pytest -s shows it
        f"\n{INSTANCES} instances, {MESSAGES} messages in {seconds:.1f} s:"
        f" {threads} threads of the SDK, {held / 2**20:.1f} MiB more memory with the server's"
        f" sessions and the test's own {INSTANCES} callers, {peak / 1024:.0f} MiB at most"
    )
