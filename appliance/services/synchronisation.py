"""How what a child knows reaches the appliance above it, and how it comes down which tokens are good.

The child dials: node → institution → toplevel; nobody needs a way into a clinic's network. Changes wait in an outbox that is
written in the same transaction as the rows that they speak of, and go up in order, in batches, until the parent
acknowledges them. A parent that hears a change twice leaves it out. While the parent is away the child works on and
asks again, slower each time.

A parent in the same process is called. What goes to a remote one is signed by the child, and its answers by the parent, with the
keys that the two exchanged when the child was enrolled (``services.enrolment``, ``services.signatures``). The same request is
taken once: its nonce is remembered for as long as its signature is good.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.domain.changes import (
    Acknowledgement,
    Answers,
    Delivery,
    Feed,
    FeedWanted,
    MeasurementsTold,
    MeasurementsWanted,
    NumberedChange,
    Pointers,
    PointersWanted,
    Questions,
    RecordTypes,
    RecordTypesWanted,
    Releases,
    ReleasesWanted,
)
from appliance.domain.errors import ApplianceError, BadRequest, NotAllowed, NotAuthenticated, Unavailable
from appliance.services.enrolment import Enrolments, read_enrolment
from appliance.services.metrics import Metrics
from appliance.services.signatures import (
    SignedRequest,
    claim_of,
    sign_answer,
    sign_request,
    verify_answer,
    verify_request,
)
from appliance.services.tokens import TokenVerifier, Trust

log = logging.getLogger(__name__)

CHANGES_PATH = "/api/sync/changes"
QUESTIONS_PATH = "/api/sync/questions"
RELEASES_PATH = "/api/sync/releases"
POINTERS_PATH = "/api/sync/pointers"
MEASUREMENTS_PATH = "/api/sync/measurements"
RECORD_TYPES_PATH = "/api/sync/record-types"
FEED_PATH = "/api/sync/feed"
TRUST_PATH = "/api/sync/trust"
_BATCH = 500
_PAUSE_S = 1.0
"""Between two looks into an outbox that nobody woke; another process (an import) may have written to it."""
_GATHER_S = 0.5
"""Changes that come while others are told go up together: each telling is two commits above and one here."""
_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 60.0
_TRUST_EVERY_S = 10.0
"""Two steps down and the five seconds of the toplevel's own look: who is shut out is so everywhere well within a minute."""
_TIMEOUT_S = 30.0

Take = Callable[[Delivery], Awaitable[Acknowledgement]]
"""Keeps a delivery of a child whose signature was verified."""
AnswerQuestions = Callable[[Questions], Awaitable[Answers]]
"""Answers what such a child asks."""
TellReleases = Callable[[ReleasesWanted], Awaitable[Releases]]
"""Tells a node which of its studies are a patient's."""
TellPointers = Callable[[PointersWanted], Awaitable[Pointers]]
"""Tells a node which reports point to what it holds."""
TellMeasurements = Callable[[MeasurementsWanted], Awaitable[MeasurementsTold]]
"""Tells a node what was measured in a study that it holds."""
TellRecordTypes = Callable[[RecordTypesWanted], Awaitable[RecordTypes]]
"""Tells an institution of which types records may be."""
TellFeed = Callable[[FeedWanted], Awaitable[Feed]]
"""Tells an institution which rows of the toplevel have changed."""


class Outbox(Protocol):
    """What waits for the parent."""

    async def waiting(self, limit: int) -> tuple[NumberedChange, ...]:
        """The oldest changes that were not acknowledged, in order."""

    async def acknowledge(self, sequence: int) -> None:
        """Changes up to ``sequence`` need not be kept any longer."""

    async def length(self) -> int:
        """How many changes wait."""


class Parent(Protocol):
    """The appliance above."""

    async def deliver(self, delivery: Delivery) -> Acknowledgement:
        """The parent keeps the changes. Unavailable if it cannot be reached."""

    async def trust(self) -> Trust:
        """Which access tokens are good now."""


