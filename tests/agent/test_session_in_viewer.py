"""What the clinician does in OsiriX, and what she gets: through gRPC, on a virtual OsiriX."""

import numpy as np
import pytest

from osirix_agent.agent.opening import refusal_for
from osirix_agent.errors import SeriesChangedError, ViewerClosedError
from osirix_agent.imaging.contour import fill
from osirix_agent.prompting.grammar import Command
from osirix_agent.record.journal import read_journal
from osirix_agent.viewer.client import OsirixViewer
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from osirix_agent.virtual_osirix.roi import ToolMode
from tests.conftest import signature


def click(practice, xy=(30.5, 20.5), k=6, name=None):
    roi = practice.clinician.point(xy, k=k, name=name)
    practice.settle()
    return roi


def test_a_click_gives_contours_and_isolines_round_the_displayed_slice(practice):
    click(practice)
    drafts = practice.drafts()
    assert drafts
    assert all(roi.thickness == 3 and roi.opacity == 1 for roi in drafts)
    assert {roi.pix for roi in practice.drafts("u05")} <= set(practice.hospital.window.pixes[0][4:9])
    assert practice.drafts("u95")
    assert len({roi.color for roi in drafts + practice.drafts("u05") + practice.drafts("u95")}) == 1
    assert practice.mask()[6, 20, 30]


def test_the_painted_contour_is_the_mask(practice):
    click(practice)
    mask = practice.mask()
    for k in range(12):
        rings = [roi.points[:, ::-1] - 0.5 for roi in practice.clinician.rois(k) if "~draft" in roi.name]
        assert np.array_equal(fill(rings, mask.shape[1:]), mask[k])


def test_polarity_by_position_and_by_name(practice):
    click(practice, (30.5, 20.5))
    inside = click(practice, (31.5, 21.5))  # in the proposal: exclude
    assert not practice.mask()[6, 21, 31]
    practice.clinician.delete(inside)
    practice.settle()
    assert practice.mask()[6, 21, 31]
    click(practice, (31.5, 21.5), name="+")
    assert practice.mask()[6, 21, 31]
    click(practice, (45.5, 40.5), name="-GTV")
    assert not practice.mask()[6, 40, 45]
    click(practice, (12.5, 30.5))  # outside: include
    assert practice.mask()[6, 30, 12]


@pytest.mark.parametrize("shape", ["box", "pencil", "open_polygon", "polygon", "brush", "oval"])
def test_every_shape_is_a_prompt(practice, shape):
    c = practice.clinician
    match shape:
        case "box":
            c.box((20, 15), (12, 10), k=6)
        case "pencil" | "open_polygon":
            getattr(c, shape)([(20, 15), (25, 18), (30, 15)], k=6)
        case "polygon":
            c.polygon([(20, 15), (32, 15), (32, 25), (20, 25)], k=6)
        case "brush":
            c.brush(np.ones((8, 9), bool), (20, 15), k=6)
        case "oval":
            c.oval((26, 20), (6, 5), k=6)
    practice.settle()
    assert practice.mask()[6].any()


def test_undo_redo_remove_and_restore_exactly(practice):
    baseline = sorted(signature(r) for r in practice.clinician.rois())
    first = click(practice)
    one = sorted(signature(r) for r in practice.clinician.rois())
    click(practice, (12.5, 30.5))
    two = sorted(signature(r) for r in practice.clinician.rois())
    practice.do("undo")
    assert sorted(signature(r) for r in practice.clinician.rois()) == one
    practice.do("undo")
    assert sorted(signature(r) for r in practice.clinician.rois()) == baseline
    practice.do("undo")
    assert "nothing to undo" in practice.feedback.texts[-1]
    practice.do("redo")
    practice.do("redo")
    assert sorted(signature(r) for r in practice.clinician.rois()) == two
    practice.do("redo")
    assert "nothing to redo" in practice.feedback.texts[-1]
    del first


def test_removing_one_earlier_prompt_recomputes_without_it(practice):
    click(practice)
    middle = click(practice, (12.5, 30.5))
    click(practice, (40.5, 35.5))
    practice.clinician.delete(middle)
    practice.settle()
    mask = practice.mask()
    assert mask[6, 20, 30]
    assert mask[6, 35, 40]
    assert not mask[6, 30, 12]


def test_moving_a_prompt_moves_what_it_says(practice):
    roi = click(practice)
    practice.clinician.move(roi, -15, 8)
    practice.settle()
    assert practice.mask()[6, 28, 15]
    assert not practice.mask()[6, 20, 30]


