"""The one thread that owns the OpenGL context, and the two queues in front of it.

*Quick* work (a slice, an upload) takes milliseconds and goes first; *pictures* of planes and volumes may take long, viewers in
turn and the newest first. A long one is drawn in strips, and between strips quick work is done.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from appliance.domain.errors import ApplianceError
from appliance.rendering.renderer import Renderer
from appliance.services.fair_queue import FairQueue

log = logging.getLogger(__name__)

T = TypeVar("T")
Picturing = Callable[[Renderer], None]


class GlThread:
    """Runs until the process ends. ``renderer`` may be looked at by others, and drawn with only here."""

    def __init__(self) -> None:
        self._quick: deque[Callable[[], None]] = deque()
        self._pictures: FairQueue[Picturing] = FairQueue()
        self._wake = threading.Condition()
        self._opened: Future[Renderer] = Future()
        threading.Thread(target=self._run, name="gl", daemon=True).start()

    @property
    def renderer(self) -> Renderer:
        """Waits until it is there."""
        return self._opened.result()

    def run(self, work: Callable[[Renderer], T]) -> T:
        """What quick ``work`` returns, done on the thread; the caller waits."""
        answer: Future[T] = Future()

        def carry_out() -> None:
            try:
                answer.set_result(work(self.renderer))
            except Exception as error:  # handed to the one who waits
                answer.set_exception(error)

        with self._wake:
            self._quick.append(carry_out)
            self._wake.notify()
        return answer.result()

    def picture(self, viewer: str, work: Picturing) -> None:
        """``work`` is done when its turn comes; it must answer for itself and not raise."""
        with self._wake:
            self._pictures.put(viewer, work)
            self._wake.notify()

    def do_quick_work(self) -> None:
        """Only on the thread itself, between the strips of a long drawing."""
        while self._quick:
            self._quick.popleft()()

    def _run(self) -> None:
        try:
            renderer = Renderer()
        except ApplianceError as error:
            log.critical("cannot draw: %s %s", error.message, error.fields)
            os._exit(1)  # the parent starts another, slower each time; what was asked is refused there
        self._opened.set_result(renderer)
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._quick or not self._pictures.is_empty())
            self.do_quick_work()
            work = self._pictures.take_now()
            if work is not None:
                work(renderer)
