"""OsiriX goes away and comes back, the agent is killed and started again: the session goes on."""

import json

import numpy as np
import pytest

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import open_session
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.agent.waiting import wait_until_open
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import JournalError, NoServerError, NoViewerError, SettingsError
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.journal import read_journal
from osirix_agent.settings import Settings
from osirix_agent.viewer.connection import OsirixConnection
from osirix_agent.virtual_osirix.app import VirtualOsirix
from osirix_agent.virtual_osirix.clinician import Clinician
from osirix_agent.virtual_osirix.faults import Fault, FaultKind, Faults, FaultyChannel, VirtualClock
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from tests.conftest import signature
from tests.record.rewriting import raw, rewrite


class Ward:
    """A session in virtual time, on an OsiriX that can be lost."""

    def __init__(self, folder, tmp, **settings):
        self.app, self.faults, self.clock = VirtualOsirix(), Faults(), VirtualClock()
        self.settings = Settings(state_dir=tmp / "state", notify=False, **settings)
        self.feedback = RecordedFeedback()
        self.show(self.app.open_folder(folder)[0])
        self.opened = None

    def show(self, window):
        self.window, self.clinician = window, Clinician(self.app, window)

    def connect(self):
        channel = FaultyChannel(self.app, self.faults, self.clock)
        connection = OsirixConnection("virtual", self.settings, channel=channel)
        connection.ping()
        return connection

    def start(self, **options):
        self.opened = open_session(
            self.settings, self.feedback, segmenter=BallSegmenter(), connect=self.connect, clock=self.clock, **options
        )
        self.engine = self.opened.engine
        return self.engine

    def kill_agent(self):
        self.opened.close()

    def settle(self, turns=40):
        for _ in range(turns):
            self.clock.sleep(0.5)
            self.engine.turn()
            if not self.engine.pending and not self.engine.lost:
                return
        raise AssertionError("the session does not come to rest")

    def away(self, seconds=30):
        for _ in range(2 * seconds):
            self.clock.sleep(0.5)
            self.engine.turn()
        assert self.engine.lost

    def reopen(self):
        if self.app.crashed:
            self.app.relaunch()
        self.show(self.app.open_series(self.window.series))

    def click(self, xy=(30.5, 20.5), k=6, name=None):
        roi = self.clinician.point(xy, k=k, name=name)
        self.settle()
        return roi

    def do(self, verb, name=None):
        self.engine.command(Command(verb, name))
        self.settle()

    def scene(self):
        return sorted(signature(roi) for roi in self.clinician.rois())

    def prompts(self):
        return [r.prompt for s in self.engine.session.state.structures.values() for r in s.prompts]

    def drafts(self, role="draft"):
        return [roi for roi in self.clinician.rois() if f"~{role}." in roi.name]


@pytest.fixture
def ward(phantom, tmp_path):
    held = Ward(phantom.folder, tmp_path)
    yield held
    if held.opened is not None:
        held.opened.close()


LOSSES = {
    "crash": lambda ward: ward.app.crash(),
    "quit": lambda ward: ward.app.quit(),
    "closed": lambda ward: ward.clinician.close(),
}


# -- OsiriX --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", LOSSES)
def test_the_session_waits_and_goes_on_where_it_was(ward, how):
    ward.start()
    ward.click(name="GTVp")
    ward.do("accept", "GTVp")
    ward.click((12.5, 30.5), name="GTVn")
    scene, prompts = ward.scene(), ward.prompts()
    LOSSES[how](ward)
    ward.away()
    assert sum("Waiting; nothing is lost." in text for text in ward.feedback.texts) <= 2
    ward.reopen()
    ward.settle()
    assert ward.feedback.texts[-1] == "OsiriX is back: the session goes on."
    assert ward.scene() == scene
    assert ward.prompts() == prompts
    ward.do("undo")
    ward.do("undo")
    ward.do("undo")
    assert ward.scene() == []
    ward.do("redo")
    ward.engine.finish()
    assert {roi.name for roi in ward.clinician.rois()} == {"GTVp"}


