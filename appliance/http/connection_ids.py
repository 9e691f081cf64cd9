"""Connection IDs that say to which of several processes on a port they belong, and what is told to those of nobody.

The first byte of an ID, modulo the number of processes, is the process (``Share.index``). A client's first ID is of its own
choosing and counts the same way, so that every datagram of a connection, from the first, and from whatever address it comes,
goes to one process: the kernel reads that byte, by seven instructions of classic BPF, and chooses the socket. Nothing is passed
on between processes, none keeps a table of the others, and it needs no privilege (SO_ATTACH_REUSEPORT_CBPF).

A process that was started again knows nothing of its former connections. Whoever still sends to one is sent a stateless reset:
its token is reckoned from the ID by a key that outlives the process, so that the client knows at once, and connects anew.

References: RFC 9000 §5.1 (connection IDs), §10.3 (stateless reset), §17.2 and §17.3 (where they stand); socket(7).
"""

from __future__ import annotations

import ctypes
import hashlib
import hmac
import os
import secrets
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from aioquic.quic.connection import QuicConnection
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.domain.errors import SettingsError

MOST_PROCESSES = 64
ID_BYTES = 8
_TOKEN_BYTES = 16
_LONGEST_RESET_BYTES = 43
"""As long as a packet that says little. A reset is shorter than what it answers: else two servers might never end (§10.3.3)."""
_SHORTEST_RESET_BYTES = 5 + _TOKEN_BYTES
_LONG_HEADER = 0x80
_FIXED_BIT = 0x40
_SO_ATTACH_REUSEPORT_CBPF = 51
"""Of Linux 4.5; not among the names of Python's socket module."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which of the processes on a port this is, and the secret that all of them know."""

    index: int = 0
    count: int = 1
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def new_id(self) -> bytes:
        """An ID of this process, which nobody can guess."""
        first = self.index + self.count * secrets.randbelow(256 // self.count)
        return bytes([first]) + os.urandom(ID_BYTES - 1)

    def reset_token(self, connection_id: bytes) -> bytes:
        """By which a client knows that its connection is gone."""
        return hmac.digest(self.key, b"stateless reset" + connection_id, hashlib.sha256)[:_TOKEN_BYTES]

    def retry_cipher(self) -> AESGCM:
        """What proves addresses: a proof that one process asked for may come to another."""
        return AESGCM(hmac.digest(self.key, b"proof of address", hashlib.sha256)[:16])

    def name(self, quic: QuicConnection) -> None:
        """A connection that has not sent anything yet has IDs of this process, and whatever it adds later."""
        (first,) = quic._host_cids
        first.cid = quic.host_cid = quic._local_initial_source_connection_id = self.new_id()
        first.stateless_reset_token = self.reset_token(first.cid)
        replenish = quic._replenish_connection_ids

        def replenish_with_ours() -> None:
            before = len(quic._host_cids)
            replenish()
            for added in quic._host_cids[before:]:
                added.cid = self.new_id()
                added.stateless_reset_token = self.reset_token(added.cid)

        quic._replenish_connection_ids = replenish_with_ours  # type: ignore[method-assign]


def id_of_short(datagram: bytes) -> bytes | None:
    """To which connection a datagram goes that is past the handshake; None for any other."""
    if len(datagram) <= ID_BYTES or datagram[0] & _LONG_HEADER:
        return None
    return datagram[1 : 1 + ID_BYTES]


def reset_for(datagram: bytes, token: bytes) -> bytes | None:
    """The stateless reset that answers a datagram; None where it is too short for one."""
    size = min(len(datagram) - 1, _LONGEST_RESET_BYTES)
    if size < _SHORTEST_RESET_BYTES:
        return None
    noise = bytearray(os.urandom(size - _TOKEN_BYTES))
    noise[0] = noise[0] & ~_LONG_HEADER | _FIXED_BIT
    return bytes(noise) + token


def spread(group: Sequence[socket.socket]) -> None:
    """The kernel gives each datagram to the socket of its connection.

    All are bound to one address with SO_REUSEPORT, and index *n* is the socket that was bound as the *n*-th; closing one before
    the others would change that. Raises SettingsError where the kernel cannot.
    """
    program = [
        (0x30, 0, 0, 0),  # the first byte of the datagram
        (0x45, 0, 2, _LONG_HEADER),  # if it begins a long header,
        (0x30, 0, 0, 6),  # the ID stands behind flags, version and its own length,
        (0x05, 0, 0, 1),
        (0x30, 0, 0, 1),  # else behind the flags;
        (0x94, 0, 0, len(group)),  # modulo the number of sockets
        (0x16, 0, 0, 0),  # it is the index
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    described = struct.pack("@HP", len(program), ctypes.addressof(code))
    try:
        group[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, described)
    except OSError as error:
        raise SettingsError(
            f"listen.processes: this kernel gives several processes no port for HTTP/3 ({error.strerror}); use 1",
            key="listen-processes",
        ) from error
