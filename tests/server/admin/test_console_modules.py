"""The console's modules: each can be read by a browser, stays short, makes no markup of text, and
those that touch no page do what they say, under Node.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from signal_sdk.server.admin import files
from signal_sdk.server.engine.happened import KINDS, Why
from tests.modules import ROOT

FOLDER: Final = Path(files.__file__).with_name("console")
LIBRARY: Final = "uPlot.esm.js"
MODULES: Final = sorted(path.name for path in FOLDER.glob("*.js") if path.name != LIBRARY)
MAX_LINES: Final = 300
PUBLISHED: Final = ROOT / "tests" / "node_modules" / "uplot"
SECONDS: Final = 60
MARKUP: Final = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setHTML"
    r"|DOMParser|createContextualFragment|srcdoc|localStorage\.setItem\((?!NAME)"
)


def node(*args: str, said: str) -> str:
    program = shutil.which("node")
    if program is None:
        pytest.fail("there is no `node` on PATH: install Node.js", pytrace=False)
    done = subprocess.run(
        [program, *args], input=said, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def of(module: str, names: str, expression: str) -> Any:
    """What an expression is in JavaScript, with these names of a module."""
    said = f"""
        const {{{names}}} = await import({json.dumps((FOLDER / module).as_uri())});
        console.log(JSON.stringify({expression}));
    """
    return json.loads(node("--input-type=module", said=said))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_is_short_and_makes_no_markup(module: str) -> None:
    text = (FOLDER / module).read_text()
    node("--check", "--input-type=module", said=text)
    assert text.startswith("/**\n")
    assert text.count("\n") < MAX_LINES
    assert MARKUP.findall(text) == []
    for place in re.findall(r"""(?:from|import\() ?["']([^"']+)["']""", text):
        assert (FOLDER / place.removeprefix("./")).is_file()
        assert place.startswith("./")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(LIBRARY, f"dist/{LIBRARY}", id="program"),
        pytest.param("uPlot.min.css", "dist/uPlot.min.css", id="style"),
        pytest.param("uPlot.LICENSE", "LICENSE", id="licence"),
    ],
)
def test_the_chart_library_is_the_published_one(ours: str, theirs: str) -> None:
    if not PUBLISHED.exists():
        pytest.fail("the chart library is not installed: run `npm ci` in tests", pytrace=False)
    assert (FOLDER / ours).read_bytes() == (PUBLISHED / theirs).read_bytes()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("alice", "alice"),
        ("Žofie 🦉 アリス", "Žofie 🦉 アリス"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ("a\u202eb", "a\\u{202e}b"),
        ("a\u200bb\u2060\ufeff", "a\\u{200b}b\\u{2060}\\u{feff}"),
        ("a\nb\t\x00\x1b[31m", "a\\u{a}b\\u{9}\\u{0}\\u{1b}[31m"),
        ("a\u00a0b \u3000", "a\\u{a0}b \\u{3000}"),
        ("\u3164\u115f\u2800\U000e0041", "\\u{3164}\\u{115f}\\u{2800}\\u{e0041}"),
        ("x" * 301, "x" * 300 + "…"),
        ("x" * 299 + "🦉", "x" * 299 + "…"),
    ],
)
def test_a_foreign_name_shows_all_that_it_holds(name: str, shown: str) -> None:
    assert of("text.js", "shown", f"shown({json.dumps(name)})") == shown


def test_numbers_and_times_are_brief() -> None:
    said = "[null, 0, 0.128, 7.5, 42.25, 128.4, 9999, 12345, 1234567, 2.5e9].map(brief)"
    assert of("text.js", "brief", said) == [
        *("\u2013", "0", "0.13", "7.5", "42.3", "128", "9999", "12.3k", "1.2M", "2.5G")
    ]
    assert of("text.js", "lasted", "[-1, 59.9, 61, 3661, 90061].map(lasted)") == [
        *("0 s", "59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h")
    ]
    assert of("text.js", "size", "[0, 1, 2].map(size)") == ["0 bytes", "1 byte", "2 bytes"]


BEFORE: Final = r"""# HELP signal_sdk_messages_sent_total What was handed "out".
# TYPE signal_sdk_messages_sent_total counter
signal_sdk_messages_sent_total{kind="account"} 10.0
signal_sdk_messages_sent_total{kind="chan\"nel, \\n{}"} 5.0
# TYPE signal_sdk_refusals_total counter
signal_sdk_loop_lag_seconds_bucket{le="0.01"} 1.0
signal_sdk_loop_lag_seconds_bucket{le="0.1"} 1.0
signal_sdk_loop_lag_seconds_bucket{le="+Inf"} 1.0
signal_sdk_loop_lag_seconds_count 1.0
signal_sdk_loop_lag_seconds_sum 0.001
process_start_time_seconds 1.5e+09
"""
AFTER: Final = (
    BEFORE.replace(" 10.0", " 30.0")
    .replace('"0.01"} 1.0', '"0.01"} 2.0')
    .replace('"0.1"} 1.0', '"0.1"} 3.0')
    .replace('Inf"} 1.0', 'Inf"} 3.0')
    .replace("count 1.0", "count 3.0")
    .replace("sum 0.001", "sum 0.051")
    .replace(" 1.5e+09", " 1500000000.0031")
)


def looks(expression: str, after: str = AFTER) -> Any:
    said = (
        f"((a, b) => ({expression}))"
        f"(new Look(parse({json.dumps(BEFORE)}), 100), new Look(parse({json.dumps(after)}), 104))"
    )
    return of("metrics.js", "Look, parse", said)


def test_two_looks_at_the_metrics_are_rates() -> None:
    assert looks("[a.now('messages_sent_total'), b.now('nothing')]") == [15, None]
    assert looks("[b.rate(a, 'messages_sent_total'), b.rate(a, 'refusals_total')]") == [5, 0]
    assert looks("[b.rate(null, 'messages_sent_total'), a.rate(b, 'messages_sent_total')]") == [
        *(None, None)
    ]
    found = looks("b.spread(a, 'loop_lag_seconds')")
    assert found == {"mean": pytest.approx(0.025), "most": 0.1}
    assert looks("a.spread(a, 'loop_lag_seconds')") == {"mean": None, "most": None}
    labels = "a.samples.get('signal_sdk_messages_sent_total')[1].labels.kind"
    assert looks(labels) == 'chan"nel, \\n{}'


def test_a_server_that_has_begun_anew_makes_a_gap() -> None:
    anew = AFTER.replace("1500000000.0031", "1500000060.0")
    assert looks("b.rate(a, 'messages_sent_total')", anew) is None
    less = AFTER.replace(" 30.0", " 3.0")
    assert looks("b.rate(a, 'messages_sent_total')", less) is None
    over = AFTER.replace('"0.1"} 3.0', '"0.1"} 1.0').replace('"0.01"} 2.0', '"0.01"} 1.0')
    assert looks("b.spread(a, 'loop_lag_seconds').most", over) == 0.1


STREAM: Final = (
    "retry: 500\n\n:\n\nid: 7\nevent: login\ndata: {}\n\n"
    "event: x\r\ndata: a\r\ndata: b\r\n\r\nevent: nothing\n\ndata:c\n\n"
)


@pytest.mark.parametrize("part", [1, 2, 7, 1000])
def test_a_stream_is_taken_apart_however_it_is_cut(part: int) -> None:
    said = (
        f"((p) => {{ const found = []; const text = {json.dumps(STREAM)};"
        f"for (let i = 0; i < text.length; i += {part})"
        f" found.push(...p.feed(text.slice(i, i + {part})));"
        " return [found, p.lastId, p.retry]; })(new Parser())"
    )
    assert of("stream.js", "Parser", said) == [
        [
            {"kind": "login", "data": "{}"},
            {"kind": "x", "data": "a\nb"},
            {"kind": "message", "data": "c"},
        ],
        "7",
        500,
    ]


def test_a_stream_without_end_of_line_is_given_up() -> None:
    said = (
        "(() => { try { new Parser().feed('x'.repeat(2 ** 21)); }"
        " catch (error) { return error.message; } })()"
    )
    assert of("stream.js", "Parser", said) == "the event stream has a line without end"


def test_each_part_of_a_path_is_escaped_and_none_leads_elsewhere() -> None:
    said = "place('accounts', 'a/b?c#d%é 🦉', '...')"
    assert of("api.js", "place", said) == "accounts/a%2Fb%3Fc%23d%25%C3%A9%20%F0%9F%A6%89/..."
    said = (
        "['.', '..', '\\ud800'].map((it) => { try { return place('accounts', it); }"
        " catch (error) { return error.name + error.status; } })"
    )
    assert of("api.js", "place", said) == ["Problem422"] * 3


def test_a_key_that_no_header_can_hold_is_refused() -> None:
    said = (
        "['', 'a b', 'ä', 'a\\nb', 'good-key'].map((it) => { try { new Api(it); return 0; }"
        " catch (error) { return error.status; } })"
    )
    assert of("api.js", "Api", said) == [401, 401, 401, 401, 0]


def paged(parts: list[list[int]], wanted: str, cursor: int = 0) -> Any:
    said = (
        f"await (async (parts) => {{ const pages = new Pages(); pages.cursor = '{cursor or ''}';"
        " const asked = []; const found = await pages.read(async (query) => {"
        " asked.push(query); const at = Number(query.cursor || 0);"
        " return { items: parts[at], cursor: at + 1 < parts.length ? `${at + 1}` : '' }; },"
        f" {wanted}); return [found.rows, found.searched, found.next, asked]; }})"
        f"({json.dumps(parts)})"
    )
    return of("pages.js", "Pages", said)


def test_a_page_that_is_short_is_not_the_last() -> None:
    full = list(range(50))
    rows, searched, following, asked = paged([[], full, [50]], "null")
    assert (rows, searched, following) == (full, 50, "2")
    assert asked == [{"cursor": "", "limit": 50}, {"cursor": "1", "limit": 50}]
    assert paged([[], full, [50]], "null", 2)[:3] == [[50], 1, ""]


def test_a_filter_looks_further_up_to_a_bound() -> None:
    parts = [list(range(1000))] * 30
    rows, searched, following, asked = paged(parts, "(it) => it === 7")
    assert (rows, searched, following) == ([7] * 20, 20_000, "20")
    assert {it["limit"] for it in asked} == {1000}


def test_every_event_is_a_sentence_whose_names_are_apart() -> None:
    evil = {"account": "<b>", "channel": "lobby", "members": 3}
    assert of("sentences.js", "sentence", f"sentence('join', {json.dumps(evil)})") == [
        {"name": "<b>"},
        " joined ",
        {"name": "lobby"},
        ", 3 there now",
    ]
    call = {"caller": "a", "callee": "b", "channel": "c", "state": "ended", "why": "bye"}
    assert of("sentences.js", "sentence", f"sentence('call', {json.dumps(call)})")[-1] == (
        ", ended: hung up"
    )
    assert of("sentences.js", "sentence", "sentence('toString', {a: 1})") == ['{"a":1}']
    assert of(
        "sentences.js", "sentence", "sentence('logout', {account: 'a', why: 'toString'})"
    ) == [
        {"name": "a"},
        " is offline: toString",
    ]


def test_the_kinds_are_those_that_there_are() -> None:
    assert tuple(of("sentences.js", "KINDS", "KINDS")) == KINDS
    text = (FOLDER / "sentences.js").read_text()
    for why in (value for name, value in vars(Why).items() if not name.startswith("_")):
        assert f"\n  {why}: " in text
