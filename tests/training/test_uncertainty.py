"""Calibrating and measuring on phantoms whose observers' spread is known."""

from dataclasses import replace

import numpy as np
import pytest

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import calibrated
from osirix_agent.belief.card import read_card
from osirix_agent.belief.gate import Verdict
from osirix_agent.errors import SettingsError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.mask import dice
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import PointPrompt
from osirix_agent.segmenter.believing import believed
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.protocol import SegmentationRequest
from osirix_agent.training import calibrating
from osirix_agent.training.calibrating import add_to_card, calibrate, fit_cards
from osirix_agent.training.cases import Case
from osirix_agent.training.contouring import contoured
from osirix_agent.training.promises import Promises, inverted, noisy
from osirix_agent.training.staging import Stage, Staging
from osirix_agent.training.tabulated import StageRow, figures_of
from osirix_agent.training.uncertainty import LEVELS, band_row, ece, gain_curve, orders, tempered

SHAPE, SPACING = (18, 32, 32), (4.0, 3.0, 3.0)
GEOMETRY = Geometry(SHAPE, (0.0, 0.0, 0.0), SPACING, ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
CENTRE = np.array([34.0, 46.5, 46.5])


def ball(radius_mm, waves=(0.0, 0.0, 0.0), centre=CENTRE):
    """(k, j, i) mm inside a ball whose surface waves with direction."""
    at = np.indices(SHAPE) * np.array(SPACING)[:, None, None, None] - centre[:, None, None, None]
    r = np.sqrt((at**2).sum(0)) + 1e-9
    return radius_mm + sum(w * a / r for w, a in zip(waves, at, strict=True)) - r


def stage(patient, random, sigma_mm, structure="GTV"):
    """The segmenter is sure of a ball; the observer's is shifted by some mm in a random direction and size."""
    logit = (4 * ball(22.0)).astype(np.float32)
    truth = ball(22.0 + random.normal(0, sigma_mm), random.normal(0, sigma_mm, 3)) > 0
    volume = Volume(np.zeros(SHAPE, np.float32), GEOMETRY, "CT")
    at = tuple(float(v) for v in GEOMETRY.to_lps((8, 15, 15)))
    request = SegmentationRequest(volume, "GTV", (PointPrompt(position_lps=at),))
    return Stage(patient, structure, 0, request, Belief(logit, (0, 0, 0), SHAPE, "ball 1"), truth)


@pytest.fixture(scope="module")
def fitted():
    random = np.random.default_rng(5)
    (card,), _ = fit_cards([stage(f"p{n}", random, 2.5) for n in range(16)], "phantoms")
    return card, [stage(f"q{n}", random, 2.5) for n in range(16)]


def test_the_band_covers_unseen_observers_as_it_promises(fitted):
    card, unseen = fitted
    (fit,) = card.fits
    rows = [band_row(s, calibrated(s.belief, SPACING, card, fit), "ours") for s in unseen]
    plain = [band_row(s, s.belief, "sigmoid") for s in unseen]
    assert np.mean([r.cover90 for r in rows]) == pytest.approx(0.90, abs=0.06)  # 16 worlds of 3 + 1 numbers
    assert np.mean([r.cover50 for r in rows]) == pytest.approx(0.50, abs=0.12)
    assert np.mean([r.cover90 for r in plain]) < 0.6
    assert ece(rows) < 0.6 * ece(plain)
    assert np.mean([r.width90_mm for r in rows]) > np.mean([r.width90_mm for r in plain])


def test_the_conformal_level_is_printed_with_what_it_stands_on(fitted):
    (fit,) = fitted[0].fits
    assert fit.patients == 16
    assert fit.conformal_level is not None
    assert fit.slack == pytest.approx(1 / 17)


def test_nine_patients_are_refused():
    random = np.random.default_rng(6)
    assert fit_cards([stage(f"p{n}", random, 2.0) for n in range(9)], "phantoms") == ((), 9)


def test_figures_of_a_perfect_and_of_a_blurred_belief():
    s = stage("p", np.random.default_rng(1), 0.0)
    sharp = band_row(s, s.belief, "sigmoid")
    assert sharp.found is None  # nothing is 5 mm off
    assert sharp.brier < 0.05
    wide = band_row(s, tempered(s.belief, 30.0), "wide")
    assert wide.cover90 > 0.99
    assert wide.width90_mm > 5 * sharp.width90_mm


def test_flagged_surface_holds_the_errors_where_the_belief_is_least_sure():
    truth = ball(22.0) > 0
    bump = ball(9.0, centre=CENTRE + np.array([0, 0, 24.0]))
    shallow = np.where(bump > 0, 0.02, 1.0)
    logit = (np.maximum(ball(22.0), bump) * 4 * shallow).astype(np.float32)
    request = stage("p", np.random.default_rng(1), 0.0).request
    s = Stage("p", "GTV", 0, request, Belief(logit, (0, 0, 0), SHAPE, "ball 1"), truth)
    assert band_row(s, s.belief, "sigmoid").found > 0.6


def test_reviewing_by_the_list_gains_and_never_falls(fitted):
    card, unseen = fitted
    curves = {name: [] for name in ("list", "random")}
    for s in unseen[:3]:
        told = calibrated(s.belief, SPACING, card, card.fits[0])
        for name in curves:
            curves[name].append(gain_curve(s, told, orders(s)[name]))
    found = np.mean(curves["list"], axis=0)
    assert found[-1] > found[0] + 0.02
    assert len(found) == 6


class Counted(ClassicalSegmenter):
    """Says how often it was asked, and describes images."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def propose(self, request):
        self.asked += 1
        return super().propose(request)

    def describe(self, volume):
        return np.array([float(volume.array.mean()), float(volume.array.std())])


def patient(name="p", radius_mm=20.0, bias_mm=0.0):
    """A ball whose observer drew it so much larger."""
    truth = ball(radius_mm + bias_mm) > 0
    image = np.where(ball(radius_mm) > 0, 90, 20).astype(np.int16)
    case = Case(name, image, truth.astype(np.uint16), ("GTV",), SPACING, "CT", "head and neck")
    return contoured(case, ("GTV",))


def test_stages_are_worked_out_once_and_read_back_as_they_were(tmp_path):
    asked = Counted()
    image = patient()
    fresh = Staging(asked, tmp_path).stages(image, "GTV", "clicks")
    count = asked.asked
    again = Staging(asked, tmp_path).stages(image, "GTV", "clicks")
    assert asked.asked == count > 0
    assert [s.clicks for s in fresh] == [s.clicks for s in again]
    assert all(s.kind == "lesion" and s.belief.spread is None for s in again)
    for one, other in zip(fresh, again, strict=True):
        assert one.request.digest == other.request.digest
        assert one.belief.mask_digest == other.belief.mask_digest
        assert np.array_equal(one.description, other.description)
    assert all(p.stat().st_size for p in tmp_path.glob("*.npz"))
    assert not list(tmp_path.glob("*.part"))


def test_the_table_names_every_baseline_and_says_what_fails(fitted):
    card, unseen = fitted
    rows = []
    for s in unseen[:4]:
        told = calibrated(s.belief, SPACING, card, card.fits[0])
        bands = (band_row(s, told, "ours"), band_row(s, s.belief, "sigmoid"))
        rows.append(StageRow(bands, None, {"list": [0.8, 0.9], "random": [0.8, 0.85]}))
    found = {f.id: f for f in figures_of("balls", rows, [])}
    assert found["balls.band.90"].holds is not None
    assert found["balls.band.90"].n == 4
    assert found["balls.band.90 sigmoid"].value < found["balls.band.90"].value
    assert found["balls.looks over random"].value == pytest.approx(0.05)
    low, high = found["balls.band.90"].interval
    assert low <= found["balls.band.90"].value <= high
    assert found["balls.band.width"].value == pytest.approx(
        np.mean([r.bands[0].width90_mm for r in rows]), rel=0.15
    )  # brought to its own coverage it is itself


def test_wider_levels_cover_more_and_are_wider(fitted):
    card, unseen = fitted
    row = band_row(unseen[0], calibrated(unseen[0].belief, SPACING, card, card.fits[0]), "ours")
    covers, widths = zip(*row.curve, strict=True)
    assert list(covers) == sorted(covers)
    assert list(widths) == sorted(widths)
    assert row.width_at(float(np.log(19))) == pytest.approx(row.width90_mm, rel=0.1)
    assert len(covers) == len(LEVELS)


def test_a_card_is_fitted_from_a_folder_in_shares(tmp_path, monkeypatch):
    """Ten balls: two shares contour, the third call only fits; a card comes back as it was written."""
    images = [patient(f"p{n}", 16.0 + n / 2, (-3.0, -1.0, 1.0, 3.0)[n % 4]) for n in range(10)]
    asked = Counted()
    monkeypatch.setattr(
        calibrating, "images_of", lambda _folder, _name, _part, limit, share: images[:limit][share[0] - 1 :: share[1]]
    )
    monkeypatch.setattr("osirix_agent.belief.card.OFF", 0.2)  # five patients a half hold no share exactly
    work = tmp_path / "work"
    for n in (1, 2):
        assert calibrate(tmp_path, asked, ["organs"], share=(n, 2), work=work) is None
    count = asked.asked
    (card,) = calibrate(tmp_path, asked, ["organs"], work=work)
    refused: list[str] = []
    with monkeypatch.context() as held:
        held.setattr("osirix_agent.belief.card.OFF", -1.0)
        with pytest.raises(SettingsError, match="had not seen"):
            calibrate(tmp_path, asked, ["organs"], work=work, refuse=refused.append)
    assert len(refused) == 1
    assert asked.asked == count
    assert {f.patients for f in card.fits} == {10}
    assert {"lesion CT", "GTV CT"} == set(card.gates)
    other = card.model_copy(update={"segmenter": "another 1"})
    for fitted in ([other], [card], [card]):  # one card, to which calibrations are added
        add_to_card(tmp_path / "card.json", fitted)
    assert read_card(tmp_path / "card.json") == (other, card)
    with pytest.raises(SettingsError, match="9 calibration patients are too few"):
        calibrate(tmp_path, asked, ["organs"], limit=9, work=work)
    foreign = card.judge("GTV", card.fits[0], np.full(8, 9.0), np.array([900.0, 400.0]))
    assert foreign.verdict is Verdict.WITHHELD
    assert card.judge("GTV", None, np.zeros(8), None).verdict is Verdict.WITHHELD
    promises = Promises(Staging(asked, work), {asked.name: card}, members=(ClassicalSegmenter(), asked))
    rows = list(promises.rows(images[:2]))
    assert {b.method for b in rows[0].bands} == {"ours", "sigmoid", "temperature", "low-rank", "ensemble"}
    ensemble, plain = (next(b for b in rows[0].bands if b.method == m) for m in ("ensemble", "sigmoid"))
    assert ensemble.cover90 == pytest.approx(plain.cover90, abs=0.05)  # both members answer the same
    shifted = list(promises.shifted("lesion", "CT", images[:2], [("other site", images[2])]))
    assert {s.shift for s in shifted} == {"inverted", "noisy", "other site"}
    assert min(s.distance for s in shifted if s.shift == "noisy") > max(r.distance for r in rows)
    found = {f.id: f for f in figures_of("balls", rows, shifted)}
    assert found["balls.gate noisy"].value == 1.0
    assert found["balls.gate.accepted"].n > 0
    assert {"balls.band.ece temperature", "balls.band.clicks.1", "balls.looks over uniform"} <= set(found)
    count = asked.asked
    again = Promises(Staging(asked, work), {asked.name: card}, members=(ClassicalSegmenter(), asked))
    assert list(again.rows(images[:2])) == rows  # read back as they were
    assert asked.asked == count


def test_shifted_images_are_of_the_kind_that_segmenters_read():
    volume = Volume(np.random.default_rng(0).normal(size=SHAPE).astype(np.float32), GEOMETRY, "CT")
    for shifted in (inverted(volume), noisy(volume, np.random.default_rng(1))):
        assert shifted.array.dtype == np.float32
        assert not np.array_equal(shifted.array, volume.array)


def bone_stage(patient, random, tells):
    """The observer's ball is shifted from the segmenter's; CT numbers show where it is, or are noise."""
    found = stage(patient, random, 3.0, "Bone_Mandible")
    inside = found.truth if tells else random.random(SHAPE) < 0.5
    array = np.where(inside, 400.0, 0.0).astype(np.float32)
    request = replace(found.request, structure="Bone_Mandible", volume=Volume(array, GEOMETRY, "CT"))
    return replace(found, request=request)


@pytest.mark.parametrize("tells", [True, False])
def test_curves_of_ct_numbers_are_kept_only_where_they_help_unseen_patients(tells):
    random = np.random.default_rng(8)
    stages = [bone_stage(f"p{n}", random, tells) for n in range(12)]
    stages += [replace(stage(f"p{n}", random, 3.0, "Brain"), key=("other",)) for n in range(12)]
    (card,), _ = fit_cards(stages, "phantoms")
    bone = card.fit_for("Bone_Mandible", "CT", 0)
    assert bone.structure == "Bone_Mandible"
    assert (bone.curves is not None) == tells
    assert card.fit_for("Liver", "CT", 0).curves is None  # of its kind
    if tells:
        unseen = bone_stage("q", random, True)
        told = believed(unseen.belief, unseen.request, card, bone)
        assert dice(told.mask(), unseen.truth) > dice(unseen.belief.mask(), unseen.truth) + 0.02
