"""Accepted structures out of a session: as they were left, from the running one or from its journal."""

import numpy as np
import pydicom
import pytest

from osirix_agent.agent.exporting import ExportOnAccept, accepted_structures, chosen
from osirix_agent.agent.recorded import rebuilt
from osirix_agent.errors import ExportError, JournalError
from osirix_agent.imaging.dicom import find_truths
from osirix_agent.record.journal import read_journal
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.viewer.roi import RoiType
from tests.conftest import KEY


def edit_vertex(practice, by=2.25):
    """She pulls a vertex of the contour on one slice; gives the slice and her polygon."""
    roi = next(roi for roi in practice.drafts() if roi.itype == RoiType.CLOSED_POLYGON)
    k = next(k for _, k, one in practice.clinician.viewer.all_rois() if one is roi)
    x, y = roi.points[0]
    practice.clinician.scroll_to(k)
    practice.clinician.move_vertex(roi, 0, (float(x) + by, float(y)))
    practice.settle()
    return k, roi


@pytest.fixture
def accepted(practice):
    """A click, an edited slice, an accept; then a second structure that is not accepted."""
    practice.clinician.point((30.5, 20.5), k=6, name="GTVp")
    practice.settle()
    k, roi = edit_vertex(practice)
    practice.do("accept GTVp")
    practice.clinician.point((14.5, 34.5), k=6, name="GTVn")
    practice.settle()
    return practice, k, roi


def test_only_what_is_accepted_leaves_and_her_slice_is_just_hers(accepted):
    practice, k, roi = accepted
    (structure,) = accepted_structures(practice.engine.session.state, practice.viewer.pixels)
    assert structure.name == "GTVp"
    assert structure.edited == {k}
    (ring,) = structure.rings_ji[k]
    assert np.allclose(practice.viewer.pixels.to_xy(ring), roi.points, atol=1e-5)
    expected = practice.mask("GTVp")
    mask = structure.mask(expected.shape)
    expected[k] = practice.viewer.pixels.mask_of([s.spec for s in practice.viewer.snapshot(full=True).rois.values()
                                                  if s.spec.k == k and s.spec.name == "GTVp"])  # fmt: skip
    assert np.array_equal(mask, expected)


def test_opened_again_what_was_accepted_leaves(accepted):
    practice, _, _ = accepted
    before = accepted_structures(practice.engine.session.state, practice.viewer.pixels)[0]
    practice.do("reopen GTVp")
    practice.clinician.point((40.5, 40.5), k=6, name="-GTVp")
    practice.settle()
    after = accepted_structures(practice.engine.session.state, practice.viewer.pixels)[0]
    assert {k: len(rings) for k, rings in after.rings_ji.items()} == {k: len(r) for k, r in before.rings_ji.items()}


def test_the_journal_gives_the_very_same(accepted):
    practice, _, _ = accepted
    practice.engine.finish("quit")
    events = read_journal(practice.journal)
    state = rebuilt(events, practice.engine.session.volume, practice.viewer.pixels, practice.segmenter, Pseudonyms(KEY))
    (live,) = accepted_structures(practice.engine.session.state, practice.viewer.pixels)
    (again,) = accepted_structures(state, practice.viewer.pixels)
    assert (again.name, again.edited) == (live.name, live.edited)
    assert again.rings_ji.keys() == live.rings_ji.keys()
    for k, rings in live.rings_ji.items():
        for one, other in zip(again.rings_ji[k], rings, strict=True):
            assert np.abs(one - other).max() < 1e-5


def test_another_segmenter_gives_nothing(accepted):
    practice, _, _ = accepted
    events = read_journal(practice.journal)
    with pytest.raises(JournalError, match=r"It was made with .*; this is classical"):
        rebuilt(events, practice.engine.session.volume, practice.viewer.pixels, ClassicalSegmenter(), Pseudonyms(KEY))


def test_names_are_chosen_and_a_private_one_comes_back_with_the_key(open_practice):
    practice = open_practice()
    practice.clinician.point((30.5, 20.5), k=6, name="GTV_Smith")
    practice.settle()
    practice.do("accept GTV_Smith")
    arguments = read_journal(practice.journal), practice.engine.session.volume, practice.viewer.pixels
    (unknown,) = rebuilt(*arguments, practice.segmenter, Pseudonyms(KEY)).structures
    assert unknown.startswith("GTV-")
    (known,) = rebuilt(*arguments, practice.segmenter, Pseudonyms(KEY), ["GTV_Smith"]).structures
    assert known == "GTV_Smith"
    structures = accepted_structures(practice.engine.session.state, practice.viewer.pixels)
    assert chosen(structures, ["GTV_Smith"]) == structures
    with pytest.raises(ExportError, match="not accepted"):
        chosen(structures, ["Heart"])
    with pytest.raises(ExportError, match="No structure"):
        chosen([], [])


def test_on_accept_the_file_follows_the_session(practice, tmp_path, phantom):
    out = tmp_path / "out"
    practice.engine.on_accept = ExportOnAccept(practice.viewer, out, practice.feedback)
    practice.clinician.point((30.5, 20.5), k=6, name="GTVp")
    practice.settle()
    assert not out.exists()
    practice.do("accept GTVp")
    ds = pydicom.dcmread(out / "RTSTRUCT.dcm")
    (truth,) = find_truths(out, practice.viewer.pixels.geometry, phantom.frame_of_reference_uid,
                           practice.viewer.identity.series_uid)  # fmt: skip
    assert np.array_equal(truth.mask, practice.mask("GTVp"))
    practice.clinician.point((14.5, 34.5), k=6, name="GTVn")
    practice.settle()
    practice.do("accept GTVn")
    assert len(pydicom.dcmread(out / "RTSTRUCT.dcm").StructureSetROISequence) == 2
    assert pydicom.dcmread(out / "RTSTRUCT.dcm").SOPInstanceUID != ds.SOPInstanceUID
    for _ in range(4):
        practice.do("undo")
    practice.engine.finish("quit")
    assert not (out / "RTSTRUCT.dcm").exists()


def test_an_export_that_fails_does_not_stop_the_session(practice, tmp_path):
    (tmp_path / "file").write_text("")
    practice.engine.on_accept = ExportOnAccept(practice.viewer, tmp_path / "file" / "x", practice.feedback)
    practice.clinician.point((30.5, 20.5), k=6, name="GTVp")
    practice.settle()
    practice.do("accept GTVp")
    assert any("Not exported" in text for text in practice.feedback.texts)
    assert practice.engine.session.state.structure("GTVp").accepted
