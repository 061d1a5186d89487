"""A log as a whole: chain, store, verify, merge, forget, tables."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from osirix_agent.bench import record as bench
from osirix_agent.bench.recording import KEY, PROMPTS_EACH, ball, image, open_log, prompt
from osirix_agent.cli import main
from osirix_agent.errors import JournalError, SettingsError
from osirix_agent.imaging.mask import mask_from_bytes
from osirix_agent.record.agreement import calibration_error, calibration_errors
from osirix_agent.record.chain import head_path
from osirix_agent.record.events import SCHEMA_VERSION, Believed, Decided, PromptChanged
from osirix_agent.record.forget import forget
from osirix_agent.record.journal import Journal, read_journal
from osirix_agent.record.keeping import LIMIT, Keeper, belief_bytes, logit_from_bytes
from osirix_agent.record.merge import merge
from osirix_agent.record.parquet import export
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.report import write_report
from osirix_agent.record.sessions import read_log, read_session
from osirix_agent.record.stats import stats_of
from osirix_agent.record.store import Store
from osirix_agent.record.tables import TABLES, DecisionRow, PromptRow, ProposalRow, rows_of
from osirix_agent.record.verify import verify, verify_log
from tests.record.rewriting import raw, rewrite

OLD = Path(__file__).parent / "old"
SEAL = Pseudonyms(KEY).seal


def recorded(path: Path, n: int = 0, prompts: int = 12, *, end: bool = True, executor=None) -> Path:
    """A simulated session on patient `n`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    volume, rng, said = image(), np.random.default_rng(n), []
    log = open_log(path, volume, Keeper(Store.beside(path), executor), len, n)
    for number in range(prompts):
        for _ in prompt(log, rng, volume, said, number, ball(rng, volume, (6, 20, 20))):
            pass
    if end:
        log.ended("quit", ())
    log.close()
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("log") / "journal" / "one.jsonl")


@pytest.fixture
def mine(one, tmp_path):
    """A copy that may be spoilt."""
    merge([one.parent], tmp_path / "journal")
    return tmp_path / "journal" / "one.jsonl"


# -- chain and verify ----------------------------------------------------------------------------------------------
def test_what_was_recorded_is_whole(one):
    verdict = verify(one, SEAL)
    assert (verdict.faults, verdict.notes, verdict.finished, verdict.sealed) == ([], [], True, True)
    assert verdict.events == len(read_journal(one))


@pytest.mark.parametrize("way", bench.WAYS)
def test_any_single_alteration_is_found(mine, way):
    lines, rng = mine.read_bytes().splitlines(keepends=True), np.random.default_rng(1)
    for at in range(len(lines)):
        changed = bench.WAYS[way](list(lines), at, rng)
        mine.write_bytes(b"".join(changed))
        assert changed == lines or verify(mine, SEAL, stored=False).faults, f"line {at + 1}"


def test_a_chain_made_anew_is_found_by_the_seal_alone(mine):
    rewrite(mine, [event | {"at": 0.0} for event in raw(mine)])
    assert verify(mine).faults == []
    assert "no seal" in verify(mine, SEAL).faults[0]
    with pytest.raises(AssertionError):
        assert verify(mine, Pseudonyms(b"another site's key").seal).faults == []


def test_an_altered_journal_is_not_read(mine):
    mine.write_bytes(mine.read_bytes().replace(b'"include"', b'"exclude"', 1))
    with pytest.raises(JournalError, match="was altered, or lines before it are missing"):
        read_journal(mine)
    assert main(["log", "verify", str(mine)]) == 1


def test_a_lost_tail_a_lost_head_and_a_lost_journal_are_found(mine):
    whole = mine.read_bytes()
    mine.write_bytes(b"".join(whole.splitlines(keepends=True)[:-3]))
    assert verify(mine).faults == ["3 events are missing at the end."]
    mine.write_bytes(whole)
    head = head_path(mine).read_bytes()
    head_path(mine).write_bytes(head[:40])
    assert verify(mine).faults == ["The journal's head is damaged."]
    head_path(mine).unlink()
    assert verify(mine).faults == ["The journal's head is missing."]
    head_path(mine).write_bytes(head)
    mine.with_name("two.head").write_bytes(head)
    assert [v.faults for v in verify_log(mine.parent)] == [[], ["The journal is gone; its head is there."]]


def test_a_missing_and_a_damaged_blob_are_found(mine):
    store = Store.beside(mine)
    first, second, *_ = store.addresses()
    store.remove(first)
    store.path(second).write_bytes(b"no zlib")
    faults = verify(mine).faults
    assert sorted(text.split(" in ")[0].split(",")[0] for text in faults) == sorted(
        [f"The store lacks {first[:12]}", f"{second[:12]}"]
    )


