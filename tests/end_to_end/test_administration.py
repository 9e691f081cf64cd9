"""An administrator at the page: somebody new is let in, found, shut out; and how everything is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.end_to_end.browser import open_browser
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import HOST, PASSWORD, RunningAppliance, all_in_one


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """All roles in one process, with an administrator."""
    running = all_in_one(tmp_path_factory.mktemp("clinic"))
    running.create_account("adam", "administrator")
    try:
        running.start()
        running.wait_until_told()
        yield running
        assert running.stop() == 0
    finally:
        running.kill()


@pytest.fixture
async def adam(clinic: RunningAppliance, tmp_path: Path) -> AsyncIterator[Physician]:
    """The administrator, at the page of accounts."""
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        administrator = await Physician.at(context, clinic)
        await administrator.log_in(username="adam")
        await administrator.find("administration-link").click()
        await expect(administrator.find("account-row").first).to_be_visible()
        yield administrator
        assert administrator.faults == []


async def test_somebody_new_is_let_in_found_and_shut_out_and_all_of_it_is_on_record(
    adam: Physician, clinic: RunningAppliance, photographs: Path
) -> None:
    # An account is made; the username of somebody else is refused in words.
    await adam.find("account-create").click()
    await adam.find("account-username").fill("adam")
    await adam.find("account-password").fill(PASSWORD)
    await adam.find("account-family-name").fill("Žilić")
    await adam.find("account-given-name").fill("Eva")
    await adam.find("account-save").click()
    await expect(adam.find("administration-refusal")).to_have_text("This username is taken.")
    await adam.find("account-username").fill("eva")
    await adam.find("account-save").click()
    await expect(adam.find("account-row")).to_have_count(2)
    with clinic.client() as client:
        credentials = {"username": "eva", "password": PASSWORD}
        assert client.post("/api/session", json=credentials).status_code == 200

    # She is found by the beginning of her name without its marks, and by her role.
    await adam.find("account-search").fill("zil")
    await expect(adam.find("account-row")).to_have_count(1)
    await adam.find("account-role").select_option("administrator")
    await expect(adam.find("account-row")).to_have_count(0)
    await adam.find("account-role").select_option("physician")
    await expect(adam.find("account-row")).to_have_count(1)
    await adam.photograph(photographs / "administration.png")

    # She is shut out, and cannot log in.
    await adam.find("account-set-active").click()
    await expect(adam.find("account-activity")).to_have_text("deactivated")
    with clinic.client() as client:
        assert client.post("/api/session", json=credentials).json()["type"] == "account-deactivated"

    # The trail says so.
    await adam.find("part-audit").click()
    await adam.find("audit-action").select_option("deactivate-account")
    await expect(adam.find("audit-row")).to_have_count(1)
    await expect(adam.find("audit-row")).to_contain_text("adam")


async def test_an_administrator_sees_how_institutions_nodes_and_lines_are(adam: Physician) -> None:
    await adam.find("part-institutions").click()
    await expect(adam.find("institution-row")).to_have_count(1)
    await adam.find("ping").first.click()
    await expect(adam.find("ping-answer").first).to_contain_text("answers in")
    await adam.find("institution-edit").click()
    await adam.find("institution-name").fill("Riverside")
    await adam.find("institution-save").click()
    await expect(adam.find("institution-row")).to_contain_text("Riverside")
    await adam.find("institution-delete").click()
    await adam.find("sure").click()
    await expect(adam.find("administration-refusal")).to_contain_text("account")

    await adam.find("part-nodes").click()
    await expect(adam.find("node-row")).to_have_count(1)
    await expect(adam.find("node-room")).to_contain_text("free of")
    await adam.find("enrol-node").click()
    await expect(adam.find("enrolment-command")).to_contain_text("appliance enrol")

    await adam.find("part-synchronisation").click()
    await expect(adam.find("line-row")).to_have_count(2)
    await expect(adam.find("line-state").first).to_have_text("in order")


async def test_the_lists_are_sorted_and_chosen_from_by_the_keyboard(adam: Physician) -> None:
    head = adam.page.get_by_role("columnheader", name="Username")
    await head.get_by_role("button").focus()
    await adam.page.keyboard.press("Enter")
    await expect(head).to_have_attribute("aria-sort", "ascending")
    await adam.page.keyboard.press("Enter")
    await expect(head).to_have_attribute("aria-sort", "descending")


async def test_whoever_reads_croatian_is_told_in_croatian(clinic: RunningAppliance, tmp_path: Path) -> None:
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}, locale="hr-HR") as context:
        administrator = await Physician.at(context, clinic)
        await expect(administrator.find("login-submit")).to_have_text("Prijavi se")
        await expect(administrator.page.locator("html")).to_have_attribute("lang", "hr")
        await administrator.log_in(username="adam")
        await administrator.find("administration-link").click()

        await expect(administrator.page.get_by_role("heading", name="Upravljanje")).to_be_visible()
        await expect(administrator.find("account-activity").first).to_have_text("aktivan")

        await administrator.find("account-link").click()
        await expect(administrator.page.get_by_role("heading", name="Moj račun")).to_be_visible()
        await expect(administrator.page.get_by_role("heading", name="Pristupni ključevi")).to_be_visible()


async def test_a_physician_sees_no_administration(clinic: RunningAppliance, tmp_path: Path) -> None:
    clinic.create_account("ana", "physician")
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        physician = await Physician.at(context, clinic)
        await physician.log_in(username="ana")

        await expect(physician.find("patient-search")).to_be_visible()
        await expect(physician.find("administration-link")).to_have_count(0)


async def test_a_superuser_adds_a_record_type_and_retires_it(clinic: RunningAppliance, tmp_path: Path) -> None:
    clinic.create_account("root", "superuser")
    async with open_browser(tmp_path, authority=clinic.authority, hosts={HOST: "127.0.0.1"}) as context:
        root = await Physician.at(context, clinic)
        await root.log_in(username="root")
        await root.find("administration-link").click()
        await root.find("part-record-types").click()

        await root.find("record-type-new").fill("CT")
        await root.find("record-type-create").click()
        await expect(root.find("record-type-row")).to_have_count(1)
        await root.find("record-type-retire").click()
        await expect(root.find("record-type-row")).to_contain_text("retired")
        await root.find("record-type-new").fill("ct")
        await root.find("record-type-create").click()
        await expect(root.find("administration-refusal")).to_have_text("There is one of this name already.")
