"""What was measured, at the doors of an institution: kept, shown to others, changed and removed."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx
import pytest

from appliance.domain.accounts import Role
from appliance.domain.changes import MeasurementsWanted
from tests.http.central import CLINIC, NODE, OTHER_CLINIC, client_of, deliver_a_study, node_of, settings_in
from tests.http.test_reports import token

ONE, OTHER = str(UUID(int=71)), str(UUID(int=72))
LENGTH = {
    "study_uid": "1.2.3",
    "series_uid": "1.2.3.1",
    "instance_uid": "1.2.3.1.1",
    "frame": 1,
    "kind": "length",
    "points": [[10.5, 20.25], [100.0, 20.25]],
}
PEOPLE = (
    ("ana", Role.PHYSICIAN, CLINIC),
    ("eva", Role.PHYSICIAN, CLINIC),
    ("adam", Role.ADMINISTRATOR, CLINIC),
    ("ivo", Role.PHYSICIAN, OTHER_CLINIC),
)


@dataclass
class Clinic:
    client: httpx.AsyncClient
    folder: Path
    node_key: Path
    tokens: dict[str, dict[str, str]]

    async def keep(self, seen: str | None = "*", by: str = "ana", one: str = ONE, **changes: Any) -> httpx.Response:
        return await self._ask("PUT", one, seen, by, {**LENGTH, **changes})

    async def remove(self, seen: str | None, by: str = "ana", one: str = ONE) -> httpx.Response:
        return await self._ask("DELETE", one, seen, by)

    async def listed(self, by: str = "ana", study: str = "1.2.3") -> httpx.Response:
        return await self.client.get(f"/api/studies/{study}/measurements", headers=self.tokens[by])

    async def ids(self, by: str = "ana") -> list[str]:
        return [one["id"] for one in (await self.listed(by)).json()["measurements"]]

    async def wait_for_patient(self) -> None:
        """Until it is known whose the study is."""
        found: list[Any] = []
        while not found:
            answer = await self.client.get("/api/patients", params={"search": "muller"}, headers=self.tokens["ana"])
            found = answer.json()["patients"]

    async def _ask(self, method: str, one: str, seen: str | None, by: str, body: Any = None) -> httpx.Response:
        conditions = {} if seen is None else {"If-None-Match": "*"} if seen == "*" else {"If-Match": seen}
        headers = {**self.tokens[by], **conditions}
        return await self.client.request(method, f"/api/measurements/{one}", headers=headers, json=body)

    def events(self) -> list[tuple[str, str, str]]:
        with closing(sqlite3.connect(self.folder / "institution.sqlite")) as rows:
            wanted = "SELECT action, outcome, subject_uid FROM audit WHERE action LIKE '%measure%' ORDER BY sequence"
            return list(rows.execute(wanted))


async def opened(
    folder: Path, node_key: Path, new_patients: Literal["inbox", "create"] = "create"
) -> AsyncIterator[Clinic]:
    async with client_of(settings_in(folder, new_patients)) as client:
        tokens = {
            name: token(folder, UUID(int=number), name, role, institution_id)
            for number, (name, role, institution_id) in enumerate(PEOPLE, start=50)
        }
        await deliver_a_study(client, node_key)
        yield Clinic(client, folder, node_key, tokens)


@pytest.fixture
async def clinic(folder: Path, node_key: Path) -> AsyncIterator[Clinic]:
    async for one in opened(folder, node_key):
        yield one


async def test_it_is_kept_moved_and_removed(clinic: Clinic) -> None:
    kept = await clinic.keep()
    moved = await clinic.keep(kept.headers["ETag"], points=[[0, 0], [3, 4]])
    seen = (await clinic.listed()).json()["measurements"]
    removed = await clinic.remove(moved.headers["ETag"])

    assert (kept.status_code, moved.status_code, removed.status_code) == (201, 200, 204)
    assert kept.headers["ETag"] != moved.headers["ETag"]
    assert seen == [moved.json()]
    assert {name: seen[0][name] for name in LENGTH} == {**LENGTH, "points": [[0, 0], [3, 4]]}
    assert seen[0]["author"]["name"] == "Ana Anić"
    assert await clinic.ids() == []


async def test_it_is_shown_to_everybody_who_may_see_the_study(clinic: Clinic) -> None:
    await clinic.keep()
    await clinic.wait_for_patient()

    assert [await clinic.ids(name) for name in ("ana", "eva", "ivo")] == [[ONE]] * 3
    assert (await clinic.listed("adam")).json()["type"] == "missing-right"


async def test_a_lost_acknowledgement_makes_nothing_twice(clinic: Clinic) -> None:
    first = await clinic.keep()
    again = await clinic.keep()
    moved = await clinic.keep(first.headers["ETag"], text="node")
    moved_again = await clinic.keep(first.headers["ETag"], text="node")

    assert again.json() == first.json()
    assert moved_again.json() == moved.json()
    assert await clinic.ids() == [ONE]


async def test_what_was_changed_meanwhile_is_not_overwritten(clinic: Clinic) -> None:
    first = await clinic.keep()
    await clinic.keep(first.headers["ETag"], text="mine, elsewhere")

    late = await clinic.keep(first.headers["ETag"], text="late")
    removed = await clinic.remove(first.headers["ETag"])

    assert [one.status_code for one in (late, removed)] == [412, 412]
    assert late.json()["tag"] == "2"
    assert (await clinic.listed()).json()["measurements"][0]["text"] == "mine, elsewhere"


async def test_a_change_says_what_it_was_made_from(clinic: Clinic) -> None:
    assert (await clinic.keep(None)).status_code == 428
    assert (await clinic.keep('"1"')).json()["type"] == "no-such-measurement"
    await clinic.keep()
    assert (await clinic.remove(None)).status_code == 428


async def test_nobody_moves_or_removes_what_another_physician_measured(clinic: Clinic) -> None:
    tag = (await clinic.keep()).headers["ETag"]

    moved, removed = await clinic.keep(tag, "eva", text="x"), await clinic.remove(tag, "eva")

    assert [one.json()["type"] for one in (moved, removed)] == ["measurement-of-another"] * 2
    assert moved.json()["by"] == "Ana Anić"


async def test_an_administrator_of_the_institution_removes_it(clinic: Clinic) -> None:
    tag = (await clinic.keep()).headers["ETag"]

    assert (await clinic.remove(tag, "adam")).status_code == 204
    assert await clinic.ids() == []


async def test_people_of_other_institutions_keep_nothing_here(clinic: Clinic) -> None:
    tag = (await clinic.keep()).headers["ETag"]

    kept, removed = await clinic.keep(by="ivo", one=OTHER), await clinic.remove(tag, "ivo")

    assert [one.json()["type"] for one in (kept, removed)] == ["other-institution"] * 2


async def test_it_stays_in_its_picture(clinic: Clinic) -> None:
    tag = (await clinic.keep()).headers["ETag"]

    for elsewhere in ({"instance_uid": "1.2.3.1.2"}, {"frame": 2}, {"kind": "arrow"}):
        assert (await clinic.keep(tag, **elsewhere)).json()["type"] == "other-picture"


async def test_of_a_study_that_nobody_holds_nothing_is_kept(clinic: Clinic) -> None:
    assert (await clinic.keep(study_uid="9.9.9")).status_code == 404
    assert (await clinic.listed(study="9.9.9")).status_code == 404


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"points": [[0, 0]]}, "points"),
        ({"frame": 0}, "frame"),
        ({"frame": 2**31}, "frame"),
        ({"text": "x" * 501}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"kind": "text", "points": [[0, 0]], "text": " "}, "text"),
        ({"length_mm": 5}, "length_mm"),
        ({"kind": "calibration"}, "length_mm"),
        ({"kind": "calibration", "length_mm": -1}, "length_mm"),
        ({"kind": "calibration", "length_mm": 5, "points": [[1, 1], [1, 1]]}, "length_mm"),
        ({"series_uid": "x"}, "series_uid"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_by_name(clinic: Clinic, changes: dict[str, Any], parameter: str) -> None:
    answer = await clinic.keep(**changes)

    assert (answer.status_code, answer.json()["parameter"]) == (400, parameter)


async def test_what_is_no_kind_is_refused(clinic: Clinic) -> None:
    assert (await clinic.keep(kind="spline")).status_code == 400
    assert (await clinic.keep(points=[["a", 0], [1, 1]])).status_code == 400


async def test_it_is_on_record_who_measured_and_who_removed(clinic: Clinic) -> None:
    tag = (await clinic.keep()).headers["ETag"]
    await clinic.keep()  # acknowledged once more, and nothing new
    await clinic.listed("eva")
    await clinic.keep(by="ivo", one=OTHER)
    await clinic.remove(tag)

    assert clinic.events() == [
        ("measure", "done", ONE),
        ("read-measurements", "done", "1.2.3"),
        ("measure", "refused", OTHER),
        ("delete-measurement", "done", ONE),
    ]


async def test_what_waits_for_its_patient_is_seen_at_home_only(folder: Path, node_key: Path) -> None:
    async for clinic in opened(folder, node_key, "inbox"):
        await clinic.keep()

        assert await clinic.ids("eva") == [ONE]
        assert (await clinic.listed("ivo")).status_code == 404


async def test_a_node_hears_what_was_measured_in_its_studies_and_in_no_others(clinic: Clinic) -> None:
    await clinic.keep()
    node = node_of(clinic.client, clinic.node_key)

    (told,) = (await node.measurements(MeasurementsWanted(NODE, "1.2.3"))).measurements
    others = (await node.measurements(MeasurementsWanted(NODE, "9.9.9"))).measurements

    assert (str(told.id), told.drawn.points, told.author.name) == (ONE, ((10.5, 20.25), (100.0, 20.25)), "Ana Anić")
    assert others == ()
