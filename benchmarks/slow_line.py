"""How the page feels on a bad line: real Chromium, real packets, and what is seen judged by the pixels on the screen.

For each line (``benchmarks.line``: 2G, 4G and none) a browser with nothing in its cache opens a study of numbered slices over
HTTP/3. Server and browser share this machine; only the line between them is slow.

    cold_first_slice_s   from the address being opened, by somebody who is logged in, to the first slice that can be read
    slices_per_s         different slices on the screen, from the first to the last of those that a wheel passes at 30 notches
                         a second
    wheel_per_s          notches that reached the page
    dropped              slices that the wheel passed and that never were on the screen
    behind_s             from the last notch to its slice on the screen
    stop_to_exact_s      from the last notch to the picture without loss, of the slice where the wheel stopped
    stop_to_all_bits_s   the same to all its stored values, proven by their SHA-256
    wasted_bytes         that came over the line after a jump to the other end of the stack and before its picture, but not for it
    volume_frames_per_s  different pictures of a volume while a hand turns it, and what was asked for and taken back for them
    second_visit_s       cold_first_slice_s in a new browser that has been there before, its cache on the disk
    second_visit_bytes   of the line until then, with all that QUIC or TLS need
    heap_mb              of the page after all that, megabytes: JavaScript, its buffers and the engine's objects
    ohif                 the same of OHIF over Orthanc (``benchmarks.ohif``), on the same line, with the same files
    ratio_vs_ohif        by each figure how much better we are: theirs over ours where less is better, ours over theirs elsewhere

OHIF draws whole frames, so that its exact picture has all bits. It draws volumes in the page and needs all slices for it, which
would take minutes on a bad line: its volume is turned on the unshaped line only, and that figure stands for all. Nobody logs in
there. All of ours is measured first; what has not come 13 minutes after the begin is missing, and said to be.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import ohif
from benchmarks.line import PROFILES, Line, NoLine, enter, open_line
from benchmarks.ohif import NoOhif
from benchmarks.sitting import TURN, Figures, Sitting, written
from benchmarks.viewers import Ohif, Ours, Viewer
from provisioning.phantom import Phantom, Size, write_files
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance, all_in_one

Say = Callable[[str], None]
_LESS_IS_BETTER = {
    "cold_first_slice_s", "dropped", "behind_s", "stop_to_exact_s", "stop_to_all_bits_s", "wasted_bytes",
    "second_visit_s", "second_visit_bytes", "heap_mb",
}  # fmt: skip
_MORE_IS_BETTER = {"slices_per_s", "volume_frames_per_s"}


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    slices: int
    opens: int
    """Of our page, on each line."""
    opens_of_ohif: int


@dataclass(frozen=True)
class Place:
    """Where it is measured."""

    line: Line
    folder: Path
    bundle: Path | None
    """OHIF's files; None where it is left out."""
    say: Say
    ends_at: float
    """By ``time.monotonic``."""


_ENDS_AFTER_S = 13 * 60
_FULL = Extent(slices=241, opens=5, opens_of_ohif=3)
_QUICK = Extent(slices=61, opens=3, opens_of_ohif=1)


def measure(*, quick: bool, say: Say) -> dict[str, Any]:
    """The figures of each line. Ends the program where no line can be made."""
    missing: list[str] = []
    ends_at = time.monotonic() + _ENDS_AFTER_S
    bundle = _bundle(say, missing)  # before there is no way out to npm any more
    try:
        with open_line(PROFILES["none"]) as line, tempfile.TemporaryDirectory(prefix="slow-line-") as name:
            enter(line.near)  # the servers are started there; only the browser is at the far side
            place = Place(line, Path(name), bundle, say, ends_at)
            figures = asyncio.run(_measure(place, _QUICK if quick else _FULL, missing))
    except NoLine as reason:
        raise SystemExit(f"slow-line cannot be measured here: {reason}") from reason
    return {"slow-line": figures, "missing": missing}


def _bundle(say: Say, missing: list[str]) -> Path | None:
    """OHIF's files; None, with the reason said, where it cannot be measured."""
    try:
        if (reason := ohif.why_not()) is not None:
            raise NoOhif(reason)
        return ohif.bundle(say)
    except NoOhif as reason:
        missing.append(f"OHIF is not measured: {reason}")
        say(missing[-1])
        return None


