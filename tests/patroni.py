"""Three PostgreSQL under Patroni and etcd of Debian, on free ports, in a folder of their own, and gone with the tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import yaml

from tests.end_to_end.running import free_port
from tests.postgresql import PostgresqlMissing, owner_of_servers, server_programs

_USER = "appliance"
_READY_TIMEOUT_S = 240
_STOP_TIMEOUT_S = 60
_PATRONI, _ETCD = Path("/usr/bin/patroni"), Path("/usr/bin/etcd")
TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 20, 5, 5
"""So long a leader that says nothing stays leader; how often each looks; how long it tries."""


@dataclass
class Member:
    """One Patroni with its PostgreSQL."""

    name: str
    folder: Path
    port: int = field(default_factory=free_port)
    rest_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def state(self) -> dict[str, object]:
        """What it says of itself; nothing where it does not answer."""
        try:
            return dict(httpx.get(f"http://127.0.0.1:{self.rest_port}/patroni", timeout=5).json())
        except (httpx.HTTPError, ValueError):
            return {}

    @property
    def postmaster(self) -> int | None:
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        return None

    def kill(self) -> None:
        """Patroni and its PostgreSQL, with no time to tidy up."""
        pids = [self.process.pid if self.process else None, self.postmaster]
        for pid in pids:
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


@dataclass
class Cluster:
    members: list[Member]

    def url(self, database: str) -> str:
        """By which libpq finds whichever of them takes writes."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        return f"postgresql://{_USER}@{hosts}/{database}?target_session_attrs=read-write&connect_timeout=3"

    def leader(self) -> Member:
        (found,) = [one for one in self.members if one.state().get("role") in ("master", "primary")]
        return found

    def wait_until_whole(self) -> None:
        """One leads, two follow, and one of those has every row before it is acknowledged."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while True:
            states = [member.state() for member in self.members]
            roles = sorted(str(state.get("role")) for state in states if state.get("state") == "running")
            if roles in (["master", "replica", "replica"], ["primary", "replica", "replica"]) and any(
                state.get("sync_standby") for state in states
            ):
                return
            assert time.monotonic() < deadline, f"the cluster is not whole: {states}"
            time.sleep(0.5)


@contextlib.contextmanager
def running_patroni(members: int = 3) -> Iterator[Cluster]:
    """A cluster with synchronous replication that runs as long as the context. Raises PostgresqlMissing."""
    if not (_PATRONI.exists() and _ETCD.exists()):
        raise PostgresqlMissing("this test needs Patroni and etcd: apt-get install patroni etcd-server python3-etcd")
    programs = server_programs()
    owner = owner_of_servers()
    folder = Path(tempfile.mkdtemp(prefix="patroni-"))
    if owner is not None:
        os.chown(folder, owner, -1)
    etcd_port, peer_port = free_port(), free_port()
    cluster = Cluster([Member(f"member{number}", folder / f"member{number}") for number in range(1, members + 1)])
    etcd = subprocess.Popen(
        [_ETCD, "--data-dir", folder / "etcd", "--listen-client-urls", f"http://127.0.0.1:{etcd_port}",
         "--advertise-client-urls", f"http://127.0.0.1:{etcd_port}", "--listen-peer-urls", f"http://127.0.0.1:{peer_port}",
         "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer_port}",
         "--initial-cluster", f"default=http://127.0.0.1:{peer_port}"],
        user=owner, cwd=folder, stdout=subprocess.DEVNULL, stderr=(folder / "etcd.log").open("wb"),
    )  # fmt: skip
    try:
        for member in cluster.members:
            _start(member, etcd_port, programs, owner)
        cluster.wait_until_whole()
        yield cluster
    finally:
        for member in cluster.members:
            if member.process is not None and member.process.poll() is None:
                member.process.terminate()
        for member in cluster.members:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if member.process is not None:
                    member.process.wait(_STOP_TIMEOUT_S)
            member.kill()
        etcd.kill()
        etcd.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _start(member: Member, etcd_port: int, programs: Path, owner: int | None) -> None:
    member.folder.mkdir()
    if owner is not None:
        os.chown(member.folder, owner, -1)
    trust = ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
    settings = {
        "scope": "county",
        "name": member.name,
        "restapi": {
            "listen": f"127.0.0.1:{member.rest_port}",
            "connect_address": f"127.0.0.1:{member.rest_port}",
        },
        "etcd3": {"host": f"127.0.0.1:{etcd_port}"},
        "bootstrap": {
            "dcs": {
                "ttl": TTL_S,
                "loop_wait": LOOP_WAIT_S,
                "retry_timeout": RETRY_TIMEOUT_S,
                "synchronous_mode": True,
                "postgresql": {"use_pg_rewind": True, "parameters": {"max_connections": 60}},
            },
            # the C locale: text in the order of its code points, as SQLite has it
            "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
            "pg_hba": trust,
        },
        "postgresql": {
            "listen": f"127.0.0.1:{member.port}",
            "connect_address": f"127.0.0.1:{member.port}",
            "data_dir": str(member.folder / "data"),
            "bin_dir": str(programs),
            "pgpass": str(member.folder / "pgpass"),
            "pg_hba": trust,
            "parameters": {"unix_socket_directories": str(member.folder)},
            "authentication": {
                "superuser": {"username": _USER, "password": "unused"},
                "replication": {"username": "replicator", "password": "unused"},
            },
        },
    }
    file = member.folder / "patroni.yaml"
    file.write_text(yaml.safe_dump(settings))
    if owner is not None:
        os.chown(file, owner, -1)
    member.process = subprocess.Popen(
        [_PATRONI, file],
        user=owner, cwd=member.folder, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=(member.folder / "patroni.log").open("wb"),
    )  # fmt: skip


def make_database(cluster: Cluster, name: str) -> str:
    """The URL of an empty database."""
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return cluster.url(name)
