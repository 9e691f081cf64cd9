"""What the page asked for, asked for again by a program: the server's own picture beside that on the canvas."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx
import numpy as np
import pyvips
from numpy.typing import NDArray
from playwright.async_api import Request

from tests.end_to_end.physician import Grey, Physician
from tests.end_to_end.running import PASSWORD, USERNAME, RunningAppliance


class Asked:
    """What the page asked for of one resource, the last without loss."""

    def __init__(self, physician: Physician, resource: str) -> None:
        self._resource = resource
        self.urls: list[str] = []
        physician.page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if self._resource in request.url and "quality=" not in request.url:
            self.urls.append(request.url)

    @property
    def last_path(self) -> str:
        return httpx.URL(self.urls[-1]).raw_path.decode()


@contextlib.contextmanager
def logged_in(appliance: RunningAppliance) -> Iterator[httpx.Client]:
    with appliance.client() as client:
        login = {"username": USERNAME, "password": PASSWORD}
        token = client.post("/api/session", json=login).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def colours_of_server(appliance: RunningAppliance, path: str) -> NDArray[np.uint8]:
    """The picture at ``path``: (row, column, red green blue)."""
    with logged_in(appliance) as client:
        answer = client.get(path, headers={"Accept": "image/png"}).raise_for_status()
    picture = np.asarray(pyvips.Image.new_from_buffer(answer.content, "").numpy())
    return np.stack([picture] * 3, axis=2) if picture.ndim == 2 else picture[:, :, :3]


def drawn_by_server(appliance: RunningAppliance, path: str) -> Grey:
    """The picture at ``path``, which is grey: (row, column)."""
    return colours_of_server(appliance, path)[:, :, 0]
