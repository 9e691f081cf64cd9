"""A real browser: Debian's Chromium, driven by Playwright, trusting an authority of our own.

Chromium speaks HTTP/3 only with servers whose certificate leads to a root that came with it. For roots installed by hand there
is one way: ``--origin-to-force-quic-on``, which skips HTTP/2 for the origins it names. So a test says which origins are to be
HTTP/3; all others are HTTP/2, as in a clinic that installed our authority. Trust itself comes from the NSS database in $HOME,
which is a folder of the test.

Nothing here is ever skipped: a browser that is missing fails the test and says what to install.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import BrowserContext, async_playwright

_QUIET = (
    # no request of the browser's own: they fail in a closed network and are noise in an open one
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
)


class BrowserMissing(Exception):
    """A program that the end-to-end tests need is not installed."""


def chromium_path() -> str:
    """Where Chromium is: $APPLIANCE_TEST_CHROMIUM, else on the path. Raises BrowserMissing."""
    named = os.environ.get("APPLIANCE_TEST_CHROMIUM")
    found = shutil.which(named) if named else shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise BrowserMissing(f"there is no {named or 'chromium'}: install Debian's package chromium")
    return found


def trust(home: Path, authority: Path) -> None:
    """A browser whose home is ``home`` trusts servers of ``authority`` (a PEM file). Raises BrowserMissing."""
    certutil = shutil.which("certutil")
    if certutil is None:
        raise BrowserMissing("there is no certutil: install Debian's package libnss3-tools")
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True, exist_ok=True)
    if not (database / "cert9.db").exists():
        _run(certutil, "-d", f"sql:{database}", "-N", "--empty-password")
    _run(certutil, "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", str(authority), "-i", str(authority))


@asynccontextmanager
async def open_browser(
    home: Path,
    *,
    authority: Path,
    hosts: Mapping[str, str] | None = None,
    http3: Sequence[str] = (),
    arguments: Sequence[str] = (),
    executable: str | None = None,
    locale: str | None = None,
) -> AsyncIterator[BrowserContext]:
    """A headless browser with a fresh profile under ``home``; closed, with its processes, on leaving.

    ``hosts`` maps names to addresses, as a DNS would. ``http3`` names the origins ("host:port", or "*") that are spoken to
    over HTTP/3 from the first request; an IPv4-only listener must not be called localhost there, because QUIC tries ::1.
    ``executable`` is run instead of Chromium itself, and runs it where it is to be. ``locale`` is the language of whoever reads.
    """
    executable = executable or chromium_path()
    trust(home, authority)
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            home / "profile",
            executable_path=executable,
            headless=True,
            chromium_sandbox=os.geteuid() != 0,  # the sandbox cannot be had as root
            args=[*_QUIET, *_name_rules(hosts or {}), *_http3_rule(http3), *arguments],
            env={**os.environ, "HOME": str(home)},
            locale=locale,
        )
        try:
            yield context
        finally:
            await context.close()


def _name_rules(hosts: Mapping[str, str]) -> list[str]:
    if not hosts:
        return []
    return ["--host-resolver-rules=" + ", ".join(f"MAP {name} {address}" for name, address in hosts.items())]


def _http3_rule(origins: Sequence[str]) -> list[str]:
    return [f"--origin-to-force-quic-on={','.join(origins)}"] if origins else []


def _run(*command: str) -> None:
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    if finished.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {finished.stderr or finished.stdout}")
