"""Several processes on one port: whichever holds a connection, its requests are answered by the one application."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import FrameType, encode_frame

from appliance.http.certificates import CertificateFiles, ensure_self_made
from appliance.http.fronts import Fronts
from appliance.http.listeners import Address, ListenerState
from tests.http.quic_client import Client, connected
from tests.http.scripted_application import CHUNK, ScriptedApplication
from tests.http.test_listeners import at, both_show, der_of, get, over_h2, renew, serving
from tests.http.test_quic_addresses import move

PROCESSES = 2


class Running(NamedTuple):
    application: ScriptedApplication
    address: Address
    state: ListenerState
    end: Callable[[], object]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Their scopes."""
        return [scope for scope in self.application.scopes if scope["type"] == "http"]

    @property
    def fronts(self) -> Fronts:
        assert self.state.fronts is not None
        return self.state.fronts


@asynccontextmanager
async def running(certificate: CertificateFiles) -> AsyncIterator[Running]:
    application, state = ScriptedApplication(), ListenerState()
    async with serving(application, certificate, processes=PROCESSES, state=state) as (address, end):
        yield Running(application, address, state, end)


def front_of(client: Client) -> int:
    """Which process holds a connection, as its ID says."""
    return client._quic._peer_cid.cid[0] % PROCESSES


@asynccontextmanager
async def one_at_each(address: Address, certificate: CertificateFiles) -> AsyncIterator[list[Client]]:
    """A connection to each process, in their order."""
    async with AsyncExitStack() as stack:
        found: dict[int, Client] = {}
        while len(found) < PROCESSES:
            client = await stack.enter_async_context(connected(at(address), certificate))
            found.setdefault(front_of(client), client)
        yield [found[index] for index in range(PROCESSES)]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.02)


async def test_every_process_serves_every_protocol_and_knows_its_clients_wherever_they_go(
    certificate: CertificateFiles,
) -> None:
    async with running(certificate) as run, one_at_each(run.address, certificate) as clients:
        for client in clients:
            assert (await client.get("/hello")).body == b"hello"
            stream_id = client.open("/digest", method="POST", is_end=False)
            client.upload(stream_id, CHUNK * 24, is_end=True)
            assert (await client.wait_for(stream_id)).body == hashlib.sha256(CHUNK * 24).hexdigest().encode()
            port = 0
            for _ in range(6):  # to as many sockets as it may: by the address alone, half of them would be the other's
                port = await move(client)
                assert (await client.get("/hello")).body == b"hello"
            assert run.requests[-1]["client"][1] == port
        for number in range(6):
            assert (await get(run.address, certificate, f"/hello?{number}")).content == b"hello"
        async with over_h2(run.address, certificate) as h2_client:
            assert (await h2_client.answer(h2_client.ask("/stream?20")))[1] == CHUNK * 20
            cancelled = h2_client.ask("/sleep")
            await until(lambda: run.requests[-1]["path"] == "/sleep")
            h2_client.cancel(cancelled)
            await until(lambda: run.application.outcomes["sleep", "cancelled"] == 1)
        clients[0].cancel(clients[0].open("/listen"))
        assert {scope["http_version"] for scope in run.requests} == {"3", "2", "1.1"}
        assert run.state.missing() is None
        assert len(run.state.udp) == PROCESSES


async def test_a_process_that_is_killed_takes_only_its_own_connections_and_is_started_again(
    certificate: CertificateFiles,
) -> None:
    async with running(certificate) as run, one_at_each(run.address, certificate) as (lost, kept):
        lost.open("/sleep")
        stream_id = kept.open("/unhurried", method="POST", is_end=False)
        kept.upload(stream_id, b"first", is_end=True)
        await until(lambda: len(run.requests) == 2)

        os.kill(run.fronts.pids[front_of(lost)], signal.SIGKILL)

        await until(lambda: run.application.outcomes["sleep", "cancelled"] == 1)
        assert "front 1: not listening" in (run.state.missing() or "")
        run.application.may_read.set()
        assert (await kept.wait_for(stream_id)).body == b"5"
        assert (
            await get(run.address, certificate, "/hello")
        ).content == b"hello"  # the other takes what comes over TCP
        told = hears_that_it_is_gone(lost)
        await until(lambda: run.state.missing() is None)
        async with asyncio.timeout(60):
            while not told.is_set():
                lost._quic.send_ping(1)
                lost.transmit()
                await asyncio.sleep(0.05)
        assert run.state.restarts == 1
        async with one_at_each(run.address, certificate) as anew:
            assert [bytes((await client.get("/hello")).body) for client in anew] == [b"hello"] * PROCESSES


def hears_that_it_is_gone(client: Client) -> asyncio.Event:
    """Set when a stateless reset comes; aioquic does not know them, browsers and curl do (RFC 9000 §10.3.1)."""
    told, token = asyncio.Event(), client._quic._peer_cid.stateless_reset_token

    def hear(data: bytes, addr: object) -> None:
        if data.endswith(token):
            told.set()

    client.datagram_received = hear  # type: ignore[method-assign,assignment]
    return told


async def test_all_processes_drain_and_end(certificate: CertificateFiles) -> None:
    async with running(certificate) as run, one_at_each(run.address, certificate) as clients:
        pids = run.fronts.pids
        streams = [client.open("/unhurried", method="POST", is_end=False) for client in clients]
        for client, stream_id in zip(clients, streams, strict=True):
            client.upload(stream_id, b"first", is_end=True)
        await until(lambda: len(run.requests) == PROCESSES)
        ending = asyncio.ensure_future(run.end())  # type: ignore[call-overload]
        goaway = encode_frame(FrameType.GOAWAY, encode_uint_var(4))
        await until(lambda: all(client.control_bytes.endswith(goaway) for client in clients))

        run.application.may_read.set()

        answers = [await client.wait_for(stream) for client, stream in zip(clients, streams, strict=True)]
        assert [bytes(answer.body) for answer in answers] == [b"5"] * PROCESSES
        await ending
        assert not any(is_running(pid) for pid in pids)


def is_running(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_all_processes_show_a_renewed_certificate(tmp_path: Path) -> None:
    renewable = ensure_self_made(tmp_path / "tls", ["localhost", "127.0.0.1"])
    async with running(renewable) as run, one_at_each(run.address, renewable) as clients:
        renew(renewable)
        wanted, seen = der_of(renewable), 0
        async with asyncio.timeout(60):
            while seen < 8:  # one process alone, by chance: once in 65,000 times
                is_new = await both_show(run.address, renewable, wanted)
                seen = seen + 1 if is_new else 0
                await asyncio.sleep(0 if is_new else 1)

        assert [bytes((await client.get("/hello")).body) for client in clients] == [b"hello"] * PROCESSES


async def test_processes_whose_parent_has_gone_end(certificate: CertificateFiles) -> None:
    async with running(certificate) as run:
        pids, channels = run.fronts.pids, [front._channel for front in run.fronts._fronts]
        for channel in channels:
            assert channel is not None
            channel.close()  # as the kernel does for a parent that was killed

        await until(lambda: not any(is_running(pid) for pid in pids))
