import json
import os
from pathlib import Path

import pytest

from osirix_agent.errors import JournalError
from osirix_agent.record.events import CommandGiven, SessionEnded, SessionStarted
from osirix_agent.record.journal import Journal, read_journal
from osirix_agent.record.ledger import Ledger
from osirix_agent.record.pseudonym import Pseudonyms


def started() -> SessionStarted:
    return SessionStarted(
        at=0, elapsed_s=0, run="abc", patient="p", study="s", series="x", slices=("a",), modality="CT",
        volume_digest="d", shape_kji=(1, 1, 1), spacing_kji_mm=(1, 1, 1), segmenter="s", versions={}, device="d",
        settings={},
    )  # fmt: skip


def written(path: Path, count: int = 3) -> Path:
    journal = Journal(path)
    journal.append(started())
    for _ in range(count):
        journal.append(CommandGiven(at=1, elapsed_s=1, verb="undo", structure=None, modality="typed"))
    journal.close()
    return path


def test_events_come_back_in_order(tmp_path):
    events = read_journal(written(tmp_path / "j.jsonl"))
    assert [e.event for e in events] == ["session_started"] + ["command_given"] * 3
    assert (tmp_path / "j.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_left_out(tmp_path, cut):
    path = written(tmp_path / "j.jsonl")
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(read_journal(path)) == 3


def test_damage_before_the_end_is_an_error_that_names_the_line(tmp_path):
    path = written(tmp_path / "j.jsonl")
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:-4]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(JournalError, match="Line 2"):
        read_journal(path)


def test_a_newer_journal_says_update(tmp_path):
    path = written(tmp_path / "j.jsonl")
    lines = path.read_text().splitlines()
    first = json.loads(lines[0]) | {"schema_version": 99, "new_field": 1}
    path.write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    with pytest.raises(JournalError, match="newer version") as caught:
        read_journal(path)
    assert "Update" in caught.value.cure


@pytest.mark.parametrize("content", [b"", b"hello\nworld\n", b"\x00\xff"])
def test_what_is_no_journal_is_refused(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(JournalError):
        read_journal(path)
    with pytest.raises(JournalError, match="cannot be read"):
        read_journal(tmp_path / "missing")


def test_an_existing_file_is_never_appended_to(tmp_path):
    with pytest.raises(JournalError):
        Journal(written(tmp_path / "j.jsonl"))


def test_a_full_disk_leaves_whole_lines_and_says_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.append(started())
    before = path.read_bytes()
    real = os.write

    def full(handle: int, data: bytes) -> int:
        if len(data) > 10:
            return real(handle, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(JournalError, match="No space left") as caught:
        journal.append(SessionEnded(at=1, elapsed_s=1, reason="quit", accepted=()))
    assert "Free some disk space" in caught.value.cure
    assert path.read_bytes() == before
    monkeypatch.setattr(os, "write", real)
    journal.append(SessionEnded(at=1, elapsed_s=1, reason="quit", accepted=()))
    journal.close()
    assert len(read_journal(path)) == 2


def test_ledger_remembers_across_processes_and_forgets_when_cleared(tmp_path):
    path = tmp_path / "l" / "x.jsonl"
    Ledger(path).intend({("a", "s", "1"): None, ("b", "s", "2"): "GTV"})
    with path.open("a") as file:
        file.write('["torn", "s')
    again = Ledger(path)
    assert ("a", "s", "1") in again
    assert ("a", "s", "2") not in again
    assert again.final_name(("b", "s", "2")) == "GTV"
    assert again.final_name(("a", "s", "1")) is None
    assert len(again) == 2
    again.clear()
    assert len(Ledger(path)) == 0


def test_ledger_on_a_full_disk_writes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "x.jsonl"
    ledger = Ledger(path)
    ledger.intend({("a", "s", "1"): None})
    before = path.read_bytes()
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:3]))
    with pytest.raises(JournalError, match="nothing is drawn"):
        ledger.intend({("b", "s", "2"): None})
    monkeypatch.setattr(os, "write", real)
    assert path.read_bytes() == before
    assert ("b", "s", "2") not in ledger


def test_site_key_is_private_stable_and_needed(tmp_path):
    first = Pseudonyms.at(tmp_path / "state")
    assert Pseudonyms.at(tmp_path / "state").of("1.2.3") == first.of("1.2.3")
    assert Pseudonyms.at(tmp_path / "other").of("1.2.3") != first.of("1.2.3")
    assert (tmp_path / "state" / "site.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(JournalError):
        Pseudonyms(b"short")
