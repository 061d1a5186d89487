"""Contours of a file to start from: shown as they were drawn, refined by prompts."""

import numpy as np
import pydicom
import pytest

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import Start, open_session
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.demo.run import settle
from osirix_agent.errors import DicomError, PromptError
from osirix_agent.prompting.grammar import Command


@pytest.fixture
def begin(hospital):
    held = []

    def make(**options):
        feedback = RecordedFeedback()
        opened = open_session(hospital.settings, feedback, segmenter=BallSegmenter(), companions=False, **options)
        held.append(opened)
        settle(opened.engine)
        return opened, feedback

    yield make
    for opened in held:
        opened.close()


def drafts(hospital, name):
    return [roi for roi in hospital.clinician.rois() if roi.name.startswith(f"{name} ~draft")]


def test_they_are_shown_as_drawn_and_prompts_refine_them(begin, hospital, phantom):
    opened, _ = begin(start=Start(phantom.folder / "RS.dcm"))
    engine = opened.engine
    assert np.array_equal(engine.belief("GTVp").mask(), phantom.truth)
    assert drafts(hospital, "GTVp")
    k, j, i = np.argwhere(phantom.truth)[-1]
    far = (i + 6.5, j + 0.5)
    hospital.clinician.point(far, k=int(k), name="GTVp")
    settle(engine)
    refined = engine.belief("GTVp").mask()
    assert refined[k, j, i + 6]
    assert (refined & phantom.truth).sum() > 0.9 * phantom.truth.sum()
    engine.command(Command("undo"))
    settle(engine)
    assert np.array_equal(engine.belief("GTVp").mask(), phantom.truth)
    engine.command(Command("undo"))
    settle(engine)
    assert engine.belief("GTVp") is None


def test_a_killed_session_goes_on_with_them(begin, phantom):
    opened, _ = begin(start=Start(phantom.folder / "RS.dcm"))
    opened.close()  # as a kill leaves it: no end in the journal
    again, feedback = begin(start=Start(phantom.folder / "RS.dcm"))
    assert np.array_equal(again.engine.belief("GTVp").mask(), phantom.truth)
    assert any("not read again" in text for text in feedback.texts)


def test_only_the_structures_named_and_what_is_left_out_is_told(begin, hospital, phantom, tmp_path):
    ds = pydicom.dcmread(phantom.folder / "RS.dcm")
    ds.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = "OPEN_PLANAR"
    path = tmp_path / "RS.dcm"
    ds.save_as(path)
    opened, feedback = begin(start=Start(path, ("GTVp",)))
    assert any("1 of its contours in the file left out: open" in text for text in feedback.texts)
    assert opened.engine.belief("GTVp").mask().any(axis=(1, 2)).sum() == phantom.truth.any(axis=(1, 2)).sum() - 1
    opened.close()
    with pytest.raises(PromptError, match="not in the file") as caught:
        begin(start=Start(path, ("Heart",)), fresh=True)
    assert "GTVp" in caught.value.cure


def test_a_file_of_something_else_begins_nothing(begin, hospital, phantom):
    image = next((phantom.folder / "CT").iterdir())
    with pytest.raises(DicomError):
        begin(start=Start(image))
    assert not list(hospital.settings.state_dir.rglob("*.jsonl"))
