"""A study's session: nothing before her own contour, uncertainty by lot, and what the journal says of both."""

from collections import Counter

import pytest

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import open_session
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.agent.study import session_arm, structure_arm
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import SettingsError
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.events import PromptChanged, Revealed
from osirix_agent.record.journal import read_journal
from osirix_agent.record.sessions import read_session
from osirix_agent.record.stats import stats_of
from osirix_agent.record.tables import DecisionRow, rows_of
from osirix_agent.settings import load_settings

SEED = "a seed that nobody knows"
SQUARE = [(14.5, 14.5), (26.5, 14.5), (26.5, 26.5), (14.5, 26.5)]


def revealed(practice) -> list[Revealed]:
    return [event for event in read_journal(practice.journal) if isinstance(event, Revealed)]


def seed_of(arm: str) -> str:
    return next(seed for n in range(99) if session_arm(seed := f"seed number {n}", 1) == arm)


def seen(practice) -> list:
    sights: list = []
    practice.engine.show_to(sights.append)
    practice.settle()
    return sights


def status(practice) -> str:
    practice.engine.ask(Request(Sentence("status")))
    practice.settle()
    return practice.feedback.texts[-1]


def test_without_a_study_nothing_is_hidden_and_nothing_written_down(practice):
    practice.clinician.point((20.5, 20.5), k=6)
    practice.settle()
    assert practice.drafts()
    assert revealed(practice) == []


def test_blind_she_draws_first(open_practice):
    practice = open_practice(study_blind=True)
    sights = seen(practice)
    practice.clinician.point((20.5, 20.5), k=6)
    practice.settle()
    assert practice.engine.belief("GTV") is not None  # it is worked out, and kept in the journal
    assert practice.drafts() == []
    assert sights[-1].shown == {}
    for verb in ("propose", "accept", "lock", "next"):
        practice.do(verb)
        assert practice.feedback.texts[-1].startswith("Not done"), verb
    assert "no contour yet" in status(practice)
    practice.clinician.polygon(SQUARE, k=7)
    practice.settle()
    assert practice.drafts() == []
    assert revealed(practice) == []
    practice.do("propose")
    assert practice.drafts()
    assert set(sights[-1].shown) == {"GTV"}
    assert [(one.structure, one.arm, one.blind) for one in revealed(practice)] == [("GTV", None, True)]
    practice.do("accept")
    kinds = [event.event for event in read_journal(practice.journal)]
    assert kinds.index("revealed") < kinds.index("decided")
    drawn = [e for e in read_journal(practice.journal) if isinstance(e, PromptChanged)]
    assert [one.prompt.kind for one in drawn] == ["point", "lasso"]


def test_blind_structures_are_revealed_one_by_one(open_practice):
    practice = open_practice(study_blind=True)
    practice.clinician.polygon(SQUARE, k=7, name="GTV")
    practice.clinician.polygon(SQUARE, k=3, name="CTV")
    practice.settle()
    practice.do("propose CTV")
    assert practice.drafts(structure="CTV")
    assert practice.drafts(structure="GTV") == []
    practice.do("propose GTV")
    assert practice.drafts(structure="GTV")
    practice.clinician.point((20.5, 20.5), k=6, name="GTV")  # once seen, it stays seen
    practice.settle()
    assert len(revealed(practice)) == 2


@pytest.mark.parametrize("arm", ["uncertainty", "plain"])
def test_the_lot_decides_whether_uncertainty_is_shown(open_practice, arm):
    practice = open_practice(study_arms="session", study_seed=seed_of(arm))
    sights = seen(practice)
    assert revealed(practice) == []
    assert seed_of(arm) not in practice.journal.read_text()
    practice.clinician.point((20.5, 20.5), k=6)
    practice.settle()
    assert [(one.arm, one.blind) for one in revealed(practice)] == [(arm, False)]
    lines = [roi for roi in practice.clinician.rois() if "~" in roi.name and "~draft" not in roi.name]
    assert bool(lines) == (arm == "uncertainty")
    assert (sights[-1].look.plain == {"GTV"}) == (arm == "plain")
    practice.do("next")
    assert ["uncertainty is not shown" in text for text in practice.feedback.texts] == [True] * (arm == "plain")
    assert ("calibrated" in status(practice)) == (arm == "uncertainty")
    practice.do("accept")
    session = read_session(practice.journal)
    (row,) = [row for row in rows_of(session) if isinstance(row, DecisionRow)]
    assert (row.arm, row.blind) == (arm, False)
    assert stats_of([session]).arms[arm].accepted == 1
    assert session.started.settings["study_arms"] == "session"
    assert len(session.started.settings["study_seed_sha256"]) == 64