def test_accept_leaves_plain_contours_and_takes_prompts_and_isolines_away(practice):
    click(practice, name="GTVp")
    count = len(practice.drafts())
    practice.do("accept")
    assert practice.names() == ["GTVp"] * count
    practice.do("undo")
    assert len(practice.drafts(structure="GTVp")) == count
    assert "GTVp" in practice.names()  # her point is back
    practice.do("redo")
    practice.engine.finish()
    assert practice.names() == ["GTVp"] * count


def test_prompts_may_stay_after_accept(open_practice):
    practice = open_practice(remove_prompts_on_accept=False)
    roi = click(practice)
    practice.do("accept")
    assert any(r is roi for r in practice.clinician.rois())


def test_reject_and_exit_leave_nothing(practice):
    click(practice)
    practice.do("reject")
    assert practice.names() == []
    roi = click(practice)
    practice.engine.finish()
    assert practice.clinician.rois() == [roi]


def test_baseline_rois_are_no_prompts_and_are_never_touched(hospital, open_practice):
    c = hospital.clinician
    old = [c.point((10, 10), name="GTVp"), c.polygon([(20, 20), (30, 20), (25, 30)], name="GTVp", k=3)]
    before = [signature(roi) for roi in old]
    practice = open_practice()
    practice.settle()
    assert practice.engine.session.state.structures == {}
    click(practice)
    practice.do("accept")
    practice.do("undo")
    practice.do("undo")
    practice.engine.finish()
    assert [signature(roi) for roi in old] == before
    assert {id(r) for r in practice.clinician.rois()} == {id(r) for r in old}


def test_a_baseline_roi_becomes_a_prompt_by_its_name_and_stays(hospital, open_practice):
    old = hospital.clinician.point((30.5, 20.5), k=6, name="old")
    practice = open_practice()
    practice.clinician.rename(old, "+GTV")
    practice.settle()
    assert practice.mask()[6, 20, 30]
    practice.do("accept")
    assert any(roi is old for roi in practice.clinician.rois())
    practice.do("undo")
    practice.do("undo")
    assert practice.clinician.rois() == [old]


def test_an_edited_slice_is_hers_frozen_and_evidence(practice):
    click(practice)
    (roi,) = [r for r in practice.clinician.rois(6) if "~draft" in r.name]
    practice.clinician.move_vertex(roi, 0, (2.0, 2.0))
    practice.settle()
    edited = signature(roi)
    assert 6 in practice.engine.session.state.structure("GTV").edits
    click(practice, (12.5, 30.5), k=6)
    assert signature(roi) == edited  # not painted over
    practice.do("release GTV")
    assert not practice.engine.session.state.structure("GTV").edits
    practice.do("undo")
    practice.do("accept")
    assert roi.name == "GTV"
    assert signature(roi)[2] == edited[2]


def test_an_edit_undone_before_anything_was_painted_goes_back_all_the_same(practice):
    click(practice)
    before = sorted(signature(r) for r in practice.clinician.rois())
    contour = next(roi for roi in practice.drafts() if roi.pix is practice.hospital.window.pixes[0][6])
    practice.clinician.move_vertex(contour, 0, tuple(contour.points[0] + 2))
    practice.engine.step()
    practice.now += practice.settings.polygon_settle_s
    practice.engine.command(Command("undo"))  # acted on in the step in which the edit counts
    practice.settle()
    assert sorted(signature(r) for r in practice.clinician.rois()) == before


def test_an_edit_can_be_undone_and_done_again(practice):
    click(practice)
    (roi,) = [r for r in practice.clinician.rois(6) if "~draft" in r.name]
    before = roi.points.copy()
    practice.clinician.move_vertex(roi, 0, (2.0, 2.0))
    practice.settle()
    after = roi.points.copy()
    practice.do("undo")
    (roi,) = [r for r in practice.clinician.rois(6) if "~draft" in r.name]
    assert np.array_equal(roi.points, before)
    practice.do("redo")
    assert np.array_equal(roi.points, after)


def test_an_edit_and_accept_at_the_same_moment_keep_the_edit(practice):
    click(practice)
    (roi,) = [r for r in practice.clinician.rois(4) if "~draft" in r.name]
    practice.clinician.move_vertex(roi, 0, (2.0, 2.0))  # on a slice that is not displayed, not yet seen
    practice.do("accept")
    assert roi.name == "GTV"
    assert np.array_equal(roi.points[0], [2.0, 2.0])