def test_a_broken_line_to_a_living_osirix_changes_nothing(ward):
    ward.start()
    ward.click()
    scene = ward.scene()
    uids = {ward.app.uid(roi) for roi in ward.clinician.rois()}
    ward.faults.plan(Fault(FaultKind.UNAVAILABLE))
    ward.clock.sleep(1)
    ward.engine.turn()
    ward.settle()
    assert ward.scene() == scene
    assert {ward.app.uid(roi) for roi in ward.clinician.rois()} == uids


def test_the_series_is_found_in_whichever_viewer_it_is_open(ward, tmp_path):
    ward.start()
    ward.click()
    scene = ward.scene()
    ward.app.quit()
    ward.away(5)
    ward.reopen()
    other = write_phantom(tmp_path / "other", PhantomRecipe(shape_kji=(9, 30, 30), seed=3))
    ward.app.open_folder(other.folder)  # in front of the session's series
    ward.settle()
    assert ward.scene() == scene


def test_another_series_in_its_place_is_waited_out(ward, tmp_path):
    ward.start()
    ward.click()
    other = write_phantom(tmp_path / "other", PhantomRecipe(shape_kji=(9, 30, 30), seed=3))
    ward.clinician.close()
    (second,) = ward.app.open_folder(other.folder)
    ward.away(5)
    assert Clinician(ward.app, second).rois() == []
    ward.reopen()
    ward.settle()
    assert ward.drafts()


def test_what_she_drew_meanwhile_is_read_and_what_she_changed_is_hers(ward):
    old = ward.clinician.polygon([(5, 5), (9, 5), (9, 9)], k=1, name="GTVn")
    ward.start()
    ward.click()
    ward.app.quit()
    ward.away(5)
    ward.reopen()
    (old,) = ward.clinician.find("GTVn")
    ward.clinician.move(old, 2, 2)
    where = old.points.copy()
    (edited,) = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]
    ward.clinician.move_vertex(edited, 0, (2.0, 2.0))
    ward.clinician.point((12.5, 30.5), k=6, name="+")
    ward.settle()
    assert len(ward.prompts()) == 2
    assert np.array_equal(edited.points[0], [2.0, 2.0])
    assert edited.name == "GTV"
    assert 6 in ward.engine.session.state.structure("GTV").edits
    assert np.array_equal(old.points, where)
    assert set(ward.engine.session.state.structures) == {"GTV"}
    ward.click((40.5, 35.5), name="+")
    assert np.array_equal(edited.points[0], [2.0, 2.0])


def test_an_older_state_that_a_crash_brings_back_is_brought_up_to_date(ward):
    ward.start()
    ward.click()
    ward.clinician.close()
    ward.away(2)
    ward.reopen()
    ward.settle()
    ward.click((33.5, 24.5), name="+")
    ward.do("accept")
    accepted = ward.scene()
    ward.app.crash()  # OsiriX has drafts, isolines and the first prompt, as they were at the closing
    ward.away(2)
    ward.reopen()
    assert ward.drafts("u05")
    ward.settle()
    assert ward.scene() == accepted


def test_an_older_edit_that_only_osirix_had_counts_when_a_crash_brings_it_back(ward):
    ward.start()
    ward.click()
    (draft,) = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]
    ward.clinician.move_vertex(draft, 0, (2.0, 2.0))
    ward.app.quit()  # before the agent looked: only OsiriX has the edit
    ward.away(2)
    ward.reopen()
    (draft,) = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]
    ward.clinician.move_vertex(draft, 0, (4.0, 4.0))
    ward.settle()
    ward.app.crash()
    ward.away(2)
    ward.reopen()
    ward.settle()
    (edited,) = ward.clinician.find("GTV", 6)  # as if she had just redone what the crash took: the same is seen then
    assert np.array_equal(edited.points[0], [2.0, 2.0])
    ward.do("undo")
    (edited,) = ward.clinician.find("GTV", 6)
    assert np.abs(edited.points - [4.0, 4.0]).max(1).min() < 0.01


