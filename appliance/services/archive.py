"""What is held, as strangers ask for it: searched by attributes, described, and given back."""

from __future__ import annotations

from appliance.domain.searches import Matches, Search
from appliance.services.database_threads import DatabaseThreads
from appliance.storage import queries


class Archive:
    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database

    async def search(self, wanted: Search) -> Matches:
        """What matches. Raises BadRequest, naming the attribute."""
        return await self._database.read(lambda tx: queries.search(tx, wanted))
