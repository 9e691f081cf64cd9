"""One's own account at the page: what is kept of oneself, password, second factor, passkeys, and where one is logged in."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvips
import zxingcpp
from playwright.async_api import BrowserContext, expect

from appliance.services.second_factors import code_at
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import PASSWORD, RunningAppliance

NEW_PASSWORD = "another horse battery"


async def at_own_account(context: BrowserContext, appliance: RunningAppliance, username: str) -> Physician:
    """Somebody new, who is logged in and looks at their own account."""
    appliance.create_account(username)
    physician = await Physician.at(context, appliance)
    await physician.log_in(username=username)
    await physician.find("account-link").click()
    await expect(physician.find("account-email")).to_be_visible()
    return physician


async def confirm(physician: Physician, password: str = PASSWORD) -> None:
    await physician.find("confirm-password").fill(password)
    await physician.find("confirm-go").click()


async def log_out(physician: Physician) -> None:
    await physician.find("logout").click()
    await expect(physician.find("login-username")).to_be_visible()


@dataclass
class VirtualAuthenticator:
    """One of Chromium's own, inside the machine: it knows its user as long as it is told so."""

    devtools: Any
    id: str

    @classmethod
    async def of(cls, physician: Physician) -> VirtualAuthenticator:
        devtools = await physician.page.context.new_cdp_session(physician.page)
        await devtools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        added = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return cls(devtools, added["authenticatorId"])

    async def knows_its_user(self, *, is_known: bool) -> None:
        await self.devtools.send("WebAuthn.setUserVerified", {"authenticatorId": self.id, "isUserVerified": is_known})

    async def credentials(self) -> list[dict[str, Any]]:
        held = await self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        return list(held["credentials"])


async def test_a_passkey_made_at_the_page_logs_in_at_the_page(
    context: BrowserContext, appliance: RunningAppliance
) -> None:
    physician = await at_own_account(context, appliance, "nora")
    authenticator = await VirtualAuthenticator.of(physician)

    await physician.find("passkey-add").click()
    await confirm(physician)
    await physician.find("passkey-name").fill("My phone")
    await physician.find("passkey-make").click()
    await expect(physician.find("passkey")).to_contain_text("My phone")
    await expect(physician.find("passkey")).to_contain_text("never used")
    (credential,) = await authenticator.credentials()
    assert (credential["rpId"], credential["isResidentCredential"]) == (appliance.host, True)

    await log_out(physician)
    await physician.find("login-passkey").click()
    await expect(physician.find("patient-search")).to_be_visible()

    await physician.find("account-link").click()
    await expect(physician.find("passkey")).to_contain_text(re.compile(r"used \d"))
    assert physician.faults == []


async def test_who_is_not_recognised_does_not_get_in(context: BrowserContext, appliance: RunningAppliance) -> None:
    physician = await at_own_account(context, appliance, "olga")
    authenticator = await VirtualAuthenticator.of(physician)
    await physician.find("passkey-add").click()
    await confirm(physician)
    await physician.find("passkey-make").click()
    await expect(physician.find("passkey")).to_have_count(1)
    await log_out(physician)

    await authenticator.knows_its_user(is_known=False)
    await physician.find("login-passkey").click()

    await expect(physician.find("login-message")).to_have_text("No passkey was used. Try again when you are ready.")
    assert physician.faults == []


async def test_a_passkey_is_renamed_and_removed_at_the_page_and_is_no_good_then(
    context: BrowserContext, appliance: RunningAppliance
) -> None:
    physician = await at_own_account(context, appliance, "petra")
    await VirtualAuthenticator.of(physician)
    await physician.find("passkey-add").click()
    await confirm(physician, "a wrong password")
    await expect(physician.find("confirm-problem")).to_have_text("The password is wrong.")
    await confirm(physician)
    await physician.find("passkey-make").click()

    await physician.find("passkey-rename").click()
    await physician.find("passkey-new-name").fill("Blue key")
    await physician.find("passkey-rename-save").click()
    await expect(physician.find("passkey")).to_contain_text("Blue key")
    await physician.find("passkey-remove").click()
    await physician.find("passkey-remove-now").click()
    await expect(physician.find("passkey")).to_have_count(0)

    await log_out(physician)
    await physician.find("login-passkey").click()
    await expect(physician.find("login-message")).to_contain_text("This passkey is not known here, or not any more.")
    assert physician.faults == []