def test_two_agents_cannot_write_one_journal(tmp_path):
    path = recorded(tmp_path / "j.jsonl", prompts=1, end=False)
    event = read_journal(path)[-1]
    first, second = Journal(path, resume=True), Journal(path, resume=True)
    first.append(event)
    with pytest.raises(JournalError, match="Another program has written"):
        second.append(event)
    first.close()
    second.close()
    assert verify(path, None).faults == []


def test_events_lost_with_the_power_are_told_after_resuming(tmp_path):
    path = recorded(tmp_path / "j.jsonl", prompts=2, end=False)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]) + b'{"torn')
    recorded(path, prompts=0)
    verdict = verify(path, SEAL)
    assert verdict.faults == []
    assert "1 events were lost before the session was resumed" in verdict.notes[0]


def test_a_head_that_cannot_be_written_takes_its_event_back(tmp_path, monkeypatch):
    path = recorded(tmp_path / "j.jsonl", prompts=1, end=False)
    before, event = path.read_bytes(), read_journal(path)[-1]
    journal = Journal(path, resume=True)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *_: 3)
    with pytest.raises(JournalError, match="No space left"):
        journal.append(event)
    assert path.read_bytes() == before
    monkeypatch.setattr(os, "pwrite", real)
    journal.append(event)
    journal.close()
    assert verify(path).faults == []


# -- old journals --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("version", [1, 2])
def test_journals_of_earlier_schemas_are_read(version, tmp_path):
    path = OLD / f"schema-{version}.jsonl"
    session = read_session(path)
    assert session.started.schema_version == version
    rows = list(rows_of(session))
    prompts = [row for row in rows if isinstance(row, PromptRow)]
    assert prompts
    assert {row.modality for row in prompts} == {"unknown"}
    assert rows[-1].began is None  # its date is not shifted
    verdict = verify(path)
    assert verdict.faults == []
    assert "not chained" in verdict.notes[-1]
    assert merge([path], tmp_path / "out").sessions == 1


def test_a_session_of_an_earlier_schema_goes_on_in_a_chain(tmp_path):
    path = tmp_path / "j.jsonl"
    old = (OLD / "schema-2.jsonl").read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(old))
    recorded(path, prompts=2)
    assert verify(path, SEAL).faults == []
    lines = path.read_bytes().splitlines(keepends=True)
    for at in range(len(lines)):
        path.write_bytes(b"".join(bench._forged(list(lines), at, np.random.default_rng(0))))
        assert verify(path, SEAL, stored=False).faults, f"line {at + 1}"


# -- store ---------------------------------------------------------------------------------------------------------
def test_the_store_keeps_masks_and_beliefs(one):
    store, rng = Store.beside(one), np.random.default_rng(0)
    belief = ball(rng, image(), (6, 20, 20))
    assert np.array_equal(mask_from_bytes(belief.mask_bytes), belief.mask())
    events = read_journal(one)
    kept = [event for event in events if isinstance(event, Believed)]
    assert len(kept) == 12
    assert [event.before for event in kept[1:PROMPTS_EACH]] == [event.after for event in kept[: PROMPTS_EACH - 1]]
    assert kept[PROMPTS_EACH].before is None  # another structure
    for event in kept:
        logit, mask = logit_from_bytes(store.get(event.belief)), mask_from_bytes(store.get(event.mask))
        assert np.array_equal(logit >= 0, mask)
    full = np.clip(belief.crop_logit, -LIMIT, LIMIT)
    found = logit_from_bytes(belief_bytes(belief))[belief.region]
    assert np.abs(found - full).max() < 0.041


def test_what_a_kill_left_half_written_is_cleared(tmp_path):
    store = Store(tmp_path)
    address = store.put(b"content")
    torn = store.path(address).with_name(".999999999-00ff")
    torn.write_bytes(b"half")
    assert store.clear_torn() == 1
    assert not torn.exists()
    assert store.get(address) == b"content"


