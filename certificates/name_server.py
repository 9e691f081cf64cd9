"""A TXT record in a zone, by a signed change (RFC 2136, RFC 8945): there while the authority looks, gone afterwards."""

from __future__ import annotations

import base64
import binascii
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update

from certificates.settings import NameServer, Refusal

log = logging.getLogger(__name__)

_TTL_S = 60
_ANSWER_TIMEOUT_S = 20.0
_SHOWN_TIMEOUT_S = 180.0
"""Servers of one zone tell each other of a change at once (RFC 1996); some are slower."""
_POLL_S = 1.0


class Zone:
    """What may be changed, and by which key; ``secret`` is base64, as name servers print it. Blocking, all of it."""

    def __init__(self, wanted: NameServer, secret: str) -> None:
        self._wanted = wanted
        try:
            decoded = base64.b64decode("".join(secret.split()), validate=True)
        except (ValueError, binascii.Error) as error:
            raise Refusal(f"the secret of the key {wanted.key.name} is not base64") from error
        self._key = dns.tsig.Key(dns.name.from_text(wanted.key.name), decoded, f"{wanted.key.algorithm}.")

    @contextmanager
    def shown(self, record: str, value: str) -> Iterator[None]:
        """The record is there, at all servers of the zone; Refusal where one of them does not want or does not show it.

        Other values of the same record are left as they are: another box may be proving the same name.
        """
        self._refuse_strange_zone()
        name = dns.name.from_text(record)
        change = self._change()
        change.add(name, _TTL_S, dns.rdatatype.TXT, value)
        self._send(change, f"to add {record}")
        try:
            for server in (self._wanted.server, *self._wanted.others):
                self._wait(server, name, value)
            yield
        finally:
            self._remove(record, name, value)

    def _remove(self, record: str, name: dns.name.Name, value: str) -> None:
        """It proves nothing to anybody any more: where it stays, that is told, and costs no certificate."""
        change = self._change()
        change.delete(name, dns.rdatatype.TXT, value)
        try:
            self._send(change, f"to remove {record}")
        except Refusal as refusal:
            log.warning("the record %s stays in the zone: %s", record, refusal)

    def _refuse_strange_zone(self) -> None:
        """A server without the zone does not sign its refusal, so that it could not be told from anybody else's."""
        zone = dns.name.from_text(self._wanted.zone)
        answer = self._ask(self._wanted.server, dns.message.make_query(zone, dns.rdatatype.SOA))
        if answer.get_rrset(dns.message.ANSWER, zone, dns.rdataclass.IN, dns.rdatatype.SOA) is None:
            told = dns.rcode.to_text(answer.rcode())
            raise Refusal(f"{self._wanted.server} does not have the zone {self._wanted.zone}: {told}")

    def _change(self) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(self._wanted.zone, keyring=self._key)

    def _send(self, change: dns.update.UpdateMessage, aim: str) -> None:
        server = self._wanted.server
        try:
            answer = self._ask(server, change)
        except dns.tsig.PeerError as error:
            raise Refusal(f"{server} does not take the key {self._wanted.key.name} {aim}: {error}") from error
        if answer.rcode() != dns.rcode.NOERROR:
            told = dns.rcode.to_text(answer.rcode())
            raise Refusal(
                f"{server} refuses the key {self._wanted.key.name} {aim} in the zone {self._wanted.zone}: {told}"
            )

    def _wait(self, server: str, name: dns.name.Name, value: str) -> None:
        began = time.monotonic()
        while value not in self._values(server, name):
            if time.monotonic() - began > _SHOWN_TIMEOUT_S:
                raise Refusal(f"{server} does not show {name} {_SHOWN_TIMEOUT_S:.0f} s after it was added")
            time.sleep(_POLL_S)
        log.info("%s shows %s", server, name)

    def _values(self, server: str, name: dns.name.Name) -> list[str]:
        answer = self._ask(server, dns.message.make_query(name, dns.rdatatype.TXT))
        records = answer.get_rrset(dns.message.ANSWER, name, dns.rdataclass.IN, dns.rdatatype.TXT)
        return [b"".join(record.strings).decode(errors="replace") for record in records or ()]

    def _ask(self, server: str, message: dns.message.Message) -> dns.message.Message:
        """By TCP: a change is asked once, and its answer does not get lost."""
        try:
            found = socket.getaddrinfo(server, self._wanted.port, type=socket.SOCK_STREAM)
            return dns.query.tcp(message, str(found[0][4][0]), timeout=_ANSWER_TIMEOUT_S, port=self._wanted.port)
        except dns.tsig.PeerError:
            raise
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise Refusal(f"the name server {server}, port {self._wanted.port}, does not answer: {error!r}") from error
