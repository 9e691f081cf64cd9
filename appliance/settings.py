"""The YAML file of an appliance, made into frozen typed values.

Unknown keys, wrong types, missing files and settings that contradict each other are refused with one line that says where.
Paths are relative to the file that names them. Every field has its unit in its name and its reason beside it.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import yaml

from appliance.domain.errors import SettingsError

Role = Literal["web", "toplevel", "institution", "node"]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=50)]

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30
_SQLITE = "sqlite:///"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What every settings block has in common: frozen, and no key that is not known."""


class SelfMadeCertificate(Settings, frozen=True):
    """A certificate of the appliance's own making, for a demonstration or a closed network.

    Browsers must be told to trust its root, and even then refuse HTTP/3 under a private root: they use HTTP/2.
    """

    directory: Path
    """Where the root, the certificate and their keys are kept."""
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    """Host names and addresses that it is valid for."""


class CertificateFiles(Settings, frozen=True):
    """A certificate that was supplied: the chain and its key, PEM."""

    file: Path
    key: Path


class Listen(Settings, frozen=True):
    """Where browsers come in: TCP for HTTP/1.1 and HTTP/2, UDP of the same port for HTTP/3."""

    certificate: CertificateFiles | None = None
    self_made: SelfMadeCertificate | None = None
    address: str = "127.0.0.1"
    """0.0.0.0 for every IPv4 address of the machine, :: for IPv6 and IPv4."""
    port: Port = 443
    drain_s: Positive = 10
    """How long requests in flight may go on after a stop was asked for."""
    processes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """How many hold the connections (TLS, HTTP, QUIC); with 1 the process of the application itself (docs/transport.md)."""


class Log(Settings, frozen=True):
    """What is written to standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """From info upwards nothing names a patient."""


class Web(Settings, frozen=True):
    """The page."""

    directory: Path | None = None
    """The built page; without it the one that the set-up builds beside the program."""
    origins: tuple[str, ...] = ()
    """Origins of institutions and nodes on other machines, which the page may talk to (its Content-Security-Policy)."""


class Parent(Settings, frozen=True):
    """The appliance above this one, when it is not in the same process."""

    base_url: str
    key: Path
    """This appliance's own Ed25519 private key, PEM. ``appliance enrol`` makes it, and FILE.parent beside it: the parent's."""
    authorities: Path | None = None
    """Certificates that the parent's is checked against, PEM; without it the system's."""


class Toplevel(Settings, frozen=True):
    """Accounts, patients, institutions and the keys that sign tokens."""

    base_url: str
    """Under which browsers reach it."""
    database: str
    """sqlite:///FILE, or postgresql://USER@HOST/NAME as libpq has it (UTF-8, locale C; the password better in its own file)."""
    signing_key: Path
    """Ed25519 private key of the access tokens, PEM; made at the first start."""
    access_token_s: Positive = 600
    """How long an access token is good; who is shut out is so within a minute, and after this where the line is down."""
    session_days: Positive = 7
    """How long a session is renewed without a password."""
    passkey_domain: str | None = None
    """Whose passkeys they are (WebAuthn's relying party id): the host name of ``base_url``, which it is by default, or a domain
    above it, so that they stay good when the host is named anew below that. With another one no passkey is good any more."""
    insurers: tuple[str, ...] = ()
    """Issuers (Issuer of Patient ID) whose numbers mean the same person at every institution."""


class Institution(Settings, frozen=True):
    """Reports, and the studies that the institution's nodes hold."""

    id: UUID
    name: str
    base_url: str
    database: str
    parent: Parent | None = None
    """The toplevel; none when it is in the same process."""
    new_patients: Literal["inbox", "create"] = "inbox"
    """What becomes of a study with a Patient ID that nobody knows: it waits for a physician, or it makes a patient, where it
    names one with a birth date. ``create`` is for an institution whose Patient IDs all come from a system of its own. What
    contradicts a patient who is known waits either way, and so does what has no Patient ID."""
    offline_hours: Positive = 72
    """So long after the toplevel was last heard the institution's own people are let in on what it said then: a weekend. Whom it
    shuts out while the line is down is out here after that and the ten minutes of a token, at the latest."""
    reports_elsewhere: Literal["open", "reason", "closed"] = "open"
    """What people of other institutions see of the reports here: all; all of a patient, for an hour, once they said why; or
    nothing."""