def test_edited_slices_survive_an_exit_without_accept(practice):
    click(practice)
    (roi,) = [r for r in practice.clinician.rois(6) if "~draft" in r.name]
    practice.clinician.move_vertex(roi, 0, (2.0, 2.0))
    practice.settle()
    practice.engine.finish()
    assert sorted(practice.names()) == ["GTV", "Point 1"]
    assert np.array_equal(roi.points[0], [2.0, 2.0])


def test_deleting_one_slice_empties_it_and_deleting_all_rejects(practice):
    click(practice)
    (roi,) = [r for r in practice.clinician.rois(6) if "~draft" in r.name]
    practice.clinician.delete(roi)
    practice.settle()
    assert practice.engine.session.state.structure("GTV").edits[6] == ()
    assert [r for r in practice.clinician.rois(6) if "~draft" in r.name] == []
    for one in practice.drafts():
        practice.clinician.delete(one)
    practice.settle()
    assert practice.engine.session.state.structures == {}
    assert practice.names() == []
    practice.do("undo")
    assert practice.drafts()


def test_structures_live_side_by_side_and_a_locked_one_is_never_overlapped(practice):
    click(practice, (30.5, 20.5), name="GTVp")
    practice.do("lock GTVp")
    click(practice, (26.5, 20.5), name="GTVn")
    a, b = practice.mask("GTVp"), practice.mask("GTVn")
    assert b.any()
    assert not (a & b).any()
    assert {roi.color for roi in practice.drafts(structure="GTVp")} != {
        roi.color for roi in practice.drafts(structure="GTVn")
    }
    refused = click(practice, (10.5, 10.5), name="GTVp")
    assert "locked" in practice.feedback.texts[-1]
    assert any(r is refused for r in practice.clinician.rois())
    practice.do("unlock GTVp")
    assert (practice.mask("GTVp") & practice.mask("GTVn")).any()


def test_a_structure_that_was_there_before_can_be_locked(hospital, open_practice):
    hospital.clinician.polygon([(20, 10), (34, 10), (34, 30), (20, 30)], k=6, name="Brainstem")
    practice = open_practice()
    practice.do("lock Brainstem")
    click(practice, (18.5, 20.5))
    assert practice.mask()[6].any()
    assert not practice.mask()[6, 10:30, 20:34].any()


def test_an_existing_contour_can_be_refined(hospital, open_practice):
    old = hospital.clinician.polygon([(20, 10), (34, 10), (34, 30), (20, 30)], k=6, name="GTVp")
    practice = open_practice()
    practice.do("refine GTVp")
    assert practice.mask("GTVp")[6, 20, 27]
    practice.do("undo")
    assert practice.clinician.rois() == [old]


def test_commands_by_the_name_of_an_roi(practice):
    click(practice)
    practice.clinician.point((3, 3), name="!undo")
    practice.settle()
    assert practice.names() == []
    practice.clinician.point((3, 3), name="!make tea")
    practice.settle()
    assert "not understood" in practice.feedback.texts[-1]


def test_isolines_are_toggled_follow_the_slice_and_show_everywhere_on_request(practice):
    click(practice)
    near = len(practice.drafts("u05"))
    practice.do("all")
    assert len(practice.drafts("u05")) >= near
    practice.do("isolines")
    assert practice.drafts("u05") == []
    practice.do("isolines")
    practice.do("all")
    practice.clinician.scroll_to(0)
    practice.settle()
    far = practice.hospital.window.pixes[0][3:]
    assert not {roi.pix for roi in practice.drafts("u05")} & set(far)


def test_an_isoline_she_deletes_stays_away_until_the_next_proposal(practice):
    click(practice)
    isoline = practice.drafts("u05")[0]
    count = len(practice.drafts("u05"))
    practice.clinician.delete(isoline)
    practice.settle()
    practice.do("use GTVp")
    assert len(practice.drafts("u05")) == count - 1
    practice.do("use GTV")
    click(practice, (33.5, 24.5), name="+")
    assert len(practice.drafts("u05")) >= count


def test_a_half_drawn_polygon_is_neither_used_nor_painted_over(practice):
    click(practice)
    roi = practice.clinician.start_polygon((10, 30), k=6)
    redraws = practice.hospital.window.redraws
    for point in [(20, 30), (20, 38)]:
        practice.clinician.add_vertex(roi, point)
        practice.now += 0.1
        practice.engine.step()
    assert practice.hospital.window.redraws == redraws
    assert len(practice.engine.session.state.structure("GTV").prompts) == 1
    practice.clinician.add_vertex(roi, (10, 38))
    practice.clinician.finish(roi)
    practice.settle()
    assert len(practice.engine.session.state.structure("GTV").prompts) == 2


