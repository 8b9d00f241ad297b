"""Pages that leave: a real viewer, and pages that speak to it as a browser's do, over real sockets."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psutil
import pytest
import viser
from viser.infra import WebsockMessageHandler
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gainer_ns.viewer.departures import PageMachines, released

PATIENCE = 60.0
"""Seconds that a page may wait for its picture on a machine that has much else to do."""
ENDING = 3
"""How many tasks and the like may be about to end: had each page left one, tests that close ten would see ten."""
HELD_HANDLES = 1
"""How many pages' handles the exception that ended the last one may hold: tests close three pages or more."""


@pytest.fixture(scope="module")
def viewer(start: Callable[..., Any]) -> Any:
    """nerfstudio's viewer on a copy of a fitted run, in this process."""
    return start()


def camera(x: float = 0.0, aspect: float = 1.5) -> bytes:
    """The message by which a page says where its camera stands."""
    place = {"wxyz": (0.0, 1.0, 0.0, 0.0), "position": (x, 0.0, 10.0), "fov": 0.7, "aspect": aspect}
    towards = {"look_at": (x, 0.0, 0.0), "up_direction": (0.0, 1.0, 0.0)}
    return msgspec.msgpack.encode({"type": "ViewerCameraMessage", **place, **towards})


@contextmanager
def opened(viewer: Any) -> Iterator[Any]:
    host = f"127.0.0.1:{viewer.viser_server.get_port()}"
    with connect(f"ws://{host}", origin=f"http://{host}", max_size=None, compression=None) as page:  # pyright: ignore[reportArgumentType]
        yield page


def pictures(page: Any, enough: int = 1) -> int:
    """Reads until so many pictures have come; how many messages that took."""
    end, seen, read = time.monotonic() + PATIENCE, 0, 0
    while seen < enough:
        assert time.monotonic() < end, "no picture comes"
        try:
            messages = page.recv(1.0)
        except TimeoutError:
            continue
        read += 1
        seen += messages.count(b"BackgroundImageMessage")
    return read


def burst(viewer: Any, count: int = 20) -> None:
    """A page that opens, moves its camera, and is closed while that is under way."""
    with opened(viewer) as page:
        for number in range(count):
            page.send(camera(0.01 * number))


def still_draws(viewer: Any) -> None:
    with opened(viewer) as page:
        page.send(camera())
        pictures(page)
        page.send(camera(0.2))
        pictures(page)


def answers(viewer: Any) -> None:
    """A page presses a button of the panel, and the panel's line says something new."""
    end = time.monotonic() + PATIENCE
    with opened(viewer) as page:
        page.send(camera())
        button, said = None, False
        while not said:
            assert time.monotonic() < end, "nothing is answered"
            for message in msgspec.msgpack.decode(page.recv(PATIENCE)):
                if message["type"] == "GuiAddButtonGroupMessage" and "reset" in message["options"]:
                    button = message["id"]
                    press = {"type": "GuiUpdateMessage", "id": button, "updates": {"value": "reset"}}
                    page.send(msgspec.msgpack.encode(press))
                elif button is not None and message["type"] == "GuiUpdateMessage":
                    said = said or "0 edits." in str(message["updates"])


def drawing() -> list[threading.Thread]:
    from nerfstudio.viewer.render_state_machine import RenderStateMachine

    return [one for one in threading.enumerate() if isinstance(one, RenderStateMachine)]


def kept(viewer: Any) -> dict[str, int]:
    """How much there is of what pages need, and of what they share."""
    inner = viewer.viser_server._websock_server
    gc.collect()
    return {
        "pages": len(inner._client_state_from_id) + len(viewer.viser_server.get_clients()),
        "drawing": len(viewer.render_statemachines) + len(drawing()),
        "handles": sum(type(one) is viser.ClientHandle for one in gc.get_objects()),
        "tasks": len(asyncio.all_tasks(inner._broadcast_buffer.event_loop)),
        "calls": inner._thread_executor._work_queue.qsize(),
        "messages": len(inner._broadcast_buffer.message_from_id),
        "threads": len(set(threading.enumerate()) - inner._thread_executor._threads),  # of which viser makes up to 32
    }


