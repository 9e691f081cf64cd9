"""Two nodes over one store: one keeps it, the other only draws from it, and the page shares the series among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pydicom
import pytest
import yaml
from playwright.async_api import Response

from tests.end_to_end.browser import open_browser
from tests.end_to_end.county import kill_group, log_in
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, RunningAppliance, all_in_one
from tests.end_to_end.test_dark_toplevel import bearer, wait_for
from tests.rendezvous import ranked

KEEPER_ID, DRAWER_ID = "10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002"
_SERIES_EACH = 3


class TwoNodes:
    """A box with all roles and another with a node that draws from its store, and what they hold."""

    def __init__(self, folder: Path) -> None:
        self.keeper, self.drawer = (_box(folder / name) for name in ("keeper", "drawer"))
        keeper, drawer = self.keeper.settings, self.drawer.settings
        keeper["node"]["id"] = KEEPER_ID
        keeper["web"] = {"origins": [self.drawer.origin]}
        for role in ("toplevel", "institution"):
            del drawer[role]
        drawer["roles"] = ["node"]
        self.drawer.authority.parent.symlink_to(self.keeper.authority.parent)
        drawer["allowed_origins"] = [self.keeper.origin]
        instances = {name: _whole(self.keeper, path) for name, path in keeper["node"]["instances"].items()}
        drawer["node"].update(
            id=DRAWER_ID,
            name="Second node",
            institution_id=str(keeper["institution"]["id"]),
            instances=instances,
            drawing={"render_cache_directory": "render-cache"},
            draws_for={"id": KEEPER_ID, "database": f"sqlite:///{self.keeper.directory}/node.sqlite"},
            parent={
                "base_url": self.keeper.base_url,
                "key": "node.pem",
                "authorities": str(self.keeper.authority),
            },
        )

    def start(self) -> None:
        self.keeper.create_account()
        self.keeper.start()
        token = self.keeper.run("enrolment-token", "--config", str(self.keeper.config), "--for", "node")
        self.drawer.config.write_text(yaml.safe_dump(self.drawer.settings))
        enrol = ("enrol", "--config", str(self.drawer.config), "--institution", self.keeper.base_url, "--token", "-")
        assert "enrolled at" in self.drawer.run(*enrol, stdin=token)
        self.drawer.start()


def _box(folder: Path) -> RunningAppliance:
    folder.mkdir()
    box = all_in_one(folder)
    box.own_group = True
    return box


def _whole(box: RunningAppliance, value: object) -> object:
    return str(box.directory / value) if isinstance(value, str) else value


def series_uids(of: str) -> list[str]:
    """As many as each is to have, of those that the page asks one of the two for first."""
    ids = (KEEPER_ID, DRAWER_ID)
    uids = (f"1.2.826.0.1.3680043.8.498.{number}" for number in range(1, 1000))
    found = [uid for uid in uids if ids[ranked(ids, uid)[0]] == of]
    return found[:_SERIES_EACH]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, phantom_folder: Path) -> Iterator[TwoNodes]:
    made = TwoNodes(tmp_path_factory.mktemp("two"))
    series = tmp_path_factory.mktemp("series")
    source = sorted(phantom_folder.iterdir())[30]
    for number, uid in enumerate([*series_uids(KEEPER_ID), *series_uids(DRAWER_ID)], 1):
        ds = pydicom.dcmread(source)
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = uid, number, f"Series {number}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{uid}.1"
        ds.save_as(series / f"{number}.dcm")
    try:
        made.start()
        made.keeper.take_in(series)
        yield made
        assert made.drawer.stop() == 0
        assert made.keeper.stop() == 0
    finally:
        kill_group(made.drawer)
        kill_group(made.keeper)


def files_of(directory: Path) -> dict[str, tuple[int, int]]:
    """Every file below it, with its size and the time at which it was written."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path): ((stat := path.stat()).st_size, stat.st_mtime_ns) for path in found}


def test_the_directory_says_which_node_draws_for_which(two: TwoNodes) -> None:
    with two.keeper.client() as client:
        client.headers.update(bearer(log_in(client, "ana")))

        def told() -> dict[str, str | None]:
            nodes = client.get("/api/directory").json()["institutions"][0]["nodes"]
            return {node["id"]: node["draws_for"] for node in nodes}

        wait_for(lambda: told() == {KEEPER_ID: None, DRAWER_ID: KEEPER_ID}, "the directory names both")


