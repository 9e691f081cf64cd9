"""The folder of a demonstration: its settings, its first account, and whether anything was imported into it."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import uuid
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from provisioning.progress import Refusal

USERNAME = "demo"
_SYLLABLES = tuple(consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou")
_PASSWORD_SYLLABLES = 10
"""Of 70 syllables: 61 bits, and still read out over the phone."""
_HEAD = (
    "# Written by provisioning/run from config/all-in-one.yaml, where every key is explained. Change it as you like.\n"
)


@dataclass(frozen=True)
class Place:
    """Where browsers come in."""

    address: str
    port: int

    @property
    def host(self) -> str:
        """The name under which they do so: this machine's where every address is listened on."""
        if not _is_address(self.address):
            return self.address
        address = ip_address(self.address)
        if address.is_loopback:
            return "localhost"
        return socket.gethostname() if address.is_unspecified else self.address

    @property
    def base_url(self) -> str:
        """What they type."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    @property
    def certificate_names(self) -> list[str]:
        """What the certificate is made for."""
        return list(dict.fromkeys([self.host, "localhost", "127.0.0.1"]))


@dataclass(frozen=True)
class FirstAccount:
    """The account that a new demonstration has."""

    username: str
    password: str


class DataFolder:
    """Everything that a demonstration keeps. Readable by its owner only: it holds keys and a password."""

    def __init__(self, folder: Path, template: Path) -> None:
        self._template = template
        self._folder = folder
        self.settings_file = folder / "appliance.yaml"
        self.log_file = folder / "appliance.log"
        self.authority = folder / "certificates" / "authority.pem"
        self._account_file = folder / "first-account.json"
        self._filled_mark = folder / "filled"

    def prepare(self, address: str | None, port: int | None) -> Place:
        """The folder and its settings exist; where they were before, only what is not None changes in them."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not self.settings_file.is_file()
        settings = self._new_settings() if is_new else read_settings(self.settings_file)
        try:
            listen = settings["listen"]
            place = Place(address or listen["address"], port if port is not None else listen["port"])
            if is_new or place != Place(listen["address"], listen["port"]):
                _point_at(settings, place)
                write_private(self.settings_file, _HEAD + yaml.safe_dump(settings, sort_keys=False))
        except (KeyError, TypeError) as error:
            mend = f"mend {self.settings_file}, or remove it to have it written again"
            raise Refusal(f"{self.settings_file} is not a file that was written here: {error}", mend) from error
        return place

    def first_account(self) -> FirstAccount | None:
        """The account that was made here, or None before it was."""
        if not self._account_file.is_file():
            return None
        return FirstAccount(**json.loads(self._account_file.read_text()))

    def make_first_account(self, appliance: list[str]) -> FirstAccount:
        """Makes the account with the command line ``appliance``; Refusal where it cannot be made.

        Its password is kept, so that it can be shown again: whoever can read the file can read the keys beside it as well.
        """
        account = FirstAccount(USERNAME, make_password())
        command = [*appliance, "create-account", "--config", str(self.settings_file), "--username", account.username]
        command += ["--given-name", "Demo", "--family-name", "Physician", "--roles", "physician,administrator"]
        command += ["--password-stdin"]
        made = subprocess.run(command, input=account.password + "\n", text=True, capture_output=True, check=False)
        if made.returncode != 0:
            reason = (made.stderr or made.stdout).strip()
            mend = f"move {self._folder} away to begin anew, or name another folder with --data"
            raise Refusal(f"The first account could not be made: {reason}", mend)
        write_private(self._account_file, json.dumps({"username": account.username, "password": account.password}))
        return account

    @property
    def is_filled(self) -> bool:
        """Whether something was imported once."""
        return self._filled_mark.exists()

    def mark_filled(self) -> None:
        """From now on ``is_filled``."""
        self._filled_mark.touch()

    def _new_settings(self) -> dict[str, Any]:
        settings = read_settings(self._template)
        settings["institution"]["id"] = str(uuid.uuid4())
        settings["institution"]["new_patients"] = "create"  # a demonstration begins with patients, not with work
        settings["node"]["id"] = str(uuid.uuid4())
        return settings


def make_password() -> str:
    """A random password that is easy to read and to type."""
    syllables = [secrets.choice(_SYLLABLES) for _ in range(_PASSWORD_SYLLABLES)]
    return "-".join(one + two for one, two in zip(syllables[::2], syllables[1::2], strict=True))


def _point_at(settings: dict[str, Any], place: Place) -> None:
    settings["listen"] |= {"address": place.address, "port": place.port}
    settings["listen"]["self_made"]["names"] = place.certificate_names
    for role in ("toplevel", "institution", "node"):
        settings[role]["base_url"] = place.base_url


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def read_settings(file: Path) -> dict[str, Any]:  # Any: YAML; the appliance itself checks it
    """What stands in a settings file; Refusal where it is not YAML."""
    try:
        settings = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise Refusal(f"{file} is not YAML: {error}", f"mend {file}, or remove it to have it written again") from error
    return settings if isinstance(settings, dict) else {}


def write_private(file: Path, text: str) -> None:
    """Writes ``text`` so that the file is either the old or the new one, and never readable by others."""
    temporary = file.with_name(file.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(file)
