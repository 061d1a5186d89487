"""What must not be lost when things go wrong or come in an unlucky order."""

import threading
import time

import numpy as np
import pytest

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import open_session
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import JournalError
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.journal import read_journal
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from tests.agent.test_session_in_viewer import click
from tests.conftest import signature


def test_a_stray_click_does_not_reopen_an_accepted_contour(practice):
    click(practice)
    practice.do("accept")
    before = practice.names()
    stray = click(practice, (12.5, 30.5))
    assert "accepted" in practice.feedback.texts[-1]
    practice.clinician.delete(stray)
    practice.settle()
    assert practice.names() == before


def test_a_reopened_contour_comes_back_at_exit_and_on_reject(practice):
    click(practice)
    practice.do("accept")
    accepted = sorted(signature(r) for r in practice.clinician.rois())
    practice.do("reopen GTV")
    extra = click(practice, (12.5, 30.5))
    assert practice.drafts()
    practice.do("reject")
    assert sorted(signature(r) for r in practice.clinician.rois()) == accepted
    practice.do("undo")
    practice.engine.finish()
    assert sorted(signature(r) for r in practice.clinician.rois() if r.name == "GTV") == accepted
    del extra


def test_prompts_of_a_locked_structure_can_be_moved_and_deleted_without_effect(practice):
    first = click(practice)
    second = click(practice, (34.5, 24.5), name="+")
    practice.do("lock GTV")
    mask = practice.mask()
    practice.clinician.move(first, -5, 0)
    practice.clinician.delete(second)
    where = first.rect
    practice.settle()
    practice.clinician.scroll_to(2)
    practice.settle()
    assert np.array_equal(practice.mask(), mask)
    assert any(r is first for r in practice.clinician.rois())
    assert first.rect == where


def test_deleting_the_prompts_of_an_accepted_structure_changes_nothing(open_practice):
    practice = open_practice(remove_prompts_on_accept=False)
    roi = click(practice)
    practice.do("accept")
    practice.clinician.delete(roi)
    practice.settle()
    assert practice.names()
    assert set(practice.names()) == {"GTV"}


def test_locking_a_second_structure_does_not_change_the_first(practice):
    click(practice, name="GTVp")
    click(practice, (34.5, 22.5), name="GTVn")
    practice.do("lock GTVp")
    before = practice.mask("GTVp")
    practice.do("lock GTVn")
    assert np.array_equal(practice.mask("GTVp"), before)


def test_her_edit_of_a_locked_structure_is_not_overlapped_either(practice):
    click(practice, name="GTVp")
    practice.do("lock GTVp")
    (roi,) = [r for r in practice.clinician.rois(6) if "~draft" in r.name]
    practice.clinician.move_vertex(roi, 0, (46.0, 40.0))
    practice.settle()
    click(practice, (40.5, 33.5), name="GTVn")
    hers = practice.viewer.pixels.mask_of(
        [s.spec for s in practice.viewer.snapshot(full=True).rois.values() if s.spec.k == 6 and s.spec.name == "GTVp"]
    )
    assert hers.any()
    assert not (practice.mask("GTVn")[6] & hers).any()


def test_an_edited_slice_survives_undo_redo_and_a_kill(hospital, open_practice):
    practice = open_practice()
    click(practice)
    (roi,) = [r for r in hospital.clinician.rois(6) if "~draft" in r.name]
    hospital.clinician.move_vertex(roi, 0, (2.0, 2.0))
    practice.settle()
    practice.do("undo")
    practice.do("redo")
    open_practice()
    (left,) = hospital.clinician.rois(6)[1:]
    assert left.name == "GTV"
    assert np.array_equal(left.points[0], [2.0, 2.0])


