"""The command ``provisioning/run``: sets up, starts an appliance with all roles, fills it, and says how to get in."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from provisioning.installation import ROOT, enter_environment, or_complain
from provisioning.progress import Refusal, say

if TYPE_CHECKING:  # at run time only once the virtual environment is there
    from provisioning.county import Box
    from provisioning.data_folder import DataFolder, FirstAccount, Place

    Served = DataFolder | Box

_APPLIANCE = [str(ROOT / ".venv" / "bin" / "appliance")]
_READY_TIMEOUT_S = 120.0
"""The render process compiles its shaders before it is ready; on a slow machine without a GPU that takes a while."""
_STOP_TIMEOUT_S = 30.0
_SHOWN_LINES = 12


def main() -> int:
    """The exit status."""
    arguments = _parse()
    return or_complain(lambda: _demonstrate(arguments))


def _parse() -> argparse.Namespace:
    text = "Sets everything up, starts all roles here and says how to get in. Ctrl-C stops it."
    parser = argparse.ArgumentParser(prog="provisioning/run", description=text)
    parser.add_argument("--dicom", type=Path, metavar="DIR", help="import this folder; without it: samples, once")
    parser.add_argument("--address", metavar="A", help="listen here (127.0.0.1); 0.0.0.0 for every address")
    parser.add_argument("--port", type=int, metavar="N", help="TCP and UDP port (8443)")
    parser.add_argument("--data", type=Path, default=ROOT / "data", metavar="DIR", help="keep everything here (data)")
    parser.add_argument("--clinics", type=int, metavar="N", help="a central box and N clinics' boxes, a process each")
    arguments = parser.parse_args()
    if arguments.dicom is not None and not arguments.dicom.exists():
        parser.error(f"--dicom: there is no {arguments.dicom}")
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        parser.error("--port: is a number from 1 to 65535")
    if arguments.clinics is not None and (not 1 <= arguments.clinics <= 9 or arguments.dicom is not None):
        parser.error("--clinics: is a number from 1 to 9, and comes without --dicom")
    return arguments


def _demonstrate(arguments: argparse.Namespace) -> int:
    enter_environment("provisioning.demonstration", sys.argv[1:])
    from provisioning.data_folder import DataFolder

    if arguments.clinics is not None:
        return _demonstrate_county(arguments)
    data = DataFolder(arguments.data.absolute(), ROOT / "config" / "all-in-one.yaml")
    place = data.prepare(arguments.address, arguments.port)
    _check_settings(data.settings_file)
    refuse_used_port(place)
    account = data.first_account() or data.make_first_account(_APPLIANCE)
    with serving(data, place, _APPLIANCE) as server:
        _fill(data, arguments.dicom, place)
        _say_how_to_get_in(data, place, account)
        return _wait(server, data)


def _demonstrate_county(arguments: argparse.Namespace) -> int:
    from provisioning import county
    from provisioning.data_folder import Place

    place = Place(arguments.address or "127.0.0.1", arguments.port if arguments.port is not None else 8443)
    made = county.County(
        arguments.data.absolute() / "county", ROOT / "config" / "all-in-one.yaml", arguments.clinics, place
    )
    for box in made.boxes:
        refuse_used_port(box.place)
    with county.running(made, _APPLIANCE, serving) as people:
        county.fill(made, _APPLIANCE, county.write_samples)
        county.say_how_to_get_in(made, people)
        try:
            signal.pause()
        except KeyboardInterrupt:
            say("\nStopping")
    return 0


def _check_settings(settings: Path) -> None:
    checked = subprocess.run([*_APPLIANCE, "check-config", str(settings)], text=True, capture_output=True, check=False)
    if checked.returncode != 0:
        raise Refusal(checked.stderr.strip(), f"mend {settings}, or remove it to have it written again")


def refuse_used_port(place: Place) -> None:
    """Refusal, naming another port, unless the place is free for TCP and UDP."""
    try:
        found = socket.getaddrinfo(place.address, place.port, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        raise Refusal(f"{place.address} is no address of this machine", "leave --address out, or 0.0.0.0") from error
    family, _, _, _, where = found[0]
    for kind, name in ((socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")):
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                # As servers do: a port that only waits for late packets of closed connections counts as free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except PermissionError as error:
                raise Refusal(f"Port {place.port} needs root", "provisioning/run --port 8443") from error
            except OSError as error:
                mend = f"stop what listens there, or: provisioning/run --port {place.port + 1}"
                raise Refusal(f"{name} port {place.port} of {place.address} is in use", mend) from error


@contextlib.contextmanager
def serving(
    data: Served, place: Place, appliance: list[str], timeout_s: float = _READY_TIMEOUT_S
) -> Iterator[subprocess.Popen[bytes]]:
    """The command line ``appliance``, ready within ``timeout_s``; told to stop, and waited for, at the end."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))  # as an exception, so that what follows is undone
    with data.log_file.open("wb") as log:
        command = [*appliance, "serve", "--config", str(data.settings_file)]
        # A group of its own: Ctrl-C reaches us only, and we stop it once and in order.
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, stdout=log, start_new_session=True)
    try:
        _await_ready(server, data, place, timeout_s)
        yield server
    finally:
        _stop(server)


