"""The one place where everything is put together, in order, and taken apart in reverse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar, cast
from uuid import UUID

from quart import Blueprint

from appliance.dimse import doors, peers
from appliance.dimse.figures import Told
from appliance.domain.accounts import Account
from appliance.domain.audit import Action, Actor, Event, Subject
from appliance.domain.changes import AuditHead, InstitutionHere, NodeHere, Questions
from appliance.domain.enrolment import EnrolmentToken, Kind
from appliance.domain.errors import ApplianceError, SettingsError
from appliance.domain.identifiers import InstitutionId
from appliance.http import certificates, listeners
from appliance.http.access import Access
from appliance.http.accounts import other_accounts, own_account
from appliance.http.application import Root, Streamed, resources
from appliance.http.asgi import Application
from appliance.http.asked_frames import AskedFrames
from appliance.http.audit import audit_chains, audit_trail
from appliance.http.authorisation import refuse_unlisted
from appliance.http.certificates import CertificateFiles
from appliance.http.conflicts import conflicts
from appliance.http.copies import institution_place, toplevel_place
from appliance.http.deliveries import deliveries
from appliance.http.draws_only import draws_only
from appliance.http.enrolments import enrolments
from appliance.http.entry import entry
from appliance.http.examination import examination
from appliance.http.exports import exports
from appliance.http.fhir import OF_INSTITUTION, OF_TOPLEVEL, fhir_metadata, fhir_of_institution, fhir_of_toplevel
from appliance.http.health import Check, Note, health
from appliance.http.inbox import inbox
from appliance.http.institutions import institutions
from appliance.http.listeners import ListenerState
from appliance.http.measurement_files import measurement_files
from appliance.http.measurements import measurements
from appliance.http.measuring import Measuring
from appliance.http.nodes import capacity, nodes
from appliance.http.openapi import openapi
from appliance.http.origins import Origins
from appliance.http.page import Page, Sources
from appliance.http.passkeys import own_passkeys
from appliance.http.patients import patients, people_known
from appliance.http.picture_answers import PictureAnswers
from appliance.http.picture_requests import Asked, thumbnail_view
from appliance.http.pictures import Pictures
from appliance.http.qido import Queries
from appliance.http.record_types import record_types, record_types_here
from appliance.http.records import records
from appliance.http.renderer import renderer
from appliance.http.reports import reports
from appliance.http.scales import Scales
from appliance.http.sessions import sessions
from appliance.http.shares import shares
from appliance.http.stow import StoreInstances
from appliance.http.studies import studies
from appliance.http.study_objects import study_objects
from appliance.http.synchronisation import synchronisation
from appliance.http.uploads import PATH as UPLOADS_PATH
from appliance.http.uploads import UploadLimits, Uploads
from appliance.http.viewing import Viewing
from appliance.http.volume_pictures import VolumePictures
from appliance.http.wado import Retrieval, deletions
from appliance.services import doctor
from appliance.services.accounts import Accounts, nobody_to_tell
from appliance.services.archive import Archive
from appliance.services.audit import INSTITUTION, NODE, TOPLEVEL, Auditing, AuditTrail, at_the_shell, trail_of_store
from appliance.services.audit_heads import HeadTelling, ToldChains
from appliance.services.audit_lists import AuditReading
from appliance.services.catalogue import Catalogue
from appliance.services.conflicts import Conflicts
from appliance.services.copies import KeptTrust, KnownHere, ToplevelCopy
from appliance.services.database_threads import DatabaseThreads
from appliance.services.drawing import Drawing, DrawingSettings, RendererState
from appliance.services.enrolment import Candidate, Enrolments, enrol, load_parent_key
from appliance.services.exports import Exports
from appliance.services.feed import Feeds
from appliance.services.imports import ArchiveLimits
from appliance.services.inbox import Inbox
from appliance.services.ingest import Ingest, IngestSettings
from appliance.services.institution import Institution
from appliance.services.institutions import Institutions
from appliance.services.making_ready import MakingReady
from appliance.services.matching import Matching
from appliance.services.measurement_export import MeasurementExport
from appliance.services.measurements import Measurements
from appliance.services.metrics import Metrics
from appliance.services.nodes import Holdings, Nodes
from appliance.services.outboxes import KeptOutbox
from appliance.services.parse_process import ParseLimits
from appliance.services.passkeys import Passkeys, relying_party
from appliance.services.patient_news import PatientNews
from appliance.services.patient_records import PatientRecords
from appliance.services.pointing import Pointing
from appliance.services.reconciliation import Reconciliation
from appliance.services.record_types import RecordTypesDefined, RecordTypesKnown
from appliance.services.releases import HeldBack
from appliance.services.removals import Forget
from appliance.services.reports import Reports
from appliance.services.second_factors import SecondFactors
from appliance.services.shares import Shares
from appliance.services.staff import Staff
from appliance.services.supervision import Supervisor
from appliance.services.synchronisation import (
    Below,
    Children,
    InstitutionParent,
    LocalInstitution,
    LocalToplevel,
    Outbox,
    Parent,
    RemoteParent,
    ToplevelParent,
    Uplink,
)
from appliance.services.tokens import (
    TokenSigner,
    TokenVerifier,
    Trust,
    load_or_make_private_key,
    load_private_key,
)
from appliance.services.toplevel import Toplevel
from appliance.services.trust import SigningKeys, TrustKeeper, add_signing_key
from appliance.services.volume_selection import VolumeSelection
from appliance.settings import Appliance, Web
from appliance.settings import Dimse as DimseSettings
from appliance.settings import DrawsFor as DrawsForSettings
from appliance.settings import Institution as InstitutionSettings
from appliance.settings import Node as NodeSettings
from appliance.settings import Parent as ParentSettings
from appliance.settings import Toplevel as ToplevelSettings
from appliance.storage import (
    audit,
    audit_heads,
    commitments,
    copies,
    enrolment,
    index,
    institution,
    kept_trust,
    rotation,
    sealing,
    toplevel,
)
from appliance.storage.audit_heads import ToldChain
from appliance.storage.database import Database, Migration, Transaction, file_of, migrate, refuse_other_shape
from appliance.storage.instances import InstanceStore, StoreSettings, open_store
from appliance.storage.render_cache import RenderCache
from appliance.storage.structure import DataSetLimits

log = logging.getLogger(__name__)

_BROWSERS_ACCEPT = "image/avif,image/webp,image/*"
"""What Chromium and Firefox ask for where a page has a picture, as far as it chooses."""

AnyParent = TypeVar("AnyParent", bound=Parent)
_RENEWAL_LOOK_S = 86_400.0
_OWN_TOKEN_S = 600
"""Access tokens that an institution gives its own people."""
_OWN_SESSION = timedelta(days=1)
_BUILT_PAGE = Path(__file__).resolve().parent.parent / "webui" / "dist"


async def serve(settings: Appliance, stop: asyncio.Event, supervisor: Supervisor | None = None) -> None:
    """Plays the roles until ``stop`` is set, then lets requests in flight end; the supervisor hears when requests are taken."""
    supervisor = supervisor or Supervisor()

    def tell_ready(address: listeners.Address) -> None:
        log.info("ready", extra={"port": address.port, "roles": list(settings.roles)})
        supervisor.ready()

    alive = asyncio.create_task(supervisor.keep_alive(), name="signs of life")
    try:
        await _serve(settings, stop, supervisor, tell_ready)
    finally:
        alive.cancel()
    log.info("stopped")


async def _serve(
    settings: Appliance,
    stop: asyncio.Event,
    supervisor: Supervisor,
    tell_ready: Callable[[listeners.Address], None],
) -> None:
    async with opened(settings, supervisor) as assembled:
        certificate = _certificate(settings)
        renewing = asyncio.create_task(_renew_self_made(settings), name="renewal of the certificate")
        stopping = asyncio.create_task(_prepare_stop(assembled, stop), name="the stop")
        try:
            handed = supervisor.take("https")
            if unknown := supervisor.left_over:
                log.warning("sockets were handed over that these settings have no use for", extra={"sockets": unknown})
            await listeners.serve(
                assembled.application,
                address=settings.listen.address,
                port=settings.listen.port,
                certificate=certificate,
                stop=stop,
                drain_timeout_s=settings.listen.drain_s,
                ready=tell_ready,
                state=assembled.listeners,
                processes=settings.listen.processes,
                handed=handed,
            )
        finally:
            renewing.cancel()
            stopping.cancel()


async def _prepare_stop(assembled: Assembled, stop: asyncio.Event) -> None:
    await stop.wait()
    await assembled.prepare_stop()


@asynccontextmanager
async def ingesting(settings: Appliance) -> AsyncIterator[Ingest]:
    """The ingest road of the node, beside a server that may be running on the same store."""
    if settings.node is None:
        raise SettingsError("the settings name no node, which is what keeps DICOM")
    _refuse_drawing_only(settings.node)
    async with AsyncExitStack() as stack:
        database = await _migrated(settings.node.database, "node", index.MIGRATIONS)
        store = await asyncio.to_thread(_open_store, settings.node)
        yield await _open_ingest(stack, settings.node, store, database)


@contextmanager
def kept(settings: Appliance) -> Iterator[tuple[InstanceStore, Database]]:
    """What the node keeps, beside a server that may be running on the same store."""
    if settings.node is None:
        raise SettingsError("the settings name no node, which is what keeps DICOM")
    _refuse_drawing_only(settings.node)
    database = Database(settings.node.database)
    try:
        migrate(database, "node", index.MIGRATIONS)
        migrate(database, "audit", audit.MIGRATIONS)
        yield _open_store(settings.node), database
    finally:
        database.close()


def _refuse_drawing_only(settings: NodeSettings) -> None:
    if settings.draws_for is not None:
        raise SettingsError(f"this node only draws; node {settings.draws_for.id} keeps the DICOM, do it there")


def doctor_subjects(settings: Appliance) -> doctor.Subjects:
    """What a doctor looks at where these settings are in force."""
    listen, node = settings.listen, settings.node
    if listen.certificate is not None:
        shown, secret = listen.certificate.file, listen.certificate.key
    else:
        assert listen.self_made is not None, "the settings were checked: it is one of the two"
        shown, secret = listen.self_made.directory / "server.pem", listen.self_made.directory / "server.key"
    keys, folders = [secret], []
    if settings.toplevel is not None:
        keys.append(settings.toplevel.signing_key)
    children = {role: block for role, block in (("institution", settings.institution), ("node", node)) if block}
    keys += [block.parent.key for block in children.values() if block.parent]
    for block in (settings.toplevel, settings.institution, node):
        if block is not None and (file := file_of(block.database)):
            folders.append(doctor.Folder("databases", file.parent))
    if node is not None:
        keys += [node.instances.key] if node.instances.key else []
        keys += [node.dimse.tls.key] if node.dimse and node.dimse.tls else []
        folders.append(doctor.Folder("instances", node.instances.directory, node.instances.free_floor_bytes))
        if node.drawing.render_cache_directory is not None:
            folders.append(doctor.Folder("the render cache", node.drawing.render_cache_directory))
    return doctor.Subjects(
        certificate=shown,
        is_own_authority=listen.self_made is not None,
        folders=tuple(dict.fromkeys(folders)),
        keys=tuple(keys),
        draws=node is not None,
        uplinks=tuple(children),
    )


def examined(settings: Appliance) -> doctor.Examination:
    """How this machine is, beside a server that should be running. Blocking."""
    address = settings.listen.address
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(address, f"[{address}]" if ":" in address else address)  # noqa: S104
    figures = doctor.printed_metrics(f"https://{host}:{settings.listen.port}")
    return doctor.examine(doctor_subjects(settings), figures, datetime.now(UTC), doctor.chrony_tracking)


async def create_account(settings: Appliance, account: Account, password: str) -> Account:
    """The account exists at the toplevel of these settings."""
    if settings.toplevel is None:
        raise SettingsError("create-account: the settings name no toplevel, which keeps the accounts")
    async with AsyncExitStack() as stack:
        accounts = await _accounts_beside(stack, settings.toplevel)
        return await accounts.create(account, password, at_the_shell("create-account"))


async def set_active(settings: Appliance, username: str, *, is_active: bool) -> None:
    """Whether somebody may log in at the toplevel of these settings, beside a server that may be running."""
    if settings.toplevel is None:
        raise SettingsError("the settings name no toplevel, which keeps the accounts")
    async with AsyncExitStack() as stack:
        accounts = await _accounts_beside(stack, settings.toplevel)
        by = at_the_shell("reactivate-account" if is_active else "deactivate-account")
        await accounts.set_active(await accounts.account_named(username), by, is_active=is_active)


async def _accounts_beside(stack: AsyncExitStack, settings: ToplevelSettings) -> Accounts:
    database = await _open_database(stack, settings.database, "toplevel", toplevel.MIGRATIONS)
    signer = TokenSigner(SigningKeys(settings.signing_key).signing, lifetime_s=1)
    accounts = _accounts(settings, database, signer, session_lifetime=timedelta())
    stack.push_async_callback(accounts.close)
    return accounts


def _accounts(
    settings: ToplevelSettings,
    database: DatabaseThreads,
    signer: TokenSigner,
    *,
    session_lifetime: timedelta,
    on_revoked: Callable[[], Awaitable[None]] = nobody_to_tell,
) -> Accounts:
    factors = _factors(settings.signing_key)
    passkeys = Passkeys(_factors_file(settings.signing_key), relying_party(settings.base_url, settings.passkey_domain))
    return Accounts(
        database,
        signer,
        toplevel_trail(settings),
        factors,
        passkeys,
        session_lifetime=session_lifetime,
        on_revoked=on_revoked,
    )


def _factors(key: Path) -> SecondFactors:
    return SecondFactors(_factors_file(key))


def _factors_file(key: Path) -> Path:
    """What seals second factors lies beside the key of the role."""
    return key.with_name("second-factors.key")


async def remove_second_factor(settings: Appliance, username: str) -> None:
    """Only the password of an account is asked for, beside a server that may be running."""
    if settings.toplevel is None:
        raise SettingsError("the settings name no toplevel, which keeps the accounts")
    async with AsyncExitStack() as stack:
        accounts = await _accounts_beside(stack, settings.toplevel)
        by = at_the_shell("remove-second-factor")
        await accounts.remove_second_factor(await accounts.account_named(username), by)


def rotate_signing_key(settings: Appliance) -> None:
    """A new key signs the access tokens a minute from now; a running toplevel tells it to everybody meanwhile."""
    if settings.toplevel is None:
        raise SettingsError("the settings name no toplevel, which signs the access tokens")
    add_signing_key(settings.toplevel.signing_key)
    database = Database(settings.toplevel.database)
    try:
        migrate(database, "audit", audit.MIGRATIONS)
        event = Event(at_the_shell("rotate-signing-key"), Action.ROTATE_SIGNING_KEY, Subject("store"))
        toplevel_trail(settings.toplevel).put(database, event)
    finally:
        database.close()


async def make_enrolment_token(settings: Appliance, kind: Kind, child_id: UUID | None, by: Actor) -> EnrolmentToken:
    """A token by which an institution or a node becomes a child of the role in these settings, ``child_id`` if it is named."""
    async with AsyncExitStack() as stack:
        if kind == "institution" and settings.toplevel is not None:
            database = await _open_database(stack, settings.toplevel.database, "toplevel", toplevel.MIGRATIONS)
            parent = _enrolments_of_toplevel(settings.toplevel, database)
        elif kind == "node" and settings.institution is not None:
            database = await _open_database(stack, settings.institution.database, "institution", institution.MIGRATIONS)
            parent = _enrolments_of_institution(settings, database)
        else:
            raise SettingsError(
                f"the settings name no role that a{'n' if kind == 'institution' else ''} {kind} enrols at"
            )
        token, _ = await parent.make_token(by, child_id)
        return token


def enrol_here(settings: Appliance, base_url: str | None, token: EnrolmentToken) -> str:
    """The role with a parent elsewhere is its child now; the address of the parent."""
    institution_here, node = settings.institution, settings.node
    child = institution_here if institution_here is not None and institution_here.parent is not None else node
    if child is None or child.parent is None:
        raise SettingsError("the settings name no parent on another machine, so there is nothing to enrol")
    if base_url is not None and base_url.rstrip("/") != child.parent.base_url.rstrip("/"):
        raise SettingsError(f"the settings name another parent: {child.parent.base_url}")
    candidate = Candidate("node" if child is node else "institution", child.id, child.name)
    parent = child.parent
    enrol(parent.base_url, token, candidate, parent.key, parent.authorities)
    return parent.base_url


@dataclass(slots=True)
class Assembled:
    """An appliance that is open, ready to be listened for."""

    application: Application
    listeners: ListenerState
    """What its figures tell of those that listen."""
    prepare_stop: Callable[[], Awaitable[None]]
    """Whoever waits for news is answered now."""


@dataclass(slots=True)
class _Bench:
    """What the roles share while they are put together."""

    settings: Appliance
    stack: AsyncExitStack
    supervisor: Supervisor = field(default_factory=Supervisor)
    metrics: Metrics = field(default_factory=Metrics)
    verifier: TokenVerifier = field(default_factory=TokenVerifier)
    blueprints: list[Blueprint] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    gauges: list[Callable[[], None]] = field(default_factory=list)
    uplinks: list[Uplink] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    stopping: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What is told that the appliance is to stop, so that nobody waits for an answer meanwhile."""
    children: Children = field(init=False)
    streamed: list[Streamed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.children = Children(lambda: self.verifier.trust)

    async def prepare_stop(self) -> None:
        for stopping in self.stopping:
            await stopping()

    @property
    def access(self) -> Access:
        return Access(self.verifier)

    async def use_trust(self, trust: Trust) -> None:
        """Tokens of these keys are accepted from now on."""
        self.verifier.replace(trust)

    def refresh(self) -> None:
        """The gauges say how it is now."""
        for gauge in self.gauges:
            gauge()


@asynccontextmanager
async def opened(settings: Appliance, supervisor: Supervisor | None = None) -> AsyncIterator[Assembled]:
    """All rooms of the roles, open; closed in reverse at the end."""
    async with AsyncExitStack() as stack:
        bench = _Bench(settings, stack, supervisor or Supervisor())
        page = await asyncio.to_thread(_page, settings)
        toplevel_here = await _open_toplevel(bench)
        institution_here = await _open_institution(bench, toplevel_here)
        uploads = await _open_node(bench, institution_here)
        state = ListenerState()
        _tell_of_listeners(bench, state)
        bench.blueprints += [
            deliveries(bench.children),
            synchronisation(bench.uplinks, bench.access),
            entry(bench.access),
            examination(partial(_examined_from_inside, bench), bench.access),
            openapi({("POST", UPLOADS_PATH)} if uploads else set()),
            *_fhir_metadata(settings),
            health(bench.checks, bench.notes, bench.metrics, bench.access, bench.refresh),
        ]
        quart = resources(bench.blueprints)
        refuse_unlisted(quart)
        root = Root(cast(Application, quart), page, uploads, bench.streamed)  # the same words, typed more narrowly
        yield Assembled(Measuring(Origins(root, settings.allowed_origins), bench.metrics), state, bench.prepare_stop)


async def _examined_from_inside(bench: _Bench) -> doctor.Examination:
    """By the server itself, which need not be asked for its own figures."""
    bench.refresh()
    subjects, figures = doctor_subjects(bench.settings), bench.metrics.text().decode()
    return await asyncio.to_thread(doctor.examine, subjects, figures, datetime.now(UTC), doctor.chrony_tracking)


def _tell_of_listeners(bench: _Bench, state: ListenerState) -> None:
    def refresh() -> None:
        bench.metrics.dropped_datagrams.set(state.dropped_datagrams)
        bench.metrics.receive_queue.set(state.receive_queue_bytes)
        bench.metrics.helper_restarts.labels("front").set(state.restarts)

    async def check() -> str | None:
        return state.missing()

    bench.gauges.append(refresh)
    if bench.settings.listen.processes > 1:
        bench.checks["fronts"] = check
    bench.notes.append(state.note)


def _fhir_metadata(settings: Appliance) -> list[Blueprint]:
    """What the roles that answer FHIR say of themselves; nothing where there is none."""
    of_roles = ((settings.toplevel, OF_TOPLEVEL), (settings.institution, OF_INSTITUTION))
    there = [(role.base_url, types) for role, types in of_roles if role is not None]
    return [fhir_metadata([one for _, types in there for one in types], there[0][0])] if there else []


def _page(settings: Appliance) -> Page | None:
    if "web" not in settings.roles:
        return None
    web = settings.web or Web()
    return Page.load(web.directory or _BUILT_PAGE, Sources(connect=web.origins, image=web.origins))


async def _open_toplevel(bench: _Bench) -> ToplevelParent | None:
    """What institutions in this process call; None if there is no toplevel here."""
    settings = bench.settings.toplevel
    if settings is None:
        return None
    await _refused(settings.database, copies.refuse_copy)
    database = await _open_database(bench.stack, settings.database, "toplevel", toplevel.MIGRATIONS)
    keys = SigningKeys(settings.signing_key)
    signer = TokenSigner(keys.signing, lifetime_s=settings.access_token_s)
    trust = TrustKeeper(database, keys, signer, bench.verifier)
    await trust.look()
    trust.start()
    bench.stack.push_async_callback(trust.stop)
    lifetime = timedelta(days=settings.session_days)
    accounts = _accounts(settings, database, signer, session_lifetime=lifetime, on_revoked=trust.look)
    bench.stack.push_async_callback(accounts.close)
    service = Toplevel(database, insurers=settings.insurers)
    shared = Shares(database, signer, toplevel_trail(settings), on_revoked=trust.look)
    bench.stack.push_async_callback(shared.close)

    auditing = Auditing(toplevel_trail(settings), database)
    staff = Staff(database, auditing, accounts, on_revoked=trust.look)
    children = _enrolments_of_toplevel(settings, database)
    types = RecordTypesDefined(database, auditing)
    feeds = Feeds(database, _factors(settings.signing_key))
    bench.stack.push_async_callback(feeds.close)
    bench.stopping.append(feeds.close)
    bench.children.know(
        Below(children, service.take_delivery, service.answer, record_types=types.tell, feed=feeds.tell)
    )
    bench.blueprints += [
        sessions(accounts, service, bench.access, bench.metrics),
        own_account(accounts, bench.access),
        own_passkeys(accounts, bench.access),
        other_accounts(accounts, staff, bench.access, auditing),
        people_known(service, bench.access, auditing),
        patients(PatientRecords(database, auditing), bench.access),
        fhir_of_toplevel(service, bench.access, auditing, settings.base_url),
        institutions(Institutions(database, auditing, _institution_here(bench.settings)), bench.access),
        enrolments(children, bench.access, auditing),
        audit_trail(AuditReading(TOPLEVEL, database, auditing), bench.access),
        audit_chains(ToldChains(database), bench.access),
        record_types(types, bench.access),
        toplevel_place(),
        shares(shared, bench.access),
    ]
    bench.checks["toplevel database"] = _database_check(database)
    return LocalToplevel(service.take_delivery, lambda: bench.verifier.trust, service.answer, types.tell)


async def _open_institution(bench: _Bench, toplevel_here: ToplevelParent | None) -> InstitutionParent | None:
    """What nodes in this process call; None if there is no institution here."""
    settings = bench.settings.institution
    if settings is None:
        return None
    database = await _open_database(bench.stack, settings.database, "institution", institution.MIGRATIONS)
    here = InstitutionHere(settings.id, settings.name, settings.base_url, ())
    institution_id = InstitutionId(settings.id)
    parent = await _parent(bench, settings.parent, settings.id, toplevel_here)
    matching = Matching(database, institution_id, parent.answer, may_create=settings.new_patients == "create")
    outbox = KeptOutbox(database, institution.OUTBOX)
    types = RecordTypesKnown(database, institution_id, parent.record_types)

    def wake() -> None:
        uplink.wake()

    news = PatientNews(database, institution_id, parent.answer, on_change=wake)

    async def ask_and_hear() -> None:
        await matching.ask()
        await news.hear()

    trail = institution_trail(bench.settings)
    below = await _open_copy(bench, settings, database, parent) if isinstance(parent, RemoteParent) else None
    uplink = await _open_uplink(
        bench,
        "institution",
        settings.id,
        outbox,
        parent,
        then=ask_and_hear,
        follow=types.follow,
        copy=below.copy.follow if below else None,
        take_trust=below.trust.hear if below else None,
    )
    if below is not None:
        _answer_from_copy(bench, settings, database, below, uplink)
    _tell_heads(bench, HeadTelling(database, INSTITUTION, settings.id, institution.OUTBOX, on_change=uplink.wake))
    auditing = Auditing(trail, database)
    service = Institution(database, here, on_change=uplink.wake)
    written = Reports(database, here, parent.answer, auditing, policy=settings.reports_elsewhere, on_change=uplink.wake)
    await service.announce()
    waiting = Inbox(database, institution_id, parent.answer, trail, on_change=uplink.wake)
    measured = Measurements(database, institution_id, auditing)
    children = _enrolments_of_institution(bench.settings, database)
    bench.children.know(
        Below(
            children,
            service.take_delivery,
            tell=service.releases,
            pointers=service.pointers,
            measurements=measured.told,
        )
    )
    bench.blueprints += [
        records(service, bench.access, auditing),
        reports(written, bench.access),
        measurements(measured, bench.access),
        fhir_of_institution(service, written, bench.access, auditing, settings.base_url),
        inbox(waiting, bench.access, auditing),
        enrolments(children, bench.access, auditing, institution_id),
        audit_trail(AuditReading(INSTITUTION, database, auditing, institution_id), bench.access),
        record_types_here(types, bench.access),
        nodes(Nodes(database, auditing, service, _node_here(bench.settings)), bench.access),
    ]
    bench.checks["institution database"] = _database_check(database)
    return LocalInstitution(
        service.take_delivery, lambda: bench.verifier.trust, service.releases, service.pointers, measured.told
    )


@dataclass(frozen=True, slots=True)
class _CopyParts:
    """What an institution has whose toplevel is elsewhere."""

    copy: ToplevelCopy
    keeper: TrustKeeper
    signer: TokenSigner
    trust: KeptTrust


async def _open_copy(
    bench: _Bench, settings: InstitutionSettings, database: DatabaseThreads, parent: RemoteParent
) -> _CopyParts:
    """The copy of the toplevel's rows, and what is trusted here from the first moment on."""
    assert settings.parent is not None, "its toplevel is elsewhere"
    await asyncio.to_thread(_migrate_copy, settings.database)
    keys = SigningKeys(settings.parent.key.with_name("own-people.pem"))
    signer = TokenSigner(keys.signing, lifetime_s=_OWN_TOKEN_S)
    keeper = TrustKeeper(database, keys, signer, bench.verifier)
    await keeper.look()
    keeper.start()
    bench.stack.push_async_callback(keeper.stop)
    trust = KeptTrust(database, "institution", keeper.hear)
    await trust.recall()
    copy = ToplevelCopy(
        database,
        InstitutionId(settings.id),
        parent.feed,
        _factors(settings.parent.key),
        bound=timedelta(hours=settings.offline_hours),
        on_shut_out=keeper.look,
    )
    return _CopyParts(copy, keeper, signer, trust)


def _migrate_copy(url: str) -> None:
    database = Database(url)
    try:
        database.read(copies.refuse_toplevel)
        migrate(database, "copy", copies.MIGRATIONS)
        migrate(database, "toplevel", toplevel.MIGRATIONS)
    finally:
        database.close()


def _answer_from_copy(
    bench: _Bench, settings: InstitutionSettings, database: DatabaseThreads, parts: _CopyParts, uplink: Uplink
) -> None:
    """People log in here and find what is known here, from the institution's own address."""
    assert settings.parent is not None, "its toplevel is elsewhere"
    trail = institution_trail(bench.settings)
    accounts = Accounts(
        database,
        parts.signer,
        trail,
        _factors(settings.parent.key),
        Passkeys(_factors_file(settings.parent.key), None),
        session_lifetime=_OWN_SESSION,
        on_revoked=parts.keeper.look,
        admission=parts.copy.refuse_if_too_old,
    )
    bench.stack.push_async_callback(accounts.close)
    known = KnownHere(database, InstitutionId(settings.id))
    bench.blueprints += [
        sessions(accounts, known, bench.access, bench.metrics),
        people_known(known, bench.access, Auditing(trail, database)),
        institution_place(settings.name, settings.parent.base_url, parts.copy, lambda: uplink.is_parent_away),
    ]
    bench.gauges.append(lambda: bench.metrics.synchronisation_behind.labels("institution").set(parts.copy.behind))


async def _open_node(bench: _Bench, institution_here: InstitutionParent | None) -> Uploads | None:
    """The uploads of the node; None if there is no node here."""
    settings = bench.settings.node
    if settings is None:
        return None
    if settings.draws_for is not None:
        await _open_drawing_node(bench, settings, settings.draws_for)
        return None
    base = await _migrated(settings.database, "node", index.MIGRATIONS)
    database = _threads(bench.stack, base)
    store = await asyncio.to_thread(_open_store, settings)
    outbox = KeptOutbox(database, index.OUTBOX)
    await outbox.announce(NodeHere(settings.id, settings.name, settings.base_url))
    parent = await _parent(bench, settings.parent, settings.id, institution_here)
    institution_id = InstitutionId(settings.institution_id or bench.settings.institution.id)  # type: ignore[union-attr]
    held_back = HeldBack(database, settings.id, institution_id, parent.releases)
    trust = KeptTrust(database, "node", bench.use_trust) if settings.parent is not None else None
    if trust is not None:
        await trust.recall()
    uplink = await _open_uplink(
        bench,
        "node",
        settings.id,
        outbox,
        parent,
        follow=held_back.follow,
        take_trust=trust.hear if trust else None,
    )
    _tell_heads(bench, HeadTelling(database, NODE, settings.id, index.OUTBOX, on_change=uplink.wake))
    on_stored = [uplink.wake]
    ingest = await _open_ingest(bench.stack, settings, store, base, on_stored=lambda: _call(on_stored))
    trail = node_trail(settings)
    auditing = Auditing(trail, database)
    cache = _render_cache(settings, store)
    drawing = await _open_drawing(bench, settings)
    forget = _forgetting(cache, drawing)
    catalogue = Catalogue(store, database, settings.id, trail, forget)
    drawing.around = catalogue.place_of
    _start_reconciliation(bench, Reconciliation(store, database, ingest, forget))
    if cache is not None:
        on_stored.append(_start_making_ready(bench, _making_ready(settings, catalogue, drawing, database, cache)))
    archive = Archive(store, database, ParseLimits(data_set=_data_set_limits(settings)))
    await archive.start()
    bench.stack.push_async_callback(archive.stop)
    answers = PictureAnswers(bench.access, auditing, held_back, drawing, bench.metrics)
    exporting = MeasurementExport(settings.id, parent.measurements, catalogue, archive, drawing)
    resolving = Conflicts(store, database, ingest, archive, auditing, node_id=settings.id, forget=forget)
    bench.blueprints += [
        *_looking(bench, settings, catalogue, archive=archive, drawing=drawing, auditing=auditing, held_back=held_back),
        conflicts(resolving, bench.access, auditing, institution_id),
        deletions(catalogue, bench.access, auditing, institution_id, Pointing(settings.id, parent.pointers)),
        measurement_files(exporting, answers, auditing, bench.access),
        exports(Exports(archive), bench.access, auditing, held_back, institution_id),
        audit_trail(AuditReading(NODE, database, auditing, institution_id), bench.access),
        capacity(Holdings(store, database), bench.access),
    ]
    bench.streamed.append(
        StoreInstances(
            ingest,
            bench.access,
            bench.metrics,
            institution_id=institution_id,
            base_url=settings.base_url,
            request_limit_bytes=settings.limits.request_bytes,
        )
    )
    bench.checks["node database"] = _database_check(database)
    if settings.dimse is not None:
        await _open_dimse(bench, settings, settings.dimse, on_stored=lambda: _call(on_stored))
    return Uploads(
        ingest,
        bench.access,
        bench.metrics,
        institution_id=institution_id,
        limits=UploadLimits(
            settings.instances.instance_limit_bytes, settings.limits.request_bytes, archive_limits(settings)
        ),
    )


async def _open_drawing_node(bench: _Bench, settings: NodeSettings, keeper: DrawsForSettings) -> None:
    """A node that draws what another one keeps: its store and its index are read, and what is written is its own.

    The index is read where the keeper writes it, or at a standby of that database: a copy of our own would be behind the
    store, and would have to be carried from one node to the other, which do not talk to each other.
    """
    database = await _open_database(bench.stack, settings.database, "node", index.MIGRATIONS)
    kept_rows = Database(keeper.database, is_read_only=True)
    await asyncio.to_thread(_check_shape, kept_rows)
    kept_index = _threads(bench.stack, kept_rows)
    store = await asyncio.to_thread(open_store, _store_settings(settings))
    assert settings.parent is not None, "the settings were checked"
    assert settings.institution_id is not None, "its institution is in another process"
    outbox = KeptOutbox(database, index.OUTBOX)
    await outbox.announce(NodeHere(settings.id, settings.name, settings.base_url, keeper.id))
    parent = await _parent(bench, settings.parent, settings.id, None)
    trust = KeptTrust(database, "node", bench.use_trust)
    await trust.recall()
    uplink = await _open_uplink(bench, "node", settings.id, outbox, parent, take_trust=trust.hear)
    _tell_heads(bench, HeadTelling(database, NODE, settings.id, index.OUTBOX, on_change=uplink.wake))
    institution_id = InstitutionId(settings.institution_id)
    held_back = HeldBack(kept_index, keeper.id, institution_id, parent.releases)
    auditing = Auditing(node_trail(settings), database)
    drawing = await _open_drawing(bench, settings)
    catalogue = Catalogue(store, kept_index, keeper.id, auditing.trail)
    drawing.around = catalogue.place_of
    archive = Archive(store, kept_index, ParseLimits(data_set=_data_set_limits(settings)))
    await archive.start()
    bench.stack.push_async_callback(archive.stop)
    bench.blueprints += [
        *_looking(bench, settings, catalogue, archive=archive, drawing=drawing, auditing=auditing, held_back=held_back),
        draws_only(keeper.id, bench.access),
        audit_trail(AuditReading(NODE, database, auditing, institution_id), bench.access),
        capacity(Holdings(store, kept_index), bench.access),
    ]
    bench.checks["node database"] = _database_check(database)
    bench.checks["index"] = _database_check(kept_index)


def _check_shape(kept_rows: Database) -> None:
    try:
        refuse_other_shape(kept_rows, "node", index.MIGRATIONS)
    finally:
        kept_rows.close()


def _looking(
    bench: _Bench,
    settings: NodeSettings,
    catalogue: Catalogue,
    *,
    archive: Archive,
    drawing: Drawing,
    auditing: Auditing,
    held_back: HeldBack,
) -> list[Blueprint]:
    """The doors of a node by which nothing is changed."""
    answers = PictureAnswers(bench.access, auditing, held_back, drawing, bench.metrics)
    frames = AskedFrames(catalogue, answers)
    return [
        studies(catalogue, bench.access, auditing, held_back),
        renderer(drawing.state, bench.access),
        Pictures(catalogue, archive, drawing, answers, base_url=settings.base_url).blueprint(),
        VolumePictures(VolumeSelection(catalogue, archive), drawing, answers).blueprint(),
        Viewing(frames, catalogue, archive, drawing, answers).blueprint(),
        Scales(frames, archive, drawing).blueprint(),
        study_objects(catalogue, archive, answers),
        Queries(archive, bench.access, auditing, held_back, settings.base_url).blueprint(),
        Retrieval(archive, bench.access, auditing, held_back, settings.base_url).blueprint(),
    ]


# The parts that roles share


async def _open_database(
    stack: AsyncExitStack, url: str, room: str, migrations: Sequence[Migration]
) -> DatabaseThreads:
    """Threads of a database whose tables have their newest shape."""
    return _threads(stack, await _migrated(url, room, migrations))


async def _migrated(url: str, room: str, migrations: Sequence[Migration]) -> Database:
    database = Database(url)
    await asyncio.to_thread(_migrate, database, room, migrations)
    return database


def _threads(stack: AsyncExitStack, database: Database) -> DatabaseThreads:
    threads = DatabaseThreads(database)
    stack.push_async_callback(threads.close)
    return threads


def _migrate(database: Database, room: str, migrations: Sequence[Migration]) -> None:
    migrate(database, room, migrations)
    migrate(database, "audit", audit.MIGRATIONS)
    migrate(database, "enrolment", enrolment.MIGRATIONS)
    migrate(database, "trust", kept_trust.MIGRATIONS)
    database.close()


async def _refused(url: str, check: Callable[[Transaction], None]) -> None:
    """Returns if the rows that are there are none of another kind of role; raises what ``check`` raises."""
    database = Database(url)

    def look() -> None:
        try:
            database.read(check)
        finally:
            database.close()

    await asyncio.to_thread(look)


def _database_check(database: DatabaseThreads) -> Check:
    async def check() -> str | None:
        try:
            await database.read(lambda tx: None)
        except ApplianceError as error:
            return error.message
        return None

    return check


async def _parent(
    bench: _Bench, remote: ParentSettings | None, child_id: UUID, here: AnyParent | None
) -> AnyParent | RemoteParent:
    if remote is None:
        assert here is not None, "the settings were checked: without a remote parent there is one here"
        return here
    parent_key = load_parent_key(remote.key)
    parent = RemoteParent(remote.base_url, child_id, load_private_key(remote.key), parent_key, remote.authorities)
    bench.stack.push_async_callback(parent.close)
    return parent


def _institution_here(settings: Appliance) -> InstitutionId | None:
    """The institution that tells a toplevel in the same process, and so need not be enrolled."""
    here = settings.institution
    return InstitutionId(here.id) if here is not None and here.parent is None else None


def _node_here(settings: Appliance) -> UUID | None:
    """The node that tells an institution in the same process, and so need not be enrolled."""
    here = settings.node
    return here.id if here is not None and here.parent is None else None


def _enrolments_of_toplevel(settings: ToplevelSettings, database: DatabaseThreads) -> Enrolments:
    identity = load_or_make_private_key(settings.signing_key.with_name("identity.pem"))
    return Enrolments("institution", database, identity, toplevel_trail(settings))


def _enrolments_of_institution(settings: Appliance, database: DatabaseThreads) -> Enrolments:
    """Nodes know their institution by a key of its own, beside the one by which the toplevel knows it."""
    identity = load_or_make_private_key(_key_beside_institution(settings).with_name("identity-institution.pem"))
    return Enrolments("node", database, identity, institution_trail(settings))


async def _open_uplink(
    bench: _Bench,
    role: str,
    child_id: UUID,
    outbox: Outbox,
    parent: Parent,
    *,
    then: Callable[[], Awaitable[None]] | None = None,
    follow: Callable[[], Awaitable[float]] | None = None,
    copy: Callable[[], Awaitable[float]] | None = None,
    take_trust: Callable[[Trust], Awaitable[None]] | None = None,
) -> Uplink:
    uplink = Uplink(
        role,
        child_id,
        outbox,
        parent,
        verifier=bench.verifier,
        metrics=bench.metrics,
        then=then,
        follow=follow,
        copy=copy,
        take_trust=take_trust,
    )
    uplink.start()
    bench.uplinks.append(uplink)
    bench.gauges.append(uplink.show)
    bench.stack.push_async_callback(uplink.stop)
    return uplink


def _tell_heads(bench: _Bench, telling: HeadTelling) -> None:
    bench.stack.push_async_callback(telling.stop)
    telling.start()


def _call(listeners: Sequence[Callable[[], None]]) -> None:
    for listener in listeners:
        listener()


def _render_cache(settings: NodeSettings, store: InstanceStore) -> RenderCache | None:
    """What this process looks at and removes from; the render processes fill it."""
    drawing = _drawing_settings(settings)
    if not drawing.render_cache_bytes:
        return None
    return RenderCache(drawing.cache_directory, store.keys, budget_bytes=drawing.render_cache_bytes)


def _forgetting(cache: RenderCache | None, drawing: Drawing) -> Forget:
    """Removes what was made of an instance, from the disk and from memory; for any thread."""
    loop = asyncio.get_running_loop()

    def forget(key: str) -> None:
        if cache is not None:
            cache.forget(key)
        loop.call_soon_threadsafe(drawing.forget, (key,))

    return forget


def _making_ready(
    settings: NodeSettings, catalogue: Catalogue, drawing: Drawing, database: DatabaseThreads, cache: RenderCache
) -> MakingReady:
    wanted = settings.drawing
    return MakingReady(
        catalogue,
        drawing,
        database,
        cache,
        budget_bytes=wanted.render_cache_bytes,
        look_back=timedelta(days=wanted.make_ready_days),
        thumbnail=lambda image, frame_index: thumbnail_view(
            image, frame_index, Asked.of({}, _BROWSERS_ACCEPT, drawing.media_types)
        ),
    )


def _start_making_ready(bench: _Bench, making: MakingReady) -> Callable[[], None]:
    """What came in is being made ready, in the background; what is to be called when more has come."""
    bench.gauges.append(lambda: bench.metrics.made_ready.labels("series_waiting").set(making.series_waiting))
    bench.stack.push_async_callback(making.stop)
    making.start()
    return making.wake


def _drawing_settings(settings: NodeSettings) -> DrawingSettings:
    wanted = settings.drawing
    return DrawingSettings(
        store=_store_settings(settings),
        processes=wanted.processes,
        decoder_threads=wanted.decoder_threads,
        encoder_threads=wanted.encoder_threads,
        frame_cache_bytes=wanted.frame_cache_bytes,
        texture_cache_bytes=wanted.texture_cache_bytes,
        picture_cache_bytes=wanted.picture_cache_bytes,
        render_cache_directory=wanted.render_cache_directory,
        render_cache_bytes=wanted.render_cache_bytes,
        idle_release_s=wanted.idle_release_s,
        frames_ahead=wanted.frames_ahead,
        decode_memory_bytes=wanted.decode_memory_bytes,
    )


def _show_drawing(metrics: Metrics, state: RendererState) -> None:
    metrics.renderer.clear()  # another may draw since the last time
    metrics.renderer.labels(state.vendor, state.renderer, state.version, str(state.is_software).lower()).set(1)
    metrics.contexts_lost.set(state.contexts_lost)
    metrics.renderer_fallback.set(bool(state.fallback))
    for cache in ("frame", "texture", "picture"):
        metrics.caches.labels(f"{cache}s").set(getattr(state, f"{cache}_cache_bytes"))
    metrics.caches.labels("disk").set(state.render_cache.size_bytes)
    for what, count in asdict(state.render_cache).items():
        metrics.render_cache.labels(what).set(count)
    metrics.made_ready.labels("made").set(state.made_ahead)
    metrics.made_ready.labels("waiting").set(state.waiting_ahead)
    metrics.helper_restarts.labels("render").set(state.restarts)
    metrics.helper_restarts.labels("decoder").set(state.decoder_deaths)


async def _open_drawing(bench: _Bench, settings: NodeSettings) -> Drawing:
    drawing = Drawing(_drawing_settings(settings))
    await drawing.start()
    bench.stack.push_async_callback(drawing.stop)
    state = drawing.state()
    log.info(
        "OpenGL",
        extra={
            "vendor": state.vendor,
            "renderer": state.renderer,
            "version": state.version,
            "software": state.is_software,
            "side": state.largest_texture_side,
            "volume_side": state.largest_volume_side,
        },
    )
    bench.gauges.append(lambda: _show_drawing(bench.metrics, drawing.state()))

    async def check() -> str | None:
        return None if drawing.state().is_running else "no render process runs"

    bench.checks["renderer"] = check
    return drawing


def _start_reconciliation(bench: _Bench, reconciliation: Reconciliation) -> None:
    """Store and index are being compared, in the background."""

    def refresh() -> None:
        for what, count in asdict(reconciliation.findings).items():
            bench.metrics.reconciled.labels(what.removeprefix("is_")).set(count)

    bench.gauges.append(refresh)
    bench.stack.push_async_callback(reconciliation.stop)
    reconciliation.start()


async def _open_dimse(
    bench: _Bench, settings: NodeSettings, wanted: DimseSettings, on_stored: Callable[[], None]
) -> None:
    """The DIMSE processes. They start once the database has its newest shape, and use it and the store as this one does."""
    metrics = bench.metrics

    def count(told: Told) -> None:
        for outcome, number in told.associations.items():
            metrics.dimse_associations.labels(outcome).inc(number)
        for operation, number in told.operations.items():
            verb, _, status = operation.partition(" ")
            metrics.dimse_operations.labels(verb, status).inc(number)
        for outcome, number in told.instances.items():
            metrics.instances.labels(outcome).inc(number)
        if told.instances:
            on_stored()

    await _migrated(settings.database, "commitments", commitments.MIGRATIONS)
    store = _store_settings(settings)
    listener = doors.listening(wanted.address, wanted.port, bench.supervisor.take("dimse"))
    dimse = doors.Dimse(
        peers.DimseSettings(
            listener=-1,
            ae_title=wanted.ae_title,
            peers=tuple(
                peers.Peer(peer.ae_title, peer.hosts, frozenset(peer.verbs), peer.port, peer.tls)
                for peer in wanted.peers
            ),
            node_id=str(settings.id),
            database=settings.database,
            store_directory=str(store.directory),
            key_file=str(store.key_file) if store.key_file else None,
            floor_bytes=store.floor_bytes,
            tls=_dimse_tls(wanted),
            limits=peers.Limits(
                associations=wanted.limits.associations,
                idle_s=wanted.limits.idle_s,
                pdu_bytes=wanted.limits.pdu_bytes,
                instance_bytes=settings.instances.instance_limit_bytes,
            ),
        ),
        listener,
        wanted.processes,
        count,
    )
    await dimse.start()
    bench.stack.push_async_callback(dimse.stop)
    bench.gauges.append(lambda: metrics.helper_restarts.labels("dimse").set(dimse.restarts))
    bench.gauges.append(lambda: metrics.dimse_open.set(dimse.associations_open))
    bench.checks["dimse"] = dimse.missing


def _dimse_tls(wanted: DimseSettings) -> peers.Tls | None:
    if wanted.tls is None:
        return None
    authorities = wanted.tls.authorities
    return peers.Tls(str(wanted.tls.certificate), str(wanted.tls.key), str(authorities) if authorities else None)


async def _open_ingest(
    stack: AsyncExitStack,
    settings: NodeSettings,
    store: InstanceStore,
    database: Database,
    on_stored: Callable[[], None] = lambda: None,
) -> Ingest:
    ingest = Ingest(
        store,
        database,
        settings.id,
        IngestSettings(
            largest_instance_bytes=settings.instances.instance_limit_bytes,
            limits=ParseLimits(data_set=_data_set_limits(settings)),
        ),
        node_trail(settings),
        on_stored=on_stored,
    )
    await ingest.start()
    stack.push_async_callback(ingest.stop)
    return ingest


def archive_limits(settings: NodeSettings) -> ArchiveLimits:
    return ArchiveLimits(settings.limits.archive_bytes, settings.limits.archive_members)


def node_trail(settings: NodeSettings) -> AuditTrail:
    """The audit trail of a node; one that only draws notes its head beside the key that its institution knows it by."""
    if settings.draws_for is not None:
        assert settings.parent is not None, "the settings were checked"
        return AuditTrail(NODE, settings.parent.key.with_name("audit-head-node"))
    return trail_of_store(settings.instances.directory)


def institution_trail(settings: Appliance) -> AuditTrail:
    """The audit trail of an institution; its head is noted beside the key that signs what it tells, or that of its toplevel."""
    return AuditTrail(INSTITUTION, _key_beside_institution(settings).with_name("audit-head-institution"))


def _key_beside_institution(settings: Appliance) -> Path:
    """The key by which an institution is known to its toplevel, or that of the toplevel in the same process."""
    assert settings.institution is not None
    parent = settings.institution.parent
    return parent.key if parent else settings.toplevel.signing_key  # type: ignore[union-attr]


def toplevel_trail(settings: ToplevelSettings) -> AuditTrail:
    """The audit trail of a toplevel; its head is noted beside the key that signs tokens."""
    return AuditTrail(TOPLEVEL, settings.signing_key.with_name("audit-head"))


def base_url_of(settings: Appliance, trail: AuditTrail) -> str:
    """Of the role that keeps a trail."""
    roles = {TOPLEVEL: settings.toplevel, INSTITUTION: settings.institution, NODE: settings.node}
    role = roles[trail.room]
    assert role is not None, "who has a trail has a role"
    return role.base_url


@contextmanager
def trails(settings: Appliance) -> Iterator[list[tuple[AuditTrail, Database]]]:
    """The audit trails of the roles, each with its database, beside a server that may be running."""
    found: list[tuple[AuditTrail, Database]] = []
    if settings.toplevel is not None:
        found.append((toplevel_trail(settings.toplevel), Database(settings.toplevel.database)))
    if settings.institution is not None:
        found.append((institution_trail(settings), Database(settings.institution.database)))
    if settings.node is not None:
        found.append((node_trail(settings.node), Database(settings.node.database)))
    try:
        for _, database in found:
            migrate(database, "audit", audit.MIGRATIONS)
        yield found
    finally:
        for _, database in found:
            database.close()


def told_heads(settings: Appliance) -> tuple[AuditHead, ...]:
    """The heads of the institution's trail, and of its nodes', that its toplevel keeps. Unavailable if that is away."""
    here = settings.institution
    if here is None:
        return ()
    if here.parent is not None:
        return asyncio.run(_heads_at(here.parent, here.id))
    assert settings.toplevel is not None, "the settings were checked: without a parent the toplevel is here"
    database = Database(settings.toplevel.database)
    try:
        migrate(database, "toplevel", toplevel.MIGRATIONS)
        return database.read(lambda tx: audit_heads.heads(tx, InstitutionId(here.id)))
    finally:
        database.close()


async def _heads_at(parent: ParentSettings, child_id: UUID) -> tuple[AuditHead, ...]:
    toplevel_there = RemoteParent(
        parent.base_url, child_id, load_private_key(parent.key), load_parent_key(parent.key), parent.authorities
    )
    try:
        return (await toplevel_there.answer(Questions(child_id, audit_heads=True))).audit_heads
    finally:
        await toplevel_there.close()


def told_chains(settings: Appliance) -> tuple[ToldChain, ...]:
    """What the toplevel of these settings was told of the trails below it; none where there is no toplevel."""
    if settings.toplevel is None:
        return ()
    database = Database(settings.toplevel.database)
    try:
        migrate(database, "toplevel", toplevel.MIGRATIONS)
        return database.read(lambda tx: audit_heads.chains(tx, None))
    finally:
        database.close()


def keeper_of(settings: Appliance, trail: AuditTrail) -> UUID | None:
    """Who keeps a trail whose heads go up; None of a toplevel's, above which there is nobody."""
    kept_by = {INSTITUTION: settings.institution, NODE: settings.node}.get(trail.room)
    return kept_by.id if kept_by is not None else None


def _data_set_limits(settings: NodeSettings) -> DataSetLimits:
    limits = settings.limits
    return DataSetLimits(limits.nesting_depth, limits.element_count, limits.frame_count, limits.frame_pixels)


def _open_store(settings: NodeSettings) -> InstanceStore:
    """The store; its master key is made if neither is there yet."""
    store_settings = _store_settings(settings)
    key_file = store_settings.key_file
    if key_file is not None and not key_file.exists():
        if store_settings.directory.exists() and any(store_settings.directory.iterdir()):
            raise SettingsError(
                f"node.instances.key: {key_file} is not there, and what is kept cannot be read without it"
            )
        sealing.create_key(key_file)
    store = open_store(store_settings)
    if restored := rotation.put_back(store):
        log.warning("%d heads that a rotation of the key left half written are as they were", restored)
    return store


def _store_settings(settings: NodeSettings) -> StoreSettings:
    instances = settings.instances
    is_read_only = settings.draws_for is not None
    return StoreSettings(instances.directory, instances.key, instances.free_floor_bytes, is_read_only)


async def _renew_self_made(settings: Appliance) -> None:
    """A pair of our own making does not end while the appliance runs on; the listeners see that it has changed."""
    while settings.listen.self_made is not None:
        await asyncio.sleep(_RENEWAL_LOOK_S)
        try:
            await asyncio.to_thread(_certificate, settings)
        except OSError:
            log.exception("the certificate could not be looked at; it is tried again")


def _certificate(settings: Appliance) -> CertificateFiles:
    listen = settings.listen
    if listen.certificate is not None:
        return CertificateFiles(listen.certificate.file, listen.certificate.key)
    assert listen.self_made is not None, "the settings were checked: it is one of the two"
    return certificates.ensure_self_made(listen.self_made.directory, listen.self_made.names)