@pytest.mark.parametrize("after", [1, 3, 5])
def test_an_accept_cut_short_by_a_kill_is_finished_by_the_next_start(hospital, open_practice, after):
    practice = open_practice()
    click(practice)
    count = len(practice.drafts())
    calls = []

    def die(rpc: str) -> None:
        if rpc == "ROISetName":
            calls.append(rpc)
            if len(calls) > after:
                raise KeyboardInterrupt

    practice.engine.command(Command("accept"))
    real = practice.viewer._set_name

    def set_name(uid: str, name: str) -> None:
        die("ROISetName")
        real(uid, name)

    practice.viewer._set_name = set_name
    with pytest.raises(KeyboardInterrupt):
        practice.engine.step()
    open_practice()
    assert sorted(r.name for r in hospital.clinician.rois()) == ["GTV"] * count + ["Point 1"]


@pytest.mark.parametrize("rpc", ["ViewerControllerNewROI", "ROISetPoints", "ROISetName", "ROIDelete"])
@pytest.mark.parametrize("nth", [1, 3])
def test_a_dialog_in_the_middle_of_writing_is_nobodys_edit(hospital, open_practice, rpc, nth):
    practice = open_practice()
    click(practice)
    hospital.connection.deadline_s = 0.25
    calls = []

    def slow(name: str) -> None:
        if name == rpc:
            calls.append(name)
            if len(calls) == nth:
                time.sleep(0.4)

    hospital.app.before_rpc = slow
    if rpc in ("ROISetName", "ROIDelete"):
        practice.engine.command(Command("accept"))
    else:
        practice.clinician.point((33.5, 24.5), k=6, name="+")
    practice.now += 0.5
    practice.engine.step()
    time.sleep(0.3)
    hospital.app.before_rpc = None
    hospital.connection.deadline_s = 5
    practice.settle()
    structure = practice.engine.session.state.structure("GTV")
    assert not structure.edits
    if rpc in ("ROISetName", "ROIDelete"):
        assert set(practice.names()) == {"GTV"}
    held = {state.uid for state in practice.engine._windows[0].held.values()}
    assert {hospital.app.uid(r) for r in hospital.clinician.rois()} == held
    practice.engine.finish()


def test_an_edited_isoline_blocks_nothing(practice):
    click(practice)
    practice.clinician.move_vertex(practice.drafts("u05")[0], 0, (1.0, 1.0))
    practice.do("isolines")
    assert practice.drafts("u05") == []
    practice.do("isolines")
    practice.clinician.delete(practice.drafts("u05")[0])
    practice.engine.finish()
    assert practice.names() == ["Point 1"]


def test_a_correction_seen_together_with_an_accept_comes_before_it(practice):
    click(practice)
    practice.clinician.point((12.5, 30.5), k=6, name="+")
    practice.clinician.point((2.5, 2.5), k=2, name="!accept")
    practice.settle()
    assert practice.mask()[6, 30, 12]
    assert set(practice.names()) == {"GTV"}


def test_commands_keep_their_order(practice):
    click(practice)
    for verb, name in [("use", "GTVn"), ("undo", None), ("redo", None), ("use", "GTV")]:
        practice.engine.command(Command(verb, name))
    practice.settle()
    given = [e.verb for e in read_journal(practice.journal) if e.event == "command_given"]
    assert given == ["use", "undo", "redo", "use"]


def test_a_point_named_after_it_was_drawn(practice):
    click(practice)
    late = click(practice, (31.5, 21.5))  # read as an exclusion at first
    practice.clinician.rename(late, "GTVn")
    practice.settle()
    assert practice.mask("GTVn")[6, 21, 31]
    assert practice.mask("GTV")[6, 21, 31]
    command = click(practice, (3.5, 3.5))
    practice.clinician.rename(command, "!accept GTV")
    practice.settle()
    assert practice.engine.session.state.structure("GTV").accepted
    assert not any(r is command for r in practice.clinician.rois())


def test_a_copied_draft_is_no_prompt(practice):
    click(practice)
    prompts = practice.engine.session.state.structure("GTV").prompts
    isoline = practice.drafts("u05")[0]
    practice.clinician.polygon([tuple(p) for p in isoline.points], k=1, name=isoline.name)
    practice.settle()
    assert practice.engine.session.state.structure("GTV").prompts == prompts


def test_an_empty_proposal_is_not_accepted(practice):
    click(practice, (30.5, 20.5))
    practice.do("lock GTV")
    click(practice, (30.5, 20.5), name="GTVn")
    practice.do("accept GTVn")
    assert "no contour to accept" in practice.feedback.texts[-1]
    assert "GTVn" in practice.names()


