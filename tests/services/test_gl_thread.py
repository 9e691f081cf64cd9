"""A context that is lost: nothing that was drawn in it is believed, and another takes its place."""

from __future__ import annotations

import dataclasses
import queue
from pathlib import Path

import imagecodecs
import msgspec
import numpy as np
import pytest

from appliance.domain.cameras import whole_view
from appliance.domain.errors import ApplianceError, NotDrawable, Unavailable
from appliance.domain.geometry import arranged
from appliance.domain.identifiers import InstanceUid, SeriesUid
from appliance.domain.image import FrameDescription, ImageDescription, PixelFormat, StoredImage, StoredSeries, Window
from appliance.domain.views import Encoding, PlaneView, SliceView, Viewport
from appliance.rendering.context import ContextInfo
from appliance.rendering.renderer import Renderer
from appliance.rendering.slices import planned
from appliance.services import render_process
from appliance.services.children import Message, Request, decode_refusal
from appliance.services.drawing import DrawingSettings, _render_settings
from appliance.services.gl_thread import CONTEXT_LOST, GlThread
from appliance.services.render_messages import Ask, DrawPlane, KnowSeries, TellState
from appliance.services.render_process import RenderProcess
from appliance.storage.instances import StoreSettings, open_store
from appliance.storage.parsing import parse

PNG = Encoding("image/png")
FORM = PixelFormat(8, 8, 1, 16, 16, 15, False, "MONOCHROME2")
IMAGE = ImageDescription(InstanceUid("1.2"), "1.2", "1.2", "OT", FORM, (FrameDescription(((0, 128),)),))
STORED = np.arange(64, dtype=np.uint16).reshape(8, 8)
VIEW = SliceView(InstanceUid("1.2"), 0, PNG, Window(32, 64), Viewport(16, 16))


class _Card(Renderer):
    """Software that says it is a graphics card."""

    @property
    def info(self) -> ContextInfo:
        return dataclasses.replace(super().info, is_software=False, renderer="a card")


def open_card(software_only: bool) -> Renderer:
    return Renderer(software_only=True) if software_only else _Card()


def lose(renderer: Renderer) -> None:
    """The context is taken away, as a driver that fails does it."""
    renderer._context.close()


def draw(renderer: Renderer) -> np.ndarray:
    return renderer.slices.draw(STORED, IMAGE, 0, VIEW, planned(IMAGE, VIEW))


def test_what_was_drawn_in_a_lost_context_is_refused_and_then_drawn_in_another() -> None:
    gl = GlThread()
    before = gl.run(draw)

    def lose_and_draw(renderer: Renderer) -> np.ndarray:
        lose(renderer)
        return draw(renderer)

    with pytest.raises(Unavailable) as refused:
        gl.run(lose_and_draw)

    assert refused.value.key == CONTEXT_LOST
    assert np.array_equal(gl.run(draw), before)
    assert gl.contexts_lost == 1
    assert gl.generation == 1
    assert gl.fallback == ""


def test_work_for_things_of_a_lost_context_is_refused() -> None:
    gl = GlThread()
    generation = gl.generation
    with pytest.raises(Unavailable):
        gl.run(lose)

    with pytest.raises(Unavailable, match="lost"):
        gl.run(draw, generation)

    assert gl.run(draw, gl.generation).shape == (16, 16)


def test_who_waits_for_a_lost_context_is_told() -> None:
    told: queue.SimpleQueue[int] = queue.SimpleQueue()
    gl = GlThread(on_lost=lambda: told.put(gl.generation))

    with pytest.raises(Unavailable):
        gl.run(lose)

    assert told.get(timeout=10) == 1


def test_a_card_that_fails_too_often_is_left_alone_and_it_is_said() -> None:
    gl = GlThread(open_renderer=open_card)
    assert not gl.renderer.info.is_software

    for _ in range(3):
        with pytest.raises(Unavailable):
            gl.run(lose)
        assert gl.run(draw).shape == (16, 16)

    assert gl.renderer.info.is_software
    assert gl.fallback == "a card lost its context 3 times"


def test_a_card_that_cannot_be_opened_is_left_alone_and_it_is_said() -> None:
    def open_broken(software_only: bool) -> Renderer:
        if not software_only:
            raise Unavailable("the driver fails", key="no-opengl")
        return Renderer(software_only=True)

    gl = GlThread(open_renderer=open_broken)

    assert gl.run(draw).shape == (16, 16)
    assert gl.renderer.info.is_software
    assert "the driver fails" in gl.fallback


def test_a_render_process_draws_a_volume_again_after_its_context_was_lost(dicom_dir: Path, tmp_path: Path) -> None:
    settings = StoreSettings(tmp_path / "store", floor_bytes=0)
    store = open_store(settings)
    images = []
    for path in sorted((dicom_dir / "01-volumes" / "ct-chest-lidc-0314").iterdir())[:12]:
        spool = store.begin()
        spool.write(path.read_bytes())
        key = spool.commit()
        with store.open(key) as reader:
            image = parse(reader).image
        assert image is not None
        images.append(StoredImage(key, image))
    series = StoredSeries(SeriesUid("1.2"), "v1", tuple(images))
    volume = arranged([image.description for image in images]).volume
    assert volume is not None
    camera = whole_view(volume.center_mm, volume.size_mm, "h", aspect=1)
    process = RenderProcess(_render_settings(DrawingSettings(settings, settled_wait_s=60)))
    ask = DrawPlane("a", "v1", PlaneView(series.series_uid, camera, (64, 64), PNG, Window(40, 400)))
    answered(process, KnowSeries(series))
    before = answered(process, ask)

    with pytest.raises(Unavailable):
        process._gl.run(lose)
    try:
        after = answered(process, ask)
    except Unavailable as error:  # it was faster than the new context; who asked is to ask once more, as Drawing does
        assert error.key == CONTEXT_LOST
        after = answered(process, ask)

    assert pixels(before).std() > 10
    assert np.array_equal(pixels(after), pixels(before))
    assert process._state().contexts_lost == 1


def test_a_render_process_that_cannot_tell_what_it_makes_refuses_and_lets_nobody_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> tuple[str, ...]:
        raise KeyError("400")

    monkeypatch.setattr(render_process, "media_types", fail)
    process = RenderProcess(_render_settings(DrawingSettings(StoreSettings(tmp_path / "store", floor_bytes=0))))

    with pytest.raises(NotDrawable):
        answered(process, TellState())


def answered(process: RenderProcess, ask: Ask) -> bytes:
    """The body of the answer. Raises what was refused."""
    answers: queue.SimpleQueue[bytes | ApplianceError] = queue.SimpleQueue()

    def reply(number: int, kind: int, header: bytes, body: bytes) -> None:
        answers.put(decode_refusal(header) if kind == 4 else body)

    process.handle(Request(1, Message(msgspec.msgpack.encode(ask)), reply))
    answer = answers.get(timeout=60)
    if isinstance(answer, ApplianceError):
        raise answer
    return answer


def pixels(body: bytes) -> np.ndarray:
    return np.asarray(imagecodecs.png_decode(body))