class ToplevelParent(Parent, Protocol):
    """The toplevel, above an institution."""

    async def answer(self, questions: Questions) -> Answers:
        """What the toplevel knows of patients. Unavailable if it cannot be reached."""

    async def record_types(self, wanted: RecordTypesWanted) -> RecordTypes:
        """Of which types records may be, as far as that is new. Unavailable if it cannot be reached."""


class InstitutionParent(Parent, Protocol):
    """The institution, above a node."""

    async def releases(self, wanted: ReleasesWanted) -> Releases:
        """Which studies of the node are a patient's. Unavailable if it cannot be reached."""

    async def pointers(self, wanted: PointersWanted) -> Pointers:
        """Which reports point to what the node holds. Unavailable if it cannot be reached."""

    async def measurements(self, wanted: MeasurementsWanted) -> MeasurementsTold:
        """What was measured in a study of the node. Unavailable if it cannot be reached."""


class LocalParent:
    """A parent in the same process."""

    def __init__(self, take: Take, trust: Callable[[], Trust]) -> None:
        self._take = take
        self._trust = trust

    async def deliver(self, delivery: Delivery) -> Acknowledgement:
        return await self._take(delivery)

    async def trust(self) -> Trust:
        return self._trust()


class LocalToplevel(LocalParent):
    """A toplevel in the same process."""

    def __init__(self, take: Take, trust: Callable[[], Trust], answer: AnswerQuestions, tell: TellRecordTypes) -> None:
        super().__init__(take, trust)
        self._answer = answer
        self._tell = tell

    async def answer(self, questions: Questions) -> Answers:
        return await self._answer(questions)

    async def record_types(self, wanted: RecordTypesWanted) -> RecordTypes:
        return await self._tell(wanted)


class LocalInstitution(LocalParent):
    """An institution in the same process."""

    def __init__(
        self,
        take: Take,
        trust: Callable[[], Trust],
        tell: TellReleases,
        tell_pointers: TellPointers,
        tell_measurements: TellMeasurements,
    ) -> None:
        super().__init__(take, trust)
        self._tell = tell
        self._tell_pointers = tell_pointers
        self._tell_measurements = tell_measurements

    async def releases(self, wanted: ReleasesWanted) -> Releases:
        return await self._tell(wanted)

    async def pointers(self, wanted: PointersWanted) -> Pointers:
        return await self._tell_pointers(wanted)

    async def measurements(self, wanted: MeasurementsWanted) -> MeasurementsTold:
        return await self._tell_measurements(wanted)


class RemoteParent:
    """A parent on another machine, or in a process of its own."""

    def __init__(
        self,
        base_url: str,
        child_id: UUID,
        key: Ed25519PrivateKey,
        parent_key: Ed25519PublicKey,
        authorities: Path | None,
    ) -> None:
        self._child_id = child_id
        self._key = key
        self._parent_key = parent_key
        trust = ssl.create_default_context(cafile=str(authorities) if authorities else None)
        self._client = httpx.AsyncClient(base_url=base_url, verify=trust, timeout=_TIMEOUT_S)

    async def deliver(self, delivery: Delivery) -> Acknowledgement:
        return msgspec.json.decode(await self._told("POST", CHANGES_PATH, delivery), type=Acknowledgement)

    async def answer(self, questions: Questions) -> Answers:
        return msgspec.json.decode(await self._told("POST", QUESTIONS_PATH, questions), type=Answers)

    async def releases(self, wanted: ReleasesWanted) -> Releases:
        return msgspec.json.decode(await self._told("POST", RELEASES_PATH, wanted), type=Releases)

    async def pointers(self, wanted: PointersWanted) -> Pointers:
        return msgspec.json.decode(await self._told("POST", POINTERS_PATH, wanted), type=Pointers)

    async def measurements(self, wanted: MeasurementsWanted) -> MeasurementsTold:
        return msgspec.json.decode(await self._told("POST", MEASUREMENTS_PATH, wanted), type=MeasurementsTold)

    async def record_types(self, wanted: RecordTypesWanted) -> RecordTypes:
        return msgspec.json.decode(await self._told("POST", RECORD_TYPES_PATH, wanted), type=RecordTypes)

    async def feed(self, wanted: FeedWanted) -> Feed:
        return msgspec.json.decode(await self._told("POST", FEED_PATH, wanted), type=Feed)

    async def trust(self) -> Trust:
        return msgspec.json.decode(await self._told("GET", TRUST_PATH), type=Trust)

    async def close(self) -> None:
        await self._client.aclose()

    async def _told(self, method: str, path: str, message: msgspec.Struct | None = None) -> bytes:
        """The body of the parent's answer."""
        body = msgspec.json.encode(message) if message is not None else b""
        signed = sign_request(self._key, self._child_id, method, path, body)
        headers = {"Content-Type": "application/json", **signed} if body else signed
        try:
            response = await self._client.request(method, path, content=body, headers=headers)
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            raise Unavailable(f"the parent answered {status}", key="parent-refuses", status=status) from error
        except httpx.HTTPError as error:
            raise Unavailable(f"the parent cannot be reached: {error!r}", key="parent-away") from error
        try:
            verify_answer(self._parent_key, response.status_code, response.content, response.headers, signed)
        except NotAuthenticated as error:
            raise Unavailable(f"the parent is not believed: {error.message}", key="parent-not-believed") from error
        return response.content