async def _measure(place: Place, extent: Extent, missing: list[str]) -> dict[str, Any]:
    folder, say = place.folder, place.say
    stack = Phantom(Size(extent.slices, 512, 512, 0.78, 2.5), marked=True)
    say(f"making {extent.slices} slices")
    files = list(write_files(stack, folder / "stack"))
    with ExitStack() as servers:
        viewers: list[tuple[Viewer, int]] = [(servers.enter_context(_ours(folder, stack)), extent.opens)]
        if place.bundle:
            theirs = servers.enter_context(_ohif(folder, place.bundle, files, stack))
            viewers.append((theirs, extent.opens_of_ohif))
        figures: dict[str, list[Figures]] = {name: [] for name in PROFILES}
        for viewer, opens in viewers:
            await Sitting(viewer, place.line, PROFILES["none"], folder, say, place.ends_at).warm()
            for name, profile in PROFILES.items():
                if time.monotonic() >= place.ends_at:  # not one browser is opened any more
                    missing.append(f"{name}, {viewer.name}: everything: no time was left")
                    figures[name].append({})
                    continue
                say(f"{name}, {viewer.name}: {profile}")
                sitting = Sitting(viewer, place.line, profile, folder, say, place.ends_at)
                figures[name].append(await sitting.figures(opens))
                missing += [f"{name}, {reason}" for reason in sitting.missing]
    return {name: compared(*_with_turn(found, figures["none"])) for name, found in figures.items()}


def _with_turn(found: list[Figures], unshaped: list[Figures]) -> list[Figures]:
    """Each viewer's figures, with those of turning a volume from the unshaped line where there are none."""
    return [
        here | {name: there.get(name) for name in TURN if name not in here}
        for here, there in zip(found, unshaped, strict=True)
    ]


def compared(ours: Figures, theirs: Figures | None = None) -> dict[str, Any]:
    """Ours, with theirs and the ratios: above 1 is in our favour."""
    if theirs is None:
        return {**ours, "ohif": None, "ratio_vs_ohif": None}
    ratios = {name: _ratio(name, value, theirs.get(name)) for name, value in ours.items() if name in _JUDGED}
    return {**ours, "ohif": theirs, "ratio_vs_ohif": ratios}


_JUDGED = _LESS_IS_BETTER | _MORE_IS_BETTER


def _ratio(name: str, ours: float | None, theirs: float | None) -> float | None:
    """None where one of them is missing, or what is divided by is nothing."""
    if ours is None or theirs is None:
        return None
    above, below = (theirs, ours) if name in _LESS_IS_BETTER else (ours, theirs)
    return round(above / below, 2) if below else None


def show(figures: dict[str, Any]) -> None:
    lines = figures["slow-line"]
    has_ohif = any(found["ohif"] for found in lines.values())
    columns = [(line, what) for line in lines for what in (("", "OHIF", "ratio") if has_ohif else ("",))]
    print(f"{'':22}" + "".join(f"{line + ' ' + what:>12}" for line, what in columns))
    for name in (name for name in next(iter(lines.values())) if name not in {"ohif", "ratio_vs_ohif"}):
        print(f"{name:22}" + "".join(f"{written(_cell(lines[line], what, name)):>12}" for line, what in columns))
    for reason in figures["missing"]:
        print(reason)


def _cell(found: dict[str, Any], what: str, name: str) -> float | None:
    of = {"": found, "OHIF": found["ohif"], "ratio": found["ratio_vs_ohif"]}[what]
    value: float | None = (of or {}).get(name)
    return value


# The servers


@contextmanager
def _ours(folder: Path, stack: Phantom) -> Iterator[Ours]:
    """An appliance with an account and the stack in ``folder``."""
    appliance = all_in_one(folder / "appliance")
    appliance.directory.mkdir()
    appliance.settings["listen"]["address"] = "0.0.0.0"  # of a namespace that nobody else is in
    appliance.create_account()
    try:
        appliance.start()
        appliance.take_in(folder / "stack")
        yield Ours(appliance, _path_of_study(appliance), stack)
    finally:
        appliance.kill()


def _path_of_study(appliance: RunningAppliance) -> str:
    with appliance.client() as client:
        grant = client.post("/api/session", json={"username": USERNAME, "password": PASSWORD}).raise_for_status().json()
        headers = {"Authorization": f"Bearer {grant['access_token']}"}
        patients = client.get("/api/patients", params={"search": "phantom"}, headers=headers).raise_for_status().json()
        patient = patients["patients"][0]["id"]
        studies = client.get(f"/api/patients/{patient}/studies", headers=headers).raise_for_status().json()
        study = studies["studies"][0]
    return f"/patients/{patient}/nodes/{study['node_id']}/studies/{study['study_uid']}"


@contextmanager
def _ohif(folder: Path, bundle: Path, files: list[Path], stack: Phantom) -> Iterator[Ohif]:
    with ohif.serving(folder / "clinic", bundle, files) as clinic:
        yield Ohif(clinic, stack)
