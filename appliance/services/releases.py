"""Studies that wait for their patient are held back, at a node, from everybody but their own institution.

The node asks its institution what has changed, in order, and keeps a copy (``storage.releases``). Until it has heard that a
study is a patient's, it is held back: also while the institution is away.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from uuid import UUID

from appliance.domain.accounts import Account, Role
from appliance.domain.changes import ReleasesWanted
from appliance.domain.hierarchy import not_held
from appliance.domain.identifiers import InstanceUid, InstitutionId, SeriesUid, StudyUid
from appliance.services.database_threads import DatabaseThreads
from appliance.services.synchronisation import TellReleases
from appliance.storage import releases

_PAUSE_S = 2.0
"""Between two looks at what the institution says."""
_KNOWN_S = 10.0
"""So long a released study is not looked up again: a picture costs no question to the database."""
_MOST_KNOWN = 10_000


class HeldBack:
    """What other institutions do not see at this node."""

    def __init__(
        self, database: DatabaseThreads, node_id: UUID, institution_id: InstitutionId, ask: TellReleases
    ) -> None:
        self._database = database
        self._node_id = node_id
        self._institution_id = institution_id
        self._ask = ask
        self._known: OrderedDict[StudyUid, float] = OrderedDict()
        """Released studies, and until when that is believed, on the monotonic clock."""

    def sees_all(self, account: Account) -> bool:
        """Whether nothing is held back from this account."""
        return account.institution_id == self._institution_id or Role.SUPERUSER in account.roles

    async def check(
        self,
        account: Account,
        study_uid: StudyUid,
        series_uid: SeriesUid | None = None,
        instance_uid: InstanceUid | None = None,
    ) -> None:
        """Raises NotFound, as of what is not held, for an account from which the study is held back.

        A guest is shown what is of one institution, and of no other.
        """
        if account.guest_of is not None and account.institution_id != self._institution_id:
            raise not_held(study_uid, series_uid, instance_uid)
        if self.sees_all(account) or self._known.get(study_uid, 0.0) > time.monotonic():
            return
        if not await self._database.read(lambda tx: releases.is_released(tx, study_uid)):
            raise not_held(study_uid, series_uid, instance_uid)
        self._known[study_uid] = time.monotonic() + _KNOWN_S
        self._known.move_to_end(study_uid)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def follow(self) -> float:
        """Everything that the institution has to say was heard; after so many seconds again. Unavailable if it is away."""
        is_all = False
        while not is_all:
            cursor = await self._database.read(releases.cursor)
            told = await self._ask(ReleasesWanted(self._node_id, cursor))
            if told.cursor != cursor:
                await self._database.run(lambda tx, told=told: releases.take(tx, told))  # type: ignore[misc]
            for one in told.studies:
                self._known.pop(StudyUid(one.study_uid), None)
            is_all = told.is_all
        return _PAUSE_S
