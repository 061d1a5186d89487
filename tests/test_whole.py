import os
import stat
import subprocess
import sys

import pytest

from osirix_agent.whole import torn, whole, write_whole


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "new" / "card.json"
    write_whole(path, "é")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there_and_nothing_beside(tmp_path):
    path = tmp_path / "mask.nii.gz"
    path.write_text("first")

    def fill_the_disk():
        with whole(path) as beside:
            assert beside.name.endswith(".nii.gz")  # writers of images go by it
            beside.write_text("half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fill_the_disk()
    assert [(p, p.read_text()) for p in tmp_path.iterdir()] == [(path, "first")]


def test_a_private_file_is_private_before_it_is_written(tmp_path):
    with whole(tmp_path / "key", private=True) as beside:
        assert stat.S_IMODE(beside.stat().st_mode) == 0o600
        beside.write_text("secret")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_only_the_leavings_of_processes_that_are_gone_are_torn(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from osirix_agent.whole import whole\n"
        "with whole(Path(sys.argv[1])) as beside: beside.touch(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, timeout=30)
    (left,) = tmp_path.iterdir()
    living = tmp_path / f".{os.getppid()}-00ff"
    for other in (living, tmp_path / ".head", tmp_path / ".DS-Store"):
        other.touch()
    assert torn(tmp_path) == [left]
