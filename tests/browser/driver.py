"""A headless Chromium for tests, which keeps what it asked for and what its console said; and the real server."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

MISSING = "Chromium and its driver are needed: apt-get install --yes chromium chromium-driver"
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--no-first-run", "--mute-audio",
)  # fmt: skip
OUTPUT = Path(__file__).parents[2] / "test-output" / "browser"
PATIENCE_S = 20.0
DESKTOP, PHONE = (1440, 900), (390, 844)
Seen = WebElement


class Browser:
    """One browser with its own profile: a person at a desk."""

    def __init__(self, base: str, profile: Path) -> None:
        binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if binary is None or driver is None:
            pytest.fail(MISSING)
        options = Options()
        options.binary_location = binary
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.base = base
        self.chrome = webdriver.Chrome(options=options, service=Service(driver))
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.size(*DESKTOP)

    def size(self, width: int, height: int) -> None:
        """The window, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, path: str) -> None:
        """Go to a page and wait until it is connected to the server."""
        self.chrome.get(path if path.startswith("http") else self.base + path)
        self.until(lambda: self.chrome.execute_script("return window.socket ? window.socket.connected : false"), path)
        self.listen()

    def listen(self) -> None:
        """Take in what was requested and said since the last time."""
        for entry in self.chrome.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in {"Network.requestWillBeSent", "Network.webSocketCreated"}:
                parameters = message["params"]
                url = urlsplit(parameters["request"]["url"] if "request" in parameters else parameters["url"])
                if url.scheme in {"http", "https", "ws", "wss"}:
                    self.hosts.add(url.hostname or "")
        for entry in self.chrome.get_log("browser"):
            if entry["level"] == "SEVERE":
                self.errors.append(entry["message"])

    def until(self, check: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
        """Wait until `check` finds something; what was waited for is named when it does not come."""
        end = time.monotonic() + patience_s
        while True:
            with contextlib.suppress(StaleElementReferenceException, ElementClickInterceptedException):
                found = check()
                if found:
                    return found
            if time.monotonic() > end:
                self.shot("failed")
                raise AssertionError(
                    f"waited {patience_s:.0f} s for {what} at {self.chrome.current_url}:\n{self.text()}"
                )
            time.sleep(0.1)

    def find(self, selector: str) -> WebElement:
        """The first visible element of a CSS selector."""

        def visible() -> WebElement | None:
            found = self.chrome.find_elements(By.CSS_SELECTOR, selector)
            return next((element for element in found if element.is_displayed()), None)

        element: WebElement = self.until(visible, selector)
        return element

    def click(self, selector: str) -> None:
        """Click the first visible element, again while it is being drawn anew or covered."""

        def clicked() -> bool:
            self.find(selector).click()
            return True

        self.until(clicked, f"a click on {selector}")

    def mark(self, name: str) -> str:
        """The selector of what the console marks with a name, such as an operation's button."""
        return f'[data-mark="{name}"]'

    def write(self, selector: str, text: str) -> None:
        """Replace what stands in a field."""
        self.find(selector).send_keys(Keys.CONTROL, "a")
        self.find(selector).send_keys(text)

    def text(self) -> str:
        """All visible text of the page."""
        return str(self.chrome.execute_script("return document.body.innerText"))

    def says(self, words: str, patience_s: float = PATIENCE_S) -> None:
        """Wait until the page shows these words."""
        self.until(lambda: words in self.text(), repr(words), patience_s)

    def overflow(self) -> list[str]:
        """What sticks out of the page to the right; a table may scroll inside its own box."""
        found: list[str] = self.chrome.execute_script(
            """
            const wide = document.documentElement.clientWidth;
            if (document.documentElement.scrollWidth <= wide + 1) return [];
            return [...document.querySelectorAll('.frame *')]
              .filter(e => e.getBoundingClientRect().right > wide + 1 && !e.closest('.scroll'))
              .slice(0, 5).map(e => e.tagName + '.' + e.className);
            """
        )
        return found

    def shot(self, name: str) -> None:
        """Keep a picture of the whole page under test-output/browser."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        picture = self.chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        (OUTPUT / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))

    def sign_in(self, user_name: str, password: str) -> None:
        """Through the sign-in page, by hand."""
        self.open("/sign-in")
        self.write('input[name="username"]', user_name)
        self.write('input[name="password"]', password)
        self.click('button[type="submit"]')
        self.until(lambda: "/sign-in" not in self.chrome.current_url, "the page after sign-in")

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(Exception):
            self.listen()
        self.chrome.quit()


@contextlib.contextmanager
def serving(folder: Path, patience_s: float = 60.0, **settings: str) -> Iterator[str]:
    """The real server with the demo region, as a process of its own; its address. `settings` are set by environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ENTREPOT_", "PYTEST"))}
    (folder / "none.toml").touch()  # settings of the developer's own must not reach the test
    environment |= {"ENTREPOT_MQTT_PORT": "0", "ENTREPOT_SETTINGS": str(folder / "none.toml")}
    environment |= {f"ENTREPOT_{name.upper()}": value for name, value in settings.items()}
    log = (folder / "server.log").open("w", encoding="utf-8")
    command = [sys.executable, "-c", "from entrepot.cli import app; app()", "serve", "--demo"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--data", str(folder / "data")], env=environment, stdout=log, stderr=log
    )
    base = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + patience_s
        while not _ready(base):
            problem = (folder / "server.log").read_text(encoding="utf-8")
            assert process.poll() is None, f"the server ended:\n{problem}"
            assert time.monotonic() < end, f"the server did not become ready:\n{problem}"
            time.sleep(0.2)
        yield base
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
        log.close()


def _ready(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
