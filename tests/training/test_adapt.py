"""From log to adapter: it learns, refuses what is poisoned, keeps the held out apart, and can be taken back."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osirix_agent.agent.feedback import RecordedFeedback
from osirix_agent.agent.opening import open_session
from osirix_agent.agent.request import Request
from osirix_agent.belief.card import read_card
from osirix_agent.bench.adapting import _mirrored, _moved
from osirix_agent.bench.clinic import keep_log
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.cli import main
from osirix_agent.errors import LearningError
from osirix_agent.imaging.dicom import read_series
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.volume import Volume
from osirix_agent.network.checkpoint import load_adapter, load_model
from osirix_agent.prompting.grammar import Command
from osirix_agent.prompting.prompt import BoxPrompt, PointPrompt, Polarity
from osirix_agent.record.forget import MARK, forget
from osirix_agent.record.pseudonym import Pseudonyms
from osirix_agent.record.sessions import journals
from osirix_agent.segmenter.choice import ByStructure
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.local import VisionLanguageSegmenter
from osirix_agent.training.adapt import publish
from osirix_agent.training.adapt.cases import case_of
from osirix_agent.training.adapt.doubt import contradicts_record, other_name, place, reasons
from osirix_agent.training.adapt.lessons import Lesson, backwards, lessons_of, placed, sessions_with
from osirix_agent.training.adapt.run import (
    FEWEST,
    Gathered,
    Plan,
    adapt,
    examine,
    parted,
    recalibrate,
    recipe_for,
    run_id,
)
from osirix_agent.training.adapt.trial import Pair, pairs
from osirix_agent.training.contouring import ClickRow, Contoured
from osirix_agent.training.examples import draw
from tests.conftest import KEY
from tests.tiny import DRAW, write_adapter, write_model

PSEUDONYMS = Pseudonyms(KEY)
SHAPE = (20, 40, 44)


def patient(n: int) -> Contoured:
    """A bright lump beside a dark one, somewhere in a body."""
    random = np.random.default_rng(n)
    k, j, i = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    image = np.where(((j - 20) / 18) ** 2 + ((i - 22) / 20) ** 2 < 1, 20.0, -1000.0) + np.zeros(SHAPE)
    at, radii = random.uniform((7, 15, 12), (12, 24, 20)), random.uniform(3.5, 6, 3)
    truth = sum(((x - c) / r) ** 2 for x, c, r in zip((k, j, i), at, radii, strict=True)) < 1
    image[truth] = 150
    image += random.normal(0, 15, SHAPE)
    axes = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    volume = Volume(image.astype(np.float32), Geometry(SHAPE, (0.0, 0.0, 0.0), (4.0, 4.0, 4.0), axes), "CT")
    return Contoured(f"p{n:02d} CT", volume, {"GTV": truth})


PATIENTS = [patient(n) for n in range(FEWEST)]


def images(wanted):
    return ((p.name, p.volume) for p in PATIENTS if wanted(p.name))


def kept(folder, patients, segmenter=None):
    assert len(list(keep_log(folder, patients, segmenter, PSEUDONYMS))) == len(patients)
    return folder


def plan(structure="GTV", name="gtv-tiny", **changes) -> Plan:
    told = {"rank": 8, "alpha": 16, "learning_rate": 1e-2, "warm_up": 1, "half": False, "average": 0.5, **changes}
    easy = DRAW.model_copy(
        update={"disguise_share": 0, "rotation_deg": 0, "coarse_spacing_mm": (5, 5.1), "fine_spacing_mm": (3, 3.6)}
    )
    return Plan(structure, name, None, (), 0.5, recipe_for(structure, name, draw=easy, **told))


@pytest.fixture(scope="module")
def base(tiny_encoder, tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("tiny") / "base", tiny_encoder)
    (folder / "LICENSE").write_text("none")
    return folder


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return kept(tmp_path_factory.mktemp("log"), PATIENTS, ClassicalSegmenter())


@pytest.mark.parametrize("segmenter", [None, ClassicalSegmenter()])
def test_what_was_accepted_comes_out_of_the_log_with_its_prompts(tmp_path, segmenter):
    folder = kept(tmp_path, PATIENTS[:1], segmenter)
    sessions = sessions_with(journals(folder), "GTV")
    (lesson,) = lessons_of(sessions, images, PSEUDONYMS, "GTV")
    assert lesson.patient == PSEUDONYMS.of("p00")
    truth = PATIENTS[0].truths["GTV"]
    assert (lesson.mask != truth).mean() < 0.02
    assert not contradicts_record(lesson)
    if segmenter is None:
        assert (lesson.anchored, lesson.prompts) == (0.0, ())
    else:
        assert 0 < lesson.anchored <= 1
        assert isinstance(lesson.prompts[0], BoxPrompt)
    assert sessions_with(journals(folder), "PTV") == []
    assert sessions_with(journals(folder), "GTV", "somebody else") == []


def test_a_real_session_on_dicom_finds_its_images_by_their_pseudonyms(hospital, phantom, base, capsys):
    settings = hospital.settings
    opened = open_session(settings, RecordedFeedback(), segmenter=BallSegmenter(), companions=False)
    hospital.clinician.point((20.5, 24.5), k=6, name="GTVp")
    for request in (None, Request(Command("accept"), from_button=True)):
        if request:
            opened.engine.ask(request)
        while True:
            opened.engine.step()
            if not opened.engine.pending:
                break
    opened.engine.finish()
    opened.close()
    pseudonyms = Pseudonyms.at(settings.state_dir)
    sessions = sessions_with(journals(settings.state_dir), "GTV")
    (lesson,) = lessons_of(sessions, lambda wanted: read_series(phantom.folder, wanted), pseudonyms, "GTV")
    assert lesson.mask[6, 24, 20]
    assert lesson.follows == 1.0
    assert not contradicts_record(lesson)
    np.testing.assert_array_equal(lesson.volume.array, opened.volume.array)
    moved = replace(opened.volume.geometry, origin_lps=(1.0, 2.0, 3.0))
    with pytest.raises(LearningError, match="another grid or place"):
        placed(Volume(opened.volume.array, moved, "CT"), sessions[0].started)
    again = placed(backwards(opened.volume), sessions[0].started)
    np.testing.assert_array_equal(again.array, opened.volume.array)
    told = ["--images", str(phantom.folder), "--out", str(hospital.tmp / "mine"), "--base", str(base)]
    assert main(["adapt", *told, "--state-dir", str(settings.state_dir)]) == 12
    assert "contours of 1 patients; 12 are needed" in capsys.readouterr().err


@given(st.permutations([0, 1, 2]), st.tuples(*[st.sampled_from([1, -1])] * 3), st.integers(0, 5))
def test_a_case_is_the_same_however_its_series_is_turned(order, signs, seed):
    image = PATIENTS[seed]
    array, mask = (a.transpose(order)[tuple(slice(None, None, s) for s in signs)] for a in
                   (image.volume.array, image.truths["GTV"]))  # fmt: skip
    geometry = image.volume.geometry
    corner = [geometry.shape_kji[axis] - 1 if sign < 0 else 0 for axis, sign in zip(order, signs, strict=True)]
    at = [0, 0, 0]
    for axis, c in zip(order, corner, strict=True):
        at[axis] = c
    axes = tuple(tuple(s * v for v in geometry.axes_lps[a]) for a, s in zip(order, signs, strict=True))
    turned = Geometry(array.shape, tuple(geometry.to_lps(at)), (4.0, 4.0, 4.0), axes)
    k, j, i = np.argwhere(image.truths["GTV"])[0]
    prompt = PointPrompt(position_lps=tuple(geometry.to_lps((k, j, i))))
    volume = Volume(np.ascontiguousarray(array), turned, "CT")
    case = case_of(Lesson("s", "", "p", None, "GTV", volume, mask, (prompt,)))
    plain = case_of(Lesson("s", "", "p", None, "GTV", image.volume, image.truths["GTV"], (prompt,)))
    np.testing.assert_array_equal(case.image, plain.image)
    np.testing.assert_array_equal(case.bits, plain.bits)
    ((kind, place_kji),) = case.prompts
    assert kind == "point+"
    np.testing.assert_allclose(place_kji, [[k, j, i]], atol=1e-6)


def test_her_prompts_lie_on_the_structure_in_what_is_drawn():
    image = PATIENTS[0]
    inside = image.volume.geometry.to_lps(np.argwhere(image.truths["GTV"]).mean(0))
    lesson = Lesson("s", "", "p", None, "GTV", image.volume, image.truths["GTV"], (PointPrompt(position_lps=inside),))
    for seed in range(6):
        example = draw(case_of(lesson), ("GTV",), plan().recipe.draw, np.random.default_rng(seed))
        if "GTV" in example.truths and example.truths["GTV"].any():
            ((_, at),) = example.prompts["GTV"]
            middle = np.argwhere(example.truths["GTV"].numpy()).mean(0)
            assert np.abs(at[0] - middle).max() < 3


def test_contours_left_as_proposed_weigh_less():
    image = PATIENTS[0]
    whole = Lesson("s", "", "p", None, "GTV", image.volume, image.truths["GTV"], follows=1.0)
    drawn = replace(whole, edited=frozenset(range(SHAPE[0])))
    assert [case_of(x, 0.25).weight for x in (whole, drawn, replace(whole, follows=None))] == [0.25, 1.0, 1.0]


@given(st.sets(st.text("0123456789abcdef", min_size=16, max_size=16), min_size=FEWEST, max_size=40))
def test_nobody_is_both_learnt_from_and_held_out(patients):
    taught, held_out = parted(patients)
    assert taught | held_out == patients
    assert not taught & held_out
    assert len(held_out) >= 4
    assert parted(sorted(patients)) == (taught, held_out)


def test_too_few_patients_are_refused():
    with pytest.raises(LearningError, match="12 are needed"):
        parted(["a"] * 50)


def test_an_honest_log_is_not_doubted_and_its_held_out_patients_are_in_no_case(log, base):
    held, why = examine(log, images, base, plan(), PSEUDONYMS)
    assert why == ()
    learnt, tried = ({c.name.split()[0] for c in cases} for cases in (held.cases, held.tried))
    assert (len(learnt), len(tried)) == (8, 4)
    assert not learnt & tried
    assert not held.taught_by & held.tried_on


def test_a_run_never_goes_on_from_what_other_sessions_taught(base):
    held = Gathered(heads={"a": "1", "b": "2", "c": "3"}, taught_by={"a", "b"}, tried_on={"c"})
    told = plan()
    others = [
        replace(held, taught_by={"a", "c"}), replace(held, taught_by={"a"}), replace(held, heads={"a": "9", "b": "2"}),
    ]  # fmt: skip
    ids = [run_id(told.recipe, base, told, one) for one in (held, *others)]
    ids.append(run_id(told.recipe.model_copy(update={"seed": 7}), base, told, held))
    assert len(set(ids)) == len(ids)
    assert run_id(told.recipe, base, told, replace(held)) == ids[0]


POISONS = {
    "shifted": lambda n, image: _moved(image, 2, 12.0),
    "mirrored": lambda n, image: _mirrored(image),
    "mixed": lambda n, image: (image, _moved(image, 1, 16.0), image, _mirrored(image))[n % 4],
    "wrong label": lambda n, image: replace(image, truths={"GTV": PATIENTS[n - 1].truths["GTV"]}),
}


@pytest.mark.parametrize("kind", list(POISONS))
def test_a_poisoned_log_is_refused_before_anything_is_trained(kind, base, tmp_path):
    spoilt = [POISONS[kind](n, image) for n, image in enumerate(PATIENTS)]
    folder = kept(tmp_path / "log", spoilt)
    models = tmp_path / "models"
    outcome = adapt(folder, images, base, models, tmp_path / "work", plan(), PSEUDONYMS)
    assert outcome.adapter is None
    assert "moved or mirrored" in outcome.refused[0]
    assert list(models.iterdir()) == []
    assert not (tmp_path / "work").exists()


def test_a_contour_that_is_not_what_was_shown_or_clicked_is_doubted(log):
    lesson = next(iter(lessons_of(sessions_with(journals(log), "GTV"), images, PSEUDONYMS, "GTV")))
    other = np.roll(lesson.mask, 8, 2)
    at = tuple(lesson.volume.geometry.to_lps(np.argwhere(lesson.mask).mean(0)))
    out = PointPrompt(position_lps=at, polarity=Polarity.EXCLUDE)
    assert contradicts_record(replace(lesson, follows=0.9))
    assert contradicts_record(replace(lesson, mask=other, prompts=(PointPrompt(position_lps=at),) * 3))
    assert contradicts_record(replace(lesson, prompts=(out, out)))
    assert not contradicts_record(lesson)


def test_an_altered_journal_stops_everything(log, base, tmp_path):
    (first, *_) = journals(log)
    whole = first.read_bytes()
    try:
        first.write_bytes(whole.replace(b'"accepted"', b'"rejected"', 1))
        _, why = examine(log, images, base, plan(), PSEUDONYMS)
        assert first.name in why[0]
    finally:
        first.write_bytes(whole)


def test_a_name_that_lies_where_another_is_found_is_doubted(base, monkeypatch):
    image = PATIENTS[0]
    known = VisionLanguageSegmenter(base)
    found = {"Parotid_L": image.truths["GTV"], "Parotid_R": np.zeros(SHAPE, bool)}
    known.capabilities = replace(known.capabilities, structures=tuple(found))
    monkeypatch.setattr("osirix_agent.training.adapt.doubt.ask", lambda _s, _v, name: found[name])
    lesson = Lesson("s", "", "p", None, "GTV", image.volume, image.truths["GTV"])
    assert [other_name(replace(lesson, structure=s), known) for s in ("GTV", "Parotid_R", "Parotid_L")] == [
        "Parotid_L", "Parotid_L", None,
    ]  # fmt: skip
    assert other_name(replace(lesson, volume=replace(image.volume, modality="MR")), known) is None


def test_the_image_tells_a_contour_in_its_place_from_one_beside_it():
    for image in PATIENTS:
        lesson = Lesson("s", "", "p", None, "GTV", image.volume, image.truths["GTV"])
        off = replace(lesson, mask=_moved(image, 1, 12.0).truths["GTV"])
        assert place(case_of(lesson)) > 0 > -0.4 > place(case_of(off))
    assert reasons([]) == []


def organ(n: int) -> Contoured:
    return replace(patient(50 + n), truths={"Brainstem": patient(50 + n).truths["GTV"]})


def on_trial(monkeypatch, gains, loss=0.0):
    """The trial's outcome: gains of the held-out patients in turn, and what other structures lose."""

    def row(image, structure, dice):
        return ClickRow(image, structure, "s", "clicks", (dice,) * 6, 0, 0, None, 1, 1, None, 0, 0, (), ())

    def pairs(_before, _after, images, _tell):
        return [
            Pair(row(i.name, s, 0.6), row(i.name, s, 0.6 + (gains[n % len(gains)] if s == "GTV" else -loss)))
            for n, i in enumerate(images) for s in i.truths
        ]  # fmt: skip

    monkeypatch.setattr("osirix_agent.training.adapt.run.pairs", pairs)