def test_deleting_every_slice_at_once_is_one_step(practice):
    click(practice)
    count = len(practice.drafts())
    depth = practice.engine.session.history.depth
    for roi in practice.drafts():
        practice.clinician.delete(roi)
    practice.settle()
    assert practice.engine.session.history.depth == depth + 1
    practice.do("undo")
    assert len(practice.drafts()) == count


def test_colours_stay_when_another_structure_goes(practice):
    click(practice, name="GTVp")
    click(practice, (12.5, 30.5), name="GTVn")
    colour = practice.drafts(structure="GTVn")[0].color
    practice.do("reject GTVp")
    click(practice, (14.5, 32.5), name="+GTVn")
    assert {r.color for r in practice.drafts(structure="GTVn")} == {colour}


class BrokenSegmenter(BallSegmenter):
    def propose(self, request):
        raise MemoryError


def test_a_fault_of_the_segmenter_is_told_and_the_session_goes_on(open_practice):
    practice = open_practice(segmenter=BrokenSegmenter())
    click(practice)
    assert "MemoryError" in practice.feedback.texts[-1]
    practice.do("undo")
    assert practice.names() == []


def test_a_second_agent_on_the_series_refuses(hospital):
    first = open_session(hospital.settings, RecordedFeedback())
    with pytest.raises(JournalError, match="Another agent"):
        open_session(hospital.settings, RecordedFeedback())
    first.engine.finish()
    first.close()
    again = open_session(hospital.settings, RecordedFeedback())
    again.engine.finish()
    again.close()


def test_viewers_opened_later_are_found_and_one_that_changes_series_is_let_go(hospital, tmp_path):
    opened = open_session(hospital.settings, RecordedFeedback())
    other = write_phantom(tmp_path / "other", PhantomRecipe(shape_kji=(9, 30, 30), seed=3))
    (second,) = hospital.app.open_folder(other.folder)
    opened.engine._found_at = -10.0
    opened.engine.step()
    assert len(opened.engine._windows) == 2
    second.pixes = hospital.app.open_series(second.series).pixes
    opened.engine.step()
    assert len(opened.engine._windows) == 1
    opened.engine.finish()
    opened.close()


def test_a_full_disk_ends_the_session_with_a_cure_and_leaves_no_drafts(practice, monkeypatch):
    click(practice)

    def full(event) -> None:
        raise JournalError("The journal cannot be written (No space left on device).", "Free some disk space.")

    practice.clinician.point((12.5, 30.5), k=6)
    monkeypatch.setattr(practice.log._journal, "append", full)
    with pytest.raises(JournalError, match="No space left"):
        practice.settle()
    with pytest.raises(JournalError, match="No space left"):
        practice.engine.finish("disk")
    assert practice.names() == ["Point 1", "Point 2"]


def test_the_engine_runs_in_a_thread_and_stops_on_quit(hospital):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        opened = open_session(hospital.settings, RecordedFeedback(), executor=executor)
        thread = threading.Thread(target=opened.engine.run_until_stopped)
        thread.start()
        hospital.clinician.point((30.5, 20.5), k=6)
        end = time.monotonic() + 10
        while not [r for r in hospital.clinician.rois() if "~draft" in r.name] and time.monotonic() < end:
            time.sleep(0.02)
        opened.engine.command(Command("accept"))
        opened.engine.command(Command("quit"))
        thread.join(10)
        assert not thread.is_alive()
        opened.engine.finish()
        opened.close()
    assert {r.name for r in hospital.clinician.rois()} == {"GTV"}


def test_a_rejected_or_abandoned_reopening_brings_everything_back(open_practice):
    practice = open_practice(remove_prompts_on_accept=False)
    click(practice)
    practice.do("accept")
    before = sorted(signature(r) for r in practice.clinician.rois())
    practice.do("reopen GTV")
    assert practice.drafts() == []  # nothing has changed yet: nothing is a draft
    click(practice, (33.5, 24.5), name="+")
    assert practice.drafts()
    practice.do("reject")
    left = [r for r in practice.clinician.rois() if r.name != "+"]
    assert sorted(signature(r) for r in left) == before
    practice.do("reopen GTV")
    practice.do("undo")
    practice.engine.finish()
    assert sorted(signature(r) for r in practice.clinician.rois() if r.name != "+") == before


