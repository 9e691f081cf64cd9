"""Commands of the system, here or on another box: each is logged with its time, and one that fails is shown whole."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_SAID_AT_MOST = 2000
"""Characters of a failed command's complaint that are shown."""


class Refusal(Exception):
    """Something that stops us, in one line, and what mends it."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(f"{what}\nTo mend it: {mend}" if mend else what)


class CommandFailed(Refusal):
    """A command of the system ended badly."""

    def __init__(self, command: Sequence[str], status: int, said: str) -> None:
        super().__init__(f"`{shlex.join(command)}` ended with status {status}: {said.strip()[-_SAID_AT_MOST:]}")
        self.status = status
        self.said = said


@dataclass(frozen=True)
class Machine:
    """This machine, or another that ``ssh`` reaches as ``host`` ([ACCOUNT@]NAME)."""

    host: str | None = None

    def command(self, arguments: Sequence[str]) -> list[str]:
        """``arguments`` as they are started here; the shell of another machine gets them quoted."""
        if self.host is None:
            return list(arguments)
        return ["ssh", *_ssh_options(), "--", self.host, shlex.join(arguments)]

    def run(self, *arguments: str, given: bytes = b"") -> str:
        """What the command prints, ``given`` being its standard input. Raises CommandFailed."""
        command = self.command(arguments)
        started = time.monotonic()
        try:
            done = subprocess.run(command, input=given, capture_output=True, check=False)
        except OSError as error:
            raise Refusal(f"{command[0]} cannot be run: {error.strerror}", "is its package installed?") from error
        log.info("%s: status %d in %.1f s", shlex.join(arguments), done.returncode, time.monotonic() - started)
        if done.returncode:
            raise CommandFailed(arguments, done.returncode, done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    @contextmanager
    def lines(self, *arguments: str) -> Iterator[Iterator[str]]:
        """The lines that the command prints, as they come. Raises CommandFailed at the end."""
        with subprocess.Popen(self.command(arguments), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield (line.rstrip("\n") for line in process.stdout)
            except BaseException:
                process.kill()
                raise
            status = process.wait()
        if status:
            raise CommandFailed(arguments, status, "see above")


HERE = Machine()


def pipe(source: Sequence[str], target: Machine, sink: Sequence[str]) -> None:
    """What ``source`` prints here goes into ``sink`` on ``target``; both end well, or CommandFailed."""
    started = time.monotonic()
    with subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sender:
        receiver = subprocess.run(target.command(sink), stdin=sender.stdout, capture_output=True, check=False)
        assert sender.stdout is not None
        assert sender.stderr is not None
        sender.stdout.close()  # a sender whose receiver has gone is told so, instead of waiting for ever
        said = sender.stderr.read()
        status = sender.wait()
    log.info("%s | %s in %.1f s", shlex.join(source), shlex.join(sink), time.monotonic() - started)
    if receiver.returncode:  # the receiver first: the sender's broken pipe is only what follows from it
        raise CommandFailed(sink, receiver.returncode, receiver.stderr.decode(errors="replace"))
    if status:
        raise CommandFailed(source, status, said.decode(errors="replace"))


def _ssh_options() -> list[str]:
    """Nobody is asked anything; under systemd, key and known boxes are in the service's own folder."""
    options = ["-o", "BatchMode=yes"]
    state = os.environ.get("STATE_DIRECTORY")
    if state:
        folder = Path(state)
        options += ["-o", f"IdentityFile={folder / 'identity'}", "-o", f"UserKnownHostsFile={folder / 'known_hosts'}"]
    return options
