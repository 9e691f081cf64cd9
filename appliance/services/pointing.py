"""What points to what a node holds: it asks its institution before anything is deleted."""

from __future__ import annotations

from uuid import UUID

from appliance.domain.changes import PointersWanted
from appliance.domain.errors import Conflict
from appliance.domain.identifiers import InstanceUid, SeriesUid, StudyUid
from appliance.services.synchronisation import TellPointers


class Pointing:
    """The reports of the institution that point to images of this node."""

    def __init__(self, node_id: UUID, ask: TellPointers) -> None:
        self._node_id = node_id
        self._ask = ask

    async def refuse_pointed_to(
        self, study_uid: StudyUid, series_uid: SeriesUid | None = None, instance_uid: InstanceUid | None = None
    ) -> None:
        """Returns if no report points to a study, a series or an instance; Conflict that names those that do.

        Unavailable while the institution cannot be asked.
        """
        told = await self._ask(PointersWanted(self._node_id, study_uid, series_uid, instance_uid))
        if told.reports:
            raise Conflict(
                "Reports point to it", key="pointed-to", reports=[str(report_id) for report_id in told.reports]
            )
