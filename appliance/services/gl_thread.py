"""The one thread that owns the OpenGL context, and the two queues in front of it.

*Quick* work (a slice, an upload) takes milliseconds and goes first; *pictures* of planes and volumes may take long, viewers in
turn and the newest first. A long one is drawn in strips, and between strips quick work is done.

A context can be lost: the card was reset, its driver failed. Nothing that was being drawn is believed then (``context-lost``,
after which it may be asked for again), and another context is opened, in which nothing of the old one exists: it has another
*generation*, and work for things of an older one is refused. A card that fails too often is left alone, and software draws.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from appliance.domain.errors import ApplianceError, Unavailable
from appliance.rendering.renderer import Renderer
from appliance.services.fair_queue import FairQueue

log = logging.getLogger(__name__)

T = TypeVar("T")
Picturing = Callable[[Renderer], None]
Open = Callable[[bool], Renderer]
"""A renderer for the calling thread; of software alone if that is asked for."""

CONTEXT_LOST = "context-lost"
"""Key of the refusal of what was drawn in a context that is gone."""
_MOST_LOSSES = 3
_LOSSES_COUNT_S = 600.0
"""A card that lost so many contexts in so much time is left alone."""


def _opened(software_only: bool) -> Renderer:  # the only thing that it is asked
    return Renderer(software_only=software_only)


class GlThread:
    """Runs until the process ends. ``renderer`` may be looked at by others, and drawn with only here."""

    def __init__(
        self,
        *,
        software_only: bool = False,
        on_lost: Callable[[], None] = lambda: None,
        open_renderer: Open = _opened,
    ) -> None:
        """``on_lost`` is called on the thread itself, when everything in the context is gone and the new one is there."""
        self.generation = 0
        self.contexts_lost = 0
        self.fallback = ""
        """Why software draws where there is, or was, a card."""
        self._software_only = software_only
        self._on_lost = on_lost
        self._open = open_renderer
        self._quick: deque[Callable[[], None]] = deque()
        self._pictures: FairQueue[Picturing] = FairQueue()
        self._wake = threading.Condition()
        self._ready = threading.Event()
        self._renderer: Renderer | None = None
        self._losses: deque[float] = deque(maxlen=_MOST_LOSSES)
        threading.Thread(target=self._run, name="gl", daemon=True).start()

    @property
    def renderer(self) -> Renderer:
        """Waits until it is there."""
        self._ready.wait()
        assert self._renderer is not None
        return self._renderer

    def run(self, work: Callable[[Renderer], T], generation: int | None = None) -> T:
        """What quick ``work`` returns, done on the thread; the caller waits.

        Raises Unavailable (``context-lost``) if the context was lost over it, or is not of the ``generation`` that it is for.
        """
        answer: Future[T] = Future()

        def carry_out() -> None:
            try:
                self.check(generation)
                done = work(self.renderer)
                self.check(generation)
                answer.set_result(done)
            except ApplianceError as error:
                answer.set_exception(error)
            except Exception as error:  # handed to the one who waits; a context that is lost explains all others
                answer.set_exception(_lost() if self.renderer.is_lost() else error)

        with self._wake:
            self._quick.append(carry_out)
            self._wake.notify()
        return answer.result()

    def picture(self, viewer: str, work: Picturing) -> None:
        """``work`` is done when its turn comes; it must answer for itself, ask ``check`` before it does, and not raise."""
        with self._wake:
            self._pictures.put(viewer, work)
            self._wake.notify()

    def check(self, generation: int | None = None) -> None:
        """Returns if what was drawn can be believed; raises Unavailable (``context-lost``). Only on the thread itself."""
        if self.renderer.is_lost() or generation not in {None, self.generation}:
            raise _lost()

    def do_quick_work(self) -> None:
        """Only on the thread itself, between the strips of a long drawing."""
        while self._quick:
            self._quick.popleft()()

    def _run(self) -> None:
        self._reopen()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._quick or not self._pictures.is_empty())
            self.do_quick_work()
            self._look_after_context()
            work = self._pictures.take_now()
            if work is not None:
                work(self.renderer)
                self._look_after_context()

    def _look_after_context(self) -> None:
        if not self.renderer.is_lost():
            return
        self.contexts_lost += 1
        self._losses.append(time.monotonic())
        log.error("the OpenGL context of %s was lost and is opened again", self.renderer.info.renderer)
        if self._fails_too_often():
            self._fall_back(f"{self.renderer.info.renderer} lost its context {_MOST_LOSSES} times")
        with contextlib.suppress(Exception):  # whatever is left of it
            self.renderer.close()
        self._reopen()
        self.generation += 1
        self._on_lost()

    def _fails_too_often(self) -> bool:
        is_many = len(self._losses) == _MOST_LOSSES and self._losses[-1] - self._losses[0] < _LOSSES_COUNT_S
        return is_many and not self.renderer.info.is_software

    def _reopen(self) -> None:
        try:
            self._renderer = self._open(self._software_only)
        except Exception as error:
            if self._software_only:
                self._give_up(error)
            self._fall_back(f"no context: {_reason(error)}")
            try:
                self._renderer = self._open(True)
            except Exception as second:
                self._give_up(second)
        self._ready.set()

    def _fall_back(self, reason: str) -> None:
        self._software_only, self.fallback = True, reason
        log.error("software draws from now on: %s", reason)

    def _give_up(self, error: Exception) -> None:
        log.critical("cannot draw: %s", _reason(error))
        os._exit(1)  # the parent starts another, slower each time; what was asked is refused there


def _reason(error: Exception) -> str:
    return f"{error.message} {error.fields}" if isinstance(error, ApplianceError) else type(error).__name__


def _lost() -> Unavailable:
    return Unavailable("The graphics context was lost.", key=CONTEXT_LOST)
