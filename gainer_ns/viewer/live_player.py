"""A thread that steps a live simulation, and has its newest frame shown, for as long as anything moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from nerfstudio.utils.rich_utils import CONSOLE

from gainer_ns.errors import GainerError
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.live import LiveSimulation
from gainer_ns.physics.simulated_picture import SimulatedPicture
from gainer_ns.viewer.subject import MAX_DRAFT_NODES, AnyPicture

MAX_FRAMES = 7200
"""Frames that are kept to be filmed, of 100 bytes a particle: five minutes."""


class LivePlayer:
    """The thread, begun at once.

    Args:
        simulated: The picture or photo.
        show: Shows the picture that a function returns, which it may call in another thread; called from this thread,
            as ``rest`` and ``complain``.
        rest: Called when nothing moves any more.
        complain: Called with one line where it cannot go on.

    Attributes:
        live: What is stepped; after a change of it ``wake`` is to be called.
        frames: All so far.
    """

    def __init__(
        self,
        simulated: SimulatedPicture,
        show: Callable[[Callable[[], AnyPicture]], None],
        rest: Callable[[], None],
        complain: Callable[[str], None],
    ) -> None:
        self.simulated, self.live = simulated, LiveSimulation(simulated)
        self.frames: list[Frame] = [self.live.frame]
        self._show, self._rest, self._complain = show, rest, complain
        self._is_over, self._is_awake, self._alone = threading.Event(), threading.Event(), threading.Lock()
        self._drawing = threading.Lock()
        self._is_awake.set()
        self._thread = threading.Thread(target=self._run, daemon=True, name="live simulation")
        threads, self._is_alone = torch.get_num_threads(), threading.Event()
        self._thread.start()
        self._is_alone.wait()
        torch.set_num_threads(threads)  # which the thread has lowered for all that begin later

    def wake(self) -> None:
        """Go on, where nothing has moved."""
        self._is_awake.set()

    def stop(self) -> None:
        """End, after the frame that is being made."""
        self._is_over.set()
        self._is_awake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    @property
    def is_resting(self) -> bool:
        """Whether nothing moves."""
        return not self._is_awake.is_set()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Make no frame and no picture meanwhile."""
        with self._alone, self._drawing:
            yield

    def _picture(self, max_nodes: int | None = MAX_DRAFT_NODES) -> AnyPicture:
        """Return the newest frame: by few nodes while it moves, or it would take as long as the frame itself."""
        with self._drawing:
            return self.simulated.at(self.frames[-1], max_nodes)

    def _run(self) -> None:
        torch.get_num_threads()  # lets torch set this thread up, so that what follows is not undone
        torch.set_num_threads(1)  # particles are too few for more, which would wait for what draws
        self._is_alone.set()
        pause, due = 1 / self.simulated.scene.fps, time.monotonic()
        try:
            while not self._is_over.is_set() and len(self.frames) < MAX_FRAMES:
                self._is_awake.clear()  # before it is looked at: what changes from here on wakes it again
                if self.live.is_still:
                    self._show(partial(self._picture, None))
                    self._rest()
                    self._is_awake.wait()
                    due = time.monotonic()
                    continue
                self._is_awake.set()
                with self._alone:
                    self.frames.append(self.live.step())
                if not self._is_over.is_set():
                    self._show(self._picture)
                due = max(due + pause, time.monotonic())
                self._is_over.wait(due - time.monotonic())
            if len(self.frames) >= MAX_FRAMES:
                self._complain(f"it ends after {MAX_FRAMES:,} frames; save it, and start anew")
        except GainerError as error:
            self._complain(str(error))
        except Exception as error:
            CONSOLE.log(f"edit panel: {type(error).__name__}: {error}")
            self._complain("The simulation stopped; the terminal says why.")
        finally:
            self._is_awake.clear()
            self._rest()
