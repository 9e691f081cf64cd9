"""Reading held objects again: what a hostile one costs, it costs a helper."""

import asyncio
import os
import signal

import pytest

from appliance.domain.errors import Damaged, NotAcceptable, NotDicom
from appliance.services.dataset_process import Datasets
from appliance.services.parse_process import ParseLimits
from appliance.storage.instances import SpoolReference
from tests.services.node_parts import ct_slice, encoded


@pytest.fixture
async def datasets():
    opened = Datasets(ParseLimits())
    await opened.start()
    yield opened
    await opened.stop()


def held(tmp_path, data: bytes) -> SpoolReference:
    path = tmp_path / str(len(list(tmp_path.iterdir())))
    path.write_bytes(data)
    return SpoolReference(str(path), len(data), None)


async def test_a_data_set_is_described(datasets, tmp_path):
    assert b'"00100020"' in await datasets.describe(held(tmp_path, encoded(ct_slice(1))))


async def test_what_is_no_data_set_is_refused_and_the_next_is_answered(datasets, tmp_path):
    with pytest.raises((NotDicom, Damaged)):
        await datasets.describe(held(tmp_path, b"\x08\x00\x05\x00" + b"\xff" * 500))

    assert await datasets.describe(held(tmp_path, encoded(ct_slice(1))))


async def test_a_reader_that_is_killed_is_started_again(datasets, tmp_path, monkeypatch):
    about = held(tmp_path, encoded(ct_slice(1)))
    await datasets.describe(about)
    os.kill(datasets._child.pid, signal.SIGSTOP)  # it hangs over what it is asked

    # Only here: a reader that has just been started may need longer before it answers at all.
    with monkeypatch.context() as patch, pytest.raises(NotAcceptable) as refusal:
        patch.setattr(datasets, "_limits", ParseLimits(wall_s=1))
        await datasets.describe(about)

    assert refusal.value.key == "too-costly"
    os.kill(datasets._child.pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while datasets._child.is_running:
            await asyncio.sleep(0.01)
    assert await datasets.describe(about)
