"""Sentences carried out: through the session, on a virtual OsiriX, undone, replayed, and never over what is hers."""

import numpy as np
import pytest

from osirix_agent.agent.replay import replay
from osirix_agent.agent.request import Request, Sentence
from osirix_agent.belief.belief import Belief
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.imaging.contour import fill
from osirix_agent.record.journal import read_journal
from osirix_agent.segmenter.protocol import Capabilities
from tests.agent.test_session_in_viewer import click
from tests.conftest import signature


def say(practice, text: str, heard: float = 1.0) -> tuple[bool, str]:
    request = Request(Sentence(text, heard))
    practice.engine.ask(request)
    practice.settle()
    done, what, _ = request.wait(0)
    return done, what


def extent(mask: np.ndarray) -> np.ndarray:
    """(3, 2) first and last index along k, j, i."""
    held = np.argwhere(mask)
    return np.stack([held.min(0), held.max(0)], axis=1)


def test_the_sentence_of_the_readme(practice):
    click(practice)
    before = practice.mask()
    done, what = say(practice, "three millimetres superiorly, undo, accept")
    assert done, what
    assert np.array_equal(practice.mask(), before)
    assert practice.engine.session.state.structure("GTV").accepted
    assert "GTV" in practice.names()


@pytest.mark.parametrize(
    ("sentence", "change"),  # first and last index along k, j, i; voxels of 3, 2, 2 mm, k towards the head
    [
        ("grow by three millimetres superiorly", [[0, 1], [0, 0], [0, 0]]),
        ("grow 3 mm inferiorly", [[-1, 0], [0, 0], [0, 0]]),
        ("extend it 4 mm to the left", [[0, 0], [0, 0], [0, 2]]),
        ("grow 2 mm anteriorly", [[0, 0], [-1, 0], [0, 0]]),
        ("take 2 mm off the back", [[1, -1], [0, -1], [0, 0]]),
        ("shift it 4 mm to the right", [[0, 0], [0, 0], [-2, -2]]),
        ("shift it three millimetres up", [[1, 1], [0, 0], [0, 0]]),
    ],
)
def test_edits_in_millimetres(practice, sentence, change):
    click(practice)
    before = extent(practice.mask())
    done, what = say(practice, sentence)
    assert done, what
    assert (extent(practice.mask()) - before).tolist() == change
    assert practice.drafts()
    practice.do("undo")
    assert np.array_equal(extent(practice.mask()), before)
    practice.do("redo")
    assert (extent(practice.mask()) - before).tolist() == change


def test_growing_and_shrinking_all_round(practice):
    click(practice)
    before = practice.mask()
    assert say(practice, "grow by 4 mm")[0]
    larger = practice.mask()
    assert (larger >= before).all()
    assert larger.sum() > 1.5 * before.sum()
    assert say(practice, "shrink by 4 mm")[0]
    assert abs(int(practice.mask().sum()) - int(before.sum())) < 0.2 * before.sum()
    assert say(practice, "smooth by 2 mm")[0]
    assert not say(practice, "shrink by five centimetres")[0]


def test_one_margin_with_less_one_way_is_confirmed_and_holds(practice):
    click(practice)
    before = extent(practice.mask())
    done, what = say(practice, "grow it by 8 mm but 4 mm posteriorly")
    assert not done
    assert "grow 8 mm but 4 mm posterior" in what
    assert say(practice, "yes")[0]
    moved = extent(practice.mask()) - before
    assert moved[1].tolist() == [-4, 2]  # rows of 2 mm, growing backwards
    assert moved[2].tolist() == [-4, 4]


def test_one_side_by_two_names_is_refused(practice):
    say(practice, "new structure left parotid")
    click(practice)
    say(practice, "grow it by 2 mm but 3 mm left and 4 mm laterally")
    done, what = say(practice, "yes")
    assert not done
    assert "the same one here" in what


def test_an_edit_takes_prompts_away_and_undo_brings_them_back(practice):
    roi = signature(click(practice))
    say(practice, "grow by 3 mm")
    assert roi not in [signature(r) for r in practice.clinician.rois()]
    practice.do("undo")
    assert roi in [signature(r) for r in practice.clinician.rois()]


