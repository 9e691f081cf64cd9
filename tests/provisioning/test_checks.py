"""The closing line of tests/run counts what really happened."""

from __future__ import annotations

import json
import subprocess
import sys

from provisioning.checks import Counts, read_failures, read_junit, read_vitest, sum_of


def test_a_report_of_pytest_is_counted(tmp_path):
    (tmp_path / "test_four.py").write_text(
        "import pytest\n"
        "def test_well(): pass\n"
        "def test_ill(): assert False\n"
        "@pytest.mark.skip(reason='for the count')\n"
        "def test_left_out(): pass\n"
        "def test_unprepared(nothing): pass\n"
    )
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", str(tmp_path)]
    subprocess.run([*command, f"--rootdir={tmp_path}"], cwd=tmp_path, capture_output=True, check=False)

    assert read_junit(report) == Counts(passed=1, failed=2, skipped=1)


def test_the_tests_that_failed_are_named_with_their_files_for_a_second_try(tmp_path):
    (tmp_path / "test_three.py").write_text(
        "def test_well(): pass\n"
        "class TestIll:\n"
        "    def test_ill(self): assert False\n"
        "def test_unprepared(nothing): pass\n"
    )
    (tmp_path / "test_broken.py").write_text("import nothing_of_that_name\n")
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    command += [f"--junit-xml={report}", "-o", "junit_family=xunit1", f"--rootdir={tmp_path}", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)

    assert read_failures(report) == {
        "test_broken.py::test_broken": "test_broken.py",
        "test_three.py::test_ill": "test_three.py",
        "test_three.py::test_unprepared": "test_three.py",
    }
    assert read_junit(report).failed == 3
    assert read_failures(tmp_path / "none.xml") == {}


def test_a_report_of_vitest_is_counted(tmp_path):
    report = {"numPassedTests": 7, "numFailedTests": 1, "numPendingTests": 2, "numTodoTests": 1, "success": False}
    (tmp_path / "page.json").write_text(json.dumps({**report, "numFailedTestSuites": 1}))

    assert read_vitest(tmp_path / "page.json") == Counts(passed=7, failed=1, skipped=3)


def test_a_file_of_the_page_that_cannot_be_loaded_counts_as_failed(tmp_path):
    report = {"numPassedTests": 7, "numFailedTests": 0, "numPendingTests": 0, "numTodoTests": 0, "success": False}
    (tmp_path / "page.json").write_text(json.dumps({**report, "numFailedTestSuites": 1}))

    assert read_vitest(tmp_path / "page.json").failed == 1


def test_a_crash_without_a_report_counts_as_failed(tmp_path):
    assert read_junit(tmp_path / "none.xml").failed == 1
    assert read_vitest(tmp_path / "none.json").failed == 1


def test_the_closing_line_is_plain():
    total = Counts(3, 0, 1) + Counts(2, 1, 0)

    assert str(total) == "5 passed, 1 failed, 1 skipped"
    assert sum_of(total) == 7