Message = TypeVar(
    "Message", Delivery, Questions, ReleasesWanted, PointersWanted, MeasurementsWanted, RecordTypesWanted, FeedWanted
)


@dataclass(frozen=True, slots=True)
class Below:
    """What one role does for its children."""

    enrolments: Enrolments
    take: Take
    answer: AnswerQuestions | None = None
    """For children that may ask."""
    tell: TellReleases | None = None
    """For those that hold studies."""
    pointers: TellPointers | None = None
    """For the same."""
    measurements: TellMeasurements | None = None
    """For the same."""
    record_types: TellRecordTypes | None = None
    """For those that keep records."""
    feed: TellFeed | None = None
    """For those that keep a copy."""


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    body: bytes
    headers: dict[str, str]


class Children:
    """The parent's side: who may call, and what answers."""

    def __init__(self, trust: Callable[[], Trust]) -> None:
        """``trust`` says which access tokens are good now."""
        self._trust = trust
        self._below: list[Below] = []

    def know(self, below: Below) -> None:
        """The children of another role of this process."""
        self._below.append(below)

    async def enrol(self, request: SignedRequest, address: str) -> SignedAnswer:
        """Who redeems a token is a child; refused as ``Enrolments.redeem`` refuses."""
        claim_of(request)  # who did not sign is told so before anything is read
        kind = read_enrolment(request.body).kind
        for below in self._below:
            if below.enrolments.kind == kind:
                return _signed(below, request, await below.enrolments.redeem(request, address))
        raise BadRequest(f"This appliance is no parent of a {kind}", key="no-parent", kind=kind)

    async def receive(self, request: SignedRequest) -> SignedAnswer:
        """What the body delivers is kept; NotAuthenticated if none of the children signed it, or not now, or it came before."""
        below, delivery = await self._verified(request, Delivery)
        return _signed(below, request, await below.take(delivery))

    async def answer(self, request: SignedRequest) -> SignedAnswer:
        """The answers to the questions in the body; refused as ``receive`` refuses."""
        below, questions = await self._verified(request, Questions)
        if below.answer is None:
            raise NotAllowed("This child has nothing to ask", key="no-questions")
        return _signed(below, request, await below.answer(questions))

    async def releases(self, request: SignedRequest) -> SignedAnswer:
        """What a node is told of its studies; refused as ``receive`` refuses."""
        below, wanted = await self._verified(request, ReleasesWanted)
        if below.tell is None:
            raise NotAllowed("This child holds no studies", key="no-node")
        return _signed(below, request, await below.tell(wanted))

    async def pointers(self, request: SignedRequest) -> SignedAnswer:
        """What a node is told of reports; refused as ``receive`` refuses."""
        below, wanted = await self._verified(request, PointersWanted)
        if below.pointers is None:
            raise NotAllowed("This child holds no studies", key="no-node")
        return _signed(below, request, await below.pointers(wanted))

    async def measurements(self, request: SignedRequest) -> SignedAnswer:
        """What a node is told of what was measured; refused as ``receive`` refuses."""
        below, wanted = await self._verified(request, MeasurementsWanted)
        if below.measurements is None:
            raise NotAllowed("This child holds no studies", key="no-node")
        return _signed(below, request, await below.measurements(wanted))

    async def record_types(self, request: SignedRequest) -> SignedAnswer:
        """What an institution is told of record types; refused as ``receive`` refuses."""
        below, wanted = await self._verified(request, RecordTypesWanted)
        if below.record_types is None:
            raise NotAllowed("This child keeps no records", key="no-institution")
        return _signed(below, request, await below.record_types(wanted))

    async def feed(self, request: SignedRequest) -> SignedAnswer:
        """What an institution has not heard yet; refused as ``receive`` refuses."""
        below, wanted = await self._verified(request, FeedWanted)
        if below.feed is None:
            raise NotAllowed("This child keeps no copy", key="no-institution")
        return _signed(below, request, await below.feed(wanted))

    async def trust(self, request: SignedRequest) -> SignedAnswer:
        """Which access tokens are good now; refused as ``receive`` refuses."""
        below, _ = await self._signer(request)
        return _signed(below, request, self._trust())

    async def _verified(self, request: SignedRequest, kind: type[Message]) -> tuple[Below, Message]:
        below, child_id = await self._signer(request)
        try:
            message = msgspec.json.decode(request.body, type=kind)
        except msgspec.DecodeError as error:
            raise BadRequest(f"The body cannot be read: {error}", key="wrong-body") from error
        if message.child_id != child_id:
            raise NotAllowed("The body is of another child than signed it", key="other-child")
        return below, message

    async def _signer(self, request: SignedRequest) -> tuple[Below, UUID]:
        claim = claim_of(request)
        for below in self._below:
            key = await below.enrolments.key_of(claim.child_id)
            if key is None:
                continue
            verify_request(request, key)
            if not await below.enrolments.is_new(claim.child_id, claim.nonce, claim.good_until):
                raise NotAuthenticated("This request came before", key="request-repeated")
            return below, claim.child_id
        raise NotAuthenticated("The signature is not of a child of this appliance", key="unknown-child")