BAD_PROMPTS = {
    "outside": lambda c: c.point((-5, -5)),
    "tiny box": lambda c: c.box((5, 5), (0.3, 0.3)),
    "crossing": lambda c: c.polygon([(10, 10), (30, 30), (30, 10), (10, 30)]),
    "empty polygon": lambda c: c.polygon([(10, 10), (10, 10), (10, 10)]),
    "empty brush": lambda c: c.brush(np.zeros((3, 3), bool), (3, 3)),
    "words": lambda c: c.point((20, 20), name="?left parotid"),
    "off image": lambda c: c.polygon([(100, 100), (120, 100), (120, 120)]),
}


@pytest.mark.parametrize("kind", BAD_PROMPTS)
def test_a_bad_prompt_is_refused_with_what_to_do_and_stays_as_it_is(practice, kind):
    click(practice)
    before = practice.engine.session.state
    roi = BAD_PROMPTS[kind](practice.clinician)
    look = signature(roi)
    practice.settle()
    assert practice.feedback.texts[-1].startswith("Not used: ")
    assert practice.engine.session.state is before
    assert signature(roi) == look
    practice.engine.finish()
    assert any(r is roi for r in practice.clinician.rois())


@pytest.mark.parametrize("name", ["", "äöü é", "x" * 10_000, "GTVp", "Müller^Hans"])
def test_any_name_is_survived_and_none_reaches_the_journal_raw(practice, name):
    roi = click(practice, name=name)
    assert practice.drafts()
    practice.do("accept")
    practice.do("undo")
    practice.engine.finish()
    text = practice.journal.read_text()
    assert "Müller" not in text
    assert "Phantom" not in text
    assert "x" * 100 not in text
    assert any(r.name == roi.name for r in practice.clinician.rois())


def test_moving_a_prompt_off_the_image_takes_it_out_and_leaves_it(practice):
    click(practice)
    roi = click(practice, (12.5, 30.5))
    practice.clinician.move(roi, -100, 0)
    practice.settle()
    assert "outside the image" in practice.feedback.texts[-1]
    assert len(practice.engine.session.state.structure("GTV").prompts) == 1
    assert any(r is roi for r in practice.clinician.rois())
    practice.clinician.move(roi, 100, 0)
    practice.settle()
    assert len(practice.engine.session.state.structure("GTV").prompts) == 2


def test_only_exclusions_say_so(practice):
    click(practice, name="-")
    assert "Nothing says yet where" in practice.feedback.texts[-1]
    assert practice.drafts() == []


def test_holes_and_islands_survive_the_painting(practice):
    click(practice, (30.5, 24.5))
    click(practice, (30.5, 24.5), name="-")
    mask = practice.mask()
    k = next(k for k in range(12) if mask[k].any() and not mask[k, 24, 30])
    rois = [r for r in practice.clinician.rois(k) if "~draft" in r.name]
    assert [r.itype for r in rois] == [ToolMode.BRUSH]
    assert np.array_equal(rois[0].map(*mask.shape[1:]), mask[k])


def test_a_killed_run_is_cleared_by_the_next_and_nothing_else(hospital, open_practice):
    first = open_practice()
    mine = hospital.clinician.polygon([(5, 5), (9, 5), (9, 9)], k=1, name="GTV ~draft.abcdef")
    first.settle()
    point = click(first)
    (edited,) = [r for r in hospital.clinician.rois(6) if "~draft" in r.name]
    hospital.clinician.move_vertex(edited, 0, (2, 2))
    second = open_practice()
    assert "Cleared" in second.feedback.texts[0]
    assert "edited since" in second.feedback.texts[1]
    left = {id(roi) for roi in hospital.clinician.rois()}
    assert left == {id(point), id(edited), id(mine)}


def test_drafts_persisted_by_a_closed_viewer_are_cleared_when_it_is_opened_again(hospital, open_practice):
    first = open_practice()
    click(first)
    hospital.clinician.close()
    with pytest.raises(ViewerClosedError):
        first.engine.step()
    hospital.window = hospital.app.open_series(hospital.window.series)
    hospital.clinician.viewer = hospital.window
    assert any("~draft" in roi.name for roi in hospital.clinician.rois())
    open_practice()
    assert [roi.name for roi in hospital.clinician.rois()] == ["Point 1"]