def learn(log, base, folder, organs=()):
    told = plan(steps=1, cool_down=0)
    return adapt(log, images, base, folder / "models", folder / "work", told, PSEUDONYMS, organs)


def test_what_beats_its_parent_on_patients_it_never_saw_is_published_whole(log, base, tmp_path, monkeypatch):
    on_trial(monkeypatch, [0.1, 0.05, 0.2, 0.02])
    outcome = learn(log, base, tmp_path, [organ(0)])
    assert outcome.refused == ()
    by = {figure.id: figure for figure in outcome.figures}
    assert by["adapt.gain"].interval[0] > 0
    assert by["adapt.gain"].n == 4
    assert by["adapt.harm"].holds
    assert {"adapt.gain.1", "adapt.gain.3", "adapt.gain.5", "adapt.beside", "adapt.time"} < set(by)
    models = tmp_path / "models"
    assert sorted(p.name for p in models.iterdir()) == ["base", "gtv-tiny"]
    described, _ = load_adapter(outcome.adapter, load_model(base).digest)
    assert (described.serves, described.version, described.leads) == (("GTV",), "1", True)
    used = VisionLanguageSegmenter(models / "base", (outcome.adapter,))
    assert used.serves("GTVp")
    assert used.source_for("Parotid_L") == VisionLanguageSegmenter(base).source_for("Parotid_L")
    assert "4 patients were held out, and 10 are needed" in (outcome.adapter / "card.md").read_text()
    assert not (outcome.adapter / "calibration.json").exists()
    lineage = json.loads((outcome.adapter / "lineage.json").read_text())
    assert len(lineage["sessions"]) == 8
    assert not set(lineage["sessions"]) & set(lineage["held_out"])
    assert set(lineage["heads"]) == {*lineage["sessions"], *lineage["held_out"]}


