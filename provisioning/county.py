"""``provisioning/run --clinics N``: a central box and the boxes of some clinics, each a process of its own, on one machine.

They know each other as boxes of a county would: the clinics are enrolled at the central one, they have host names of their own
(``clinic-1.localhost``, which browsers take for this machine), and one person has images at all of them, known by the number of
an insurer. What an all-in-one demonstration keeps in a folder, each box keeps in one of its own below it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from provisioning.data_folder import Place, make_password, read_settings, write_private
from provisioning.progress import Refusal, say

INSURER = "DEMONSTRATION-HEALTH"
"""Whose numbers mean the same person at every clinic of a demonstration."""
CENTRAL_USER = "chief"
_ROLES = ("toplevel", "institution", "node")


@dataclass(frozen=True)
class Box:
    """The folder of one process."""

    folder: Path
    place: Place
    host: str
    """By which browsers know it."""

    @property
    def settings_file(self) -> Path:
        return self.folder / "appliance.yaml"

    @property
    def log_file(self) -> Path:
        return self.folder / "appliance.log"

    @property
    def authority(self) -> Path:
        return self.folder.parent / "certificates" / "authority.pem"

    @property
    def origin(self) -> str:
        return f"https://{self.host}:{self.place.port}"

    @property
    def filled_mark(self) -> Path:
        return self.folder / "filled"


@dataclass(frozen=True)
class Person:
    """An account of the demonstration, and whose it is."""

    username: str
    password: str
    roles: str
    clinic: int | None
    """Counted from 1; None of the central box."""


class County:
    """The folders of all boxes, and their settings."""

    def __init__(self, folder: Path, template: Path, clinics: int, place: Place) -> None:
        self._folder = folder
        self._template = template
        is_local = place.host == "localhost"
        self.central = Box(folder / "central", place, place.host)
        self.clinics = [
            Box(
                folder / f"clinic-{number}",
                Place(place.address, place.port + number),
                f"clinic-{number}.localhost" if is_local else place.host,
            )
            for number in range(1, clinics + 1)
        ]

    @property
    def boxes(self) -> list[Box]:
        return [self.central, *self.clinics]

    def prepare(self) -> None:
        """All folders and settings are there; ids stay as they were."""
        names = list(dict.fromkeys([*(box.host for box in self.boxes), *self.central.place.certificate_names]))
        for number, box in enumerate(self.boxes):
            box.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            settings = self._settings(box, number, names)
            write_private(box.settings_file, "# Written by provisioning/run --clinics.\n" + yaml.safe_dump(settings))

    def people(self) -> list[Person]:
        """Who may log in, with the passwords that they had before, if they were made before."""
        known = {one.username: one for one in self._kept()}
        wanted: list[tuple[str, str, int | None]] = [(CENTRAL_USER, "superuser", None)]
        wanted += [(f"demo-{number}", "physician,administrator", number) for number in range(1, len(self.clinics) + 1)]
        return [known.get(name) or Person(name, make_password(), roles, at) for name, roles, at in wanted]

    def has(self, person: Person) -> bool:
        return person in self._kept()

    def keep(self, person: Person) -> None:
        """Their account was made, with this password."""
        write_private(self._people_file, json.dumps([vars(one) for one in (*self._kept(), person)]))

    @property
    def _people_file(self) -> Path:
        return self._folder / "people.json"

    def _kept(self) -> list[Person]:
        if not self._people_file.is_file():
            return []
        return [Person(**one) for one in json.loads(self._people_file.read_text())]

    def institution_id(self, clinic: Box) -> str:
        return str(read_settings(clinic.settings_file)["institution"]["id"])

    def _settings(self, box: Box, number: int, names: list[str]) -> dict[str, Any]:
        settings = read_settings(self._template)
        is_central = number == 0
        roles = ["web", "toplevel"] if is_central else ["web", "institution", "node"]
        settings["roles"] = roles
        settings["listen"] |= {"address": box.place.address, "port": box.place.port}
        settings["listen"]["self_made"] = {"directory": "../certificates", "names": names}
        for role in _ROLES:
            if role not in roles:
                del settings[role]
            else:
                settings[role]["base_url"] = box.origin
        if is_central:
            settings["toplevel"]["insurers"] = [INSURER]
            settings["web"] = {"origins": [clinic.origin for clinic in self.clinics]}
        else:
            self._make_clinic(settings, box, number)
        return settings

    def _make_clinic(self, settings: dict[str, Any], box: Box, number: int) -> None:
        before = read_settings(box.settings_file) if box.settings_file.is_file() else None
        for role, name in (("institution", f"Clinic {number}"), ("node", f"Node of clinic {number}")):
            settings[role] |= {"name": name, "id": before[role]["id"] if before else str(uuid.uuid4())}
        settings["allowed_origins"] = [self.central.origin]
        settings["institution"]["new_patients"] = "create"
        settings["institution"]["parent"] = {
            "base_url": self.central.place.base_url,
            "key": "keys/institution.pem",
            "authorities": "../certificates/authority.pem",
        }


Serving = Callable[[Box, Place, list[str]], AbstractContextManager[subprocess.Popen[bytes]]]
"""A process of a box that is ready; stopped at the end."""


@contextlib.contextmanager
def running(county: County, appliance: list[str], serving: Serving) -> Iterator[list[Person]]:
    """All boxes are ready, the clinics are enrolled, and somebody may log in."""
    county.prepare()
    people = county.people()
    with contextlib.ExitStack() as stack:
        for one in people:
            if not county.has(one):
                _make_account(county, appliance, one)
                county.keep(one)
        stack.enter_context(serving(county.central, county.central.place, appliance))
        for clinic in county.clinics:
            if not (clinic.folder / "keys" / "institution.pem.parent").is_file():
                _enrol(county, clinic, appliance)
            stack.enter_context(serving(clinic, clinic.place, appliance))
        yield people


def fill(county: County, appliance: list[str], write: Callable[[int, Path], None]) -> None:
    """Each clinic has what ``write`` puts into a folder for it, counted from 1, once."""
    for number, clinic in enumerate(county.clinics, 1):
        if clinic.filled_mark.exists():
            continue
        with tempfile.TemporaryDirectory(dir=clinic.folder, prefix="samples-") as folder:
            write(number, Path(folder))
            say(f"Importing samples at clinic {number}")
            _run(appliance, "import", "--config", str(clinic.settings_file), folder)
        clinic.filled_mark.touch()


def say_how_to_get_in(county: County, people: list[Person]) -> None:
    say("")
    say(f"  Address   {county.central.origin}")
    for number, clinic in enumerate(county.clinics, 1):
        say(f"  Clinic {number}  {clinic.origin}   its own address, also while the central box is dark")
    for one in people:
        at = f"clinic {one.clinic}" if one.clinic else "the central box, superuser"
        say(f"  Account   {one.username}   password  {one.password}   {at}")
    say("")
    say("The certificate of all of them is of its own making. Let the browser trust")
    say(f"  {county.central.authority}")
    say(
        f"What the boxes say goes to appliance.log in the folders below {county.central.folder.parent}. Ctrl-C stops them."
    )


def _make_account(county: County, appliance: list[str], one: Person) -> None:
    at = ["--institution", county.institution_id(county.clinics[one.clinic - 1])] if one.clinic else []
    _run(
        appliance, "create-account", "--config", str(county.central.settings_file), "--username", one.username,
        "--given-name", "Demo", "--family-name", one.username.title(), "--roles", one.roles, "--password-stdin", *at,
        stdin=one.password + "\n",
    )  # fmt: skip


def _enrol(county: County, clinic: Box, appliance: list[str]) -> None:
    token = _run(appliance, "enrolment-token", "--config", str(county.central.settings_file))
    parent = county.central.place.base_url
    _run(appliance, "enrol", "--config", str(clinic.settings_file), "--toplevel", parent, "--token", "-", stdin=token)


def _run(appliance: list[str], *arguments: str, stdin: str = "") -> str:
    """What a command of the appliance printed; Refusal with what it said where it failed."""
    done = subprocess.run([*appliance, *arguments], input=stdin, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr or done.stdout).strip()
        raise Refusal(
            f"appliance {arguments[0]}: {reason}", "move the folder away to begin anew, or name another with --data"
        )
    return done.stdout


def write_samples(number: int, folder: Path) -> None:
    """For clinic ``number``: the same body at each, in slices of its own thickness, under the number that an insurer gave."""
    import pydicom

    from provisioning.phantom import Phantom, Size, write_files

    size = Size(
        slices=60 - 10 * (number - 1), rows=256, columns=256, pixel_spacing_mm=1.56, slice_spacing_mm=5.0 + number
    )
    for path in write_files(Phantom(size), folder):
        ds = pydicom.dcmread(path)
        ds.IssuerOfPatientID = INSURER
        ds.save_as(path, enforce_file_format=True)