def test_a_structure_that_was_there_before_can_be_locked_though_the_study_is_blind(hospital, open_practice):
    hospital.clinician.polygon(SQUARE, k=7, name="Heart")
    practice = open_practice(study_blind=True)
    practice.do("lock Heart")
    assert practice.engine.session.state.structure("Heart").locked


def test_what_is_clicked_and_accepted_in_one_breath_is_accepted(open_practice):
    practice = open_practice(study_arms="session", study_seed=SEED)
    practice.clinician.point((20.5, 20.5), k=6)
    practice.do("accept")
    assert practice.engine.session.state.structure("GTV").accepted
    assert [event.event for event in read_journal(practice.journal)].count("revealed") == 1


def test_lots_are_balanced_in_blocks_and_differ_by_seed():
    for seed in ("one seed one", "another seed"):
        arms = [session_arm(seed, nth) for nth in range(1, 401)]
        for block in range(100):
            assert Counter(arms[4 * block : 4 * block + 4]) == {"uncertainty": 2, "plain": 2}
    assert arms != [session_arm("one seed one", nth) for nth in range(1, 401)]
    many = Counter(structure_arm(SEED, f"{n:x}", "GTVp") for n in range(2000))
    assert abs(many["plain"] - 1000) < 100


def test_structures_may_be_drawn_one_by_one(open_practice):
    practice = open_practice(study_arms="structure", study_seed=SEED)
    for n, name in enumerate(("GTVp", "CTV", "Heart", "Lung_L", "Lung_R", "PTV_70")):
        practice.clinician.point((20.5, 20.5), k=2 + n, name=name)
    practice.settle()
    series = read_session(practice.journal).started.series
    assert {one.structure: one.arm for one in revealed(practice)} == {
        name: structure_arm(SEED, series, name) for name in ("GTVp", "CTV", "Heart", "Lung_L", "Lung_R", "PTV_70")
    }
    shown = {
        roi.name.split(" ~")[0] for roi in practice.clinician.rois() if "~" in roi.name and "~draft" not in roi.name
    }
    assert shown == {one.structure for one in revealed(practice) if one.arm == "uncertainty"}


def test_a_lot_needs_a_seed():
    with pytest.raises(SettingsError, match="study_seed"):
        load_settings(study_arms="session")
    assert load_settings(study_arms="session", study_seed=SEED).study_seed == SEED


def test_after_a_kill_what_was_revealed_stays_so_and_the_rest_hidden(hospital):
    settings = hospital.settings.model_copy(
        update={"polygon_settle_s": 0.0, "study_blind": True, "study_arms": "session", "study_seed": seed_of("plain")}
    )

    def opened():
        return open_session(settings, RecordedFeedback(), segmenter=BallSegmenter(), companions=False)

    def settle(engine):
        engine.step()
        while engine.pending:
            engine.step()

    first = opened()
    hospital.clinician.polygon(SQUARE, k=7, name="GTV")
    settle(first.engine)
    first.engine.command(Command("propose", "GTV"))
    settle(first.engine)
    hospital.clinician.point((20.5, 20.5), k=3, name="CTV")
    settle(first.engine)
    first.close()  # killed: it was not finished
    again = opened()
    settle(again.engine)
    drafts = {roi.name.split(" ~")[0] for roi in hospital.clinician.rois() if "~" in roi.name}
    assert drafts == {"GTV"}
    events = read_journal(again.journal_path)
    assert again.journal_path == first.journal_path
    assert [(one.structure, one.arm) for one in events if isinstance(one, Revealed)] == [("GTV", "plain")]
    again.engine.finish()
    again.close()
