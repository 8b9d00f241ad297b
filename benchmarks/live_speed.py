"""How fast a picture is simulated live in the viewer, in Chromium: pictures a second, and from the hand to a picture.

python benchmarks/live_speed.py PICTURE.safetensors|RUN/config.yml [--particles 4000] [--material soft] [--trials 20]

Pictures are counted while the picture falls. For the other, the picture rests without gravity, and the hand is dragged
by a little: what is counted is from the browser's movement to the first picture that it has received.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from shutil import which
from typing import Any

import psutil
from playwright.sync_api import sync_playwright
from viewer_latency import served

OPTIONS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"]
OPTIONS += ["--disable-gpu-rasterization"]
COUNTED_SECONDS = 8.0
CANVAS_MIDDLE = (480, 425)
PATIENCE_MS = 120_000


def main() -> None:
    """Measure, and print a line of a table for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--particles", type=int, default=4000)
    parser.add_argument("--material", default="soft")
    parser.add_argument("--trials", type=int, default=20)
    options = parser.parse_args()
    program = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))))
    with served(options.config) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=OPTIONS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        pictures: list[float] = []

        def received(message: str | bytes) -> None:
            if isinstance(message, bytes) and b"BackgroundImage" in message:
                pictures.append(time.perf_counter())

        page.on("websocket", lambda socket: socket.on("framereceived", received))
        page.goto(address.replace("ws:", "http:"))
        page.get_by_role("tab", name="Simulate", exact=True).click()
        while not pictures:
            page.wait_for_timeout(100)
        _type(page, "Particles", options.particles)
        page.get_by_label("Material", exact=True).first.click()
        page.get_by_role("option", name=options.material, exact=True).click()
        rate, used = _rate(page, pictures)
        latencies = [_latency(page, pictures) for _ in range(options.trials)]
        browser.close()
    late = statistics.quantiles(latencies, n=20)[-1]
    print(f"| pictures a second | {rate:.1f} |\n| processor time of the viewer a picture, ms | {used:.0f} |")
    print(f"| hand to picture, median, ms | {statistics.median(latencies):.0f} |")
    print(f"| hand to picture, 95th percentile, ms | {late:.0f} |")


def _rate(page: Any, pictures: list[float]) -> tuple[float, float]:
    """Return how many pictures come in a second while it falls and bounces, and milliseconds of the viewer for each."""
    (viewer,) = [one for one in psutil.Process().children() if "view" in one.cmdline()]
    _start(page)
    page.wait_for_timeout(1000)
    begin, before, used = time.perf_counter(), len(pictures), sum(viewer.cpu_times()[:2])
    page.wait_for_timeout(1000 * COUNTED_SECONDS)
    count = len(pictures) - before
    return count / (time.perf_counter() - begin), 1000 * (sum(viewer.cpu_times()[:2]) - used) / max(count, 1)


def _latency(page: Any, pictures: list[float]) -> float:
    """Return milliseconds from a movement of the hand to a picture that has come, where nothing moved before."""
    _type(page, "Gravity", 0)
    _start(page)
    page.mouse.click(*CANVAS_MIDDLE)
    _calm(page, pictures)
    x, y = CANVAS_MIDDLE
    page.mouse.move(x, y)
    page.mouse.down()
    _calm(page, pictures)
    before, begin = len(pictures), time.perf_counter()
    page.mouse.move(x + 15, y)
    end = begin + PATIENCE_MS / 1000
    while len(pictures) == before:
        if time.perf_counter() > end:
            raise SystemExit("the viewer sent no picture")
        page.wait_for_timeout(2)
    page.mouse.up()
    return 1000 * (pictures[before] - begin)


def _calm(page: Any, pictures: list[float]) -> None:
    """Wait until no picture has come for a while."""
    count = -1
    while count != len(pictures):
        count = len(pictures)
        page.wait_for_timeout(1200)


def _start(page: Any) -> None:
    page.get_by_role("button", name="start", exact=True).first.click()
    page.get_by_text("Click where the hand is to be").first.wait_for()


def _type(page: Any, label: str, value: Any) -> None:
    field = page.locator(f'xpath=(//label[text()="{label}"])[1]/ancestor::div[2]').locator("input").last
    field.fill(str(value))
    field.press("Enter")


if __name__ == "__main__":
    main()
