"""All workers of a server, looked at together."""

from __future__ import annotations

import attrs
import pytest
import trio

from signal_sdk.admin import AdminError, AsyncAdminClient
from signal_sdk.admin import Node as NodeFacts
from signal_sdk.admin.errors import Problem
from signal_sdk.cli import group, status, top
from signal_sdk.cli.admin_access import Access
from signal_sdk.cli.group import Look, looking
from signal_sdk.cli.samples import Sample
from tests.cli.test_samples import NODE, made
from tests.server.admin.helpers import KEY

URL = "http://[::1]:8011"


@attrs.define
class Workers:
    """What each process says when it is asked next, by its address, and who was asked."""

    monkeypatch: pytest.MonkeyPatch
    says: dict[str, Sample | AdminError] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.monkeypatch.setattr(group, "sample", self._sample)

    async def _sample(self, client: AsyncAdminClient) -> Sample:
        await trio.lowlevel.checkpoint()
        url = str(client._client.base_url)
        self.asked.append(url)
        said = self.says[url]
        if isinstance(said, AdminError):
            raise said
        return said


def of(at: float, sessions: int = 1, *, node: NodeFacts = NODE, **counters: float) -> Sample:
    gauges = {"workers": 3.0, "connections": float(sessions), "memory_bytes": 1024.0}
    node = attrs.evolve(node, sessions=sessions)
    return attrs.evolve(made(at, **counters), gauges=gauges, node=node)


GONE = AdminError(0, Problem(detail="gone"))


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    return Workers(monkeypatch)


def at(port: int) -> str:
    return f"http://[::1]:{port}"


async def test_they_are_told_together_and_each_by_itself(workers: Workers) -> None:
    workers.says = {at(8011): of(1, 2, received=10.0), at(8012): of(1, 3, received=5.0)}
    workers.says[at(8013)] = GONE
    async with looking(Access(url=URL, key=KEY)) as everyone:
        first = await everyone.look()
        workers.says = {at(8011): of(3, 2, received=20.0), at(8012): of(3, 4, received=6.0)}
        # It is there again, and has counted all along.
        workers.says[at(8013)] = of(3, 1, received=1000.0)
        second = await everyone.look()
    assert list(first.workers) == [8011, 8012, 8013]
    assert first.workers[8013] == Look(failure="gone")
    found = first.found
    assert found is not None
    assert (found.node.sessions, found.counters, found.gauges["workers"]) == (
        5,
        {"received": 15.0},
        3,
    )
    assert found.node.why_not_ready == "at port 8013: gone"
    assert found.node.engine == NODE.engine
    assert second.found is not None
    assert (second.found.node.sessions, second.found.node.why_not_ready) == (7, "")
    assert second.rates == {"received": 5.5}
    assert second.workers[8012].rates == {"received": 0.5}
    told = second.facts(has_rates=True)
    assert (told["sessions"], [it["port"] for it in told["workers"]]) == (7, [8011, 8012, 8013])
    assert [it["sessions"] for it in told["workers"]] == [2, 4, 1]
    assert [it["rates"].get("received") for it in told["workers"]] == [5.0, 0.5, None]
    told = first.facts(has_rates=False)
    assert told["workers"][2] == {"port": 8013, "reason": "gone"}
    assert not any("rates" in it for it in (told, *told["workers"]))


async def test_what_is_late_somewhere_is_not_told_as_a_sum(workers: Workers) -> None:
    for port in (8011, 8012, 8013):
        workers.says[at(port)] = of(1, lag_seconds=0.0, lag_looks=0.0)
    async with looking(Access(url=URL, key=KEY)) as everyone:
        await everyone.look()
        for port, late in ((8011, 0.2), (8012, 0.1), (8013, 0.0)):
            workers.says[at(port)] = of(2, lag_seconds=late, lag_looks=2.0)
        assert (await everyone.look()).rates == {"lag_ms": 100.0}


async def test_one_is_looked_at_alone_where_that_is_asked_for(workers: Workers) -> None:
    workers.says = {at(8011): of(1)}
    async with looking(Access(url=URL, key=KEY), is_alone=True) as one:
        look = await one.look()
    assert (look.workers, workers.asked) == ({}, [at(8011)])


async def test_behind_a_proxy_nobody_knows_where_the_others_are(workers: Workers) -> None:
    url = "https://admin.example.com"
    workers.says = {url: of(1)}
    async with looking(Access(url=url, key=KEY)) as one:
        look = await one.look()
    assert (look.workers, workers.asked) == ({}, [url])


async def test_where_nobody_answers_that_is_an_error(workers: Workers) -> None:
    workers.says = {at(8011): GONE}
    async with looking(Access(url=URL, key=KEY)) as everyone:
        with pytest.raises(AdminError, match="gone"):
            await everyone.look()
        # Who was found once is asked again, wherever the first is.
        workers.says = {at(port): of(1) for port in (8011, 8012, 8013)}
        await everyone.look()
        workers.says = {**workers.says, at(8011): GONE}
        assert (await everyone.look()).workers[8011].failure == "gone"


async def test_people_are_told_so(workers: Workers, capsys: pytest.CaptureFixture[str]) -> None:
    workers.says = {at(port): of(1, port - 8010, received=1.0, sent=2.0) for port in (8011, 8012)}
    workers.says[at(8013)] = GONE
    async with looking(Access(url=URL, key=KEY)) as everyone:
        look = await everyone.look()
    facts = dict(status._facts(look))
    assert (facts["workers"], facts["logged in here"]) == ("3", "3")
    assert facts["messages"] == "2 received, 4 sent"
    assert (
        "logged in: 2, connections: 2, messages: 1 received, 2 sent"
        in (facts["worker at port 8012"])
    )
    assert facts["worker at port 8013"] == "no answer: gone"
    top._say_lines(look)
    lines = capsys.readouterr().out.splitlines()
    assert [len(lines), " worker: all 3, " in lines[0]] == [4, True]
    assert " port: 8012, worker: one of 3, logged in: 2, " in lines[2]
    assert lines[3].endswith(" port: 8013, no answer: gone")
    table = top._table(look)
    assert [column.header for column in table.columns] == ["", "all", "8011", "8012", "8013"]