def test_an_adapter_is_calibrated_on_the_patients_held_out_where_that_holds(log, base, tmp_path, monkeypatch):
    on_trial(monkeypatch, [0.1])
    made = learn(log, base, tmp_path).adapter
    monkeypatch.setattr("osirix_agent.belief.card.OFF", 1.0)  # a network of one step holds no share
    assert "on the 12 patients" in recalibrate(base, made, PATIENTS, lambda _: None)
    (card,) = read_card(made / "calibration.json")
    assert card.segmenter == VisionLanguageSegmenter(base, (made,)).source_for("GTV")
    assert {(fit.kind, fit.patients) for fit in card.fits} == {("lesion", 12)}
    (made / "calibration.json").unlink()
    monkeypatch.setattr("osirix_agent.belief.card.OFF", -1.0)
    assert "had not seen" in recalibrate(base, made, PATIENTS, lambda _: None)
    assert not (made / "calibration.json").exists()


@pytest.mark.parametrize(
    ("gains", "loss", "why"),
    [([0.3, -0.02, 0.01, -0.1], 0.0, "adapt.gain"), ([0.0], 0.0, "adapt.gain"), ([0.1, 0.2], 0.02, "adapt.harm")],
)
def test_what_does_not_prove_itself_is_refused_and_nothing_is_left(log, base, tmp_path, monkeypatch, gains, loss, why):
    on_trial(monkeypatch, gains, loss)
    outcome = learn(log, base, tmp_path, [organ(0), organ(1)])
    assert outcome.adapter is None
    assert [reason.partition(":")[0] for reason in outcome.refused] == [why]
    assert list((tmp_path / "models").iterdir()) == []


