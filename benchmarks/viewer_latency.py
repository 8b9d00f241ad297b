"""How long it takes in the viewer, in Chromium, from a hand's movement to the painted picture, and how many come.

python benchmarks/viewer_latency.py PICTURE.safetensors [--pins 8 | --live 4000] [--side 512]

By default a rectangle in the middle of the picture is selected and dragged by its gizmo; with --pins a ring of pins is
set, and one of them dragged; with --live the picture is let go, and pulled at by the square of the hand. Each movement
begins when all is calm. All times are the page's own: a movement is its pointer event; a picture is painted once the
frame is over in which WebGL was given it. Processor time is of the viewer and its browser, without what drives them.
"""

from __future__ import annotations

import argparse
import math
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

CHROMIUM = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-gpu-compositing"]
CHROMIUM += ["--disable-gpu-rasterization"]
PAGE = {"width": 1280, "height": 800}
CANVAS, TOP = (960, 749), 51
"""Size of what shows the picture, and what is above it, in the page's pixels."""
UNIT = CANVAS[0] / 10
"""Pixels of a unit of the page, where the picture, whose longer side is 10 of them, is as wide as the canvas."""
GIZMO_ARROW, PIN_ARROW = 0.8, 0.4
"""Where on its red arrow a gizmo is taken hold of, in units to the right of its middle."""
PIN_RING = 0.25
"""Radius of the ring of pins, in heights of the picture."""
PATIENCE_SECONDS = 120
CALM_SECONDS = 1.2
"""After so long without a picture nothing more is on its way."""
RATE_SECONDS = 6.0
DRAG_HZ = 60
STAGES = ("sent by the page", "received", "given to WebGL", "painted", "processor: viewer", "processor: browser")
MAKING_READY = 2
"""Movements that are not measured: the selection may still be staged."""
WATCH = """() => {
  const seen = window.seen = {hand: 0, sent: 0, received: [], given: [], painted: []};
  addEventListener("pointermove", event => { if (!seen.hand) seen.hand = event.timeStamp; }, true);
  const Original = window.Worker;
  window.Worker = class extends Original {
    constructor(...words) {
      super(...words);
      this.addEventListener("message", ({data}) => {
        if (data?.messages?.some(one => one.type === "BackgroundImageMessage")) seen.received.push(performance.now());
      });
    }
    postMessage(data, ...others) {
      if (data?.message?.type === "TransformControlsUpdateMessage" && !seen.sent) seen.sent = performance.now();
      return super.postMessage(data, ...others);
    }
  };
  for (const kind of [WebGLRenderingContext, WebGL2RenderingContext]) {
    for (const name of ["texImage2D", "texSubImage2D"]) {
      const original = kind.prototype[name];
      kind.prototype[name] = function(...words) {
        const source = words[words.length - 1];
        if (source instanceof HTMLImageElement && source.src.startsWith("blob:")) {
          seen.given.push(performance.now());
          seen.size = `${source.naturalWidth} x ${source.naturalHeight}`;
          requestAnimationFrame(() => seen.painted.push(performance.now()));
        }
        return original.apply(this, words);
      };
    }
  }
}"""
"""Notes, in milliseconds of the page's clock: the hand's first movement, what it made the page send, and, of each
picture, when it was received, given to WebGL, and painted."""


