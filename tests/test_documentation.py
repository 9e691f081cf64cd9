"""What the documents say is there, is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_in_code_marks_exists(document: Path) -> None:
    for name in re.findall(
        r"`((?:appliance|tests|config|provisioning|webui|http|services|domain|storage)/[\w./-]+)`", document.read_text()
    ):
        assert (ROOT / name).exists() or (ROOT / "appliance" / name).exists(), name


def test_every_test_that_is_named_as_a_witness_is_there() -> None:
    text = (ROOT / "docs" / "rendering.md").read_text()
    witnesses = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)

    assert len(witnesses) > 15
    for file, name in witnesses:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), name


def test_the_commands_of_the_readme_are_files_that_run() -> None:
    for command in re.findall(r"^    ((?:provisioning|tests)/\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert (ROOT / command).stat().st_mode & 0o111, command


def test_the_document_of_the_doors_names_every_resource() -> None:
    """Every JSON resource that the code registers stands in docs/api.md, the paths of synchronisation aside."""
    text = (ROOT / "docs" / "api.md").read_text()
    for file in (ROOT / "appliance" / "http").glob("*.py"):
        for path in re.findall(r'blueprint\.\w+\("(/[^"]+)"\)', file.read_text()):
            plain = re.sub(r"<(\w+)>", lambda name: "{" + NAMES.get(name[1], name[1]) + "}", path)
            assert plain in text, plain


NAMES = {"study": "study_uid", "series": "series_uid"}