def test_a_series_switched_under_the_session_ends_it_with_a_reason(practice):
    click(practice)
    other = practice.hospital.app.open_series(practice.hospital.window.series)
    practice.hospital.window.pixes = other.pixes
    with pytest.raises(SeriesChangedError, match="another series"):
        practice.engine.step()


def test_a_dialog_in_osirix_is_waited_for_and_said_once(hospital, open_practice):
    practice = open_practice()
    hospital.connection.deadline_s = 0.2
    with hospital.clinician.modal_dialog():
        practice.engine.step()
        practice.engine.step()
    assert sum("dialog" in text for text in practice.feedback.texts) == 1
    hospital.connection.deadline_s = 5
    click(practice)
    assert practice.drafts()


def test_a_refused_write_is_rolled_back_and_the_session_goes_on(hospital, open_practice):
    from osirix_agent.virtual_osirix.service import StatusError

    practice = open_practice()
    real = hospital.app.leak_style
    calls = []

    def refuse(roi) -> None:
        calls.append(roi)
        if len(calls) == 5:
            hospital.app.delete_roi(roi)
            raise StatusError("Could not create ROI")
        real(roi)

    hospital.app.leak_style = refuse
    click(practice)
    assert "Could not create ROI" in practice.feedback.texts[-1]
    assert practice.drafts() == []
    hospital.app.leak_style = real
    click(practice, (12.5, 30.5))
    assert practice.drafts()
    practice.do("undo")
    practice.do("undo")
    assert practice.names() == []


def test_prompts_in_a_second_viewer_land_in_the_right_place(hospital, open_practice, tmp_path):
    recipe = hospital.window.pixes[0][0].source.header
    del recipe
    other = write_phantom(
        tmp_path / "mr", PhantomRecipe(shape_kji=(18, 60, 40), spacing_kji_mm=(2.0, 1.6, 2.8), seed=8)
    )
    (second,) = hospital.app.open_folder(other.folder)
    hospital.app.viewers.reverse()
    practice = open_practice()
    viewer = OsirixViewer(hospital.connection, hospital.app.uid(second), practice.settings)
    assert "another frame of reference" in refusal_for(practice.viewer.identity, viewer.identity)
    practice.engine.add_companion(viewer, None)
    from osirix_agent.virtual_osirix.clinician import Clinician

    there = Clinician(hospital.app, second)
    where = practice.viewer.pixels.geometry.to_lps((6, 20, 30))
    k, j, i = viewer.pixels.geometry.to_kji(where)
    there.point((i + 0.5, j + 0.5), k=round(k))
    practice.settle()
    assert practice.mask()[6, 20, 30]
    assert there.find("Point 1")
    practice.do("undo")
    assert there.rois() == []
    practice.do("redo")
    assert len(there.rois()) == 1
    there.close()
    practice.settle()
    assert practice.mask()[6, 20, 30]


def test_prompts_in_a_viewer_that_is_not_registered_are_refused_with_the_reason(hospital, open_practice, tmp_path):
    other = write_phantom(tmp_path / "mr", PhantomRecipe(shape_kji=(18, 60, 40), seed=8))
    (second,) = hospital.app.open_folder(other.folder)
    practice = open_practice()
    viewer = OsirixViewer(hospital.connection, hospital.app.uid(second), practice.settings)
    practice.engine.add_companion(viewer, refusal_for(practice.viewer.identity, viewer.identity))
    from osirix_agent.virtual_osirix.clinician import Clinician

    roi = Clinician(hospital.app, second).point((10.5, 10.5))
    practice.settle()
    assert "frame of reference" in practice.feedback.texts[-1]
    assert practice.engine.session.state.structures == {}
    assert any(r is roi for r in Clinician(hospital.app, second).rois())


def test_the_journal_tells_the_session(practice):
    click(practice, name="GTVp")
    practice.do("accept")
    practice.engine.finish()
    kinds = [event.event for event in read_journal(practice.journal)]
    assert kinds[0] == "session_started"
    assert kinds[-1] == "session_ended"
    assert {"prompt_changed", "proposed", "painted", "command_given"} <= set(kinds)


def test_the_pen_keeps_her_style_after_the_agent_has_drawn(practice):
    roi = practice.clinician.point((30.5, 20.5), k=6)
    practice.clinician.recolour(roi, (9, 8, 7))
    practice.settle()
    assert practice.clinician.point((3, 3), name="-").color == (9, 8, 7)
