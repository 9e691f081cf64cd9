"""What a study has besides pictures, for whoever looks at it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from appliance.domain.attributes import Attributes
from appliance.domain.identifiers import StudyUid
from appliance.domain.study_objects import ObjectKind, StudyObject, described, kind_of
from appliance.services.archive import Archive
from appliance.storage.holdings import Holding
from appliance.storage.transfer_syntaxes import is_video

_REMEMBERED = 2_000
"""Objects whose description is kept in memory, some hundred bytes each; a large structure set is dear to read."""


def kind_of_holding(held: Holding) -> ObjectKind | None:
    """None for pictures, and for what can only be given back."""
    return kind_of(held.sop_class_uid, is_video=is_video(held.transfer_syntax_uid))


class StudyObjects:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: OrderedDict[str, StudyObject] = OrderedDict()
        """By key: what is stored never changes."""

    async def of(self, study_uid: StudyUid) -> tuple[StudyObject, ...]:
        """In order of series and number. Raises NotFound."""
        held = [(one, kind) for one in await self._archive.holdings(study_uid) if (kind := kind_of_holding(one))]
        await self._learn([one for one, _ in held if one.key not in self._known], {one.key: kind for one, kind in held})
        found = tuple(self._known[one.key] for one, _ in held)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _learn(self, held: Sequence[Holding], kinds: dict[str, ObjectKind]) -> None:
        async for one, text in self._archive.described(held):
            attributes = Attributes(msgspec.json.decode(text))
            self._known[one.key] = described(one.series_uid, one.instance_uid, kinds[one.key], attributes)
