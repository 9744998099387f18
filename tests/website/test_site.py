"""The documentation site: it is built without a warning, and has everything that is written."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

import signal_sdk
from signal_sdk import Channel, LoginSession
from signal_sdk.ecodes import ECode
from signal_sdk.server.config_limits import LimitsConfig
from website.__main__ import CONFIGURATION, main
from website.codes import OBSOLETE, advice, code_page
from website.pages import ROOT, pages, relinked

KNOWN: Mapping[str, str] = {"README.md": "index.md", "docs/a.md": "a.md", "docs/g/b.md": "g/b.md"}


def named(entry: object) -> Iterator[str]:
    """The pages in a part of the site's table of contents."""
    match entry:
        case str():
            yield entry
        case dict():
            for value in entry.values():
                yield from named(value)
        case list():
            for value in entry:
                yield from named(value)


def configuration() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(CONFIGURATION.read_text())["project"]
    return project


def methods(cls: type) -> list[str]:
    """What a class has for its users, wherever it has it from."""
    functions = [name for name, _ in inspect.getmembers(cls, inspect.isfunction)]
    return [name for name in functions if name[0] != "_" and name == name.lower()]


# It takes 4 s of a core, and waited for one 100 s where others had the machine.
@pytest.mark.timeout(600)
def test_it_is_built_without_a_warning(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The builder looks at every link and anchor, and for every object that a page names."""
    code = main(tmp_path)
    said = capfd.readouterr()
    assert code == 0, said.out + said.err
    assert "arning" not in said.out + said.err
    site = tmp_path / "site"
    home = (site / "index.html").read_text()
    assert 'href="guides/start/"' in home
    fetched = r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"'
    assert [it for it in re.findall(fetched, home) if "zensical" not in it] == []
    callbacks = (site / "api" / "callbacks" / "index.html").read_text()
    for name in ("on_logout", "on_message_send_error", "on_channel_leaved", "on_invite_failed"):
        assert f"Callback.{name}" in callbacks
    assert "make_token" in (site / "api" / "tokens" / "index.html").read_text()
    for page, cls in (("sessions", LoginSession), ("channels", Channel)):
        described = (site / "api" / page / "index.html").read_text()
        for name in methods(cls):
            assert f'id="{cls.__module__}.{cls.__name__}.{name}"' in described
    for code in ECode:
        assert code.name in (site / "codes" / str(code.value) / "index.html").read_text()


def test_a_link_that_leads_nowhere_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def gather(folder: Path, _: str) -> None:
        folder.mkdir(parents=True)
        (folder / "index.md").write_text("# Home\n\n[away](away.md)\n")

    monkeypatch.setattr("website.__main__.gather", gather)
    monkeypatch.setattr("website.__main__.code_pages", lambda _: None)
    assert main(tmp_path) != 0
    assert "page does not exist" in re.sub(r"\x1b\[[\d;]*m", "", capfd.readouterr().err)


def test_every_page_has_its_place() -> None:
    contents = list(named(configuration()["nav"]))
    written = {there for there in pages().values() if there.endswith(".md")}
    assert sorted(contents) == sorted(written | {"codes/index.md"})


# --- Links


@pytest.mark.parametrize(
    ("place", "text", "there"),
    [
        ("README.md", "[x](docs/a.md#part)", "[x](a.md#part)"),
        ("docs/a.md", "[x](../README.md)", "[x](index.md)"),
        ("docs/a.md", "[x](g/b.md)", "[x](g/b.md)"),
        ("docs/g/b.md", "[x](../a.md) [y](../../README.md)", "[x](../a.md) [y](../index.md)"),
        ("docs/a.md", "[x](#part) [y](https://a.example/b.md)", None),
        ("docs/a.md", "[x](nowhere.md)", None),
        ("docs/a.md", "[page](../samples/web)", "page (`samples/web`)"),
        ("docs/a.md", "[samples/web](../samples/web)", "`samples/web`"),
        ("docs/a.md", "```python\nx = [a](../README.md)\n```\n", None),
    ],
)
def test_links_lead_on_in_the_site(place: str, text: str, there: str | None) -> None:
    assert relinked(text, place, KNOWN, "") == (text if there is None else there)


def test_what_is_no_page_is_in_the_repository_where_that_is_known() -> None:
    text = relinked("[page](../samples/web)", "docs/a.md", KNOWN, "https://git.example/us/it")
    assert text == "[page](https://git.example/us/it/blob/HEAD/samples/web)"


# --- Error codes and limits


def test_every_code_has_its_advice_and_no_other() -> None:
    assert list(advice()) == list(ECode)


@pytest.mark.parametrize("code", list(ECode), ids=str)
def test_a_code_s_page_says_what_to_do(code: ECode) -> None:
    known = advice()[code]
    page = code_page(code, known)
    assert page.startswith(f"# {code.value} {code.name}\n")
    assert ("## Who hears it" in page) == (code.meaning != OBSOLETE)
    assert bool(known.advice) == bool(known.heard)
    for text in attrs.asdict(known).values():
        assert not text or text.endswith((".", ")."))
    assert (code.meaning == OBSOLETE) == known.means.startswith("Obsolete: ")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (100, "while it had no connection"),
        (105, "taken back"),
        *((code, "hooks.md") for code in (201, 202, 300, 700)),
        (206, "taken back"),
        (300, "`session_channels`"),
        (602, "many_channels=True"),
        (1001, "`ConflictError`"),
        (1004, "streams.md#bytes"),
        (1005, "6 KiB"),
    ],
)
def test_a_code_s_page_names_what_other_pages_say_leads_to_it(code: int, cause: str) -> None:
    ecode = ECode(code)
    assert cause in code_page(ecode, advice()[ecode])


def test_what_advice_calls_by_name_is_there() -> None:
    """Callbacks, and keys of the configuration."""
    text = " ".join(" ".join(attrs.asdict(it).values()) for it in advice().values())
    for name, method in re.findall(r"`(\w+(?:Callback|Session))\.(\w+)`", text):
        assert hasattr(getattr(signal_sdk, name), method), (name, method)
    keys = {field.name for field in attrs.fields(LimitsConfig)}
    assert set(re.findall(r"`(\w+_per_\w+)`", text)) <= keys


def test_every_limit_is_on_its_page() -> None:
    page = (ROOT / "docs" / "guides" / "limits.md").read_text()
    assert {field.name for field in attrs.fields(LimitsConfig)} <= set(re.findall(r"`(\w+)`", page))
