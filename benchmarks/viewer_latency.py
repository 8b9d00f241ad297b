"""How long it takes in the viewer from a hand's movement to a new picture that has come to the page.

python benchmarks/viewer_latency.py PICTURE.safetensors|RUN/config.yml [--side 512] [--feather 20 | --pins 8]

A rectangle in the middle of the picture is selected and dragged by its gizmo, or pins are set around the middle and
one of them is dragged, a little at a time, by the messages that a page sends; no browser draws. Two times are taken of
each movement: to the first new picture, and to the last, after which there is nothing finer.
"""

from __future__ import annotations

import argparse
import math
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from websockets.sync.client import ClientConnection, connect

REST_SECONDS = 3.0
"""After which all of a movement's pictures have come."""
MAKING_READY = 3
"""Movements that are not measured: the selection may still be staged."""
GIZMO, PIN = "/gainer/gizmo", "/gainer/pin_0"
PIN_RADIUS = 0.15
"""Of the ring of pins, in heights of the page."""
SQUARE_ON, IDENTITY = (0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)
DISTANCE = 10.0
"""Of the camera, in the page's units, in which the picture's longer side is as long."""


def main() -> None:
    """Measure, and print a line of a table for each time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--side", type=int, default=0, help="longer side of the page's pictures; 0 for the usual one")
    parser.add_argument("--aspect", type=float, default=1.5, help="of the page")
    parser.add_argument("--feather", type=float, default=0.0, help="soft border of the selection, in pixels")
    parser.add_argument("--pins", type=int, default=0, help="set so many pins, and drag one of them")
    parser.add_argument("--moves", type=int, default=40)
    options = parser.parse_args()
    with served(options.config) as address, connect(address, max_size=None, compression=None) as connection:
        page = Page(connection)
        page.wait(60 * REST_SECONDS, lambda: page.has("Frame the picture"))  # the last of the panel
        page.look(options.aspect)
        page.wait(3 * REST_SECONDS)
        if options.side:
            page.change("Max res", options.side)
        if options.pins:
            page.pin(options.pins, options.aspect)
        else:
            page.change("Pointer", "rectangle")
            page.wait(REST_SECONDS)
            page.select((1 / 3, 1 / 3), (2 / 3, 2 / 3))
            page.wait(10 * REST_SECONDS)
        if options.feather:
            page.change("Feather, px", options.feather)
            page.wait(10 * REST_SECONDS)
        first, fine = _measure(page, options.moves)
    print("| | median, ms | 95th percentile, ms |\n| --- | --: | --: |")
    for name, times in (("first picture", first), ("last picture", fine)):
        late = statistics.quantiles(times, n=20)[-1]
        print(f"| {name} | {statistics.median(times):.0f} | {late:.0f} |")


@contextmanager
def served(config: Path) -> Iterator[str]:
    """Start ``gainer view``, and give the address of its websocket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [Path(sys.executable).with_name("gainer"), "view", "--load-config", config, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.5)
        yield f"ws://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


class Page:
    """What a page is to the viewer.

    Args:
        connection: Of its websocket.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._controls: dict[str, str] = {}
        self.handle = GIZMO  # what is dragged
        self.place = (0.0, 0.0, 0.0)  # of that
        self.pictures: list[float] = []  # when they came

    def look(self, aspect: float) -> None:
        """Show the picture exactly."""
        fov = 2 * math.atan(0.5 / max(aspect, 1.0))
        place = {"wxyz": SQUARE_ON, "position": (0.0, 0.0, DISTANCE), "fov": fov, "aspect": aspect}
        self._send("ViewerCameraMessage", **place, look_at=(0.0, 0.0, 0.0), up_direction=(0.0, 1.0, 0.0))

    def has(self, label: str) -> bool:
        """Return whether the panel has a control."""
        return label in self._controls

    def change(self, label: str, value: Any) -> None:
        """Change what a control of the panel says."""
        self._send("GuiUpdateMessage", id=self._controls[label], updates={"value": value})

    def select(self, corner: tuple[float, float], other: tuple[float, float]) -> None:
        """Draw a rectangle, between places of the page from 0 to 1."""
        self._send(
            "ScenePointerMessage",
            event_type="rect-select",
            ray_origin=None,
            ray_direction=None,
            screen_pos=(corner, other),
        )

    def pin(self, count: int, aspect: float) -> None:
        """Put pins down in a ring around the middle of the page, and let the first be dragged."""
        self.handle = PIN
        self.change("Pins", "place")
        self.wait(REST_SECONDS)
        for number in range(count):
            angle = 2 * math.pi * number / count
            place = 0.5 + PIN_RADIUS * math.cos(angle) / aspect, 0.5 + PIN_RADIUS * math.sin(angle)
            self._send(
                "ScenePointerMessage", event_type="click", ray_origin=None, ray_direction=None, screen_pos=(place,)
            )
            self.wait(REST_SECONDS)
        self.change("Pins", "done")
        self.wait(10 * REST_SECONDS)

    def drag(self, place: tuple[float, float, float]) -> None:
        """Drag the handle to a place."""
        self._send("TransformControlsUpdateMessage", name=self.handle, wxyz=IDENTITY, position=place)

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Take what comes for so long, or until something is so."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0 and not until():
            try:
                received = self._connection.recv(left)
            except TimeoutError:
                return
            now = time.perf_counter()
            for message in msgspec.msgpack.decode(received):
                self._take(message, now)

    def _take(self, message: dict[str, Any], now: float) -> None:
        if message["type"] == "BackgroundImageMessage":
            self.pictures.append(now)
        elif message["type"] == "SetPositionMessage" and message["name"] == self.handle:
            self.place = tuple(message["position"])
        elif "label" in message and "id" in message:
            self._controls[message["label"]] = message["id"]

    def _send(self, kind: str, **words: Any) -> None:
        self._connection.send(msgspec.msgpack.encode({"type": kind, **words}))


def _measure(page: Page, moves: int) -> tuple[list[float], list[float]]:
    """Return milliseconds to the first picture of each movement, and to the last."""
    first, fine = [], []
    x, y, z = page.place
    for number in range(moves + MAKING_READY):
        page.pictures.clear()
        start = time.perf_counter()
        page.drag((x + 0.05 * (1 + number % 7), y + 0.02 * number / moves, z))
        if number < MAKING_READY:
            page.wait(60 * REST_SECONDS, lambda: len(page.pictures) > 0)
        page.wait(REST_SECONDS)
        if not page.pictures:
            raise SystemExit("the viewer sent no picture")
        if number >= MAKING_READY:
            first.append(1000 * (page.pictures[0] - start))
            fine.append(1000 * (page.pictures[-1] - start))
    return first, fine


if __name__ == "__main__":
    main()