def test_a_draft_that_she_made_hers_is_no_reason_to_keep_the_old_one(ward):
    ward.start()
    prompt = ward.click()
    ward.clinician.close()
    ward.away(2)
    ward.reopen()
    ward.settle()
    (prompt,) = ward.clinician.find(prompt.name)
    ward.clinician.delete(prompt)
    ward.settle()
    ward.app.crash()  # OsiriX has the drafts as they were at the closing
    ward.away(2)
    ward.reopen()
    (draft,) = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]
    ward.clinician.move_vertex(draft, 0, (2.0, 2.0))
    ward.settle()
    assert [roi for roi in ward.clinician.rois() if "~" in roi.name] == [draft]  # of no structure any more: hers
    ward.app.crash()
    ward.away(2)
    ward.reopen()
    assert ward.drafts()
    ward.settle()
    assert not ward.drafts()


def test_a_prompt_moved_beside_an_edited_contour_is_no_contour(ward):
    ward.start()
    prompt = ward.clinician.polygon([(24, 14), (36, 14), (36, 26), (24, 26)], k=6, name="GTV")
    ward.settle()
    ward.app.quit()
    ward.away(2)
    ward.reopen()
    (prompt,) = ward.clinician.find("GTV", 6)
    ward.clinician.move(prompt, 3, 0)
    where = prompt.points.copy()
    (draft,) = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]
    ward.clinician.move_vertex(draft, 0, (2.0, 2.0))
    ward.settle()
    ((_, edit),) = ward.engine.session.state.structure("GTV").edits[6]
    assert np.abs(edit.points_xy - [2.0, 2.0]).max(1).min() < 0.01
    assert len(ward.prompts()) == 2
    assert np.array_equal(prompt.points, where)


def test_a_dialog_that_outlasts_the_reopening_is_waited_out(ward):
    ward.start()
    ward.click()
    ward.clinician.close()
    ward.away(2)
    ward.faults.plan(Fault(FaultKind.DIALOG, "OsirixVersion", 1, 60.0))
    ward.away(10)
    closes = ward.faults.dialog_until
    ward.reopen()
    ward.away(30)
    ward.settle(80)
    assert ward.clock.now - closes < 15
    assert ward.drafts()


def test_commands_given_while_osirix_is_away_are_carried_out_later(ward):
    ward.start()
    ward.click()
    ward.app.crash()
    ward.away(5)
    ward.engine.command(Command("accept"))
    ward.reopen()
    ward.settle()
    assert {roi.name for roi in ward.clinician.rois()} == {"GTV"}


def test_an_undo_given_while_osirix_is_away_takes_back_the_newest_step(ward):
    ward.start()
    ward.click()
    scene = ward.scene()
    ward.clinician.close()
    ward.away(2)
    ward.engine.command(Command("undo"))
    ward.reopen()
    (edited,) = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]
    ward.clinician.move_vertex(edited, 0, (2.0, 2.0))
    ward.settle()
    assert ward.scene() == scene
    ward.do("redo")
    (edited,) = ward.clinician.find("GTV", 6)
    assert np.abs(edited.points - [2.0, 2.0]).max(1).min() < 0.01


def test_quit_counts_while_osirix_is_away(ward):
    ward.start()
    ward.app.crash()
    ward.away(5)
    ward.engine.command(Command("quit"))
    ward.engine.run_until_stopped()
    with pytest.raises(NoServerError):
        ward.engine.finish()


def test_a_late_create_is_neither_hers_nor_left_over(ward):
    ward.start()
    ward.faults.plan(Fault(FaultKind.LATE, "ViewerControllerNewROI", 2, 40.0))
    ward.click()
    held = {state.uid for state in ward.engine._windows[0].held.values()}
    ward.clock.sleep(60)
    ward.settle()
    ward.engine._look_closely = True
    ward.settle()
    held = {state.uid for state in ward.engine._windows[0].held.values()}
    assert {ward.app.uid(roi) for roi in ward.clinician.rois()} == held
    ward.engine.finish()
    assert [roi.name for roi in ward.clinician.rois()] == ["Point 1"]


