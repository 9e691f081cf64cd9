"""PostgreSQL of Debian's package, started for the tests on a free port, in a folder of its own, and gone with them."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg

from tests.end_to_end.running import free_port

_PROGRAMS = Path("/usr/lib/postgresql")
_START_TIMEOUT_S = 60
_USER = "appliance"


class PostgresqlMissing(Exception):
    """The programs of the server are not on this machine."""


class Postgresql:
    """A running server; makes databases."""

    def __init__(self, port: int) -> None:
        self._base = f"postgresql://{_USER}@127.0.0.1:{port}"
        self._numbers = itertools.count(1)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert process.poll() is None, "PostgreSQL ended at once"
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(f"{self._base}/postgres").close()
                return
            time.sleep(0.05)
        raise AssertionError("PostgreSQL does not answer")

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(f"{self._base}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return f"{self._base}/{name}"


def new_cockroachdb(server: str) -> str:
    """The URL of an empty database at a server of CockroachDB, whose wire is PostgreSQL's."""
    name = f"test_{uuid4().hex}"
    base = server.rstrip("/")
    with psycopg.connect(
        base.replace("cockroachdb://", "postgresql://", 1) + "/defaultdb", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    return f"{base}/{name}"


@contextlib.contextmanager
def running_postgresql() -> Iterator[Postgresql]:
    """A server that runs as long as the context. Raises PostgresqlMissing."""
    programs = server_programs()
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    owner = owner_of_servers()
    if owner is not None:  # the server refuses to run as root
        os.chown(folder, owner, -1)
    port, data = free_port(), folder / "data"
    try:
        subprocess.run(
            # the C locale: text in the order of its code points, as SQLite has it
            [programs / "initdb", "-D", data, "-U", _USER, "--locale=C", "--encoding=UTF8", "--auth=trust", "--no-sync"],
            user=owner, cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), "-k", folder,
             "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            user=owner, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            server = Postgresql(port)
            server.wait(process)
            yield server
        finally:
            process.terminate()
            process.wait(_START_TIMEOUT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def server_programs() -> Path:
    """The folder of the newest server's programs. Raises PostgresqlMissing."""
    found = sorted(_PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise PostgresqlMissing("these tests need PostgreSQL: apt-get install postgresql")
    return found[-1].parent


def owner_of_servers() -> int | None:
    """An unprivileged user to run as; None where this process is one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise PostgresqlMissing("these tests need a user to run PostgreSQL as: postgres or nobody")
