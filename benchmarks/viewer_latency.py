"""How long it takes in the viewer from a hand's movement to a new picture, in a real browser.

python benchmarks/viewer_latency.py RUN/config.yml [--feather 20] [--moves 40]

A rectangle in the middle of the picture is selected and dragged by its gizmo, a little at a time. Two times are taken
of each movement: to the first new picture, which is a draft, and to the last, which is fine. It needs playwright and
Chromium, as the tests of the viewer do.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from shutil import which
from typing import Any

from playwright.sync_api import Page, WebSocket, sync_playwright

PICTURE = b"BackgroundImage"
"""The name of the message that brings a picture."""
REST = 1500
"""Milliseconds after which all of a movement's pictures have come."""
MIDDLE = 480, 425
"""Of the canvas, in pixels of a page of 1280 x 800."""


def main() -> None:
    """Measures, and prints a line of a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--feather", type=float, default=0.0, help="soft border of the selection, in pixels")
    parser.add_argument("--moves", type=int, default=40)
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--viewer.websocket-host", "127.0.0.1", "--viewer.websocket-port", str(port)]
    command = [Path(sys.executable).with_name("ns-viewer"), "--load-config", options.config, *words]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.5)
        with sync_playwright() as driver:
            program = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))))
            flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
            browser = driver.chromium.launch(executable_path=program, args=flags)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            came: list[float] = []
            page.on("websocket", lambda socket: _listen(socket, came))
            page.goto(f"http://127.0.0.1:{port}")
            _select(page, options.feather)
            drafts, fine = _measure(page, came, options.moves)
            browser.close()
    finally:
        server.terminate()
    print("| | median, ms | 95th percentile, ms |\n| --- | --: | --: |")
    for name, times in (("first picture", drafts), ("fine picture", fine)):
        late = statistics.quantiles(times, n=20)[-1]
        print(f"| {name} | {statistics.median(times):.0f} | {late:.0f} |")


def _listen(socket: WebSocket, came: list[float]) -> None:
    def received(message: Any) -> None:
        if isinstance(message, bytes) and PICTURE in message:
            came.append(time.perf_counter())

    socket.on("framereceived", received)


def _select(page: Page, feather: float) -> None:
    page.get_by_role("tab", name="Select", exact=True).wait_for()
    page.wait_for_timeout(5000)
    page.get_by_label("Pointer", exact=True).first.click()
    page.get_by_role("option", name="rectangle", exact=True).click()
    page.get_by_text("Drag a rectangle").wait_for()
    x, y = MIDDLE
    page.mouse.move(x - 150, y - 130)
    page.mouse.down()
    page.mouse.move(x + 150, y + 130, steps=8)
    page.mouse.up()
    page.get_by_text("Selected.").wait_for()
    if feather:
        field = page.locator('xpath=(//label[text()="Feather, px"])[1]/ancestor::div[2]//input').last
        field.fill(str(feather))
        field.press("Enter")
    page.wait_for_timeout(3000)


def _measure(page: Page, came: list[float], moves: int) -> tuple[list[float], list[float]]:
    """Milliseconds to the first and to the last picture of each movement."""
    x, y = MIDDLE
    page.mouse.move(x + 80, y)
    page.mouse.down()
    page.mouse.move(x + 90, y, steps=4)
    drafts, fine = [], []
    for number in range(moves):
        page.wait_for_timeout(REST)
        came.clear()
        start = time.perf_counter()
        page.mouse.move(x + 90 + 4 * (1 + number % 2) + number, y)
        page.wait_for_timeout(REST)
        if not came:
            raise SystemExit("the viewer sent no picture; is the gizmo in the middle of the canvas?")
        drafts.append(1000 * (came[0] - start))
        fine.append(1000 * (came[-1] - start))
    page.mouse.up()
    return drafts, fine


if __name__ == "__main__":
    main()
