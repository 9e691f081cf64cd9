"""Long steps told on the terminal: what is being done, for how long, and, where it fails, why and what mends it.

What the programs of a step say goes to a log file; the terminal shows their latest line, or, where it is no terminal, a
sign of life now and then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

_REDRAW_S = 0.2
_SIGN_OF_LIFE_S = 20.0
"""How often a step without a terminal says that it goes on: seldom enough not to fill a log."""
_SHOWN_LINES = 15


class Refusal(Exception):
    """Something that stops us, and the one line that mends it."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


def _is_colourful(stream: TextIO) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ


def red(text: str, stream: TextIO) -> str:
    """``text`` in red where ``stream`` is a terminal that wants colour (no-color.org), else as it is."""
    return f"\x1b[31m{text}\x1b[0m" if _is_colourful(stream) else text


def say(text: str) -> None:
    """One line for the user, at once."""
    print(text, flush=True)


def complain(refusal: Refusal) -> None:
    """The refusal and its mend, on standard error."""
    print(red(refusal.what, sys.stderr), file=sys.stderr)
    print(f"To mend it: {refusal.mend}", file=sys.stderr, flush=True)


class Step:
    """A step that takes time; what its programs say is logged, and the end of it shown where one fails.

    Used as a context manager: says its name at the start and how long it took at the end.
    """

    def __init__(self, name: str, log: Path) -> None:
        self._name = name
        self._log = log
        self._latest = ""
        self._started = 0.0
        self._said = 0.0

    def __enter__(self) -> Step:
        self._started = self._said = time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        if not sys.stdout.isatty():
            say(f"{self._name} …")
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        outcome = "done" if kind is None else "failed"
        self._clear()
        say(f"{self._name}: {outcome} in {self._elapsed_s():.0f} s")

    def run(
        self,
        command: Sequence[str],
        *,
        mend: str,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Runs ``command`` to its end; Refusal with ``mend`` where it fails or is not there.

        Its output goes to the log, standard input is empty; ``environment`` is added to ours.
        """
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ {' '.join(command)}\n")
            log.flush()
            try:
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env={**os.environ, "NO_COLOR": "1", **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                )
            except OSError as error:
                raise Refusal(f"{command[0]} cannot be run: {error.strerror}", mend) from error
            tail = self._follow(process, log)
        if process.returncode != 0:
            shown = "\n".join(f"    {line}" for line in tail)
            raise Refusal(f"`{' '.join(command[:6])}` ended with status {process.returncode}:\n{shown}", mend)

    def _follow(self, process: subprocess.Popen[str], log: TextIO) -> deque[str]:
        """The last lines of what ``process`` said, all of which went to ``log``; ends it when we are interrupted."""
        tail: deque[str] = deque(maxlen=_SHOWN_LINES)

        def read() -> None:
            assert process.stdout
            for line in process.stdout:
                log.write(line)
                if line.strip():
                    tail.append(line.rstrip())
                    self._latest = line.strip()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(_REDRAW_S)
                self._show()
            process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        return tail

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def _show(self) -> None:
        if sys.stdout.isatty():
            line = f"{self._name} … {self._elapsed_s():.0f} s  {self._latest}"
            sys.stdout.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
            sys.stdout.flush()
        elif time.monotonic() - self._said > _SIGN_OF_LIFE_S:
            self._said = time.monotonic()
            say(f"  {self._elapsed_s():.0f} s: {self._latest[:120]}")

    def _clear(self) -> None:
        if sys.stdout.isatty():
            sys.stdout.write("\r\x1b[K")
