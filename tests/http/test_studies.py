"""A study as the viewer opens it: in one round trip, and small."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import brotli
import pytest

from tests.http.node_doors import NodeDoors, node_doors
from tests.services.node_parts import ct_slice, encoded

FILES = Path(__file__).resolve().parents[3] / "shared" / "dicom"
CHEST = FILES / "01-volumes" / "ct-chest-lidc-0314"


@pytest.fixture
async def doors(tmp_path: Path) -> AsyncIterator[NodeDoors]:
    async with node_doors(tmp_path) as opened:
        yield opened


async def opened_chest(doors: NodeDoors) -> tuple[str, str]:
    """The paths of a study with twenty slices, and of their series."""
    answer = await doors.store(*(file.read_bytes() for file in sorted(CHEST.glob("*.dcm"))[:20]))
    assert answer.status_code == 200, answer.text
    (series,) = (await doors.client.get("/dicom-web/series")).json()
    study = f"/api/studies/{series['0020000D']['Value'][0]}"
    return study, f"{study}/series/{series['0020000E']['Value'][0]}"


async def test_a_study_comes_with_its_first_series_when_it_is_opened(doors: NodeDoors) -> None:
    study, series = await opened_chest(doors)

    answer = (await doors.client.get(f"{study}?series=first")).json()

    assert answer["study"] == (await doors.client.get(study)).json()
    assert answer["opened"] == (await doors.client.get(series)).json()
    assert len(answer["opened"]["slices"]) == 20


async def test_a_study_comes_with_the_series_that_is_named(doors: NodeDoors) -> None:
    study, series = await opened_chest(doors)

    answer = (await doors.client.get(f"{study}?series={series.rpartition('/')[2]}")).json()

    assert answer["opened"]["series_uid"] == series.rpartition("/")[2]


async def test_a_series_of_another_study_does_not_come_with_it(doors: NodeDoors) -> None:
    study, _ = await opened_chest(doors)
    other = ct_slice()
    await doors.store(encoded(other))

    answer = await doors.client.get(f"{study}?series={other.SeriesInstanceUID}")

    assert answer.status_code == 404


@pytest.mark.parametrize("series", ["second", "1.2.3.", ""])
async def test_what_is_no_series_is_refused_and_nothing_asked_for_is_nothing_more(
    doors: NodeDoors, series: str
) -> None:
    study, _ = await opened_chest(doors)

    answer = await doors.client.get(study, params={"series": series})

    assert answer.status_code == (400 if series else 200)


@pytest.mark.parametrize(("accepted", "coding"), [("br, gzip", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip")])
async def test_a_series_is_described_in_few_bytes(doors: NodeDoors, accepted: str, coding: str) -> None:
    _, series = await opened_chest(doors)
    plain = await doors.client.get(series, headers={"Accept-Encoding": "identity"})

    async with doors.client.stream("GET", series, headers={"Accept-Encoding": accepted}) as answer:
        body = b"".join([piece async for piece in answer.aiter_raw()])

    assert answer.headers["content-encoding"] == coding
    assert (brotli.decompress if coding == "br" else gzip.decompress)(body) == plain.content
    assert len(body) < len(plain.content) / 4
    assert "content-encoding" not in plain.headers
