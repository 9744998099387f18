"""The sample page in headless Chromium: its fields, buttons and texts, as a user finds them.

Owns: the browser's life, and waiting for what the page shows; every wait is bounded. Must not know
what is tested. It is synchronous, as selenium is: tests run what they do with it in a thread.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

SHOW_SECONDS: Final = 40.0
ARTIFACTS: Final = Path(__file__).parents[1] / "artifacts"

# A browser that talks to nobody but the page and its server.
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,1280",
)

REPORTS: Final = "wsrp-sig.agora.io"
"""The web SDK's reports to its vendor, which the page's policy blocks, and the console tells of."""


class Page:
    """The page in the browser's current tab."""

    def __init__(self, driver: webdriver.Chrome, url: str, server: str) -> None:
        self._driver = driver
        self._url = url
        self._server = server

    # --- tabs ---

    def open(self, account: str, *, server: str = "") -> None:
        """Load the page as a link to it would."""
        self._driver.get(f"{self._url}?server={server or self._server}&account={account}")

    def open_another(self, account: str) -> tuple[str, str]:
        """Load the page in another tab, which is the current one then; returns both tabs' names."""
        first = self._driver.current_window_handle
        self._driver.switch_to.new_window("tab")
        self.open(account)
        return first, self._driver.current_window_handle

    def switch(self, tab: str) -> None:
        """Make a tab the current one."""
        self._driver.switch_to.window(tab)

    # --- what a user does ---

    def _field(self, label: str, inside: str) -> WebElement:
        path = f"//*[@id='{inside}']//label[starts-with(normalize-space(), '{label}')]/input"
        return self._driver.find_element(By.XPATH, path)

    def fill(self, inside: str, label: str, text: str) -> None:
        """Type into the field with this label."""
        field = self._field(label, inside)
        field.clear()
        field.send_keys(text)

    def value(self, inside: str, label: str) -> str:
        """What stands in the field with this label."""
        return str(self._field(label, inside).get_property("value"))

    def press(self, inside: str, name: str) -> None:
        """Press the button with this name, once it can be pressed."""
        button = self._button(inside, name)
        self._wait(button.is_enabled, f"the button {name!r} of {inside} stays disabled")
        button.click()

    def can_press(self, inside: str, name: str) -> bool:
        """Can the button be pressed now?"""
        return self._button(inside, name).is_enabled()

    def _button(self, inside: str, name: str) -> WebElement:
        buttons = self._driver.find_elements(By.CSS_SELECTOR, f"#{inside} button")
        return next(button for button in buttons if button.accessible_name == name)

    def log_in(self, account: str) -> None:
        """Open the page, and log in."""
        self.open(account)
        self.press("login", "Log in")
        self.expect("status", f"Logged in as {account}.")

    # --- what a user sees ---

    def text(self, id: str) -> str:  # noqa: A002  what HTML calls it
        """The text of the element with this id."""
        return self._driver.find_element(By.ID, id).text

    def lines(self, id: str) -> list[str]:  # noqa: A002  what HTML calls it
        """The entries of the list with this id, scrolled out of sight or not."""
        # In one step: the page may replace the entries between two.
        script = (
            "return [...document.getElementById(arguments[0]).children].map(e => e.textContent)"
        )
        return [str(line) for line in self._driver.execute_script(script, id)]

    def expect(self, id: str, text: str) -> None:  # noqa: A002  what HTML calls it
        """Wait until the element says `text`."""
        self._wait(lambda: self.text(id) == text, f"{id} does not say {text!r}", id)

    def expect_line(self, id: str, line: str) -> None:  # noqa: A002  what HTML calls it
        """Wait until the list's last entry is `line`."""
        self._wait(lambda: self.lines(id)[-1:] == [line], f"{id} does not end with {line!r}", id)

    def expect_lines(self, id: str, lines: list[str]) -> None:  # noqa: A002  what HTML calls it
        """Wait until these are the list's entries."""
        self._wait(lambda: self.lines(id) == lines, f"{id} does not have {lines!r}", id)

    def expect_among_lines(self, id: str, line: str, times: int = 1) -> None:  # noqa: A002  what HTML calls it
        """Wait until the list has the entry so often, wherever."""
        what = f"{id} does not have {line!r} {times} times"
        self._wait(lambda: self.lines(id).count(line) == times, what, id)

    def _wait(self, is_true: Any, or_else: str, shown: str = "status") -> None:
        try:
            WebDriverWait(self._driver, SHOW_SECONDS, 0.05).until(lambda _: is_true())
        except TimeoutException:
            there = (self.text(shown), self.text("status"), self.lines("log"), self.errors())
            raise AssertionError(f"{or_else}; there is {there}") from None

    def errors(self) -> list[str]:
        """What the browser's console has shown in red since this was last asked."""
        entries: list[dict[str, str]] = self._driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [
            entry["message"]
            for entry in entries
            if entry["level"] == "SEVERE" and REPORTS not in entry["message"]
        ]

    def keep_screenshot(self, name: str) -> Path:
        """Keep what the page looks like as a test artefact."""
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        assert self._driver.save_screenshot(path)
        return path


def tool(name: str) -> str:
    """Where a program of the system is."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"there is no `{name}` on PATH: install Chromium and its driver", pytrace=False)
    return path


@contextmanager
def browser(url: str, server: str, profile: Path) -> Iterator[Page]:
    """Run Chromium while the block runs. `profile` is an empty directory."""
    options = webdriver.ChromeOptions()
    options.binary_location = tool("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver's path is given: selenium is not to look for one in the network.
    driver = webdriver.Chrome(options=options, service=Service(tool("chromedriver")))
    try:
        yield Page(driver, url, server)
    finally:
        driver.quit()
