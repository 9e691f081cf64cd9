"""The commands of a box are found by a shell, and by another box that comes by ssh."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.installing import link_commands, look_at_commands
from provisioning.progress import Refusal


def test_the_commands_are_linked_once_and_then_found(tmp_path: Path) -> None:
    assert "not in" in look_at_commands(tmp_path).told

    link_commands(tmp_path)
    link_commands(tmp_path)

    assert look_at_commands(tmp_path).is_well
    assert (tmp_path / "appliance-zfs").readlink() == Path("/opt/appliance/bin/appliance-zfs")


def test_a_link_to_elsewhere_is_put_right_and_another_program_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "appliance").symlink_to("/nowhere")
    link_commands(tmp_path)
    assert look_at_commands(tmp_path).is_well

    (tmp_path / "appliance-zfs").unlink()
    (tmp_path / "appliance-zfs").write_text("of somebody else")
    with pytest.raises(Refusal, match="is another program"):
        link_commands(tmp_path)
