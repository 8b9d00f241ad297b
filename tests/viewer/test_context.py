"""What the parts of the panel share: callbacks of a hand, and values that the page is told once."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

from gainer_ns.editing.selection import Selection
from gainer_ns.viewer.context import show_value
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.film_tab import FilmTab
from gainer_ns.viewer.pins_tab import PinsTab


def test_of_movements_that_wait_the_newest_alone_is_followed(panel: Any) -> None:
    hand, followed, begun, end = [0], [], threading.Event(), threading.Event()
    follow = panel.by_hand(lambda: followed.append(hand[0]))

    def hold_up(_: Any) -> None:
        begun.set()
        end.wait(10)

    threads = [threading.Thread(target=panel.by_user(hold_up), args=[None])]
    threads[0].start()
    begun.wait(10)
    for hand[0] in range(1, 6):
        threads.append(threading.Thread(target=follow, args=[None]))
        threads[-1].start()
    while sum(thread.is_alive() for thread in threads) > 2:  # what holds up, and the one that waits
        time.sleep(0.01)
    end.set()
    for thread in threads:
        thread.join(10)
    assert followed == [5]
    hand[0] = 6
    follow(SimpleNamespace(client=None))  # the program itself
    follow(None)
    assert followed == [5, 6]


def test_a_pin_that_is_dragged_tells_the_page_next_to_nothing_of_the_others(panel: Any) -> None:
    chooser = EditChooser(panel)
    tab = PinsTab(panel, chooser)
    FilmTab(panel, chooser)
    panel.picker.selection = Selection(all=True)
    for x in range(10, 90, 10):
        tab.place((float(x), 30.0))
    buffer = panel.server._websock_server._broadcast_buffer
    tab.drag(0, (11.0, 31.0), 0.0)
    before = buffer.message_counter
    tab.drag(0, (12.0, 32.0), 0.0)
    assert buffer.message_counter - before <= 4


def test_a_value_that_is_shown_already_is_not_sent_again() -> None:
    sent = []

    class Control:
        def __setattr__(self, name: str, value: Any) -> None:
            sent.append(value)
            super().__setattr__(name, value)

    control: Any = Control()
    control.value = 1.0
    show_value(control, 1)
    show_value(control, 2.0)
    assert sent == [1.0, 2.0]