def test_what_draws_only_gives_the_same_as_who_keeps_and_writes_nothing_in_the_store(two: TwoNodes) -> None:
    store = two.keeper.directory / two.keeper.settings["node"]["instances"]["directory"]
    uid = series_uids(DRAWER_ID)[0]
    with two.keeper.client() as keeper, two.drawer.client() as drawer:
        somebody = bearer(log_in(keeper, "ana"))
        for client in (keeper, drawer):
            client.headers.update(somebody)
        study = keeper.get("/dicom-web/studies").json()[0]["0020000D"]["Value"][0]
        path = f"/dicom-web/studies/{study}/series/{uid}/instances/{uid}.1"
        kept, drawn = (client.get(f"{path}/rendered?viewport=256,256") for client in (keeper, drawer))
        assert drawn.status_code == 200, drawn.text
        assert drawn.content == kept.content
        before = {name: seen for name, seen in files_of(store).items() if "audit-head" not in name}

        as_file = {"Accept": "application/dicom"}
        assert drawer.get(path, headers=as_file).content == keeper.get(path, headers=as_file).content
        assert drawer.get(f"/api/studies/{study}").json() == keeper.get(f"/api/studies/{study}").json()
        refused = [
            drawer.post("/api/uploads", content=b"x", headers={"Content-Type": "application/dicom"}),
            drawer.post("/dicom-web/studies", content=b"x"),
            drawer.delete(f"/api/studies/{study}"),
            drawer.delete(path),
        ]

        assert {(answer.status_code, answer.json()["type"]) for answer in refused} == {(409, "only-draws")}
        assert {answer.json()["keeper_id"] for answer in refused} == {KEEPER_ID}
        after = {name: seen for name, seen in files_of(store).items() if "audit-head" not in name}
        assert after == before
        opened = drawer.get("/api/audit/node", params={"action": "open"}).json()["records"]
        assert [record["subject"]["study_uid"] for record in opened] == [study]


def test_commands_that_change_a_store_are_refused_beside_a_node_that_only_draws(two: TwoNodes, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=f"this node only draws; node {KEEPER_ID} keeps the DICOM"):
        two.drawer.run("import", "--config", str(two.drawer.config), str(tmp_path))


async def test_series_are_shared_and_those_of_a_dead_node_go_to_the_other_and_back(
    two: TwoNodes, tmp_path: Path
) -> None:
    keeper, drawer = urlsplit(two.keeper.origin).netloc, urlsplit(two.drawer.origin).netloc
    answered: dict[str, set[str]] = {}

    def note(response: Response) -> None:
        parts = urlsplit(response.url)
        if "/rendered" in parts.path and response.ok:
            answered.setdefault(parts.path.split("/series/")[1].split("/")[0], set()).add(parts.netloc)

    async with open_browser(tmp_path, authority=two.keeper.authority, hosts={HOST: "127.0.0.1"}) as context:
        physician = await Physician.at(context, two.keeper)
        physician.page.on("response", note)
        await physician.log_in()
        await physician.open_study("phantom")

        async def open_series(uid: str) -> set[str]:
            await physician.page.locator(f"[data-series='{uid}']").click()
            await physician.page.wait_for_url(f"**/series/{uid}")
            await physician.settle()
            for _ in range(200):
                if uid in answered:
                    break
                await physician.page.wait_for_timeout(100)
            return answered.pop(uid)

        kept, drawn = series_uids(KEEPER_ID), series_uids(DRAWER_ID)
        assert await open_series(kept[1]) == {keeper}
        assert await open_series(drawn[0]) == {drawer}
        kill_group(two.drawer)
        try:
            assert await open_series(drawn[1]) == {keeper}
            assert await open_series(kept[2]) == {keeper}
        finally:
            two.drawer.start()
        async with physician.page.expect_response(f"{two.drawer.origin}/healthz", timeout=30_000) as looked:
            assert (await looked.value).ok
        assert await open_series(drawn[2]) == {drawer}
        assert physician.faults == []
    assert (two.drawer.directory / "render-cache").is_dir()