def main() -> None:
    """Measure, and print a line of a table for each figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--side", type=int, default=0, help="longer side of the page's pictures; 0 for the usual one")
    parser.add_argument("--feather", type=float, default=0.0, help="soft border of the selection, in pixels")
    parser.add_argument("--pins", type=int, default=0, help="set so many pins, and drag one of them")
    parser.add_argument("--live", type=int, default=0, help="simulate so many particles")
    parser.add_argument("--material", default="soft", help="of what is simulated")
    parser.add_argument("--moves", type=int, default=40)
    options = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with served(options.picture) as (address, viewer), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=CHROMIUM)
        page = Page(browser, address, viewer)
        if options.side:
            page.type("Max res", options.side)
        if options.live:
            page.let_go(options.live, options.material)
            page.report("falling", page.rate(lambda: None))
            arrow = page.hold()
        else:
            arrow = page.pin(options.pins) if options.pins else page.select(options.feather)
        page.report_moves(arrow, options.moves)
        page.report("dragged", page.rate(page.shaken(arrow)))
        if not options.live:
            page.play()
            page.report("played", page.rate(lambda: None))
        browser.close()


@contextmanager
def served(picture: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Start ``gainer view`` on a copy, beside which no edits were kept, and give its address and its process."""
    folder = tempfile.TemporaryDirectory()
    copy = shutil.copy(picture, folder.name)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("gainer"), "view", "--load-config", copy, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}", psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()
        folder.cleanup()


