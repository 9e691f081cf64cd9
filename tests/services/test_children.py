"""Helper processes: asked, refusing, cancelled, dying, stopped. A real process each."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from appliance.domain.errors import NotDrawable, Unavailable
from appliance.services.children import Child


@pytest.fixture
async def child() -> AsyncIterator[Child]:
    made = Child("tests.services.echo_child", b"the settings", name="echo")
    await made.start()
    yield made
    await made.stop()


async def test_a_child_answers_with_header_and_body(child: Child) -> None:
    answer = await child.ask(b"hello", b"x" * 1_000_000)

    assert (answer.header, len(answer.body)) == (b"hello", 1_000_000)


async def test_a_child_gets_its_settings_first(child: Child) -> None:
    assert (await child.ask(b"settings")).header == b"the settings"


async def test_many_questions_under_way_get_their_own_answers(child: Child) -> None:
    answers = await asyncio.gather(*(child.ask(str(i).encode()) for i in range(200)))

    assert [answer.header for answer in answers] == [str(i).encode() for i in range(200)]


async def test_a_refusal_arrives_as_it_was_raised(child: Child) -> None:
    with pytest.raises(NotDrawable) as caught:
        await child.ask(b"refuse")

    assert caught.value.key == "no-picture"
    assert caught.value.message == "There is no picture"
    assert caught.value.fields == {"frame": 3}


async def test_cancelling_the_question_tells_the_child(child: Child) -> None:
    waiting = asyncio.create_task(child.ask(b"wait"))
    await child.ask(b"hello")

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    while (await child.ask(b"cancelled")).header == b"0":
        await asyncio.sleep(0.01)


async def test_a_child_that_dies_fails_what_it_was_asked_and_is_started_again(child: Child) -> None:
    waiting = asyncio.create_task(child.ask(b"wait"))
    await child.ask(b"hello")
    first = child.pid

    with pytest.raises(Unavailable):
        await child.ask(b"die")
    with pytest.raises(Unavailable):
        await waiting

    assert (await child.ask(b"hello again")).header == b"hello again"
    assert child.pid != first
    assert child.restarts == 1


async def test_a_stopped_child_is_gone(child: Child) -> None:
    await child.ask(b"hello")
    pid = child.pid
    assert pid is not None

    await child.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