@pytest.mark.parametrize("rpc", ["ROIDelete", "ROISetPoints", "ROISetName"])
def test_a_late_change_is_nobodys_edit(ward, rpc):
    ward.start()
    ward.click()
    ward.faults.plan(Fault(FaultKind.LATE, rpc, 1, 40.0))
    if rpc == "ROISetPoints":
        ward.click((33.5, 24.5), name="+")
        ward.do("undo")
    else:
        ward.do("accept")
        ward.do("undo")
    scene = ward.scene()
    ward.clock.sleep(60)
    for _ in range(3):
        ward.engine._look_closely = True
        ward.settle()
        ward.clock.sleep(1)
        ward.engine.turn()
    ward.settle()
    assert not ward.engine.session.state.structure("GTV").edits
    assert not ward.engine.session.state.structure("GTV").accepted
    assert ward.scene() == scene


def test_a_companion_that_is_opened_again_keeps_its_prompts(ward, tmp_path):
    recipe = PhantomRecipe(shape_kji=(18, 60, 40), spacing_kji_mm=(2.0, 1.6, 2.8), seed=8)
    other = write_phantom(tmp_path / "mr", recipe)
    (second,) = ward.app.open_folder(other.folder)
    ward.app.viewers.reverse()
    ward.start()
    window = ward.engine._windows[1]
    window.refusal = None
    where = ward.opened.viewer.pixels.geometry.to_lps((6, 20, 30))
    k, j, i = window.viewer.pixels.geometry.to_kji(where)
    Clinician(ward.app, second).point((i + 0.5, j + 0.5), k=round(k))
    ward.settle()
    assert len(ward.prompts()) == 1
    ward.app.close_viewer(second)
    ward.settle()
    again = ward.app.open_series(second.series)
    for _ in range(10):
        ward.clock.sleep(1)
        ward.engine.turn()
    ward.settle()
    assert len(ward.prompts()) == 1
    ward.do("undo")
    assert Clinician(ward.app, again).rois() == []


def test_a_second_viewer_of_the_series_takes_the_place_of_the_first(ward):
    old = ward.clinician.point((3, 3), k=2, name="old")
    first, second = ward.window, ward.app.open_series(ward.window.series)
    Clinician(ward.app, second).point((3, 3), k=2, name="old")
    ward.app.viewers.reverse()
    ward.start()
    ward.click(name="GTVp")
    ward.show(second)
    drawn = ward.click((12.5, 30.5), name="GTVn")  # in the companion
    assert len(ward.engine._windows) == 2
    prompts = ward.prompts()
    ward.app.close_viewer(first)
    ward.clock.sleep(1)
    ward.engine.turn()
    ward.settle()
    assert len(ward.engine._windows) == 1
    assert ward.prompts() == prompts
    assert any(roi is drawn for roi in ward.clinician.rois())
    ward.click((33.5, 24.5), name="+GTVp")
    assert len(ward.prompts()) == 3
    ward.kill_agent()
    ward.start()
    ward.settle()
    assert len(ward.prompts()) == 3
    for _ in range(3):
        ward.do("undo")
    assert [(roi.name, roi.points.tolist()) for roi in ward.clinician.rois()] == [("old", old.points.tolist())]


def test_two_viewers_of_the_series_come_back_as_one(ward):
    first, second = ward.window, ward.app.open_series(ward.window.series)
    ward.app.viewers.reverse()
    ward.start()
    ward.click(name="GTVp")
    ward.show(second)
    ward.click((12.5, 30.5), name="GTVn")
    prompts = ward.prompts()
    assert ward.app.viewers == [first, second]  # the second is closed last: the series is saved as it was there
    ward.app.quit()
    ward.away(2)
    ward.reopen()
    ward.settle()
    assert ward.prompts() == prompts
    assert len(ward.engine._windows) == 1


# -- the start -----------------------------------------------------------------------------------------------
def test_the_start_waits_for_osirix_and_for_a_viewer(ward):
    ward.clinician.close()
    ward.app.crash()
    ward.clock.at(20, ward.app.relaunch)
    ward.clock.at(60, lambda: ward.show(ward.app.open_series(ward.window.series)))
    wait_until_open(ward.start, ward.feedback, None, clock=ward.clock, sleep=ward.clock.sleep)
    assert 60 < ward.clock.now < 75
    assert len(ward.feedback.texts) == 2
    assert all(text.endswith("Waiting; Ctrl-C ends.") for text in ward.feedback.texts)