class Page:
    """The page of a viewer, as a person uses it.

    Args:
        browser: That shows it.
        address: Of the viewer.
        viewer: Its process.
    """

    def __init__(self, browser: Any, address: str, viewer: psutil.Process) -> None:
        self._page, self._viewer = browser.new_page(viewport=PAGE), viewer
        self._page.set_default_timeout(1000 * PATIENCE_SECONDS)
        self._page.add_init_script(f"({WATCH})()")
        self._page.goto(address)
        self._page.get_by_role("tab", name="Move", exact=True).wait_for()
        self._wait_for(1)
        self.calm()
        self.middle = CANVAS[0] / 2, TOP + CANVAS[1] / 2

    def type(self, label: str, value: Any) -> None:
        """Type into a field of the panel."""
        field = self._page.locator(f'xpath=(//label[text()="{label}"])[1]/ancestor::div[2]').locator("input").last
        field.fill(str(value))
        field.press("Enter")

    def select(self, feather: float) -> tuple[float, float]:
        """Select the middle ninth of the picture, and return where its gizmo is taken hold of."""
        self._tab("Select")
        self._choose("Pointer", "rectangle")
        (x, y), side = self.middle, CANVAS[1] / 6
        self._drag((x - side, y - side), (x + side, y + side))
        self._says("Selected.")
        if feather:
            self.type("Feather, px", feather)
        self.calm()
        return x + GIZMO_ARROW * UNIT, y

    def pin(self, count: int) -> tuple[float, float]:
        """Put pins down in a ring around the middle, and return where the first is taken hold of."""
        self._tab("Pins")
        self._press("place")
        (x, y), radius = self.middle, PIN_RING * CANVAS[1]
        for number in range(count):
            angle = 2 * math.pi * number / count
            self._page.mouse.click(x + radius * math.cos(angle), y + radius * math.sin(angle))
            self._says(f"{number + 1} pins.")
        self._press("done")
        self.calm()
        return x + radius + PIN_ARROW * UNIT, y

    def let_go(self, particles: int, material: str) -> None:
        """Simulate the whole picture, which falls."""
        self._tab("Simulate")
        self.type("Particles", particles)
        self._choose("Material", material)
        self._press("start")
        self._says("Click where the hand is to be")

    def hold(self) -> tuple[float, float]:
        """Let the picture rest without gravity, and return where the hand's square is."""
        self.type("Gravity", 0)
        self._press("start")
        self._page.wait_for_timeout(3000)  # it says the same as before, and listens once it has started anew
        self.calm()
        self._page.mouse.click(*self.middle)
        self.calm()
        return self.middle

    def play(self) -> None:
        """Play the edit as a film, in a loop, once its frames have been made."""
        self.calm()
        self._tab("Film")
        self._page.get_by_label("Loop", exact=True).first.check()  # the second is of the Render tab
        self._press("play")
        self._page.wait_for_timeout(4000)

    def calm(self) -> None:
        """Wait until no picture has come for a while."""
        count = -1
        while count != self._count():
            count = self._count()
            self._page.wait_for_timeout(1000 * CALM_SECONDS)

    def report_moves(self, start: tuple[float, float], moves: int) -> None:
        """Move the hand by some pixels, and back, and print how long each step of the way to the page takes."""
        mouse, all_seen = self._page.mouse, []
        mouse.move(*start)
        self._page.wait_for_timeout(500)
        mouse.down()
        for number in range(moves + MAKING_READY):
            self.calm()
            self._page.evaluate("() => Object.assign(seen, {hand: 0, sent: 0, received: [], given: [], painted: []})")
            used = self._used()
            mouse.move(start[0] + 4 + 5 * (number % 7), start[1])
            self._wait_for(1)
            seen = self._page.evaluate("() => seen")
            if number >= MAKING_READY:
                times = [seen["sent"], *(seen[word][0] for word in ("received", "given", "painted"))]
                spent = [after - before for after, before in zip(self._used(), used, strict=True)]
                all_seen.append([one - seen["hand"] for one in times] + spent)
        mouse.up()
        print("| ms after the hand | median | 95th percentile |\n| --- | --: | --: |")
        for name, times in zip(STAGES, zip(*all_seen, strict=True), strict=True):
            late = statistics.quantiles(times, n=20)[-1]
            print(f"| {name} | {statistics.median(times):.0f} | {late:.0f} |", flush=True)

    def shaken(self, start: tuple[float, float]) -> Callable[[], None]:
        """Take hold, and return what moves the hand a little."""
        mouse, began = self._page.mouse, time.perf_counter()
        mouse.move(*start)
        self._page.wait_for_timeout(500)
        mouse.down()
        return lambda: mouse.move(start[0] + 20 + 20 * math.sin(4 * (time.perf_counter() - began)), start[1])

    def rate(self, act: Callable[[], None]) -> list[float]:
        """Return pictures a second that are painted, and ms of the processor that the viewer and the browser take."""
        before, used, begin = self._count(), self._used(), time.perf_counter()
        while (now := time.perf_counter()) < begin + RATE_SECONDS:
            act()
            self._page.wait_for_timeout(max(1.0, 1000 / DRAG_HZ - 1000 * (time.perf_counter() - now)))
        count, spent = self._count() - before, time.perf_counter() - begin
        self._page.mouse.up()
        costs = [(after - one) / max(count, 1) for after, one in zip(self._used(), used, strict=True)]
        return [count / spent, *costs]

    def report(self, name: str, figures: list[float]) -> None:
        """Print a line of a rate."""
        rate, viewer, browser = figures
        print(
            f"{name}: {rate:.1f} pictures a second, the last of {self._page.evaluate('() => seen.size')}; "
            f"ms of the processor each: viewer {viewer:.0f}, browser {browser:.0f}",
            flush=True,
        )

    def _count(self) -> int:
        return self._page.evaluate("() => seen.painted.length")

    def _wait_for(self, count: int) -> None:
        self._page.wait_for_function(f"() => seen.painted.length >= {count}", polling=20)

    def _used(self) -> tuple[float, float]:
        """Return milliseconds of the processor that the viewer and the browser have taken so far."""
        (driver,) = [one for one in psutil.Process().children() if one.pid != self._viewer.pid]
        browsers = driver.children(recursive=True)
        viewer, browser = (1000 * sum(sum(one.cpu_times()[:2]) for one in each) for each in ([self._viewer], browsers))
        return viewer, browser

    def _tab(self, name: str) -> None:
        self._page.get_by_role("tab", name=name, exact=True).click()

    def _press(self, name: str) -> None:
        self._page.get_by_role("button", name=name, exact=True).first.click()

    def _choose(self, label: str, option: str) -> None:
        self._page.get_by_label(label, exact=True).first.click()
        self._page.get_by_role("option", name=option, exact=True).click()

    def _says(self, text: str) -> None:
        self._page.get_by_text(text).first.wait_for()

    def _drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse = self._page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(*end, steps=5)
        mouse.up()


if __name__ == "__main__":
    main()
