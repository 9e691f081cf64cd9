"""What may be under way on a line that loses packets by itself, over lines that are only reckoned."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import pytest

from appliance.http import congestion
from appliance.http.certificates import CertificateFiles
from appliance.http.congestion import _Best
from tests.http.reckoned_line import Bandwidth, ReckonedLine

LINE_2G = Bandwidth(750, 250, 0.1)
FAR = Bandwidth(20_000, 5_000, 0.1, queue_bytes=100_000)
CUBIC = "cubic"
SEEDS = range(3)


def seconds(line: Bandwidth, certificate: CertificateFiles, control: str, size: int) -> float:
    """Of one long answer, the mean of some."""
    return mean(ReckonedLine(line, certificate, control, seed).seconds_of(size) for seed in SEEDS)


def test_a_far_line_is_filled_though_it_loses_packets(certificate: CertificateFiles) -> None:
    line = replace(FAR, loss=0.02)
    taken_s, by_cubic_s = (seconds(line, certificate, control, 400_000) for control in (congestion.NAME, CUBIC))
    print(f"400 kB over 20 Mbit/s, 100 ms, 2 % loss: {taken_s:.2f} s, by cubic {by_cubic_s:.2f} s")

    assert taken_s < by_cubic_s / 2


def test_small_pictures_do_not_wait_for_one_that_was_lost(certificate: CertificateFiles) -> None:
    """6,500 bytes every 120 ms, as while the hand turns the wheel: the slowest twentieth of them."""

    def slow_s(control: str) -> float:
        lines = [ReckonedLine(replace(LINE_2G, loss=0.05), certificate, control, seed) for seed in SEEDS]
        return mean(line.seconds_of_each(6500, 40, 0.12)[-2] for line in lines)

    taken_s, by_cubic_s = slow_s(congestion.NAME), slow_s(CUBIC)
    print(f"95 % of drafts over 2G with 5 % loss: {taken_s:.3f} s, by cubic {by_cubic_s:.3f} s")

    assert taken_s < by_cubic_s * 0.8


@pytest.mark.parametrize(("line", "size"), [(LINE_2G, 300_000), (FAR, 600_000)])
def test_a_line_that_loses_nothing_by_itself_is_not_pressed_harder(
    certificate: CertificateFiles, line: Bandwidth, size: int
) -> None:
    ours, cubic = (ReckonedLine(line, certificate, control) for control in (congestion.NAME, CUBIC))

    assert ours.seconds_of(size) < cubic.seconds_of(size) * 1.05
    assert ours.down.dropped <= cubic.down.dropped * 1.2


def test_the_best_of_ten_seconds_is_remembered_and_no_longer() -> None:
    best = _Best()
    for now, value in ((0.0, 5.0), (1.0, 9.0), (2.0, 3.0), (9.0, 4.0)):
        best.add(now, value)
    assert best.value == 9.0

    best.add(11.5, 1.0)
    assert best.value == 4.0