def test_a_click_after_an_edit_changes_it_there_and_nowhere_else(practice):
    click(practice)
    say(practice, "grow 4 mm to the left")
    edited = practice.mask()
    click(practice, (12.5, 30.5))
    added = practice.mask()
    assert added[6, 30, 12]
    assert (added >= edited).all()
    assert np.array_equal(added[:, :25, 22:], edited[:, :25, 22:])


def test_her_slices_stay_hers(practice):
    click(practice)
    (roi,) = [r for r in practice.clinician.rois(6) if "~draft" in r.name]
    practice.clinician.move_vertex(roi, 0, (2.0, 2.0))
    practice.settle()
    hers = roi.points.copy()
    done, what = say(practice, "grow by 4 mm")
    assert done
    assert "1 slices that you edited stay" in what
    assert np.array_equal(roi.points, hers)
    practice.hospital.window.index = 5
    practice.settle()
    assert "yours" in say(practice, "copy it to the next slice")[1]
    assert np.array_equal(roi.points, hers)


def test_locks_and_accepts_hold(practice):
    click(practice)
    assert say(practice, "lock the GTV")[0]
    assert "locked" in say(practice, "grow by 2 mm")[1]
    assert say(practice, "unlock it, accept")[0]
    assert "accepted" in say(practice, "grow by 3 mm")[1]
    before = practice.mask("GTV")
    click(practice, (12.5, 30.5), name="GTVn")
    assert say(practice, "lock the GTV, grow the GTVn by 5 cm")[0]
    assert not (practice.mask("GTVn") & before).any()


def test_session_commands(practice, hospital):
    click(practice)
    click(practice, (12.5, 30.5))
    assert say(practice, "undo twice")[0]
    assert practice.names() == []
    assert "0 steps" in say(practice, "undo")[1]
    assert say(practice, "redo twice")[0]
    assert practice.mask()[6, 30, 12]
    assert say(practice, "hide the uncertainty")[1] == "Isolines are hidden."
    assert not practice.drafts("u05")
    assert say(practice, "hide the isolines, please")[0]
    assert say(practice, "show the uncertainty")[0]
    assert practice.drafts("u05")
    assert say(practice, "go to slice four")[0]
    assert hospital.window.index == 3
    assert say(practice, "next slice")[0]
    assert hospital.window.index == 4
    assert "1 to 12" in say(practice, "go to slice forty")[1]
    assert say(practice, "where should I look?")[0]
    assert say(practice, "help")[0]
    assert say(practice, "what is the status")[0]
    assert say(practice, "new structure called boost")[0]
    assert practice.engine.session.state.active == "boost"
    assert "already" in say(practice, "new structure GTV")[1]
    assert say(practice, "use the GTV, reject")[0]
    assert practice.names() == []
    assert "no structure of that name" in say(practice, "lock the left lung")[1]


def test_slice_numbers_are_those_on_the_screen(practice, hospital):
    click(practice)
    hospital.window.flipped = True
    assert say(practice, "go to slice 1")[0]
    assert hospital.window.index == 11
    assert say(practice, "next slice")[0]
    assert hospital.window.index == 10
    assert say(practice, "grow by three millimetres superiorly")[0]  # what is up does not depend on the display


def test_everything_above_a_slice(practice, hospital):
    click(practice)
    (first, last), *_ = extent(practice.mask())
    assert say(practice, f"remove everything above slice {last}")[0]  # numbered from 1: the last but one is kept
    assert extent(practice.mask())[0].tolist() == [first, last - 1]
    hospital.window.index = int(first)
    practice.settle()
    assert say(practice, "exclude everything below this slice") == (
        False, "Not done: That would change nothing. Nothing was changed.",
    )  # fmt: skip
    assert say(practice, f"keep only everything below slice {last}")[0]
    assert extent(practice.mask())[0].tolist() == [first, last - 2]
    assert say(practice, f"undo, go to slice {last}, copy this to the slice above")[0]
    assert extent(practice.mask())[0].tolist() == [first, last]


def test_a_slab_of_another_structure_leaves_the_active_one(practice):
    click(practice)
    click(practice, (12.5, 30.5), name="GTVn")  # the active one now
    other, (_, last) = practice.mask("GTVn"), extent(practice.mask("GTV"))[0]
    assert say(practice, f"remove everything above slice {last} from the GTV")[0]
    assert extent(practice.mask("GTV"))[0][1] == last - 1
    assert np.array_equal(practice.mask("GTVn"), other)
    done, what = say(practice, f"remove the GTV below slice {last}")
    assert (done, f"Did you mean: exclude everything below slice {last} of GTV?" in what) == (False, True)


