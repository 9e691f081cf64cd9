"""What the machine tests look at disks with, without a machine."""

from __future__ import annotations

from pathlib import Path

from tests.machine.guest import MEBIBYTE, blocks, digest, holds


def sparse(folder: Path, *written: tuple[int, bytes]) -> Path:
    disk = folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(64 * MEBIBYTE)
        for offset, content in written:
            file.seek(offset)
            file.write(content)
    return disk


def test_a_text_is_found_wherever_it_lies_also_across_two_blocks(tmp_path: Path) -> None:
    for offset in (0, 5 * MEBIBYTE - 3, 40 * MEBIBYTE + 17, 64 * MEBIBYTE - 9):
        assert holds(sparse(tmp_path, (offset, b"plain text")[:2]), b"plain tex")
    assert not holds(sparse(tmp_path, (3 * MEBIBYTE, b"plain")), b"plain text")


def test_holes_are_not_read(tmp_path: Path) -> None:
    read = sum(len(content) for _, content in blocks(sparse(tmp_path, (30 * MEBIBYTE, b"x"))))

    assert read < 3 * MEBIBYTE


def test_one_other_byte_is_another_digest_and_a_block_of_zeros_is_none(tmp_path: Path) -> None:
    first = digest(sparse(tmp_path, (30 * MEBIBYTE, b"x")))

    assert digest(sparse(tmp_path, (30 * MEBIBYTE, b"y"))) != first
    assert digest(sparse(tmp_path, (31 * MEBIBYTE, b"x"))) != first
    assert digest(sparse(tmp_path, (30 * MEBIBYTE, b"x"), (9 * MEBIBYTE, bytes(4096)))) == first
