"""The port of the DICOM network where a service manager listens on it."""

from __future__ import annotations

import socket

import pytest

from appliance.dimse.doors import listening
from appliance.domain.errors import SettingsError


def test_a_socket_that_is_handed_over_is_the_one_of_the_node() -> None:
    with socket.create_server(("127.0.0.1", 0)) as handed:
        port = handed.getsockname()[1]

        assert listening("192.0.2.1", port, [handed]) is handed


def test_a_socket_of_another_port_or_kind_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))

        for handed, port in (([tcp], 104), ([udp], udp.getsockname()[1]), ([tcp, tcp], tcp.getsockname()[1])):
            with pytest.raises(SettingsError, match="must be one TCP socket of port"):
                listening("127.0.0.1", port, handed)
