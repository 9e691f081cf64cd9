"""The socket below an association: what it waits for, and what it does not."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE

from appliance.dimse import tls
from appliance.dimse.connections import Connection
from appliance.dimse.peers import Tls
from appliance.dimse.upper_layer import SleepingAssociation
from tests.dimse.authority import Authority


def connection(connected: socket.socket) -> Connection:
    association = SleepingAssociation(AE("HERE"), "requestor", idle_s=2)
    return Connection(association, connected, first=b"", idle_s=2, longest_pdu_bytes=1000)


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    made = connection(ours)
    yield made, theirs
    theirs.close()
    made.close()


def test_it_is_ready_when_something_has_come(pair: tuple[Connection, socket.socket]) -> None:
    ours, theirs = pair
    assert not ours.ready

    theirs.send(b"PDU")

    assert ours.ready
    assert ours.recv(3) == b"PDU"


def test_it_is_woken_while_it_waits(pair: tuple[Connection, socket.socket]) -> None:
    ours, _ = pair
    started = time.monotonic()
    threading.Timer(0.05, ours.wake).start()

    assert not ours.ready
    assert time.monotonic() - started < 0.4


def test_more_than_the_limit_is_not_read(pair: tuple[Connection, socket.socket]) -> None:
    with pytest.raises(OSError, match="longer than the limit"):
        pair[0].recv(1001)


def test_the_end_in_the_middle_gives_what_there_was(pair: tuple[Connection, socket.socket]) -> None:
    ours, theirs = pair
    theirs.send(b"PD")
    theirs.close()

    assert ours.recv(6) == b"PD"


def test_waking_one_that_was_closed_does_nothing(pair: tuple[Connection, socket.socket]) -> None:
    pair[0].close()

    pair[0].wake()


def test_what_is_sent_after_the_end_goes_nowhere(pair: tuple[Connection, socket.socket]) -> None:
    pair[0].close()

    pair[0].send(b"A-ABORT")


def test_an_event_that_no_state_expects_ends_the_upper_layer_and_wakes_who_waits(
    pair: tuple[Connection, socket.socket],
) -> None:
    """An abort of ours after one of the peer's: pynetdicom's table has nothing for it."""
    association = pair[0].assoc
    association.dul.socket = pair[0]
    association.dul.state_machine.current_state = "Sta13"
    association.dul.event_queue.put("Evt15")

    association.dul.run_reactor()

    assert association.dul.receive_pdu(wait=True) is None
    assert pair[0].socket is None


def test_what_tls_says_to_itself_is_nothing_to_wait_for(tmp_path: Path) -> None:
    """A server's session tickets come after the handshake: who then waited for a PDU would never send his own."""
    authority = Authority(tmp_path)
    files = Tls(str(authority.certificate), str(authority.key), str(authority.authority))
    a, b = socket.socketpair()
    accepted: list[ssl.SSLSocket] = []
    accepting = threading.Thread(
        target=lambda: accepted.append(tls.for_accepting(files).wrap_socket(b, server_side=True))
    )
    accepting.start()
    ours = connection(tls.for_calling(files).wrap_socket(a))
    accepting.join()
    started = time.monotonic()

    assert not ours.ready
    assert time.monotonic() - started < 1
    accepted[0].send(b"PDU")
    assert ours.ready
    assert ours.recv(3) == b"PDU"
    accepted[0].close()
    ours.close()