class Instances(Settings, frozen=True):
    """Where DICOM is kept."""

    directory: Path
    key: Path | None = None
    """File with the master key (32 bytes in hexadecimal), made at the first start. ``plain`` must be set to do without."""
    plain: bool = False
    """Bytes as they are, for a directory that is encrypted already (an OpenZFS data set)."""
    free_floor_bytes: int = GIBIBYTE
    """Nothing more is taken in when less than this is free."""
    instance_limit_bytes: Positive = 4 * GIBIBYTE
    """The largest single instance that is taken in."""


class Limits(Settings, frozen=True):
    """What comes in from outside may be so large; beyond it is a clear refusal, and nothing half stored.

    The bytes of one instance and the free space that is kept are in ``instances``.
    """

    request_bytes: Positive = 16 * GIBIBYTE
    """The body of one request that brings several instances: an archive."""
    archive_bytes: Positive = 64 * GIBIBYTE
    """What an archive may unpack to, counted while it is unpacked, whatever it says itself."""
    archive_members: Positive = 100_000
    """Files in one archive; a CD has some thousands."""
    nesting_depth: Positive = 64
    """Sequences in sequences; structured reports reach 20."""
    element_count: Positive = 1_000_000
    """Elements and items of one data set, at all levels, before the pixels."""
    frame_count: Positive = 100_000
    """Frames of one instance."""
    frame_pixels: Positive = 1 << 28
    """Rows times columns of one frame; the largest radiographs have a quarter of it."""


class Drawing(Settings, frozen=True):
    """The render processes."""

    processes: Positive = 1
    decoder_threads: Positive = 2
    encoder_threads: Positive = 2
    frame_cache_bytes: Positive = GIBIBYTE
    """Decoded frames, in each process."""
    texture_cache_bytes: Positive = 2 * GIBIBYTE
    """Volumes on the GPU, or in memory where software draws, in each process."""
    picture_cache_bytes: Positive = 64 * MEBIBYTE
    """Encoded pictures, in the process that answers browsers."""
    render_cache_directory: Path | None = None
    """Decoded frames and thumbnails on the disk; without it in the directory of the instances. Needs no backup."""
    render_cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = 8 * GIBIBYTE
    """On the disk, by all processes together; 0 keeps nothing and makes nothing ready ahead."""
    idle_release_s: Positive = 900
    """What nobody has used for so long is given back, whatever room there is."""
    frames_ahead: Annotated[int, msgspec.Meta(ge=0, le=16)] = 4
    """Frames that are made ready in the direction in which a viewer goes."""
    decode_memory_bytes: Annotated[int, msgspec.Meta(ge=512 * MEBIBYTE)] = 2 * GIBIBYTE
    """Address space of a process that decodes; a frame that needs more is refused."""
    make_ready_days: Positive = 2
    """So far back what came in is made ready after a start."""


Verb = Literal["echo", "store", "find", "get", "move", "commit"]
AeTitle = Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=r"^[!-\[\]-~](?:[ -\[\]-~]*[!-\[\]-~])?$")]
"""PS3.5 §6.2: at most 16 characters of ASCII without backslash; spaces around it would not count."""


class DimseTls(Settings, frozen=True):
    """DICOM over TLS (PS3.15 annex B); where it is set, the port speaks nothing else."""

    certificate: Path
    """The chain, PEM; also shown to the peers that this node calls."""
    key: Path
    authorities: Path | None = None
    """Certificates that a peer's is checked against, PEM. With it, a peer that shows none is not let in."""