def test_a_command_roi_that_is_gone_before_it_is_taken_away_blocks_nothing(hospital, open_practice):
    practice = open_practice()
    click(practice)
    command = hospital.clinician.point((3, 3), name="!undo")

    def vanish(rpc: str) -> None:
        if rpc == "ROIName" and any(r is command for r in hospital.clinician.rois()):
            hospital.clinician.delete(command)

    real = practice.engine._windows[0].remove

    def remove(state):
        hospital.app.before_rpc = vanish
        try:
            real(state)
        finally:
            hospital.app.before_rpc = None

    practice.engine._windows[0].remove = remove
    practice.settle()
    assert practice.names() == []


def test_quit_counts_while_osirix_is_busy(hospital):
    opened = open_session(hospital.settings, RecordedFeedback())
    hospital.connection.deadline_s = 0.2
    opened.connection.deadline_s = 0.2
    thread = threading.Thread(target=opened.engine.run_until_stopped)
    with hospital.clinician.modal_dialog():
        thread.start()
        time.sleep(0.3)
        opened.engine.command(Command("quit"))
        thread.join(3)
        assert not thread.is_alive()
    opened.connection.deadline_s = 5
    opened.engine.finish()
    opened.close()


def test_an_accept_that_meets_a_busy_osirix_is_done_later(hospital, open_practice):
    practice = open_practice()
    click(practice)
    calls = []

    def slow(rpc: str) -> None:
        if rpc == "ViewerControllerROIList":
            calls.append(rpc)
            if len(calls) == 2:  # the look of the accept itself
                time.sleep(0.4)

    hospital.connection.deadline_s = 0.25
    hospital.app.before_rpc = slow
    practice.engine.command(Command("accept"))
    practice.engine.step()
    hospital.app.before_rpc = None
    hospital.connection.deadline_s = 5
    time.sleep(0.3)
    practice.settle()
    assert set(practice.names()) == {"GTV"}


def test_a_contour_deleted_between_look_and_write_is_her_act(hospital, open_practice):
    practice = open_practice()
    click(practice)
    gone = [r for r in hospital.clinician.rois(6) if "~draft" in r.name]
    real = practice.viewer._verify_untouched

    def delete_first(plan):
        for roi in gone:
            if any(r is roi for r in hospital.clinician.rois()):
                hospital.clinician.delete(roi)
        real(plan)

    practice.viewer._verify_untouched = delete_first
    click(practice, (33.5, 24.5), name="+")
    practice.viewer._verify_untouched = real
    practice.settle()
    assert 6 in practice.engine.session.state.structure("GTV").edits
    assert [r for r in hospital.clinician.rois(6) if "~draft" in r.name] == []


def test_no_notice_names_a_structure_outside_its_own_field(practice):
    told = []
    practice.feedback.notice = lambda text, structure=None: told.append(text)
    click(practice, name="GTV_Smith")
    practice.do("accept GTV_Smith")
    click(practice, (12.5, 30.5), name="GTV_Smith")
    practice.do("lock GTV_Smith")
    practice.do("reject GTV_Smith")
    assert told
    assert not any("Smith" in text for text in told)


def test_companions_never_share_a_number(hospital, open_practice, tmp_path):
    from osirix_agent.viewer.client import OsirixViewer

    practice = open_practice()
    numbers = []
    for n in range(3):
        study = write_phantom(tmp_path / str(n), PhantomRecipe(shape_kji=(5, 30, 30), seed=n))
        (window,) = hospital.app.open_folder(study.folder)
        practice.engine.add_companion(
            OsirixViewer(hospital.connection, hospital.app.uid(window), practice.settings), None
        )
        numbers.append(practice.engine._windows[-1].number)
        hospital.app.close_viewer(window)
        practice.settle()
    assert numbers == [1, 2, 3]
