"""How appliances come to believe each other: tokens, keys, and calls that are signed and taken once."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.domain.changes import Delivery
from appliance.domain.enrolment import Enrolment
from appliance.domain.errors import Unavailable
from appliance.services.enrolment import ENROLMENT_PATH
from appliance.services.signatures import sign_request
from appliance.services.synchronisation import CHANGES_PATH, TRUST_PATH
from appliance.services.tokens import load_private_key, make_private_key, public_key_of
from tests.http.central import NODE, client_of, node_of, settings_in, token_of

NEW = UUID(int=77)
INSTITUTIONS, NODES = "/api/enrolments/institutions", "/api/enrolments/nodes"


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings_in(folder)) as opened:
        yield opened


async def token(client: httpx.AsyncClient, path: str = INSTITUTIONS, child_id: UUID | None = None) -> str:
    body = {"child_id": str(child_id)} if child_id else {}
    answer = await client.post(f"{path}/tokens", json=body, headers=await token_of(client, "adam"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


async def redeem(
    client: httpx.AsyncClient,
    token: str,
    key: Ed25519PrivateKey,
    *,
    kind: str = "institution",
    child_id: UUID = NEW,
    shown: Ed25519PrivateKey | None = None,
) -> httpx.Response:
    """A redeemed token; ``shown`` is the key in the body where it is not the one that signs."""
    public_key = public_key_of((shown or key).public_key()).x
    secret = token.partition(".")[0]
    body = msgspec.json.encode(Enrolment(kind, secret, child_id, "Second Clinic", public_key))  # type: ignore[arg-type]
    signed = sign_request(key, child_id, "POST", ENROLMENT_PATH, body)
    return await client.post(ENROLMENT_PATH, content=body, headers=signed)


async def delivered(client: httpx.AsyncClient, key: Ed25519PrivateKey, child_id: UUID = NEW) -> httpx.Response:
    """An empty delivery of a child."""
    body = msgspec.json.encode(Delivery(child_id, ()))
    return await client.post(
        CHANGES_PATH, content=body, headers=sign_request(key, child_id, "POST", CHANGES_PATH, body)
    )


def audited(folder: Path, room: str) -> list[tuple[str, str, str, str]]:
    with sqlite3.connect(folder / f"{room}.sqlite") as database:
        rows = database.execute(
            "SELECT action, outcome, actor_name, subject_uid FROM audit WHERE action LIKE '%enrol%' ORDER BY sequence"
        )
        return rows.fetchall()


async def test_who_redeems_a_token_may_deliver_and_is_on_record(client: httpx.AsyncClient, folder: Path) -> None:
    key = Ed25519PrivateKey.generate()
    assert (await delivered(client, key)).json()["type"] == "unknown-child"

    made = await token(client)
    enrolled = await redeem(client, made, key)

    assert enrolled.status_code == 200
    identity = load_private_key(folder / "identity.pem").public_key()
    assert enrolled.json() == {"public_key": public_key_of(identity).x}
    assert made.partition(".")[2] == public_key_of(identity).id
    assert (await delivered(client, key)).status_code == 200
    assert audited(folder, "toplevel") == [
        ("make-enrolment-token", "done", "adam", ""),
        ("enrol", "done", "Second Clinic", str(NEW)),
    ]
    assert made.partition(".")[0] not in "".join(map(str, audited(folder, "toplevel")))


async def test_a_token_is_redeemed_once(client: httpx.AsyncClient) -> None:
    made = await token(client)
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    await redeem(client, made, first)

    for child_id in (NEW, UUID(int=78)):
        again = await redeem(client, made, second, child_id=child_id)
        assert (again.status_code, again.json()["type"]) == (401, "token-not-valid")

    assert (await delivered(client, second)).status_code == 401


async def test_who_lost_the_answer_asks_again_with_the_same_key(client: httpx.AsyncClient) -> None:
    made, key = await token(client), Ed25519PrivateKey.generate()
    await redeem(client, made, key)

    assert (await redeem(client, made, key)).status_code == 200


async def test_a_token_that_has_ended_is_no_good(client: httpx.AsyncClient, folder: Path) -> None:
    made = await token(client)
    earlier = (datetime.now(UTC) - timedelta(seconds=1)).replace(tzinfo=None)
    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        database.execute("UPDATE enrolment_token SET ends_at = ?", (str(earlier),))

    assert (await redeem(client, made, Ed25519PrivateKey.generate())).json()["type"] == "token-not-valid"


async def test_the_secret_of_a_token_is_not_kept(client: httpx.AsyncClient, folder: Path) -> None:
    made = await token(client)

    kept = b"".join(file.read_bytes() for file in folder.glob("toplevel.sqlite*"))

    assert made.partition(".")[0].encode() not in kept


async def test_a_token_for_institutions_lets_no_node_in(client: httpx.AsyncClient) -> None:
    answer = await redeem(client, await token(client), Ed25519PrivateKey.generate(), kind="node")

    assert answer.json()["type"] == "token-not-valid"


async def test_nobody_takes_the_place_of_a_child_that_is_there(client: httpx.AsyncClient) -> None:
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    await redeem(client, await token(client), first)

    refused = await redeem(client, await token(client), second)

    assert (refused.status_code, refused.json()["type"]) == (409, "already-enrolled")
    assert (await delivered(client, first)).status_code == 200


async def test_a_token_made_for_a_child_gives_it_a_new_key(client: httpx.AsyncClient) -> None:
    first, second = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    await redeem(client, await token(client), first)
    made = await token(client, child_id=NEW)

    other = await redeem(client, made, second, child_id=UUID(int=78))
    enrolled = await redeem(client, made, second)

    assert (other.status_code, other.json()["type"]) == (403, "token-of-another")
    assert enrolled.status_code == 200
    assert (await delivered(client, second)).status_code == 200
    assert (await delivered(client, first)).status_code == 401


async def test_who_shows_the_key_of_another_is_refused(client: httpx.AsyncClient) -> None:
    key, of_another = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

    answer = await redeem(client, await token(client), key, shown=of_another)

    assert (answer.status_code, answer.json()["type"]) == (401, "wrong-signature")


async def test_the_same_request_is_taken_once(client: httpx.AsyncClient) -> None:
    key = Ed25519PrivateKey.generate()
    await redeem(client, await token(client), key)
    body = msgspec.json.encode(Delivery(NEW, ()))
    signed = sign_request(key, NEW, "POST", CHANGES_PATH, body)

    answers = [await client.post(CHANGES_PATH, content=body, headers=signed) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert answers[1].json()["type"] == "request-repeated"


async def test_a_request_is_taken_once_also_after_a_restart(folder: Path) -> None:
    body = msgspec.json.encode(Delivery(NODE, ()))
    signed = sign_request(load_private_key(folder / "node.pem"), NODE, "POST", CHANGES_PATH, body)

    answers = []
    for _ in range(2):
        async with client_of(settings_in(folder)) as client:
            answers.append(await client.post(CHANGES_PATH, content=body, headers=signed))

    assert [answer.status_code for answer in answers] == [200, 401]


async def test_the_keys_of_the_tokens_are_told_to_children_only(client: httpx.AsyncClient, node_key: Path) -> None:
    assert (await client.get(TRUST_PATH)).status_code == 401

    assert len((await node_of(client, node_key).trust()).keys) == 1


async def test_a_child_does_not_believe_who_is_not_its_parent(client: httpx.AsyncClient, node_key: Path) -> None:
    node = node_of(client, node_key)
    node._parent_key = Ed25519PrivateKey.generate().public_key()

    with pytest.raises(Unavailable) as refused:
        await node.trust()

    assert refused.value.key == "parent-not-believed"


async def test_a_delivery_signed_by_a_stranger_is_refused(
    client: httpx.AsyncClient, node_key: Path, tmp_path: Path
) -> None:
    make_private_key(tmp_path / "stranger.pem")

    with pytest.raises(Unavailable) as refused:
        await node_of(client, tmp_path / "stranger.pem", node_key.parent).deliver(Delivery(NODE, ()))

    assert refused.value.fields["status"] == 401


async def test_a_child_that_was_sent_away_is_refused_from_its_next_call_on(
    client: httpx.AsyncClient, node_key: Path, folder: Path
) -> None:
    await node_of(client, node_key).trust()
    headers = await token_of(client, "adam")
    (listed,) = (await client.get(NODES, headers=headers)).json()["children"]
    assert (listed["id"], listed["name"]) == (str(NODE), "Node")
    assert listed["seen_at"] is not None

    assert (await client.delete(f"{NODES}/{NODE}", headers=headers)).status_code == 204

    with pytest.raises(Unavailable):
        await node_of(client, node_key).trust()
    assert (await client.delete(f"{NODES}/{NODE}", headers=headers)).json()["type"] == "not-enrolled"
    assert audited(folder, "institution") == [("end-enrolment", "done", "adam", str(NODE))]


@pytest.mark.parametrize("path", [INSTITUTIONS, NODES])
async def test_a_physician_enrols_nobody(client: httpx.AsyncClient, folder: Path, path: str) -> None:
    headers = await token_of(client)

    answers = [
        await client.get(path, headers=headers),
        await client.post(f"{path}/tokens", json={}, headers=headers),
        await client.delete(f"{path}/{NODE}", headers=headers),
    ]

    assert {answer.status_code for answer in answers} == {403}
    room = "toplevel" if path == INSTITUTIONS else "institution"
    assert [row[:2] for row in audited(folder, room)] == [
        ("make-enrolment-token", "refused"),
        ("end-enrolment", "refused"),
    ]


async def test_a_token_that_is_refused_is_on_record_once_for_an_address(
    client: httpx.AsyncClient, folder: Path
) -> None:
    for _ in range(3):
        await redeem(client, "guessed.thumbprint", Ed25519PrivateKey.generate())
    await redeem(client, await token(client), Ed25519PrivateKey.generate())
    await redeem(client, await token(client), Ed25519PrivateKey.generate())

    with sqlite3.connect(folder / "toplevel.sqlite") as database:
        columns = "actor_name, address, subject_uid, outcome, reason"
        rows = database.execute(f"SELECT {columns} FROM audit WHERE action = 'enrol' ORDER BY sequence").fetchall()
    assert rows == [
        ("", "192.0.2.7", str(NEW), "refused", "token-not-valid"),
        ("Second Clinic", "192.0.2.7", str(NEW), "done", ""),
        ("", "192.0.2.7", str(NEW), "refused", "already-enrolled"),
    ]
