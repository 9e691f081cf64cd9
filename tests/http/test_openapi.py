"""The document of the doors; that they do what it says is tested in end_to_end/test_openapi.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from appliance.http.authorisation import ROUTES
from appliance.http.openapi import DOORS, PATH, document
from tests.http.central import client_of, settings_in, token_of


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings_in(folder)) as opened:
        yield opened


def test_every_route_of_the_table_is_described_and_nothing_else() -> None:
    routes = {(route.method, route.path) for route in ROUTES if route.path.startswith("/api/")}

    assert set(DOORS) == routes


def test_what_is_described_is_what_a_process_does() -> None:
    printed = document({("GET", "/api/capacity"), ("GET", "/dicom-web/studies")})

    assert list(printed["paths"]) == ["/api/capacity"]
    assert set(printed["components"]["schemas"]) == {"Problem", "Capacity"}


def test_a_door_says_what_it_asks_for() -> None:
    doors = document({("GET", "/api/capacity"), ("POST", "/api/session")})["paths"]

    assert doors["/api/capacity"]["get"]["description"] == "Asks for: operate."
    assert doors["/api/capacity"]["get"]["security"] == [{"token": []}]
    assert "security" not in doors["/api/session"]["post"]


async def test_a_toplevel_without_a_node_describes_no_doors_of_nodes(client: httpx.AsyncClient) -> None:
    printed = (await client.get(PATH)).json()

    assert "/api/accounts" in printed["paths"]
    assert "/api/uploads" not in printed["paths"]
    assert "/api/capacity" not in printed["paths"]


async def test_a_search_that_is_longer_than_names_are_is_refused(client: httpx.AsyncClient) -> None:
    refused = await client.get(f"/api/patients?search={'a' * 201}", headers=await token_of(client))

    assert (refused.status_code, refused.json()["parameter"]) == (400, "search")
