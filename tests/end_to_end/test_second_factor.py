"""Logging in at the page with a second factor: the code of an app, and a recovery code."""

from __future__ import annotations

import base64
import time

from playwright.async_api import BrowserContext, expect

from appliance.services.second_factors import code_at
from tests.end_to_end.physician import Physician
from tests.end_to_end.running import PASSWORD, RunningAppliance


async def test_the_page_asks_for_a_code_and_takes_the_one_of_the_app(
    context: BrowserContext, appliance: RunningAppliance
) -> None:
    appliance.create_account("eva")
    with appliance.client() as client:
        grant = client.post("/api/session", json={"username": "eva", "password": PASSWORD}).json()
        client.headers["Authorization"] = f"Bearer {grant['access_token']}"
        secret = client.post("/api/account/second-factor", json={"password": PASSWORD}).json()["secret"]
        step = int(time.time()) // 30
        shown = code_at(base64.b32decode(secret), step)
        codes = client.put("/api/account/second-factor", json={"code": shown}).json()["recovery_codes"]
    physician = await Physician.at(context, appliance)

    await physician.log_in(username="eva")
    await expect(physician.find("login-message")).to_have_text("This account has a second factor.")
    await physician.find("login-code").fill("000000")
    await physician.find("login-submit").click()
    await expect(physician.find("login-message")).to_have_text("The code is wrong, or was used already.")
    await physician.find("login-code").fill(codes[0])
    await physician.find("login-submit").click()

    await expect(physician.find("patient-search")).to_be_visible()
    await physician.find("logout").click()
    await physician.log_in(username="eva")
    await physician.find("login-code").fill(code_at(base64.b32decode(secret), step + 1))
    await physician.find("login-submit").click()
    await expect(physician.find("patient-search")).to_be_visible()
