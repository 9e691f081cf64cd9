"""The picture at the end of provisioning is drawn whether or not the box gives out the page."""

from __future__ import annotations

from pathlib import Path

from appliance.settings import load
from provisioning.installation import ROOT
from provisioning.self_test import without_page


def test_the_self_test_needs_no_page(tmp_path: Path) -> None:
    settings = load(without_page(ROOT / "config" / "all-in-one.yaml", tmp_path))

    assert settings.roles == ("toplevel", "institution", "node")
    assert settings.web is None
