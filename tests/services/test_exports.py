"""A file set is made piece by piece, and no further than somebody takes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from appliance.domain.accounts import Account, Role
from appliance.domain.errors import Unavailable
from appliance.domain.identifiers import AccountId, InstitutionId, StudyUid
from appliance.services.archive import Archive
from appliance.services.exports import Exports, State
from tests.services.node_parts import NodeParts, ct_slice, encoded, node_parts

ANA = Account(AccountId(UUID(int=9)), "ana", "Ana", "Anić", frozenset({Role.PHYSICIAN}), InstitutionId(UUID(int=1)))
STUDY = StudyUid("1.2.3")
LARGE_SIDE = 1600
PIECE_BYTES = 1 << 20


def large_slice(number: int) -> bytes:
    """A slice of 5 MB of noise, which deflating does not make smaller."""
    ds = ct_slice(number)
    ds.Rows = ds.Columns = LARGE_SIDE
    ds.PixelData = bytes((n * 2654435761 >> 11) & 0xFF for n in range(4096)) * (LARGE_SIDE * LARGE_SIDE * 2 // 4096)
    return encoded(ds)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[tuple[NodeParts, Exports]]:
    async with node_parts(tmp_path) as parts:
        archive = Archive(parts.store, parts.threads)
        await archive.start()
        yield parts, Exports(archive)
        await archive.stop()


async def test_pieces_are_small_however_large_the_study(node: tuple[NodeParts, Exports]) -> None:
    parts, exports = node
    for number in (1, 2):
        await parts.put(large_slice(number))
    export = await exports.make(ANA, STUDY, None, None)

    largest = max([len(piece) async for piece in exports.begin(export)])

    assert export.size_bytes > 9 * PIECE_BYTES
    assert largest < 1.5 * PIECE_BYTES
    assert export.state is State.DONE


async def test_who_goes_away_leaves_an_export_that_goes_no_further(node: tuple[NodeParts, Exports]) -> None:
    parts, exports = node
    for number in (1, 2):
        await parts.put(large_slice(number))
    export = await exports.make(ANA, STUDY, None, None)
    pieces = exports.begin(export)

    await anext(pieces)
    await pieces.aclose()

    assert (export.state, export.failure, export.instances_done) == (State.STOPPED, "line-broken", 0)
    assert (await exports.make(ANA, STUDY, None, None)).state is State.WAITING


async def test_what_is_stopped_under_way_is_cut_off(node: tuple[NodeParts, Exports]) -> None:
    parts, exports = node
    await parts.put(large_slice(1))
    export = await exports.make(ANA, STUDY, None, None)
    pieces = exports.begin(export)
    await anext(pieces)

    exports.stop(export)

    with pytest.raises(Unavailable):
        async for _ in pieces:
            pass
    assert (export.state, export.failure) == (State.STOPPED, "stopped")
