"""What a session leaves in its journal and store."""

import numpy as np

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import open_session
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.imaging.mask import mask_from_bytes
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.sessions import read_log
from osirix_agent.record.store import Store
from osirix_agent.record.verify import verify_log


def settle(engine) -> None:
    for _ in range(100):
        engine.step()
        if not engine.pending:
            return
    raise AssertionError("the session does not come to rest")


def test_a_session_records_how_it_was_led_and_what_was_decided(hospital):
    settings = hospital.settings.model_copy(
        update={"polygon_settle_s": 0.0, "study_keeps_words": True, "clinician": "Dr Who"}
    )
    opened = open_session(settings, RecordedFeedback(), segmenter=BallSegmenter(), companions=False)
    engine = opened.engine
    hospital.window.wlww = (55.0, 310.0)
    hospital.clinician.point((20.5, 24.5), k=6, name="GTVp")
    settle(engine)
    engine.ask(Request(Sentence("grow it by two millimetres Mr Quennell", 0.9), from_button=True))
    engine.ask(Request(Sentence("grow it by two millimetres", 0.9), from_button=True))
    settle(engine)
    (draft, *_) = [roi for roi in hospital.clinician.rois(6) if "~draft" in roi.name]
    hospital.clinician.move(draft, 3, 0)
    settle(engine)
    engine.ask(Request(Command("accept"), from_button=True))
    settle(engine)
    engine.finish()
    opened.close()

    assert [verdict.faults for verdict in verify_log(settings.state_dir, Pseudonyms.at(settings.state_dir).seal)] == [
        []
    ]
    (session,) = read_log(settings.state_dir)
    by = {kind: [e for e in session.events if e.event == kind] for kind in {e.event for e in session.events}}
    click, grown = by["prompt_changed"]
    assert (click.modality, grown.modality) == ("mouse", "voice")
    assert click.points_kji == ((6.0, 24.0, 20.0),)
    assert click.dwell_s is not None
    assert click.level_width == (55.0, 310.0)
    assert [(e.phrase, e.text) for e in by["said"]] == [("edit grow 2", "grow it by two millimetres")]
    assert by["slice_edited"][0].added_path_mm > 0
    assert by["command_given"][-1].modality == "button"
    (decided,) = by["decided"]
    assert (decided.decision, decided.prompts, decided.edited_slices) == ("accepted", 2, 1)
    assert decided.added_path_mm == sum(e.added_path_mm for e in by["slice_edited"])
    assert {e.request_digest for e in by["believed"]} == {e.request_digest for e in by["proposed"]}
    accepted = mask_from_bytes(Store.beside(session.path).get(decided.mask))
    assert accepted.any((1, 2))[6]
    last = mask_from_bytes(Store.beside(session.path).get(by["believed"][-1].mask))
    assert np.count_nonzero(accepted != last) < 0.5 * np.count_nonzero(last)
    started = session.started
    assert (started.nth, started.frame.origin_lps) == (1, opened.volume.geometry.origin_lps)
    assert 7 * 86400 <= opened_at(opened) - started.at <= 521 * 7 * 86400
    assert b"Quennell" not in b"".join(p.read_bytes() for p in (settings.state_dir / "journal").glob("*.jsonl"))


def opened_at(opened) -> float:
    return opened.journal_path.stat().st_mtime