async def test_a_second_factor_is_set_up_by_the_qr_code_that_is_on_the_screen(
    context: BrowserContext, appliance: RunningAppliance
) -> None:
    physician = await at_own_account(context, appliance, "rosa")
    await physician.find("factor-on").click()
    await confirm(physician)
    (code,) = zxingcpp.read_barcodes(grey_of(await physician.find("factor-qr").screenshot()))
    typed = (await physician.label("factor-key")).replace(" ", "")
    assert code.text == f"otpauth://totp/Appliance%3Arosa?secret={typed}&issuer=Appliance"

    await physician.find("factor-code").fill("000000")
    await physician.find("factor-check").click()
    await expect(physician.find("factor-problem")).to_have_text("This is not the code that the app shows now.")
    await physician.find("factor-code").fill(code_at(base64.b32decode(typed), int(time.time()) // 30))
    await physician.find("factor-check").click()

    codes = (await physician.label("factor-codes")).split()
    assert len(codes) == 10
    await physician.find("factor-codes-kept").click()
    await expect(physician.find("factor-state")).to_have_text("It is on. 10 recovery codes are left.")
    await log_out(physician)
    await physician.log_in(username="rosa")
    await physician.find("login-code").fill(codes[3])
    await physician.find("login-submit").click()
    await physician.find("account-link").click()
    await expect(physician.find("factor-state")).to_have_text("It is on. 9 recovery codes are left.")
    await physician.find("factor-off").click()
    await confirm(physician)
    await expect(physician.find("factor-state")).to_have_text("It is off.")
    assert physician.faults == []


def grey_of(png: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(row, column); it is black and white, so any channel will do."""
    return np.ascontiguousarray(pyvips.Image.new_from_buffer(png, "").numpy()[:, :, 0])


async def test_a_new_password_logs_the_other_browsers_out(context: BrowserContext, appliance: RunningAppliance) -> None:
    physician = await at_own_account(context, appliance, "sara")
    with appliance.client() as elsewhere:
        grant = elsewhere.post("/api/session", json={"username": "sara", "password": PASSWORD}).json()
        elsewhere.headers["Authorization"] = f"Bearer {grant['access_token']}"
        assert elsewhere.get("/api/account").status_code == 200

        await fill_passwords(physician, PASSWORD, NEW_PASSWORD, "yet another horse battery")
        await expect(physician.find("password-problem")).to_have_text("The two new passwords are not the same.")
        await fill_passwords(physician, PASSWORD, "passwordpassword", "passwordpassword")
        await expect(physician.find("password-problem")).to_contain_text("one of those that are tried first")
        await fill_passwords(physician, PASSWORD, NEW_PASSWORD, NEW_PASSWORD)
        await expect(physician.find("password-saved")).to_contain_text("The password was changed")

        assert elsewhere.get("/api/account").status_code == 401
    await expect(physician.find("session")).to_have_count(1)
    await log_out(physician)
    await physician.log_in(NEW_PASSWORD, username="sara")
    await expect(physician.find("patient-search")).to_be_visible()
    assert physician.faults == []


async def fill_passwords(physician: Physician, old: str, new: str, again: str) -> None:
    for field, value in (("old", old), ("new", new), ("again", again)):
        await physician.find(f"password-{field}").fill(value)
    await physician.find("password-save").click()


async def test_another_browser_is_logged_out_from_here(context: BrowserContext, appliance: RunningAppliance) -> None:
    appliance.create_account("tena")
    with appliance.client() as elsewhere:
        grant = elsewhere.post("/api/session", json={"username": "tena", "password": PASSWORD}).json()
        elsewhere.headers["Authorization"] = f"Bearer {grant['access_token']}"
        physician = await Physician.at(context, appliance)
        await physician.log_in(username="tena")
        await physician.find("account-link").click()
        await expect(physician.find("session")).to_have_count(2)
        await expect(physician.find("session").first).to_contain_text("Chrome")
        await expect(physician.find("session").nth(1)).to_contain_text("python-httpx")

        await physician.find("session-end").click()

        await expect(physician.find("session")).to_have_count(1)
        assert elsewhere.get("/api/account").status_code == 401
    assert physician.faults == []


async def test_how_somebody_is_reached_is_kept(context: BrowserContext, appliance: RunningAppliance) -> None:
    physician = await at_own_account(context, appliance, "vera")
    await physician.find("account-email").fill("vera@clinic.example")
    await physician.find("account-phone").fill("call me")
    await physician.find("account-save").click()
    await expect(physician.page.get_by_text("A phone number has digits")).to_be_visible()
    await physician.find("account-phone").fill("+385 1 234 567")
    await physician.find("account-address").fill("Ilica 1\n10000 Zagreb")
    await physician.find("account-save").click()
    await expect(physician.find("account-saved")).to_have_text("Saved.")

    await physician.page.reload()

    await expect(physician.find("account-email")).to_have_value("vera@clinic.example")
    await expect(physician.find("account-phone")).to_have_value("+385 1 234 567")
    await expect(physician.find("account-address")).to_have_value("Ilica 1\n10000 Zagreb")
    assert physician.faults == []