def test_the_same_weights_are_asked_once(base, tmp_path):
    parent = VisionLanguageSegmenter(base)
    adapted = VisionLanguageSegmenter(base, (write_adapter(tmp_path / "gtv", base, strength=0.05),))
    (pair,) = pairs(parent, adapted, [organ(0)])
    assert pair.before is pair.after
    (pair,) = pairs(parent, adapted, PATIENTS[:1])
    assert pair.before is not pair.after


@pytest.fixture
def site(base, log, tmp_path):
    """Publishes an adapter of some version into a folder of models, as learnt from all but the held out."""
    held, _ = examine(log, images, base, plan(), PSEUDONYMS)
    lineage = publish.Lineage(tuple(sorted(held.taught_by)), tuple(sorted(held.tried_on)), held.heads, "", "", 1)

    def put(*, leads: bool = True):
        made = write_adapter(tmp_path / "models" / ".making" / "gtv", base, strength=0.05)
        described = json.loads((made / "adapter.json").read_text())
        told = {"name": "gtv", "version": publish.next_version(tmp_path / "models", "gtv")}
        (made / "adapter.json").write_text(json.dumps(described | told))
        return publish.publish(made, tmp_path / "models", base, lineage, "card", {}, leads=leads)

    return put


def version(models) -> str:
    return json.loads((models / "gtv" / "adapter.json").read_text())["version"]