def test_everything_above_a_slice_is_all_of_the_patient_there(practice):
    click(practice)
    say(practice, "lock the GTV")
    click(practice, (12.5, 30.5), name="GTVn")
    before, locked = practice.mask("GTVn"), practice.mask("GTV")
    assert say(practice, "include everything above slice ten")[0]
    after, body = practice.mask("GTVn"), practice.engine.session.volume.array > -300
    assert np.array_equal(after[:10], before[:10])
    assert (after[10:].sum((1, 2)) > 0.9 * (body & ~locked)[10:].sum((1, 2))).all()
    assert not (after & locked).any()
    practice.do("undo")
    assert np.array_equal(practice.mask("GTVn"), before)
    assert "change nothing" in say(practice, "include everything above slice 12")[1]
    assert (
        "Did you mean: include everything above slice 10?"
        in say(practice, "include everything above slice ten", heard=0.85)[1]
    )


def test_a_renamed_structure_keeps_its_contour(practice):
    click(practice, name="GTV")
    click(practice, (12.5, 30.5), name="+GTV")
    before = practice.mask()
    assert say(practice, "rename it to GTVn")[1] == "Renamed; undo takes it back."
    assert "GTV" not in practice.engine.session.state.structures
    assert practice.engine.session.state.active == "GTVn"
    assert np.array_equal(practice.mask("GTVn"), before)
    assert {n.split(" ~")[0] for n in practice.names()} == {"GTVn", "+GTVn"}
    practice.clinician.move(practice.clinician.find("GTVn")[0], 2, 2)
    practice.settle()
    assert not np.array_equal(practice.mask("GTVn"), before)
    assert "GTV" not in practice.engine.session.state.structures


def test_a_name_that_is_taken_or_empty_of_a_contour_is_not_given(practice):
    assert "nothing to rename" in say(practice, "rename it to GTVn")[1]
    click(practice, name="GTV")
    click(practice, (12.5, 30.5), name="GTVn")
    for sentence in ("rename the GTV to GTVn", "rename it to GTV"):
        assert "of that name already" in say(practice, sentence)[1]
    assert say(practice, "lock the GTV")[0]
    assert "locked" in say(practice, "rename the GTV to boost")[1]
    assert practice.engine.session.state.active == "GTVn"


def test_renaming_is_undone_accepted_and_asked_anew_by_its_name(practice):
    click(practice, name="GTV")
    before = practice.mask()
    assert say(practice, "rename it to node four, accept")[0]
    assert "node four" in practice.names()
    practice.do("undo")
    practice.do("undo")
    assert np.array_equal(practice.mask("GTV"), before)
    assert "node four" not in practice.engine.session.state.structures
    practice.do("redo")
    click(practice, (12.5, 30.5))
    asked = [e.structure for e in read_journal(practice.journal) if e.event == "proposed"]
    assert asked[0] == "GTV"
    assert asked[-1] not in asked[:-1]
    assert "node four" not in practice.journal.read_text()


def test_other_structures(practice):
    click(practice, name="GTV")
    click(practice, (36.5, 20.5), name="GTVn")
    one, two = practice.mask("GTV"), practice.mask("GTVn")
    assert say(practice, "subtract the GTVn from the GTV")[0]
    assert np.array_equal(practice.mask("GTV"), one & ~two)
    assert say(practice, "undo, add the GTVn to the GTV")[0]
    assert np.array_equal(practice.mask("GTV"), one | two)
    assert say(practice, "undo, crop the GTV to the GTVn")[0]
    assert np.array_equal(practice.mask("GTV"), one & two)
    assert "no contour" in say(practice, "not the trachea")[1]
    assert "part of itself" in say(practice, "subtract the GTV from the GTV")[1]


class SliceBySlice(BallSegmenter):
    """Believes what was outlined, and nothing on the slices between."""

    def propose(self, request):
        geometry = request.volume.geometry
        logit = np.full(geometry.shape_kji, -9.0, np.float32)
        for prompt in request.prompts:
            placed = geometry.to_kji(np.array(prompt.rings_lps[0]))
            logit[round(placed[0, 0])][fill([placed[:, 1:]], geometry.shape_kji[1:])] = 9.0
        return Belief(logit, (0, 0, 0), geometry.shape_kji, self.name)


