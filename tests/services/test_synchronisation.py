"""Uplinks: carrying on in order, through a parent that is away or fails."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.changes import Acknowledgement, Delivery, NumberedChange, StudyGone
from appliance.domain.errors import Unavailable
from appliance.services import synchronisation
from appliance.services.metrics import Metrics
from appliance.services.synchronisation import Uplink
from appliance.services.tokens import TokenVerifier, Trust, public_key_of

CHILD = UUID(int=5)
KEY = public_key_of(Ed25519PrivateKey.generate().public_key())


class Memory:
    """An outbox in memory that keeps the rule: oldest first, until acknowledged."""

    def __init__(self, count: int) -> None:
        self.changes = [NumberedChange(i + 1, StudyGone(f"1.{i}", CHILD)) for i in range(count)]

    async def waiting(self, limit: int) -> tuple[NumberedChange, ...]:
        return tuple(self.changes[:limit])

    async def acknowledge(self, sequence: int) -> None:
        self.changes = [change for change in self.changes if change.sequence > sequence]

    async def length(self) -> int:
        return len(self.changes)


class Above:
    """A parent that fails as often as it is told, and then keeps what it hears."""

    def __init__(self, *failures: Exception) -> None:
        self.heard: list[int] = []
        self.deliveries = 0
        self._failures = list(failures)

    async def deliver(self, delivery: Delivery) -> Acknowledgement:
        if self._failures:
            raise self._failures.pop()
        self.deliveries += 1
        self.heard += [change.sequence for change in delivery.changes]
        return Acknowledgement(self.heard[-1])

    async def trust(self) -> Trust:
        return Trust((KEY,))


async def carry(outbox: Memory, above: Above) -> TokenVerifier:
    """Runs an uplink until the outbox is empty."""
    verifier = TokenVerifier()
    uplink = Uplink("node", CHILD, outbox, above, verifier=verifier, metrics=Metrics())
    uplink.start()
    async with asyncio.timeout(10):
        while outbox.changes:
            await asyncio.sleep(0.005)
    await uplink.stop()
    return verifier


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchronisation, "_FIRST_DELAY_S", 0.01)


async def test_changes_go_up_in_order_and_batch_by_batch() -> None:
    above = Above()

    await carry(Memory(1200), above)

    assert above.heard == list(range(1, 1201))


async def test_changes_that_come_while_others_are_told_go_up_together() -> None:
    outbox, above = Memory(20), Above()
    later = [outbox.changes.pop() for _ in range(19)][::-1]
    uplink = Uplink("node", CHILD, outbox, above, verifier=TokenVerifier(), metrics=Metrics())
    uplink.start()

    for change in later:
        await asyncio.sleep(0.005)
        outbox.changes.append(change)
        uplink.wake()
    async with asyncio.timeout(10):
        while len(above.heard) < 20:
            await asyncio.sleep(0.005)
    await uplink.stop()

    assert above.heard == list(range(1, 21))
    assert above.deliveries < 10


async def test_a_parent_that_is_away_is_asked_again() -> None:
    above = Above(Unavailable("away"), Unavailable("away"))

    await carry(Memory(3), above)

    assert above.heard == [1, 2, 3]


async def test_a_fault_that_nobody_foresaw_does_not_end_synchronisation() -> None:
    above = Above(ZeroDivisionError())

    await carry(Memory(3), above)

    assert above.heard == [1, 2, 3]


async def test_which_tokens_are_good_comes_down() -> None:
    verifier = await carry(Memory(1), Above())

    assert verifier.trust == Trust((KEY,))


async def test_a_line_says_what_waits_for_how_long_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchronisation, "_FIRST_DELAY_S", 30.0)
    outbox, above = Memory(3), Above(Unavailable("away"))
    metrics = Metrics()
    uplink = Uplink("node", CHILD, outbox, above, verifier=TokenVerifier(), metrics=metrics)
    uplink.start()
    async with asyncio.timeout(10):
        while not (await uplink.state()).errors:
            await asyncio.sleep(0.005)

    away = await uplink.state()
    uplink.show()
    text = metrics.text().decode()
    uplink.wake()
    async with asyncio.timeout(10):
        while outbox.changes or (await uplink.state()).errors:
            await asyncio.sleep(0.005)
    told = await uplink.state()
    await uplink.stop()

    assert (away.role, away.child_id, away.waiting, away.errors) == ("node", CHILD, 3, {"changes": "away"})
    assert away.lag_s > 0
    assert 'appliance_synchronisation_fails{role="node",what="changes"} 1.0' in text
    assert 'appliance_synchronisation_fails{role="node",what="trust"} 0.0' in text
    assert (told.waiting, told.lag_s) == (0, 0.0)
    assert told.heard_at is not None


async def test_an_error_of_what_goes_up_is_not_forgotten_when_something_comes_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(synchronisation, "_FIRST_DELAY_S", 30.0)
    uplink = Uplink(
        "node", CHILD, Memory(1), Above(ZeroDivisionError("secret")), verifier=TokenVerifier(), metrics=Metrics()
    )
    uplink.start()
    async with asyncio.timeout(10):
        while (await uplink.state()).heard_at is None or not (await uplink.state()).errors:
            await asyncio.sleep(0.005)
    state = await uplink.state()
    await uplink.stop()

    assert state.errors == {"changes": "ZeroDivisionError"}


async def test_changes_that_keep_coming_are_no_lag_while_each_is_told_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchronisation, "_GATHER_S", 0.02)
    outbox, above = Memory(1), Above()
    uplink = Uplink("node", CHILD, outbox, above, verifier=TokenVerifier(), metrics=Metrics())
    uplink.start()
    lags = []
    async with asyncio.timeout(20):
        for number in range(2, 8):
            while outbox.changes:
                await asyncio.sleep(0.01)
            lags.append((await uplink.state()).lag_s)
            outbox.changes.append(NumberedChange(number, StudyGone("1.2", CHILD)))
            uplink.wake()
    await uplink.stop()

    assert lags == [0.0] * 6
