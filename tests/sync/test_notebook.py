"""`signal_sdk` in the cells of a notebook, in a real kernel of Jupyter's."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from signal_sdk.sync import Signal
from tests.threads import ThreadedServer, threaded_server

SECONDS: Final = 60
"""How long a cell may take: a busy machine takes seconds to import what a kernel needs."""
NO_TOKEN: Final = "_no_need_token"


class Cell(NamedTuple):
    """What has become of a cell: what it has printed, and the name of what it has raised."""

    printed: str
    raised: str


class Notebook:
    """A kernel, and what its cells say."""

    def __init__(self, manager: Any, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client

    def run(self, source: str) -> Cell:
        """Run a cell to its end."""
        return self.result(self.client.execute(source))

    def result(self, cell: str) -> Cell:
        """Wait for a cell's end."""
        printed = raised = ""
        while True:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != cell:
                continue
            if kind == "stream":
                printed += content["text"]
            elif kind == "error":
                raised = content["ename"]
            elif kind == "status" and content["execution_state"] == "idle":
                return Cell(printed, raised)

    def begin(self, source: str) -> str:
        """Run a cell as far as its first printed line, and return what it is called."""
        cell: str = self.client.execute(source)
        while True:
            message = self.client.get_iopub_msg(timeout=SECONDS)
            if message["msg_type"] == "stream" and message["parent_header"]["msg_id"] == cell:
                return cell


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedServer]:
    with threaded_server() as server:
        yield server


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=SECONDS)
    try:
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_page_s_cells(server: ThreadedServer, notebook: Notebook) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sync.md").read_text()
    _, opens, asks, closes = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    with (
        Signal("demo", server=server.address) as signal,
        signal.login("desk", NO_TOKEN) as desk,
        desk.messages(timeout=SECONDS) as heard,
    ):
        assert notebook.run(opens.replace("127.0.0.1:8001", server.address)) == Cell("", "")
        desk.message_instant_send("reporter", "come in")
        assert notebook.run(asks) == Cell("desk says come in\n", "")
        assert next(heard).text == "I am there"
        assert notebook.run(closes) == Cell("", "")
        assert not desk.query_user_status("reporter")


def test_what_a_cell_opens_the_next_ones_use(server: ThreadedServer, notebook: Notebook) -> None:
    app = f"app-{uuid.uuid4().hex}"
    with Signal(app, server=server.address) as signal, signal.login("ann", NO_TOKEN) as ann:
        assert notebook.run(
            f"from signal_sdk.sync import Signal\n"
            f"signal = Signal({app!r}, server={server.address!r}).open()\n"
            f"session = signal.login('nb', {NO_TOKEN!r})\n"
            f"messages = session.messages(timeout={SECONDS})\n"
        ) == Cell("", "")
        with ann.messages(timeout=SECONDS) as heard:
            assert notebook.run("session.message_instant_send('ann', 'I am there')").raised == ""
            assert next(heard).text == "I am there"
        ann.message_instant_send("nb", "come in")
        assert notebook.run("print(next(messages).text)") == Cell("come in\n", "")
        # A cell that waits is stopped by its user, and the next one goes on.
        waits = notebook.begin("print('waits', flush=True); session.wait_logged_out()")
        notebook.manager.interrupt_kernel()
        assert notebook.result(waits).raised == "KeyboardInterrupt"
        assert notebook.run("print(session.query_user_status('ann'))") == Cell("True\n", "")
        # In a cell's own loop, beside it.
        assert notebook.run(
            f"from signal_sdk import aio\n"
            f"async with aio.Signal({app!r}, server={server.address!r}) as other:\n"
            f"    async with other.login('loop', {NO_TOKEN!r}) as loop:\n"
            f"        await loop.message_instant_send('nb', 'from a loop')\n"
            f"print(next(messages).text)\n"
        ) == Cell("from a loop\n", "")
        assert notebook.run("signal.close()\nsignal.close()") == Cell("", "")
        assert not ann.query_user_status("nb")


def test_a_kernel_that_ends_logs_out(server: ThreadedServer, notebook: Notebook) -> None:
    app = f"app-{uuid.uuid4().hex}"
    with Signal(app, server=server.address) as signal, signal.login("ann", NO_TOKEN) as ann:
        assert notebook.run(
            f"from signal_sdk.sync import Signal\n"
            f"signal = Signal({app!r}, server={server.address!r}).open()\n"
            f"session = signal.login('nb', {NO_TOKEN!r})"
        ) == Cell("", "")
        assert ann.query_user_status("nb")
        notebook.manager.shutdown_kernel()
        assert not ann.query_user_status("nb")