def test_forgetting_a_patient_marks_what_learnt_from_them(site, log, tmp_path):
    adapter = site()
    copy = tmp_path / "log"
    shutil.copytree(log, copy)
    taught, held_out = parted(PSEUDONYMS.of(p.name.split()[0]) for p in PATIENTS)
    assert forget(sorted(held_out)[0], copy, [adapter.parent], PSEUDONYMS.seal).adapters == []
    assert forget(sorted(taught)[0], copy, [adapter.parent], PSEUDONYMS.seal).adapters == [str(adapter)]
    assert len(json.loads((adapter / MARK).read_text())["sessions"]) == 1


def test_a_new_one_takes_its_place_and_a_rollback_brings_the_old_one_back(site, base):
    models = site().parent
    assert version(models) == "1"
    site()
    assert version(models) == "2"
    assert [p.parent.name for p in models.glob("*/adapter.json")] == ["gtv"]
    assert main(["adapt", "--out", str(models), "--rollback", "gtv"]) == 0
    assert version(models) == "1"
    load_adapter(models / "gtv", load_model(base).digest)
    assert publish.next_version(models, "gtv") == "3"
    assert publish.roll_back(models, "gtv") is None
    assert [p.name for p in sorted((models / "retired").iterdir())] == ["gtv-1", "gtv-2"]
    assert main(["adapt", "--out", str(models), "--rollback", "gtv"]) == 12


