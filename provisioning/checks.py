"""The command ``tests/run``: sets up, then every check and every test of both sides, and one closing line that counts them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from provisioning import debian
from provisioning.installation import ROOT, enter_environment, or_complain
from provisioning.progress import red, say

_BIN = ROOT / ".venv" / "bin"
_WEBUI = ROOT / "webui"
_RESULTS = ROOT / ".cache" / "results"
_END_TO_END = "tests/end_to_end"
_MOST_WORKERS = 4
"""More than that only compete for memory: some tests draw volumes."""
_MOST_UNSTEADY = 3
"""More failures than that are no accident."""


@dataclass(frozen=True)
class Counts:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True)
class Tried:
    """How a run of tests ended, after the few that failed had a second try."""

    is_well: bool
    counts: Counts
    unsteady: tuple[str, ...] = ()
    """The names of those that failed at first and then passed."""


@dataclass(frozen=True)
class Check:
    """A program that judges the sources: it is quiet unless it fails."""

    name: str
    command: tuple[str, ...]
    folder: Path = ROOT
    shows: bool = False
    """Whether what it says is worth showing when it passes."""


CHECKS = (
    Check("Format", (f"{_BIN}/ruff", "format", "--check", ".")),
    Check("Lint", (f"{_BIN}/ruff", "check", ".")),
    Check("Types", (f"{_BIN}/mypy",)),
    Check("Imports", (f"{_BIN}/lint-imports",)),
    Check("Types of the page", (f"{_BIN}/npm", "run", "--silent", "check"), _WEBUI),
    Check("Weight of the page", (f"{_BIN}/node", "scripts/weigh.mjs"), _WEBUI, shows=True),
)


def main() -> int:
    """The exit status: 0 only if every check and every test was well."""
    text = "Sets everything up and runs every check and every test; with PYTEST ARGUMENTS only pytest with those."
    parser = argparse.ArgumentParser(prog="tests/run", usage="tests/run [--setup-only] [--long] [PYTEST ARGUMENTS]")
    parser.description = text
    parser.add_argument("--setup-only", action="store_true", help="install what the tests need, and leave")
    parser.add_argument("--long", action="store_true", help="also the tests that take minutes")
    arguments, for_pytest = parser.parse_known_args()
    return or_complain(lambda: _run(arguments, for_pytest))


def _run(arguments: argparse.Namespace, for_pytest: list[str]) -> int:
    enter_environment("provisioning.checks", sys.argv[1:], for_tests=True, for_machines=arguments.long)
    if arguments.setup_only:
        say("Everything that the tests need is there")
        return 0
    _RESULTS.mkdir(parents=True, exist_ok=True)
    long = ["--long"] if arguments.long else []
    if for_pytest:
        is_well, counts = _run_pytest("chosen", [*long, *for_pytest])
        say(str(counts))
        return 0 if is_well else 1
    return _run_everything(long)


def _run_everything(long: list[str]) -> int:
    failed = [check.name for check in CHECKS if not _passes(check)]
    is_well, page = _run_page_tests()
    failed += [] if is_well else ["Tests of the page"]
    workers = ["-n", str(min(_MOST_WORKERS, os.cpu_count() or 1)), "--dist", "loadfile"]
    inner = _run_twice("all-but-end-to-end", long, [*workers, "tests", f"--ignore={_END_TO_END}"])
    failed += [] if inner.is_well else ["Tests"]
    # After the others: browsers, servers and software OpenGL already use the whole of a small machine.
    outer = _run_twice("end-to-end", long, [*workers, _END_TO_END])
    failed += [] if outer.is_well else ["Tests end to end"]
    total = page + inner.counts + outer.counts
    say("")
    for name in (*inner.unsteady, *outer.unsteady):
        say(red(f"Unsteady, failed and then passed: {name}", sys.stdout))
    if failed:
        say(red(f"Failed: {', '.join(failed)}", sys.stdout))
    say(f"Tests: {sum_of(total)}, of which {sum_of(page)} of the page and {sum_of(outer.counts)} end to end")
    say(str(total))
    return 1 if failed else 0


def sum_of(counts: Counts) -> int:
    """How many tests there were."""
    return counts.passed + counts.failed + counts.skipped


def _passes(check: Check) -> bool:
    started = time.monotonic()
    done = subprocess.run(
        check.command, cwd=check.folder, env=_environment(), text=True, capture_output=True, check=False
    )
    elapsed = f"{time.monotonic() - started:.1f} s"
    said = (done.stdout + done.stderr).rstrip()
    if done.returncode == 0:
        say(f"{check.name}: passed in {elapsed}")
        if check.shows and said:
            say(_indent(said))
        return True
    say(red(f"{check.name}: failed in {elapsed}: {' '.join(check.command)}", sys.stdout))
    say(_indent(said))
    return False


def _run_page_tests() -> tuple[bool, Counts]:
    results = _RESULTS / "page.json"
    results.unlink(missing_ok=True)
    reporters = ("--reporter=default", "--reporter=json", f"--outputFile.json={results}")
    is_well = _passes(Check("Tests of the page", (f"{_BIN}/npm", "test", "--silent", "--", *reporters), _WEBUI))
    return is_well, read_vitest(results)


def _run_pytest(name: str, arguments: Sequence[str]) -> tuple[bool, Counts]:
    results = _RESULTS / f"{name}.xml"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", f"--junit-xml={results}", "-o", "junit_family=xunit1", *arguments]
    say(f"\n$ pytest {' '.join(arguments)}")
    done = subprocess.run(command, cwd=ROOT, env=_environment(), stdin=subprocess.DEVNULL, check=False)
    return done.returncode == 0, read_junit(results)


def _run_twice(name: str, options: list[str], chosen: list[str]) -> Tried:
    """Runs tests, and where few fail, their files once more by themselves.

    Thousands of tests with real browsers, processes and lines meet a machine that is now and then too slow for one of
    them. Such a one is named at the end, to be mended, but does not make the whole run red; CPython's own test runner
    (``--rerun``) does the same.
    """
    is_well, counts = _run_pytest(name, [*options, *chosen])
    failures = read_failures(_RESULTS / f"{name}.xml")
    if is_well or not counts.failed == len(failures) <= _MOST_UNSTEADY:
        return Tried(is_well, counts)
    say(red(f"\nOnce more, by themselves: {', '.join(failures)}", sys.stdout))
    is_well, _again = _run_pytest(f"{name}-again", [*options, *sorted(set(failures.values()))])
    if not is_well:
        return Tried(False, counts)
    return Tried(True, Counts(counts.passed + counts.failed, 0, counts.skipped), tuple(failures))


def read_failures(file: Path) -> dict[str, str]:
    """The file of each test that failed, by the test's name, of a JUnit report of pytest; a file may fail as a whole."""
    if not file.is_file():
        return {}
    return {
        f"{case.get('file')}::{case.get('name')}": case.get("file", "")
        for case in ElementTree.parse(file).getroot().iter("testcase")  # noqa: S314 (we had it written ourselves)
        if case.get("file") and (case.find("failure") is not None or case.find("error") is not None)
    }


