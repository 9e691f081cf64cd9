"""The shaped line of ``benchmarks.slow_line`` does to real packets what it says."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.line import (
    FAR_ADDRESS,
    NEAR_ADDRESS,
    PROFILES,
    Line,
    Profile,
    _Direction,
    inside,
    main,
    measured,
    open_line,
    why_not,
)

needs_line = pytest.mark.skipif(why_not() is not None, reason=f"no line can be made here: {why_not()}")


@pytest.fixture
def line() -> Iterator[Line]:
    with open_line(PROFILES["2G"]) as opened:
        yield opened


def direction(*, loss: float = 0.0) -> _Direction:
    return _Direction(rate_bytes_s=100_000, delay_s=0.05, loss=loss)


def test_a_packet_takes_its_length_and_then_the_delay():
    assert direction().arrival(1000, now=5.0) == pytest.approx(5.0 + 0.01 + 0.05)


def test_packets_wait_for_those_before_them():
    line = direction()
    line.arrival(1000, now=0.0)

    assert line.arrival(1000, now=0.0) == pytest.approx(0.02 + 0.05)


def test_a_line_holds_its_rate_times_its_round_trip_and_10_kb_and_drops_the_rest():
    line = direction()
    arrivals = [line.arrival(1000, now=0.0) for _ in range(30)]

    assert arrivals.index(None) == 20
    assert line.dropped == 10


def test_what_is_lost_takes_no_room():
    line = direction(loss=1.0)

    assert line.arrival(1000, now=0.0) is None
    assert line.in_flight_bytes == 0


@needs_line
def test_the_line_has_its_rate_in_both_directions_and_its_round_trip(line: Line):
    found = measured(line)
    print(found)

    # A busy machine can make a line slower, never faster.
    assert 0.7 * 750 < found.down_kbit_s < 1.05 * 750
    assert 0.7 * 250 < found.up_kbit_s < 1.05 * 250
    assert found.round_trip_ms >= 100


@needs_line
def test_a_stream_over_tcp_arrives_whole_and_no_faster_than_the_line(line: Line):
    sent = os.urandom(60_000)
    with inside(line.near):
        listener = socket.create_server((NEAR_ADDRESS, 0))
    with inside(line.far):
        far = socket.socket()
    with listener, far:
        far.connect(listener.getsockname())
        near, (address, _) = listener.accept()
        begun = time.monotonic()
        sender = threading.Thread(target=lambda: (near.sendall(sent), near.close()))
        sender.start()
        received = b"".join(iter(lambda: far.recv(65536), b""))
        taken_s = time.monotonic() - begun
        sender.join()

    assert address == FAR_ADDRESS
    assert hashlib.sha256(received).digest() == hashlib.sha256(sent).digest()
    assert taken_s > 60_000 / (750 * 125)


@needs_line
def test_a_line_that_loses_everything_delivers_nothing(line: Line):
    line.shape(Profile(loss=1.0))
    with inside(line.far), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.sendto(b"lost", (NEAR_ADDRESS, 9))
    deadline = time.monotonic() + 5
    while line.counts()["up"]["dropped"] == 0 and time.monotonic() < deadline:
        time.sleep(0.01)

    assert line.counts()["up"] == {"bytes": 0, "packets": 0, "dropped": 1, "in_flight_bytes": 0}


@needs_line
def test_a_line_is_gone_with_its_block():
    with open_line(PROFILES["none"]) as line:
        assert Path(line.near).exists()

    assert not Path(line.near).exists()


def test_without_a_line_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert main(["2G"]) == 1
    assert "root" in capsys.readouterr().err
