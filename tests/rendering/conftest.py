"""One OpenGL context for all tests of the room: they run on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.rendering.context import Context, open_context
from appliance.rendering.gloo import Canvases, prepare


@pytest.fixture(scope="session")
def context() -> Iterator[Context]:
    opened = open_context()
    prepare()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def canvases(context: Context) -> Canvases:
    return Canvases()