def read_junit(file: Path) -> Counts:
    """The counts in a JUnit report of pytest; what could not even be collected or set up counts as failed.

    Without a report, which only a crash leaves behind, one failed.
    """
    if not file.is_file():
        return Counts(failed=1)
    total = Counts()
    for suite in ElementTree.parse(file).getroot().iter("testsuite"):  # noqa: S314 (we had it written ourselves)
        number, failures, errors, skipped = (int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped"))
        failed = failures + errors
        total += Counts(max(0, number - failed - skipped), failed, skipped)
    return total


def read_vitest(file: Path) -> Counts:
    """The counts in a JSON report of vitest; without a report, which only a crash leaves behind, one failed."""
    if not file.is_file():
        return Counts(failed=1)
    report = json.loads(file.read_text())
    skipped = report["numPendingTests"] + report["numTodoTests"]
    failed = report["numFailedTests"]
    # A file that cannot be loaded is a failed suite without a single test.
    if not failed and not report["success"]:
        failed = max(1, report["numFailedTestSuites"])
    return Counts(report["numPassedTests"], failed, skipped)


def _environment() -> Mapping[str, str]:
    ours = {"PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    browser = debian.find_browser()
    if browser and not shutil.which("chromium"):  # that one the tests find by themselves
        ours[debian.BROWSER_VARIABLE] = browser
    return {**os.environ, **ours}


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