def _signed(below: Below, request: SignedRequest, message: object) -> SignedAnswer:
    body = msgspec.json.encode(message)
    key = below.enrolments
    return SignedAnswer(body, sign_answer(key.identity, key.public_key.id, 200, body, request.headers))


@dataclass(frozen=True, slots=True)
class LineState:
    """How a child stands with the appliance above it."""

    role: str
    child_id: UUID
    waiting: int
    """Changes that the parent has not acknowledged."""
    lag_s: float
    """For how long the oldest of them may have been waiting, as far as this process has seen; 0 while nothing does."""
    heard_at: datetime | None
    """When the parent answered last; None before it has."""
    errors: dict[str, str]
    """What goes wrong now, of ``changes`` that go up, and of ``trust``, ``feed`` and ``copy`` that come down; empty while all is
    well."""


class Uplink:
    """Carries an outbox up and what the parent says down, until it is stopped."""

    def __init__(
        self,
        role: str,
        child_id: UUID,
        outbox: Outbox,
        parent: Parent,
        *,
        verifier: TokenVerifier,
        metrics: Metrics,
        then: Callable[[], Awaitable[None]] | None = None,
        follow: Callable[[], Awaitable[float]] | None = None,
        copy: Callable[[], Awaitable[float]] | None = None,
        take_trust: Callable[[Trust], Awaitable[None]] | None = None,
    ) -> None:
        """``then`` is done whenever the parent has heard all that there is to tell, ``follow`` and ``copy`` after the seconds
        that they say. ``take_trust`` is told what the parent trusts, instead of ``verifier``."""
        self._role = role
        self._errors: dict[str, str] = {}
        self._heard_at: datetime | None = None
        self._waiting_since_s: float | None = None
        self._child_id = child_id
        self._outbox = outbox
        self._parent = parent
        self._verifier = verifier
        self._metrics = metrics
        self._then = then
        self._below: dict[str, Callable[[], Awaitable[float]]] = {}
        if follow is not None:
            self._below["feed"] = follow
        if copy is not None:
            self._below["copy"] = copy
        self._take_trust = take_trust
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Event] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._keep("changes", self._carry_up, self._wake), name=f"{self._role} uplink"),
            asyncio.create_task(
                self._keep("trust", self._fetch_trust, asyncio.Event(), longest_s=_TRUST_EVERY_S),
                name=f"{self._role} trust",
            ),
        ]
        for what, follow in self._below.items():
            following = self._keep(what, follow, asyncio.Event())
            self._tasks.append(asyncio.create_task(following, name=f"{self._role} {what}"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @property
    def is_parent_away(self) -> bool:
        """Whether it did not answer when it was asked last."""
        return bool(self._errors)

    def wake(self) -> None:
        """Something was put into the outbox."""
        self._wake.set()

    async def state(self) -> LineState:
        waiting = await self._outbox.length()
        return LineState(self._role, self._child_id, waiting, self._lag_s(), self._heard_at, dict(self._errors))

    def show(self) -> None:
        """The metrics say how it is now, as far as that is known without the database."""
        self._metrics.synchronisation_lag.labels(self._role).set(self._lag_s())
        for what in ("changes", "trust", *self._below):
            self._metrics.synchronisation_fails.labels(self._role, what).set(what in self._errors)

    def _lag_s(self) -> float:
        since_s = self._waiting_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def _heard(self) -> None:
        self._heard_at = datetime.now(UTC)

    async def _keep(
        self,
        what: str,
        step: Callable[[], Awaitable[float]],
        wake: asyncio.Event,
        *,
        longest_s: float = _LONGEST_DELAY_S,
    ) -> None:
        """Repeats ``step``, when it is woken or after the seconds that it says; slower while the parent is away.

        The pauses are drawn by lot, so that all children of a parent that comes back do not come at once. What finds it back
        first wakes the others.
        """
        self._waiting.append(wake)
        delay_s = _FIRST_DELAY_S
        while True:
            try:
                pause_s = await step()
                if self._errors.pop(what, None) is not None:
                    for other in self._waiting:
                        other.set()
                delay_s = _FIRST_DELAY_S
            except ApplianceError as error:
                self._errors[what] = error.message
                log.warning("%s: %s; next attempt in %.0f s", self._role, error.message, delay_s)
                pause_s, delay_s = _by_lot(delay_s), min(2 * delay_s, longest_s)
            except Exception as error:  # the edge of the task: a fault that nobody foresaw must not end synchronisation
                self._errors[what] = type(error).__name__  # its text may hold what is no one's to see; the log has it
                log.exception("%s: synchronisation failed; next attempt in %.0f s", self._role, delay_s)
                pause_s, delay_s = _by_lot(delay_s), min(2 * delay_s, longest_s)
            # Not wait_for: in Python 3.11 it may swallow a cancellation that comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await wake.wait()
            wake.clear()

    async def _carry_up(self) -> float:
        looked_at_s = time.monotonic()
        while changes := await self._outbox.waiting(_BATCH):
            self._waiting_since_s = self._waiting_since_s or looked_at_s
            self._metrics.outbox_length.labels(self._role).set(await self._outbox.length())
            acknowledgement = await self._parent.deliver(Delivery(self._child_id, changes))
            self._heard()
            await self._outbox.acknowledge(acknowledgement.sequence)
            if len(changes) < _BATCH:
                self._waiting_since_s = None  # all that was there is told
                await asyncio.sleep(_GATHER_S)
            looked_at_s = time.monotonic()
        self._waiting_since_s = None
        self._metrics.outbox_length.labels(self._role).set(0)
        if self._then is not None:
            await self._then()
        return _PAUSE_S

    async def _fetch_trust(self) -> float:
        trust = await self._parent.trust()
        if self._take_trust is not None:
            await self._take_trust(trust)
        else:
            self._verifier.replace(trust)
        self._heard()
        return _TRUST_EVERY_S


def _by_lot(delay_s: float) -> float:
    return delay_s * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
