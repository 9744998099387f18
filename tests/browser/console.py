"""The console in headless Chromium, as whoever runs a server uses it.

Owns: the browser's life with it, and waiting for what it shows; every wait is bounded. Must not
know what is tested. It is synchronous, as selenium is: tests run what they do with it in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.page import ARTIFACTS, FLAGS, tool

SHOW_SECONDS: Final = 40.0
MAX_SHOWN_CHARS: Final = 2000


class Console:
    """The console in the browser's current tab."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    # --- what its user does ---

    def open(self, key: str, app: str = "app") -> None:
        """Load the page, and enter with a key."""
        self.driver.get(f"{self.url}#app={app}")
        self.enter(key)
        self.wait(lambda: self.text("link") == "Connected", "it does not open")

    def enter(self, key: str) -> None:
        """Type a key, and open."""
        self.fill("key", key)
        self.find("open").click()

    def find(self, id: str) -> WebElement:  # noqa: A002  what HTML calls it
        """The element with this id."""
        return self.driver.find_element(By.ID, id)

    def fill(self, id: str, text: str) -> None:  # noqa: A002  what HTML calls it
        """Type into a field."""
        field = self.find(id)
        field.clear()
        field.send_keys(text)

    def press(self, name: str, inside: str = "desk") -> None:
        """Press the button with this name, once it is there and can be pressed."""

        def is_pressed() -> bool:
            for it in self.buttons(inside):
                if it.accessible_name == name and it.is_enabled():
                    it.click()
                    return True
            return False

        self.wait(is_pressed, f"there is no button {name!r} to be pressed in {inside}")

    def can_press(self, name: str, inside: str = "desk") -> bool:
        """Can the button be pressed now?"""
        return any(it.accessible_name == name and it.is_enabled() for it in self.buttons(inside))

    def buttons(self, inside: str = "desk") -> list[WebElement]:
        """The buttons that are shown."""
        found = self.driver.find_elements(By.CSS_SELECTOR, f"#{inside} button")
        return [it for it in found if it.is_displayed()]

    def keys(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def press_with_control(self, key: str) -> None:
        """Press a key while Control is held."""
        held = ActionChains(self.driver).key_down(Keys.CONTROL)
        held.send_keys(key).key_up(Keys.CONTROL).perform()

    def choose(self, id: str, value: str) -> None:  # noqa: A002  what HTML calls it
        """Choose of a list."""
        script = (
            "const it = document.getElementById(arguments[0]); it.value = arguments[1];"
            "it.dispatchEvent(new Event('change', {bubbles: true}));"
        )
        self.driver.execute_script(script, id, value)

    # --- what its user sees ---

    def text(self, id: str) -> str:  # noqa: A002  what HTML calls it
        """The text of the element with this id."""
        return self.find(id).text

    def rows(self, id: str = "table") -> list[list[str]]:  # noqa: A002  what HTML calls it
        """The cells of a table, scrolled out of sight or not."""
        script = (
            "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        found: list[list[str]] = self.driver.execute_script(script, id)
        return found

    def events(self) -> list[str]:
        """The events, newest first, without their times."""
        script = (
            "return [...document.querySelectorAll('#events-list li')]"
            ".map((it) => [it.children[1], it.children[2]].map((e) => e.textContent).join(' '))"
        )
        found: list[str] = self.driver.execute_script(script)
        return found

    def told(self) -> int:
        """How many events were told so far, as the page says."""
        found = re.search(r"([\d,]+) so far", self.text("events-said"))
        return int(found[1].replace(",", "")) if found else 0

    def focused(self) -> str:
        """The id of what has the focus, or its accessible name."""
        element = self.driver.switch_to.active_element
        return element.get_attribute("id") or element.accessible_name

    def run(self, script: str, *args: Any) -> Any:
        """What a script returns in the page."""
        return self.driver.execute_script(script, *args)

    def wait(self, is_true: Callable[[], Any], or_else: str) -> None:
        """Wait until it is. What it looks at may be replaced meanwhile."""
        waiting = WebDriverWait(
            self.driver, SHOW_SECONDS, 0.1, ignored_exceptions=[StaleElementReferenceException]
        )
        try:
            waiting.until(lambda _: is_true())
        except TimeoutException:
            shown = self.driver.find_element(By.TAG_NAME, "body").text[:MAX_SHOWN_CHARS]
            raise AssertionError(f"{or_else}; there is {shown!r}, {self.errors()}") from None

    def wait_for_text(self, id: str, text: str) -> None:  # noqa: A002  what HTML calls it
        """Wait until the element's text holds `text`."""
        self.wait(lambda: text in self.text(id), f"{id} does not say {text!r}")

    def errors(self) -> list[str]:
        """What the browser's console has shown in red since this was last asked."""
        entries: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def resize(self, width: int = 0, height: int = 0) -> None:
        """Have a window of this size; as it was at first where none is given."""
        if not width:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
            return
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def keep_screenshot(self, name: str) -> Path:
        """Keep what the page looks like as a test artefact, once it is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))"
        )
        ARTIFACTS.mkdir(exist_ok=True)
        path = ARTIFACTS / f"{name}.png"
        assert self.driver.save_screenshot(path)
        return path


@contextmanager
def browser(url: str, profile: Path) -> Iterator[Console]:
    """Run Chromium while the block runs. `profile` is an empty directory."""
    options = webdriver.ChromeOptions()
    options.binary_location = tool("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(tool("chromedriver")))
    try:
        yield Console(driver, url)
    finally:
        driver.quit()