def test_which_one_answers_is_never_left_open(site):
    adapter = site()
    with pytest.raises(LearningError, match="not be clear which"):
        publish.rivals(adapter.parent, ("GTVn",))
    assert publish.rivals(adapter.parent, ("PTV",)) == []
    assert publish.rivals(adapter.parent, ("GTV",)) == [adapter]


@pytest.mark.parametrize("leads", [True, False])
def test_auto_asks_an_adapter_only_where_it_beats_the_classical_segmenter(site, base, leads):
    adapter = site(leads=leads)
    model, classical = VisionLanguageSegmenter(base, (adapter,)), ClassicalSegmenter()
    answers = ByStructure(model, classical).source_for("GTVp")
    assert answers == (model.source_for("GTVp") if leads else classical.name)
    assert model.source_for("GTVp") != model.source_for("Larynx")


def test_a_new_folder_of_models_begins_as_the_one_of_the_base(site, base, tmp_path):
    mine = site()
    again = tmp_path / "again"
    made = write_adapter(again / ".making" / "ptv", base, serves="PTV")
    told = json.loads((made / "adapter.json").read_text()) | {"name": "ptv"}
    (made / "adapter.json").write_text(json.dumps(told))
    lineage = publish.Lineage((), (), {}, "", "", 1)
    publish.publish(made, again, mine.parent / "base", lineage, "card", {}, leads=True)
    assert sorted(p.parent.name for p in again.glob("*/*.json") if p.name in ("adapter.json", "model.json")) == [
        "base", "gtv", "ptv",
    ]  # fmt: skip


def test_the_command_says_what_is_missing(tmp_path, capsys):
    assert main(["adapt", str(tmp_path), "--out", str(tmp_path)]) == 12
    assert "--images" in capsys.readouterr().err
    assert main(["adapt", str(tmp_path), "--images", str(tmp_path)]) == 12
    assert "--out" in capsys.readouterr().err