class DimsePeer(Settings, frozen=True):
    """A device or an archive that may associate with this node."""

    ae_title: AeTitle
    hosts: tuple[str, ...]
    """Addresses or networks (192.0.2.7, 192.0.2.0/24) that it may come from."""
    verbs: tuple[Verb, ...] = ("echo", "store")
    """What it may ask for. ``move`` names who may ask; where instances may go are the peers that have a ``port``."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """Where it listens itself, on the first of its hosts: as a destination of C-MOVE, and for storage commitment."""
    tls: bool = False
    """Whether it listens with TLS."""


class DimseLimits(Settings, frozen=True):
    """What DIMSE may cost."""

    associations: Positive = 64
    """Open at once; one more is rejected as a passing state, so that its sender tries again."""
    idle_s: Positive = 60
    """A peer that says nothing, or does not take what it is sent, for so long is aborted."""
    pdu_bytes: Annotated[int, msgspec.Meta(ge=4096, le=16 * MEBIBYTE)] = 256 * 1024
    """The longest PDU that peers may send; a longer one ends the association."""


class Dimse(Settings, frozen=True):
    """The DICOM network of a node, in processes of its own. Who is not listed is rejected."""

    ae_title: AeTitle
    peers: tuple[DimsePeer, ...]
    address: str = "127.0.0.1"
    """0.0.0.0 for every IPv4 address of the machine, :: for IPv6 and IPv4."""
    port: Port = 11112
    """104 and 11112 are registered for DICOM, 2762 for DICOM over TLS."""
    processes: Positive = 2
    """They take connections in turn: Python runs one thread at a time, so several senders need several."""
    tls: DimseTls | None = None
    limits: DimseLimits = DimseLimits()


class DrawsFor(Settings, frozen=True):
    """The node that keeps the store which this one only draws from (docs/scaling.md)."""

    id: UUID
    database: str
    """Its index, which is only read: in PostgreSQL, or a standby of that; in SQLite on the same machine."""


class Node(Settings, frozen=True):
    """DICOM instances, their index, and the pictures of them."""

    id: UUID
    name: str
    base_url: str
    database: str
    instances: Instances
    institution_id: UUID | None = None
    """The institution that it belongs to; none when that is in the same process."""
    drawing: Drawing = Drawing()
    limits: Limits = Limits()
    dimse: Dimse | None = None
    """Without it there is no DIMSE."""
    parent: Parent | None = None
    """The institution; none when it is in the same process."""
    draws_for: DrawsFor | None = None
    """With it the node keeps nothing: ``instances`` is the store of another one, which is never written to."""


class Appliance(Settings, frozen=True):
    """One process: the roles it plays and what each needs."""

    roles: tuple[Role, ...]
    listen: Listen
    log: Log = Log()
    allowed_origins: tuple[str, ...] = ()
    """Pages of other origins that may ask this appliance: the toplevel's, for a clinic's box."""
    web: Web | None = None
    toplevel: Toplevel | None = None
    institution: Institution | None = None
    node: Node | None = None


def load(file: Path) -> Appliance:
    """The settings in ``file``, checked; SettingsError with one line that names the file and the place."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 text") from error
    try:
        plain = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise SettingsError(f"{file}{where}: is not YAML: {problem}") from error
    base = file.absolute().parent
    try:
        settings = msgspec.convert(plain, Appliance, dec_hook=lambda kind, value: _decode_path(kind, value, base))
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {_in_words(str(error))}") from error
    complaint = _contradiction(settings)
    if complaint:
        raise SettingsError(f"{file}: {complaint}")
    return _with_whole_urls(settings, base)


def _with_whole_urls(settings: Appliance, base: Path) -> Appliance:
    """``settings`` with SQLite files relative to ``base`` made absolute, as paths are."""
    blocks = {}
    for role in ("toplevel", "institution", "node"):
        block = getattr(settings, role)
        if block is not None and block.database.startswith(_SQLITE):
            blocks[role] = msgspec.structs.replace(block, database=_whole_url(block.database, base))
    node = blocks.get("node", settings.node)
    if node is not None and node.draws_for is not None:
        keeper = msgspec.structs.replace(node.draws_for, database=_whole_url(node.draws_for.database, base))
        blocks["node"] = msgspec.structs.replace(node, draws_for=keeper)
    return msgspec.structs.replace(settings, **blocks)


def _whole_url(url: str, base: Path) -> str:
    return f"{_SQLITE}{base / url.removeprefix(_SQLITE)}" if url.startswith(_SQLITE) else url


def _decode_path(kind: type, value: Any, base: Path) -> Path:  # Any: whatever YAML holds there
    if kind is Path and isinstance(value, str):
        return base / Path(value).expanduser()
    raise TypeError(f"expected a path, found {type(value).__name__}")


def _in_words(message: str) -> str:
    """msgspec's message with the place first and YAML's words for types."""
    text, _, place = message.partition(" - at `")
    place = place.rstrip("`").removeprefix("$").removeprefix(".")
    for json_word, yaml_word in (("Object", "It"), ("`object`", "a block"), ("`array`", "a list"), ("`str`", "text")):
        text = text.replace(json_word, yaml_word)
    return f"{place}: {text}" if place else text


def _contradiction(settings: Appliance) -> str | None:
    """What contradicts itself in ``settings``, or None."""
    roles = settings.roles
    if not roles:
        return "roles: names no role; choose from web, toplevel, institution, node"
    if len(set(roles)) != len(roles):
        return "roles: names a role twice"
    if (settings.listen.certificate is None) == (settings.listen.self_made is None):
        return "listen: needs exactly one of certificate and self_made"
    for role in ("toplevel", "institution", "node"):
        if role in roles and getattr(settings, role) is None:
            return f"{role}: is missing, and roles names it"
    for role in ("web", "toplevel", "institution", "node"):
        if role not in roles and getattr(settings, role) is not None:
            return f"{role}: is here, and roles does not name it"
    return (
        _wrong_parent("institution", "toplevel", settings.institution, roles)
        or _wrong_parent("node", "institution", settings.node, roles)
        or _wrong_passkey_domain(settings.toplevel)
        or _wrong_node(settings)
        or _missing_file(settings)
    )