def test_slices_left_out_are_filled(open_practice):
    practice = open_practice(segmenter=SliceBySlice())
    for k in (2, 6):
        practice.clinician.polygon([(20, 15), (32, 15), (32, 25), (20, 25)], k=k)
        practice.settle()
    assert not practice.mask()[4].any()
    assert say(practice, "fill between the slices")[0]
    assert [k for k in range(12) if practice.mask()[k].any()] == [2, 3, 4, 5, 6]
    assert "change nothing" in say(practice, "interpolate")[1]


def test_here_is_the_last_click(practice):
    click(practice)
    assert "no click" in say(practice, "new structure called boost, include this")[1]
    say(practice, "use the GTV")
    click(practice, (31.5, 21.5))  # in the proposal: excluded
    assert not practice.mask()[6, 21, 31]
    assert say(practice, "no, include this")[0]
    assert practice.mask()[6, 21, 31]
    assert say(practice, "this is not tumour")[0]
    assert not practice.mask()[6, 21, 31]
    practice.do("undo")
    assert practice.mask()[6, 21, 31]


class Reader(BallSegmenter):
    capabilities = Capabilities(text=True, structures=("Parotid_L", "Trachea"))


def test_structures_by_name_become_text_prompts(open_practice):
    practice = open_practice(segmenter=Reader())
    click(practice)
    assert say(practice, "contour the left parotid")[1] == "Contouring it by name."
    assert say(practice, "left parotid")[0]
    assert "Click or draw" in say(practice, "GTV primary")[1]
    assert practice.engine.session.state.active == "GTVp"
    assert say(practice, "use the GTV, not the trachea")[1].endswith("Excluded by name.")
    said = [e.prompt for e in read_journal(practice.journal) if e.event == "prompt_changed" and e.prompt.kind == "text"]
    assert [(p.phrase, p.polarity) for p in said] == [("Parotid_L", "include"), ("Trachea", "exclude")]
    practice.clinician.point((3, 3), name="?not the trachea")
    practice.clinician.point((4, 3), name="?grow by 3 mm")
    practice.settle()


def test_what_is_doubtful_waits_for_a_yes(practice):
    click(practice)
    done, what = say(practice, "looks good")
    assert (done, "Did you mean: accept?" in what) == (False, True)
    assert not practice.engine.session.state.structure("GTV").accepted
    assert "Nothing was done" in say(practice, "no")[1]
    assert "Nothing was asked" in say(practice, "yes")[1]
    say(practice, "accept", heard=0.8)
    assert say(practice, "yes please")[0]
    assert practice.engine.session.state.structure("GTV").accepted


def test_a_sentence_not_understood_does_nothing_of_it(practice):
    click(practice)
    before = practice.names()
    done, what = say(practice, "undo, and then make tea")
    assert not done
    assert "not understood" in what
    assert "tea" not in what
    assert practice.names() == before


def test_what_came_before_a_refusal_is_said(practice):
    click(practice)
    done, what = say(practice, "grow by 3 mm, lock the left lung, accept")
    assert not done
    assert "Done before it: 1 of 3" in what
    assert not practice.engine.session.state.structure("GTV").accepted


def test_sentences_by_the_name_of_an_roi(practice):
    click(practice)
    before = practice.mask().sum()
    practice.clinician.point((3, 3), name="!grow by 4 mm, hide the isolines")
    practice.settle()
    assert practice.mask().sum() > before
    assert not practice.drafts("u05")
    assert not [n for n in practice.names() if n.startswith("!")]


def test_replay_reproduces_edits_in_words(practice):
    click(practice)
    say(practice, "grow by 3 mm posteriorly, smooth by 2 mm")
    click(practice, (12.5, 30.5))
    practice.log.close()
    results = replay(read_journal(practice.journal), practice.engine.session.volume, practice.segmenter)
    assert results
    assert all(one.same for one in results)
    assert any("edited" not in one.recorded for one in results)


@pytest.mark.parametrize("way", ["typed", "drawn"])
def test_the_status_is_told_once(practice, way):
    click(practice)
    practice.feedback.texts.clear()
    if way == "typed":
        practice.engine.ask(Request(Sentence("status")))
    else:
        practice.clinician.point((5.5, 5.5), k=2, name="!status")
    practice.settle()
    (told,) = practice.feedback.texts
    assert "1 prompts" in told
