"""Headless Chromium for the page tests: what it drew, what it said, what it asked for."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
SIZE_PX = (1100, 760)
SCREENSHOTS = Path(__file__).parents[2] / "test-artifacts"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    f"--window-size={SIZE_PX[0]},{SIZE_PX[1]}",
)


def require_browser() -> None:
    """Skip at home without a browser; in CI it must be there."""
    if CHROMIUM and DRIVER:
        return
    if os.environ.get("CI") == "true":
        pytest.fail("CI needs chromium and chromium-driver")
    pytest.skip("no Chromium with its driver on this machine")


class Browser:
    """One page under test."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str, *, wait_s: float = 40.0) -> float:
        """Load `url`; returns seconds until the model stood on the page, by the page's clock."""
        self.driver.get(url)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            state = self.script("return document.documentElement.dataset.state || ''")
            if state:
                break
            time.sleep(0.05)
        text = self.script("return document.getElementById('status-text').textContent")
        assert state in ("ready", "refined"), f"page is {state!r}: {text}; {self.console()}"
        return float(self.script("return document.documentElement.dataset.firstFrameMs")) / 1000

    def script(self, text: str, *arguments: Any) -> Any:
        return self.driver.execute_script(text, *arguments)

    def click(self, selector: str) -> None:
        self.driver.find_element("css selector", selector).click()

    def click_at(self, x: float, y: float) -> None:
        """A mouse click at page coordinates, as a person does it."""
        self._mouse("mousePressed", x, y)
        self._mouse("mouseReleased", x, y)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self._mouse("mousePressed", *start)
        for share in (0.25, 0.5, 0.75, 1.0):
            x, y = (a + (b - a) * share for a, b in zip(start, end, strict=True))
            self._mouse("mouseMoved", x, y)
        self._mouse("mouseReleased", *end)

    def _mouse(self, kind: str, x: float, y: float) -> None:
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def settle(self, wait_s: float = 10.0) -> None:
        """Wait until the page has stopped drawing."""
        deadline, before = time.monotonic() + wait_s, -1
        while time.monotonic() < deadline:
            state, frames = self.script(
                "return [document.documentElement.dataset.state, window.insaat.stage.frames]"
            )
            if frames == before and state == "refined":
                return
            before = frames
            time.sleep(0.2)

    def picture(self, name: str = "") -> npt.NDArray[np.int16]:
        """(h, w, 3) of the window; kept as NAME.png where a name is given."""
        data = self.driver.get_screenshot_as_png()
        if name:
            SCREENSHOTS.mkdir(parents=True, exist_ok=True)
            (SCREENSHOTS / f"{name}.png").write_bytes(data)
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)

    def console(self) -> list[str]:
        """Messages of level error since the last call."""
        entries = self.driver.get_log("browser")
        return [e["message"] for e in entries if e["level"] == "SEVERE"]

    def requests(self) -> set[str]:
        """Addresses that the page has asked for since the last call."""
        found = set()
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                found.add(message["params"]["request"]["url"])
            if message["method"] == "Network.webSocketCreated":
                found.add(message["params"]["url"])
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A fresh browser with its own profile folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(30)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