def test_the_start_waits_no_longer_than_it_was_told(ward):
    ward.clinician.close()
    for longest in (0, 30):
        began = ward.clock.now
        with pytest.raises(NoViewerError):
            wait_until_open(ward.start, ward.feedback, longest, clock=ward.clock, sleep=ward.clock.sleep)
        assert ward.clock.now - began < longest + 5


def test_what_waiting_cannot_cure_is_said_at_once(ward):
    def broken():
        raise SettingsError("There is no segmenter.", "Choose one.")

    with pytest.raises(SettingsError):
        wait_until_open(broken, ward.feedback, None)


# -- the agent -----------------------------------------------------------------------------------------------
def test_a_killed_agent_goes_on_with_its_session(ward):
    ward.clinician.point((3, 3), k=2, name="old")
    ward.start()
    ward.click(name="GTV_Smith")
    ward.do("accept", "GTV_Smith")
    ward.click((12.5, 30.5), name="GTVn")
    (edited,) = [roi for roi in ward.clinician.rois(6) if "GTVn ~draft" in roi.name]
    ward.clinician.move_vertex(edited, 0, (2.0, 2.0))
    ward.settle()
    scene, prompts, depth = ward.scene(), ward.prompts(), ward.engine.session.history.depth
    ward.kill_agent()
    late = ward.clinician.point((14.5, 32.5), k=6, name="+GTVn")
    ward.start()
    ward.settle()
    assert "The session that was cut short goes on." in ward.feedback.texts
    assert ward.prompts()[: len(prompts)] == prompts
    assert len(ward.prompts()) == len(prompts) + 1
    assert ward.engine.session.history.depth == depth + 1
    ward.clinician.delete(late)
    ward.settle()
    assert ward.scene() == scene
    for _ in range(depth + 2):
        ward.do("undo")
    assert [roi.name for roi in ward.clinician.rois()] == ["old"]
    kinds = [event.event for event in read_journal(ward.opened.journal_path)]
    assert kinds.count("session_started") == kinds.count("resumed") == 1


def test_agent_and_osirix_both_gone_lose_no_prompt(ward):
    ward.start()
    ward.click(name="GTVp")
    (edited,) = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]
    ward.clinician.move_vertex(edited, 0, (2.0, 2.0))
    ward.settle()
    prompts = ward.prompts()
    ward.app.crash()
    ward.kill_agent()
    ward.reopen()
    ward.start()
    ward.settle()
    assert ward.prompts() == prompts
    (again,) = ward.clinician.find("GTVp", 6)
    assert np.abs(again.points - [2.0, 2.0]).max(1).min() < 0.01


def test_a_fresh_start_clears_instead(ward):
    ward.start()
    point = ward.click()
    ward.kill_agent()
    ward.start(fresh=True)
    ward.settle()
    assert ward.clinician.rois() == [point]
    assert ward.prompts() == []


def test_a_session_that_ended_is_not_continued(ward):
    ward.start()
    ward.click()
    ward.engine.finish()
    ward.kill_agent()
    ward.start()
    assert ward.prompts() == []


def test_a_journal_that_does_not_come_out_the_same_is_not_continued(ward):
    ward.start()
    ward.click()
    path = ward.opened.journal_path
    ward.kill_agent()
    wrong = {"mask_digest": "0" * 64}
    rewrite(path, [{**event, **wrong} if event["event"] == "proposed" else event for event in raw(path)])
    ward.start()
    ward.settle()
    assert any("cannot be continued" in text for text in ward.feedback.texts)
    assert ward.prompts() == []
    assert [roi.name for roi in ward.clinician.rois()] == ["Point 1"]
    assert ward.opened.journal_path != path


def test_a_kill_while_a_proposal_is_worked_out_loses_no_prompt(ward):
    ward.start()
    ward.click()
    ward.click((25.5, 24.5), k=7)
    prompts, path = ward.prompts(), ward.opened.journal_path
    ward.kill_agent()
    lines = path.read_text().splitlines()
    last = max(n for n, line in enumerate(lines) if json.loads(line)["event"] == "prompt_changed")
    path.write_text("\n".join(lines[: last + 1]) + "\n")
    ward.start()
    ward.settle()
    assert "The session that was cut short goes on." in ward.feedback.texts
    assert ward.prompts() == prompts