def _wrong_parent(role: str, parent_role: str, block: Institution | Node | None, roles: tuple[Role, ...]) -> str | None:
    if block is None:
        return None
    if block.parent is None and parent_role not in roles:
        return f"{role}.parent: is missing, and no {parent_role} is in this process"
    if block.parent is not None and parent_role in roles:
        return f"{role}.parent: is here, and a {parent_role} is in this process"
    return None


def _wrong_passkey_domain(toplevel: Toplevel | None) -> str | None:
    domain = toplevel.passkey_domain if toplevel else None
    host = (urlsplit(toplevel.base_url).hostname or "") if toplevel else ""
    if domain is None:
        return None
    if _is_network(host):
        return "toplevel.passkey_domain: is here, and base_url has an address: passkeys belong to a host name"
    if not domain or not f".{host}".endswith(f".{domain}"):
        return (
            f"toplevel.passkey_domain: {domain!r} is neither {host}, the host name of base_url, nor a domain above it"
        )
    return None


def _wrong_node(settings: Appliance) -> str | None:
    node = settings.node
    if node is None:
        return None
    if node.instances.key is None and not node.instances.plain:
        return "node.instances: needs a key, or plain: true where the directory is encrypted already"
    if node.instances.key is not None and node.instances.plain:
        return "node.instances: has a key and plain: true; choose one"
    if node.institution_id is None and settings.institution is None:
        return "node.institution_id: is missing, and no institution is in this process"
    if node.draws_for is not None:
        return _wrong_drawing(node, node.draws_for)
    return None if node.dimse is None else _wrong_peer(node.dimse)


def _wrong_drawing(node: Node, keeper: DrawsFor) -> str | None:
    if keeper.id == node.id:
        return "node.draws_for.id: is the node's own"
    if keeper.database == node.database:
        return "node.draws_for.database: is the node's own, which it writes"
    if node.parent is None:
        return "node.draws_for: needs node.parent: a node that only draws is a process of its own"
    if node.dimse is not None:
        return "node.dimse: is here, and node.draws_for: such a node keeps nothing that peers could send or fetch"
    if node.drawing.render_cache_bytes and node.drawing.render_cache_directory is None:
        return "node.drawing.render_cache_directory: is missing, and the directory of the instances is another node's"
    return None


def _wrong_peer(dimse: Dimse) -> str | None:
    titles = [peer.ae_title for peer in dimse.peers]
    if len(set(titles)) != len(titles):
        return "node.dimse.peers: names an ae_title twice"
    for number, peer in enumerate(dimse.peers):
        place = f"node.dimse.peers[{number}]"
        if not peer.hosts:
            return f"{place}.hosts: names no host"
        for host in peer.hosts:
            if not _is_network(host):
                return f"{place}.hosts: {host!r} is neither an address nor a network"
        if peer.port is not None and "/" in peer.hosts[0]:
            return f"{place}.hosts: with a port, the first must be one address"
        if peer.tls and dimse.tls is None:
            return f"{place}.tls: needs node.dimse.tls"
    return None


def _is_network(host: str) -> bool:
    try:
        ipaddress.ip_network(host)
    except ValueError:
        return False
    return True


def _missing_file(settings: Appliance) -> str | None:
    """The first file that must be there and is not."""
    needed: list[tuple[str, Path | None]] = []
    if settings.listen.certificate:
        needed += [("listen.certificate.file", settings.listen.certificate.file)]
        needed += [("listen.certificate.key", settings.listen.certificate.key)]
    for role, block in (("institution", settings.institution), ("node", settings.node)):
        if block is not None and block.parent is not None:
            needed += [(f"{role}.parent.authorities", block.parent.authorities)]
    if settings.node is not None and settings.node.draws_for is not None:
        needed += [("node.instances.key", settings.node.instances.key)]
    tls = settings.node.dimse.tls if settings.node and settings.node.dimse else None
    if tls is not None:
        needed += [
            ("node.dimse.tls.certificate", tls.certificate),
            ("node.dimse.tls.key", tls.key),
            ("node.dimse.tls.authorities", tls.authorities),
        ]
    for place, path in needed:
        if path is not None and not path.is_file():
            return f"{place}: there is no file {path}"
    return None
