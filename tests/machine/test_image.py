"""What a box has of Debian and of Python, tried without booting it: in the folder that its disk is made of.

The short form of the machine tests: minutes with nothing kept, seconds with the folder kept; no QEMU, no OpenZFS.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.rendering.encoders import media_types
from appliance.rendering.films import film_types
from tests.machine import image

pytestmark = [pytest.mark.long, pytest.mark.timeout(5400)]

Run = Callable[..., str]
_IN_ROOT = """
mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/tmp" && mount --bind "$2" "$1/mnt" || exit
root=$1; shift 2
exec chroot "$root" env --chdir=/tmp LC_ALL=C.UTF-8 PYTHONPATH=/mnt MESA_SHADER_CACHE_DIR=/tmp /opt/appliance/bin/python "$@"
"""
"""In a name space of mounts that ends with it, so that nothing is left of them."""


@pytest.fixture(scope="module")
def run(checkout: Path) -> Run:
    """What the box's Python prints, with the checkout at /mnt; fails the test unless it ends well."""
    try:
        root = image.ensure_root()
    except image.CannotBuild as problem:
        pytest.fail(f"no root can be built: {problem}", pytrace=False)

    def run(*arguments: str) -> str:
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_ROOT, "sh", str(root), str(checkout)]
        done = subprocess.run([*words, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_a_box_makes_every_kind_of_picture_and_film_that_is_made_here(run: Run) -> None:
    asked = (
        "import json; from appliance.rendering import encoders, films;"
        " print(json.dumps([encoders.media_types(), films.film_types()]))"
    )

    assert json.loads(run("-c", asked)) == [list(media_types()), list(film_types())]


def test_a_box_stores_a_slice_and_draws_it_as_calculated(run: Run) -> None:
    said = run("-m", "provisioning.self_test", "--picture", "/tmp/picture.png")

    assert json.loads(said.splitlines()[-1])["greatest_difference"] <= 1