def test_a_full_disk_stops_the_session_and_leaves_no_half_blob(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(JournalError, match="No space left"):
        recorded(tmp_path / "j.jsonl", prompts=1)
    monkeypatch.undo()
    assert not list(tmp_path.rglob(".*"))
    recorded(tmp_path / "j.jsonl", prompts=2)  # it goes on
    assert verify(tmp_path / "j.jsonl", SEAL).faults == []


def test_events_name_blobs_only_once_they_are_there(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        path = recorded(tmp_path / "j.jsonl", executor=executor)
    assert verify(path, SEAL).faults == []
    assert sum(isinstance(event, Decided) for event in read_journal(path)) == 1


# -- merge and forget ----------------------------------------------------------------------------------------------
def test_merging_takes_each_session_once_and_the_longer_of_two(tmp_path):
    path = recorded(tmp_path / "a" / "one.jsonl", 1, 2, end=False)
    assert merge([tmp_path / "a"], tmp_path / "out").sessions == 1
    recorded(path, 1, 4)
    recorded(tmp_path / "b" / "one.jsonl", 2, 2)
    assert merge([tmp_path / "a", tmp_path / "b", tmp_path / "a"], tmp_path / "out").sessions == 2
    again = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert (again.sessions, again.known) == (0, 2)
    assert [v.faults for v in verify_log(tmp_path / "out")] == [[], []]
    changed = raw(path)
    rewrite(path, [*changed[:-1], changed[-1] | {"reason": "another"}])
    with pytest.raises(JournalError, match="in two ways"):
        merge([tmp_path / "a"], tmp_path / "out")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(JournalError, match="not whole"):
        merge([tmp_path / "a"], tmp_path / "other")


def test_forgetting_leaves_a_tombstone_that_verifies_and_marks_adapters(tmp_path, capsys):
    state = tmp_path / "state"
    for n in (1, 2, 151):  # 1 and 151 are of one patient
        recorded(state / "journal" / f"{n}.jsonl", n, 3)
    sessions = {session.path.name: session for session in read_log(state)}
    theirs = sessions["1.jsonl"]
    (state / "ledger").mkdir()
    ledger = state / "ledger" / f"{theirs.started.series}.jsonl"
    ledger.write_text("[]")
    (state / "ledger" / f"{theirs.started.series}.lock").touch()
    for name, ids in (("learnt", [theirs.id]), ("other", [sessions["2.jsonl"].id])):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "lineage.json").write_text(json.dumps({"sessions": ids}))
    copy = tmp_path / "copy"
    merge([state], copy)

    found = forget(theirs.started.patient, state, [tmp_path / "models"], SEAL)
    assert (found.sessions, found.unreadable) == (2, [])
    assert found.blobs > 0
    assert [path.name for path in (state / "journal").glob("*.jsonl")] == ["2.jsonl", "forgotten.jsonl"]
    assert not ledger.exists()
    assert json.loads((tmp_path / "models" / "learnt" / "forgotten.json").read_text()) == {"sessions": [theirs.id]}
    assert not (tmp_path / "models" / "other" / "forgotten.json").exists()
    assert [v.faults for v in verify_log(state, SEAL)] == [[], []]
    left = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert theirs.started.patient.encode() not in left
    assert forget(theirs.started.patient, state, [], SEAL).sessions == 0

    merged = merge([state, copy], tmp_path / "merged")
    assert (merged.sessions, merged.forgotten) == (1, 2)
    stones = state / "journal" / "forgotten.jsonl"
    stones.write_bytes(stones.read_bytes().replace(b'"events":1', b'"events":2', 1))
    assert any(v.faults for v in verify_log(state, SEAL))
    assert main(["log", "forget", "nobody", "--state-dir", str(state)]) == 1


def test_a_running_session_is_not_forgotten(tmp_path):
    from osirix_agent.record.ledger import SeriesLock

    path = recorded(tmp_path / "journal" / "1.jsonl", 1, 1)
    started = read_session(path).started
    lock = SeriesLock(tmp_path / "ledger" / f"{started.series}.lock")
    with pytest.raises(JournalError, match="running"):
        forget(started.patient, tmp_path, [], SEAL)
    lock.release()
    assert path.exists()
    assert forget(started.patient, tmp_path, [], SEAL).sessions == 1


# -- tables, statistics, report ------------------------------------------------------------------------------------
def test_an_export_is_read_back_by_duckdb(one, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    counts = export(one.parent, tmp_path)
    session = read_session(one)
    rows = list(rows_of(session))
    for table in TABLES:
        mine = [row for row in rows if type(row) is table]
        assert counts[table.table] == len(mine)
        back = duckdb.sql(f"select * from read_parquet('{tmp_path / table.table}.parquet')")
        assert back.columns == list(table.model_fields)
        if table.table != "sessions":
            assert [dict(zip(back.columns, one, strict=True)) for one in back.fetchall()] == [dict(r) for r in mine]
    (joined,) = duckdb.sql(f"""
        select s.patient, count(*), max(p.points_kji[1][1]) from read_parquet('{tmp_path}/prompts.parquet') p
        join read_parquet('{tmp_path}/sessions.parquet') s using (session) group by 1""").fetchall()
    added = [event for event in session.events if isinstance(event, PromptChanged)]
    assert joined == (session.started.patient, 12, max(event.points_kji[0][0] for event in added))
    geometry = image().geometry
    for event in added:
        assert np.allclose(geometry.to_lps(event.points_kji[0]), event.prompt.position_lps, atol=0.01)


def test_croissant_describes_every_column(one, tmp_path):
    export(one, tmp_path)
    found = json.loads((tmp_path / "croissant.json").read_text())
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    named = {field["@id"]: field for table in found["recordSet"] for field in table["field"]}
    assert set(named) == {f"{table.table}/{column}" for table in TABLES for column in table.model_fields}
    assert named["prompts/points_kji"]["repeated"]
    assert named["edits/session"]["references"] == {"field": {"@id": "sessions/session"}}
    import hashlib

    for file in found["distribution"]:
        assert hashlib.sha256((tmp_path / file["contentUrl"]).read_bytes()).hexdigest() == file["sha256"]


def test_a_full_disk_leaves_the_earlier_export(one, tmp_path, monkeypatch):
    import pyarrow.parquet

    export(one, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.parquet.ParquetWriter, "write_table", full)
    with pytest.raises(JournalError, match="No space left"):
        export(one, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_the_extra_it_says_what_to_install(one, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"pip install 'osirix-agent\[study\]'"):
        export(one, tmp_path)


def test_statistics_are_those_of_the_session(one):
    stats = stats_of([read_session(one)]).as_json()
    assert (stats["whole"]["prompts"], stats["whole"]["accepted"], stats["whole"]["sessions"]) == (12, 1, 1)
    assert stats["structures"]["GTVp"]["prompts_to_accept"] == {"n": 1, "p5": 10.0, "p50": 10.0, "p95": 10.0}
    assert stats["structures"]["GTVp"]["prompts"] == PROMPTS_EACH
    assert len(stats["clinicians"]) == 1


def test_the_report_is_one_page_that_loads_nothing(one, tmp_path):
    write_report(one, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") == 5
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert "GTVp" in page
    assert len(calibration_errors(read_session(one))) == 1
    write_report(OLD / "schema-1.jsonl", tmp_path / "old.html")  # nothing was accepted in it, as far as it says


def test_calibration_error_of_a_belief_that_keeps_its_word_is_small():
    rng = np.random.default_rng(0)
    from osirix_agent.belief.belief import Belief

    p = rng.uniform(0.05, 0.95, (10, 40, 40))
    belief = Belief(np.log(p / (1 - p)).astype(np.float32), (0, 0, 0), p.shape, "x")
    true = Belief(np.where(rng.random(p.shape) < p, 1, -1).astype(np.float32), (0, 0, 0), p.shape, "x")
    wrong = Belief(np.where(rng.random(p.shape) > p, 1, -1).astype(np.float32), (0, 0, 0), p.shape, "x")
    assert calibration_error(belief_bytes(belief), true.mask_bytes) < 0.03
    assert calibration_error(belief_bytes(belief), wrong.mask_bytes) > 0.4


def test_the_commands_run(one, tmp_path, capsys):
    assert main(["log", "verify", str(one), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["whole"]
    assert main(["log", "show", str(one)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == len(read_journal(one))
    assert main(["log", "stats", str(one)]) == 0
    assert main(["log", "report", str(one), "--out", str(tmp_path / "r.html")]) == 0
    assert main(["log", "export", str(one), "--out", str(tmp_path / "x"), "--json"]) == 0
    assert main(["log", "merge", str(one), "--out", str(tmp_path / "m"), "--json"]) == 0
    assert main(["log", "verify", str(tmp_path)]) == 6
    assert "There is no journal there" in capsys.readouterr().err


def test_rows_say_what_was_recorded(one):
    session = read_session(one)
    rows = list(rows_of(session))
    (decision,) = [row for row in rows if isinstance(row, DecisionRow)]
    assert (decision.prompts, decision.decision) == (PROMPTS_EACH, "accepted")
    assert decision.mask in Store.beside(one)
    proposals = [row for row in rows if isinstance(row, ProposalRow)]
    assert all(row.click_to_redraw_ms for row in proposals)
    assert proposals[1].before_volume_mm3 == proposals[0].volume_mm3
    assert session.started.schema_version == SCHEMA_VERSION


@pytest.mark.slow
def test_a_bench_of_a_few_sessions_holds(tmp_path):
    figures = {figure.id: figure for figure in bench._crash(tmp_path, 3, 3, 20, id)}
    assert all(figure.holds for figure in figures.values()), figures


@pytest.mark.slow
def test_no_identifying_string_comes_out(tmp_path):
    from osirix_agent.bench.private import measure

    figure = measure(tmp_path / "p", 2)
    assert figure.holds, figure.note


def test_the_queries_of_the_how_to_run(one, tmp_path, monkeypatch):
    duckdb = pytest.importorskip("duckdb")
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "study-a-log.md").read_text()
    export(one, tmp_path / "tables")
    monkeypatch.chdir(tmp_path)
    first, second, _ = page.split("```sql\n")[1].split("```")[0].split(";")
    assert duckdb.sql(first).fetchall()[0][:2] == ("GTVp", 1)
    assert {row[0] for row in duckdb.sql(second).fetchall()} == {"point"}
