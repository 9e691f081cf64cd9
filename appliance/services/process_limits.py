"""What a helper process may use of the machine, set by itself before it touches what strangers sent."""

from __future__ import annotations

import os
import resource


def limit(what: int, most: int) -> None:
    """``what`` of ``resource.RLIMIT_…`` is ``most``, or less where it was less."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def allow_processor_time(seconds: int) -> None:
    """The kernel ends the process (SIGXCPU) when it has used so much more than until now."""
    used = os.times()
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.user + used.system) + seconds + 1, hard))
