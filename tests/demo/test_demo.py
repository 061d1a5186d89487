"""The main job, end to end."""

import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from osirix_agent.agent.replay import check_image, replay
from osirix_agent.cli import main
from osirix_agent.errors import JournalError
from osirix_agent.record.journal import read_journal
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom
from tests.record.rewriting import raw, rewrite


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    patch = pytest.MonkeyPatch()
    patch.setenv("HOME", str(folder / "home"))
    write_phantom(folder / "out" / "study", PhantomRecipe(shape_kji=(16, 64, 64), spacing_kji_mm=(4, 3, 3)))
    from osirix_agent.demo.run import run_demo

    (result,) = run_demo(folder / "out", folder / "out" / "study", {})
    patch.undo()
    return folder / "out", result


def test_it_leaves_pictures_journal_contours_and_a_good_contour(small_demo):
    out, result = small_demo
    assert [step.action for step in result.steps][-3:] == ["edit: pull a vertex", "undo", "accept"]
    looks = [step for step in result.steps if step.action.startswith("look")]
    assert len(looks) == 3
    assert all(step.said in result.notices for step in looks)
    assert "promise nothing" in result.verdict  # the phantom is like no patient
    assert len(list(out.glob("step-*.png"))) == len(result.steps)
    assert result.structure == "GTVp"
    clicks = [step.dice for step in result.steps if step.is_click]
    assert clicks[-1] > 0.75
    assert result.steps[-1].dice == result.steps[-2].dice
    contours = json.loads((out / "contours.json").read_text())
    assert contours["structure"] == "GTVp"
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "GTVp.nii.gz")))
    assert {row["slice"] for row in contours["contours"]} == set(np.flatnonzero(mask.any((1, 2))).tolist())
    assert "Phantom" not in (out / "journal.jsonl").read_text()
    assert (out / "RTSTRUCT.dcm").is_file()
    report = (out / "report.html").read_text()
    assert "GTVp" in report
    assert "What happened when" in report


def test_replay_reproduces_every_mask(small_demo, capsys):
    out, _ = small_demo
    assert main(["replay", str(out / "journal.jsonl"), "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["same"]
    assert outcome["image_is_identical"]
    assert len(outcome["requests"]) >= 5


def test_a_replay_that_differs_is_found(small_demo, monkeypatch):
    from osirix_agent.agent.opening import open_session  # noqa: F401
    from osirix_agent.demo.replaying import _read_folder
    from osirix_agent.segmenter.walk import ClassicalRecipe
    from osirix_agent.settings import Settings

    out, _ = small_demo
    (volume,) = _read_folder(out / "study", Settings())
    events = read_journal(out / "journal.jsonl")
    assert check_image(events, volume)
    other = replay(events, volume, ClassicalSegmenter(ClassicalRecipe(gamma=0.3)))
    assert not all(request.same for request in other)


def test_a_replay_with_another_segmenter_says_so(small_demo, capsys):
    out, _ = small_demo
    first, *rest = raw(out / "journal.jsonl")
    now, then = first["segmenter"], f"{first['segmenter']}, once"
    other = rewrite(out / "other.jsonl", [{**first, "segmenter": then}, *rest])
    said = f"The journal was made with another segmenter ({then}; this is {now}), so masks may differ."
    main(["replay", str(other)])
    assert said in capsys.readouterr().out
    main(["replay", str(other), "--json"])
    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["recorded_segmenter"], outcome["segmenter"]) == (then, now)
    main(["replay", str(out / "journal.jsonl")])
    assert "another segmenter" not in capsys.readouterr().out


def test_a_replay_without_its_image_says_what_to_give(small_demo, tmp_path, capsys):
    out, _ = small_demo
    write_phantom(tmp_path / "other", PhantomRecipe(shape_kji=(5, 30, 30)))
    code = main(["replay", str(out / "journal.jsonl"), "--dicom", str(tmp_path / "other")])
    assert code == JournalError.exit_code
    assert "--dicom" in capsys.readouterr().err


def test_a_folder_without_images_is_an_error_with_a_cure(tmp_path, capsys):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes.txt").write_text("hello")
    assert main(["demo", "--dicom", str(tmp_path / "x"), "--out", str(tmp_path / "out")]) == 4
    assert "DICOM images" in capsys.readouterr().err


CASES = {
    "dicom_cases/sarcoma_ct_mr_pet/STS_003": 3,
    "dicom_cases/sarcoma_ct_mr_pet/STS_008": 3,
    "dicom_cases/sarcoma_full_field_mr_pet": 1,
}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_real_cases(data, case, tmp_path, capsys):
    assert main(["demo", "--dicom", str(data / case), "--out", str(tmp_path), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert len(results) == CASES[case]
    for result in results:
        clicks = [step["dice"] for step in result["steps"] if step["is_click"]]
        assert clicks[-1] > 0.5, result["modality"]
        assert result["structure"].startswith("GTV")


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("case", ["ct_anatomy/example_ct_dicom", "dicom_cases/dicom_seg/segmentations/ct-3slice"])
def test_real_series_without_a_truth_and_compressed_ones_run_through(data, case, tmp_path):
    assert main(["demo", "--dicom", str(data / case), "--out", str(tmp_path)]) == 0


@pytest.mark.data
def test_a_single_slice_is_refused(data, tmp_path, capsys):
    folder = data / "dicom_cases" / "breast_rtstruct_rtplan"
    assert main(["demo", "--dicom", str(folder), "--out", str(tmp_path)]) == 4
    assert "at least 3" in capsys.readouterr().err


def test_it_ends_with_an_rtstruct_and_the_journal_gives_it_again(small_demo, tmp_path, capsys):
    out, _ = small_demo
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "GTVp.nii.gz")))
    first = pydicom.dcmread(out / "RTSTRUCT.dcm")
    assert [roi.ROIName for roi in first.StructureSetROISequence] == ["GTVp"]
    command = ["export", str(out / "journal.jsonl"), "--state-dir", str(out / "state"), "--out", str(tmp_path)]
    assert main([*command, "--rtstruct", "--nifti", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["structures"] == ["GTVp"]
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "GTVp.nii.gz"))), mask)
    again = pydicom.dcmread(tmp_path / "RTSTRUCT.dcm")
    drawn = [[c.ContourData for c in ds.ROIContourSequence[0].ContourSequence] for ds in (first, again)]
    assert drawn[0] == drawn[1]
    other = tmp_path / "other"
    write_phantom(other, PhantomRecipe(shape_kji=(5, 30, 30)))
    assert main([*command, "--dicom", str(other)]) == JournalError.exit_code
    assert "not found" in capsys.readouterr().err
