"""Reading patients and running the benchmark over the documented layout."""

import copy
import json

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from osirix_agent.cli import main
from osirix_agent.errors import DicomError, SettingsError
from osirix_agent.imaging.dicom import read_contoured_series
from osirix_agent.settings import Settings
from osirix_agent.training.benchmark import SETS, benchmark, images_of, sets_in
from osirix_agent.training.cases import data_folder, read_openkbp, read_sarcoma, split
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, write_phantom

SHAPE = (14, 40, 48)


def write(path, array, spacing=(2.0, 3.0, 4.0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def layout(tmp_path):
    """Two head-and-neck patients and one sarcoma patient."""
    image = np.full(SHAPE, -1024, np.int16)
    image[:, 6:34, 8:42] = 20
    ball = np.zeros(SHAPE, bool)
    ball[4:9, 14:22, 28:38] = True
    image[ball] = 160
    order = ["Brainstem", "SpinalCord", "RightParotid", "LeftParotid", "Esophagus", "Larynx", "Mandible", "PTV56"]
    for part, name in (("train", "pt_1"), ("validation", "pt_2")):
        folder = tmp_path / "openkbp" / part / name
        write(folder / "ct.nii.gz", image)
        write(folder / "structures.nii.gz", (ball.astype(np.uint16) << 3))
        contoured = ["LeftParotid", "SpinalCord"]
        (folder / "case.json").write_text(json.dumps({"structures_bit_order": order, "contoured": contoured}))
    turned = (-1, 0, 0, 0, -1, 0, 0, 0, 1)  # stored to the right and to the front
    for stem in ("MR_T1", "PET"):
        write(tmp_path / f"sarcoma/train/STS_001/{stem}.nii.gz", image[:, ::-1, ::-1].copy(), direction=turned)
        write(
            tmp_path / f"sarcoma/train/STS_001/{stem}_GTV.nii.gz",
            ball[:, ::-1, ::-1].astype(np.uint8),
            direction=turned,
        )
    splits = {
        "openkbp": {"train": ["pt_1"], "validation": ["pt_2"]},
        "sarcoma": {"train": ["STS_001"], "validation": []},
    }
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    return tmp_path, image, ball


def test_a_patient_is_read_in_patient_order_with_what_is_known(layout):
    folder, image, ball = layout
    (case,) = read_openkbp(folder, split(folder, "openkbp", "train"), whole=True)
    assert case.known == ("SpinalCord", "LeftParotid")
    assert np.array_equal(case.image, image)
    assert np.array_equal(case.mask("LeftParotid"), ball)
    assert not case.mask("SpinalCord").any()
    assert case.spacing_kji_mm == (4.0, 3.0, 2.0)
    (cut,) = read_openkbp(folder, ["pt_1"])
    assert cut.image.shape[0] == SHAPE[0]
    assert cut.image.shape[1] < SHAPE[1]
    assert cut.mask("LeftParotid").sum() == ball.sum()


def test_a_turned_image_comes_back_in_patient_order(layout):
    folder, image, ball = layout
    cases = read_sarcoma(folder, ["STS_001"])
    assert [(c.name, c.modality) for c in cases] == [("STS_001 MR_T1", "MR"), ("STS_001 PET", "PT")]
    assert np.array_equal(cases[0].image, image)
    assert np.array_equal(cases[0].mask("GTV"), ball)


def test_the_benchmark_runs_over_the_layout(layout, tiny_models):
    folder = layout[0]
    settings = Settings(model_dir=tiny_models, device="cpu")
    found = benchmark(folder, ["model", "classical"], ["organs"], "validation", None, settings)
    rows = {(row["segmenter"].split()[0], row["row"]) for row in found["rows"]}
    assert rows == {
        *(("tiny", row) for row in ("clicks", "both", "jitter", "absent")),
        *(("classical", row) for row in ("clicks", "jitter")),
    }
    assert {row["structure"] for row in found["rows"]} == {"LeftParotid"}  # the cord was contoured and is not there
    assert all(row["broken"] == 0 for row in found["rows"] if row["segmenter"].startswith("tiny") and "start" in row)
    again = benchmark(folder, ["classical"], ["organs"], "validation", None, settings, ("clicks",))
    assert {row["row"] for row in again["rows"]} == {"clicks"}


def test_only_the_sets_that_are_there_are_run(layout):
    folder = layout[0]
    assert sets_in(folder) == list(SETS)
    (folder / "splits.json").write_text(json.dumps({"openkbp": {"validation": ["pt_2"]}}))
    assert sets_in(folder) == ["organs", "targets"]


def test_evaluate_prints_a_table_or_json(layout, capsys):
    folder = str(layout[0])
    common = ["evaluate", folder, "--segmenter", "classical", "--set", "sarcoma-PET", "--part", "train"]
    assert main(common) == 0
    assert "sarcoma-PET" in capsys.readouterr().out
    assert main([*common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"][0]["patients"] == 1


def test_what_is_missing_is_said_with_a_cure(layout, tmp_path, monkeypatch):
    folder = layout[0]
    with pytest.raises(SettingsError, match=r"no splits\.json") as caught:
        images_of(tmp_path / "nowhere", "organs", "train", None)
    assert caught.value.cure
    with pytest.raises(SettingsError, match="no set 'other'"):
        benchmark(folder, ["classical"], ["other"], "train", None, Settings())
    with pytest.raises(SettingsError, match="no row 'other'"):
        benchmark(folder, ["classical"], ["organs"], "train", None, Settings(), ("clicks", "other"))
    with pytest.raises(SettingsError, match="no part 'other'") as caught:
        benchmark(folder, ["classical"], ["organs"], "other", None, Settings())
    assert "train, validation" in caught.value.cure
    with pytest.raises(SettingsError, match="is not in"):
        read_openkbp(folder, ["pt_9"])
    monkeypatch.setenv("OSIRIX_AGENT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"splits\.json is missing"):
        data_folder()


def test_a_dicom_folder_is_evaluated_with_every_structure_drawn_in_it(tmp_path, capsys):
    write_phantom(tmp_path, PhantomRecipe(shape_kji=(12, 48, 56), spacing_kji_mm=(3.0, 2.0, 2.0)))
    struct = pydicom.dcmread(tmp_path / "RS.dcm")
    roi = copy.deepcopy(struct.StructureSetROISequence[0])
    roi.ROINumber, roi.ROIName = 2, "left parotid"
    drawn = copy.deepcopy(struct.ROIContourSequence[0])
    drawn.ReferencedROINumber = 2
    struct.StructureSetROISequence.append(roi)
    struct.ROIContourSequence.append(drawn)
    empty = copy.deepcopy(roi)
    empty.ROINumber, empty.ROIName = 3, "never drawn"
    struct.StructureSetROISequence.append(empty)
    struct.save_as(tmp_path / "RS.dcm")
    assert main(["evaluate", str(tmp_path), "--segmenter", "classical", "--rows", "clicks", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {(row["case"], row["structure"]) for row in found["rows"]} == {("001 CT", "GTVp"), ("001 CT", "Parotid_L")}
    assert all(row["dice"][-1] > 0.6 for row in found["rows"])
    assert found["seconds"][0]["row"] == "clicks"


def test_a_folder_without_contours_says_so(tmp_path):
    write_phantom(tmp_path, PhantomRecipe(shape_kji=(6, 24, 28)))
    (tmp_path / "RS.dcm").unlink()
    with pytest.raises(DicomError, match="with contours"):
        benchmark(tmp_path, ["classical"], None, "validation", None, Settings())


@pytest.mark.data
def test_real_dicom_holds_what_the_same_patient_holds_as_nifti(data):
    (ct, mr, pet) = read_contoured_series(data / "dicom_cases" / "sarcoma_ct_mr_pet" / "STS_003")
    assert [s.volume.modality for s in (ct, mr, pet)] == ["CT", "MR", "PT"]
    for series, stem in ((ct, "CT"), (mr, "MR_T1"), (pet, "PET")):
        (truth,) = series.truths
        (case,) = read_sarcoma(data, ["STS_003"], (stem,))
        ours = truth.mask.sum() * series.volume.geometry.voxel_volume_mm3
        theirs = case.mask("GTV").sum() * np.prod(case.spacing_kji_mm)
        assert ours == pytest.approx(theirs, rel=0.05)


@pytest.mark.data
def test_real_patients_lie_in_patient_order(data):
    (case,) = read_openkbp(data, split(data, "openkbp", "train")[:1], whole=True)
    if {"LeftParotid", "RightParotid"} <= set(case.known):
        left, right = (np.argwhere(case.mask(s))[:, 2].mean() for s in ("LeftParotid", "RightParotid"))
        assert left > right
    assert case.image.shape == (128, 128, 128)