def _await_ready(server: subprocess.Popen[bytes], data: Served, place: Place, timeout_s: float) -> None:
    started = time.monotonic()
    said = False
    while not _is_ready(place, data.authority):
        if server.poll() is not None:
            raise Refusal(f"The appliance ended while starting:\n{_tail(data.log_file)}", f"look into {data.log_file}")
        if time.monotonic() - started > timeout_s:
            what = f"The appliance is not ready after {timeout_s:.0f} s:\n{_tail(data.log_file)}"
            raise Refusal(what, f"look into {data.log_file}")
        if not said and time.monotonic() - started > 2:
            said = True
            say("Starting …")
        time.sleep(0.2)


def _is_ready(place: Place, authority: Path) -> bool:
    """Whether ``/readyz`` says so, asked over TLS that is checked against the appliance's own authority."""
    host = "127.0.0.1" if place.host == "localhost" or place.address in ("0.0.0.0", "::") else place.host  # noqa: S104
    try:
        context = ssl.create_default_context(cafile=str(authority))
        # No proxy: what the environment names is for the world outside.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(f"https://{host}:{place.port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _fill(data: DataFolder, dicom: Path | None, place: Place) -> None:
    """Imports the folder that was named; without one samples, the first time."""
    if dicom is not None:
        say(f"Importing {dicom}; {place.base_url} can be used meanwhile")
        import_folder(data, dicom, _APPLIANCE)
    elif not data.is_filled:
        with tempfile.TemporaryDirectory(dir=data.settings_file.parent, prefix="samples-") as folder:
            _make_samples(Path(folder))
            say("Importing the samples")
            import_folder(data, Path(folder), _APPLIANCE)


def _make_samples(folder: Path) -> None:
    from tqdm import tqdm

    from provisioning import samples

    for image in samples.real_images():
        shutil.copy(image, folder)
    say("Making a body: a CT by calculation")
    slices = samples.DEMONSTRATED.size.slices
    interval_s = 0.1 if sys.stderr.isatty() else 10.0  # without a terminal every state is a line
    shown = tqdm(
        samples.write_phantom(folder / "phantom"), total=slices, unit=" slices", mininterval=interval_s, ncols=80
    )
    for _ in shown:
        pass


def import_folder(data: DataFolder, folder: Path, appliance: list[str]) -> None:
    """All DICOM in the folder is kept; Refusal where the command line ``appliance`` could not."""
    done = subprocess.run([*appliance, "import", "--config", str(data.settings_file), str(folder)], check=False)
    if done.returncode != 0:
        raise Refusal(
            f"Importing {folder} ended with status {done.returncode}", "see the line above; then run this again"
        )
    data.mark_filled()


def _say_how_to_get_in(data: DataFolder, place: Place, account: FirstAccount) -> None:
    say("")
    say(f"  Address   {place.base_url}")
    say(f"  Account   {account.username}")
    say(f"  Password  {account.password}")
    say("")
    say("The certificate is of its own making. Either accept the browser's warning, or let the browser trust")
    say(f"  {data.authority}")
    say("  Chromium, Chrome: Settings, Privacy and security, Security, Manage certificates, import as trusted")
    say("  Firefox: Settings, Privacy & Security, View Certificates, Authorities, Import")
    say("Browsers speak HTTP/2 to such a certificate; HTTP/3 needs one of a public authority.")
    say(f"What the appliance says goes to {data.log_file}. Ctrl-C stops it.")


def _wait(server: subprocess.Popen[bytes], data: DataFolder) -> int:
    """0 when we were asked to stop; Refusal when the appliance ended by itself."""
    try:
        status = server.wait()
    except KeyboardInterrupt:
        say("\nStopping")
        return 0
    what = f"The appliance ended by itself with status {status}:\n{_tail(data.log_file)}"
    raise Refusal(what, f"look into {data.log_file}, then run this again")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """The appliance has ended: by itself after SIGTERM, by force when it takes too long. A second Ctrl-C is not heeded."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server.terminate()
        try:
            server.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            say(f"It does not stop within {_STOP_TIMEOUT_S:.0f} s and is ended by force")
            server.kill()
            server.wait()
    finally:
        signal.signal(signal.SIGINT, previous)


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
    return "\n".join(f"    {line}" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