def left_alone(viewer: Any, before: dict[str, int] | None = None) -> dict[str, int]:
    """Waits until nothing is kept of pages any more, and of what they share no more than before, or about so."""
    end = time.monotonic() + PATIENCE
    while True:
        now = kept(viewer)
        few = {name: 0 if before is None else now[name] - before[name] for name in ("tasks", "messages", "threads")}
        gone = not any(now[name] for name in ("pages", "drawing", "calls")) and now["handles"] <= HELD_HANDLES
        if gone and max(few.values()) <= ENDING:
            return now
        assert time.monotonic() < end, (now, before)
        time.sleep(0.05)


def resident() -> float:
    """Megabytes of this process, without what the C library keeps for later after it was freed."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return psutil.Process().memory_info().rss / 1e6


def test_a_lock_is_released_whatever_fails_inside() -> None:
    handler = WebsockMessageHandler(None)  # pyright: ignore[reportArgumentType]
    atomic = released(handler.atomic)
    for _ in range(3):
        with pytest.raises(KeyError), atomic(), atomic():
            raise KeyError(1)
    with atomic(), atomic():
        assert handler._atomic_lock.locked()
    assert not handler._atomic_lock.locked()


def test_a_lock_taken_twice_in_many_threads_is_never_waited_for_by_its_holder() -> None:
    atomic = released(WebsockMessageHandler(None).atomic)  # pyright: ignore[reportArgumentType]
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(300):
            with atomic(), atomic():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert most == 1 and not any(thread.is_alive() for thread in threads)


def test_pages_that_are_gone_are_asked_in_vain() -> None:
    machines = PageMachines({}, lambda fitted: fitted)
    machines[3].action(None)  # pyright: ignore[reportArgumentType]
    assert not machines


def survives(viewer: Any, capfd: pytest.CaptureFixture[str], what: Callable[[], None]) -> None:
    """What happens leaves a viewer that draws and answers, and that keeps no more than before."""
    still_draws(viewer)
    answers(viewer)
    before, memory = left_alone(viewer), resident()
    started = time.monotonic()
    what()
    took = time.monotonic() - started
    still_draws(viewer)
    left_alone(viewer)
    assert "Traceback" not in "".join(capfd.readouterr())
    answers(viewer)  # and closes while viser still looks for who pressed, of which it prints a harmless KeyError
    left_alone(viewer, before)
    capfd.readouterr()
    with capfd.disabled():
        print(f"\n{what.__name__}: {took:.0f} s; {memory:.0f} MB before, {resident():.0f} MB after; kept {before}")


def test_pages_that_close_amid_their_messages(viewer: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def closes() -> None:
        for _ in range(10):
            burst(viewer)

    survives(viewer, capfd, closes)


def test_what_fails_for_one_page_fails_for_that_alone(
    viewer: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("websockets.server"), "disabled", True)  # pytest keeps what it logs: the page

    def hostile() -> None:
        for raw in (b"\xc1", msgspec.msgpack.encode({"type": "NoSuchMessage"}), "text"):
            with opened(viewer) as page:
                page.send(camera())
                pictures(page)
                page.send(raw)
                with pytest.raises(ConnectionClosed):
                    pictures(page, 1000)

    still_draws(viewer)
    hostile()
    left_alone(viewer)
    still_draws(viewer)
    answers(viewer)
    left_alone(viewer)
    capfd.readouterr()


@pytest.mark.slow
def test_a_hundred_closes_a_flood_and_ten_tabs(viewer: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def closes() -> None:
        for _ in range(100):
            burst(viewer)

    def flood() -> None:
        end, number = time.monotonic() + 20, 0
        with opened(viewer) as page:
            while time.monotonic() < end:
                number += 1
                page.send(camera(0.001 * (number % 300)))
                while True:
                    try:
                        page.recv(0)
                    except TimeoutError:
                        break

    def tabs() -> None:
        for _ in range(3):  # reconnecting
            threads = [threading.Thread(target=still_draws, args=(viewer,)) for _ in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    for what in (closes, flood, tabs):
        survives(viewer, capfd, what)