def test_what_was_being_worked_out_at_a_kill_is_in_the_journal_of_the_session_that_goes_on(ward):
    ward.start()
    ward.click()
    path = ward.opened.journal_path
    ward.kill_agent()
    rewrite(path, [event for event in raw(path) if event["event"] not in ("proposed", "believed")])
    ward.start()
    ward.do("accept")
    scene = ward.scene()
    assert [event.event for event in read_journal(path)].count("proposed") == 1
    ward.kill_agent()
    ward.start()
    ward.settle()
    assert ward.opened.journal_path == path
    assert ward.scene() == scene


@pytest.mark.parametrize("painted", [False, True])
def test_a_slice_she_pulled_further_while_the_agent_was_dead_is_known_by_its_outline(ward, painted):
    ward.start()
    ward.click()
    ward.click((12.5, 30.5))
    if painted:
        ward.click(name="-")  # a hole: the contour is a brush
    *_, last = [roi for roi in ward.clinician.rois(6) if "~draft" in roi.name]

    def pull(n):  # the second island, larger than the first one now
        if painted:
            ward.clinician.paint_more(last, slice(0, 8), slice(18, None))  # the hole is closed
            ward.clinician.paint_more(last, slice(12, None), slice(0, 14 + n))
        else:
            away = last.points[0] - last.points.mean(0)
            ward.clinician.move_vertex(last, 0, tuple(last.points[0] + (1 + n) * away))

    pull(0)
    ward.settle()
    ward.do("accept")
    prompts = ward.prompts()
    ward.kill_agent()
    pull(4)
    ward.start()
    ward.settle()
    assert "The session that was cut short goes on." in ward.feedback.texts
    assert ward.prompts() == prompts
    assert ward.engine.session.state.structure("GTV").accepted


def test_a_session_made_with_another_segmenter_is_not_continued(ward):
    ward.start()
    ward.click()
    path = ward.opened.journal_path
    ward.kill_agent()
    first, *rest = raw(path)
    rewrite(path, [{**first, "segmenter": "another 1.0"}, *rest])
    ward.start()
    assert any("made with another segmenter (another 1.0)" in text for text in ward.feedback.texts)
    assert ward.opened.journal_path != path


def test_a_kill_before_the_baseline_was_written_makes_no_prompts_of_it(ward):
    ward.clinician.point((30.5, 20.5), k=6, name="old")
    ward.start()
    path = ward.opened.journal_path
    ward.kill_agent()
    path.write_text(path.read_text().splitlines()[0] + "\n")
    ward.start()
    ward.settle()
    assert ward.prompts() == []


def test_two_agents_on_two_viewers_of_one_series_notice_each_other(ward):
    ward.start()
    ward.app.open_series(ward.window.series)
    first, engine = ward.opened, ward.engine
    with pytest.raises(JournalError, match="Another agent") as caught:
        ward.start()
    assert "Use that one" in caught.value.cure
    ward.opened, ward.engine = first, engine
    ward.click()
    assert ward.drafts()


def test_edits_in_words_survive_a_kill(ward):
    engine = ward.start()
    ward.click()
    engine.ask(Request(Sentence("grow by 3 mm superiorly, smooth by 2 mm")))
    ward.settle()
    ward.click((12.5, 30.5))
    before, mask = ward.scene(), engine.belief("GTV").mask()
    ward.kill_agent()
    engine = ward.start()
    ward.settle()
    assert ward.scene() == before
    assert np.array_equal(engine.belief("GTV").mask(), mask)
    ward.do("undo")
    ward.do("undo")
    assert engine.session.history.depth == 2


def test_a_new_name_survives_a_kill(ward):
    engine = ward.start()
    ward.click()
    engine.ask(Request(Sentence("rename it to GTVn, include everything above slice ten")))
    ward.settle()
    before, mask = ward.scene(), engine.belief("GTVn").mask()
    ward.kill_agent()
    engine = ward.start()
    ward.settle()
    assert ward.scene() == before
    assert np.array_equal(engine.belief("GTVn").mask(), mask)
    ward.do("undo")
    ward.do("undo")
    assert engine.session.state.active == "GTV"
    assert engine.belief("GTVn") is None
    assert engine.belief("GTV").mask().any()
