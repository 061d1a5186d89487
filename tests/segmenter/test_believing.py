"""A segmenter with a calibration card: what is certain stays certain, and the rest gets a band."""

from dataclasses import replace

import numpy as np
import pytest

from osirix_agent.agent.look import Looks
from osirix_agent.agent.verdict import verdict_said, volume_said
from osirix_agent.belief.card import Calibration, Fit, write_card
from osirix_agent.belief.gate import Judgement, Verdict
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.structure import kind_of
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import BoxPrompt, LassoPrompt, PointPrompt, Polarity, TextPrompt
from osirix_agent.segmenter.believing import Believing, foretold
from osirix_agent.segmenter.certain import fixed_masks
from osirix_agent.segmenter.choice import make_segmenter
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.evidence import evidence_of
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest
from osirix_agent.settings import Settings

SHAPE = (20, 40, 40)
GEOMETRY = Geometry(SHAPE, (0.0, 0.0, 0.0), (2.0, 1.0, 1.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))


def volume():
    k, j, i = np.indices(SHAPE)
    inside = (2.0 * (k - 10)) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 < 10**2
    noise = np.random.default_rng(0).normal(0, 4, SHAPE)
    return Volume(np.where(inside, 80.0, 20.0).astype(np.float32) + noise.astype(np.float32), GEOMETRY, "CT")


def point(k, j, i, polarity=Polarity.INCLUDE):
    return PointPrompt(position_lps=tuple(float(v) for v in GEOMETRY.to_lps((k, j, i))), polarity=polarity)


def square(k, half=4, middle=(20, 20)):
    corners = [(k, middle[0] + a * half, middle[1] + b * half) for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    return tuple(tuple(float(v) for v in GEOMETRY.to_lps(c)) for c in corners)


REQUEST = SegmentationRequest(volume(), "GTV", (point(10, 20, 20),))
FIT = Fit(kind="lesion", modality="CT", prompts=0, slope=0.8, per_mm=0.6, shift=-0.2, patients=12)


@pytest.fixture(scope="module")
def pair():
    inner = ClassicalSegmenter()
    source = inner.propose(SegmentationRequest(volume(), "GTV", (point(10, 20, 20),))).source
    card = Calibration(segmenter=source, data="a ball", length_mm=8.0, fits=(FIT,))
    return inner, Believing(inner, {source: card}), card


def test_a_carded_segmenter_gives_a_calibrated_spread(pair):
    inner, believing, card = pair
    request = SegmentationRequest(volume(), "GTV", (point(10, 20, 20),))
    found = believing.propose(request)
    assert found.calibration_id == card.id
    assert found.spread is not None
    assert card.id in believing.name
    assert inner.propose(request).spread is None
    assert found.judgement.verdict is Verdict.REVIEW  # there is no gate: nobody knows whether it is alike
    low, high = found.volume_interval_mm3(GEOMETRY)
    assert low < found.volume_mm3(GEOMETRY) < high


def test_a_structure_that_was_not_calibrated_stays_as_the_segmenter_gave_it(pair):
    request = SegmentationRequest(volume(), "Liver", (point(10, 20, 20),))
    found, plain = pair[1].propose(request), pair[0].propose(request)
    assert found.calibration_id is None
    assert found.judgement.verdict is Verdict.WITHHELD
    assert found.spread is None
    assert np.array_equal(found.mean_logit, plain.mean_logit)


def test_weights_without_a_card_are_shown_as_they_are_with_the_reason(pair):
    inner = pair[0]
    request = SegmentationRequest(volume(), "GTV", (point(10, 20, 20),))
    plain, same = inner.propose(request), Believing(inner, {"other weights": pair[2]}).propose(request)
    assert same.spread is None
    assert same.calibration_id is None
    assert same.judgement.verdict is Verdict.WITHHELD
    assert inner.name in verdict_said(same)
    assert np.array_equal(plain.mean_logit, same.mean_logit)


def test_clicks_and_her_slices_hold_through_the_calibration(pair):
    believing = pair[1]
    clicks = (point(10, 20, 20), point(10, 20, 33), point(10, 24, 20, Polarity.EXCLUDE))
    hers = FixedSlice(k=8, rings_lps=(square(8, 3),))
    request = SegmentationRequest(volume(), "GTV", clicks, fixed=(hers,))
    found = believing.propose(request)
    mask = found.mask()
    assert mask[10, 20, 33]
    assert not mask[10, 24, 20]
    assert np.array_equal(mask[8], fixed_masks(request)[8])
    for level in (5, 95):  # her slice has no band
        assert len(found.isoline(8, level)) == 1
        assert np.abs(found.isoline(8, level)[0] - found.isoline(8, 50)[0]).max() < 1.01


def test_what_is_foretold_holds_what_she_said_and_is_refused_where_it_says_nothing(pair):
    before = SegmentationRequest(volume(), "GTV", (point(10, 20, 20),))
    belief = pair[1].propose(before)
    hers = FixedSlice(k=8, rings_lps=(square(8, 3),))
    more = replace(before, prompts=(*before.prompts, point(10, 24, 20, Polarity.EXCLUDE)), fixed=(hers,))
    found = foretold(before, belief, more)
    assert not found.mask()[10, 24, 20]
    assert np.array_equal(found.mask()[8], fixed_masks(more)[8])
    assert found.spread.variance.sum() < belief.spread.variance.sum()
    box, words = BoxPrompt(corners_lps=square(10)), TextPrompt(phrase="GTV")
    for other in (
        before, replace(before, prompts=(*before.prompts, words)), replace(more, structure="Liver"),
        replace(before, prompts=(*before.prompts, box)), replace(before, prompts=(point(9, 20, 20),)),
    ):  # fmt: skip
        assert foretold(before, belief, other) is None
    assert foretold(before, pair[0].propose(before), more) is None
    beyond = replace(before, prompts=(*before.prompts, point(0, 1, 1)))  # of where nothing was believed
    assert foretold(before, replace(belief, corner_kji=(5, 0, 0)), beyond) is None


def test_evidence_says_what_was_drawn(pair):
    prompts = (
        point(10, 20, 20), TextPrompt(phrase="GTV"), BoxPrompt(corners_lps=square(10)),
        LassoPrompt(rings_lps=(square(11),)), LassoPrompt(rings_lps=(square(12),), polarity=Polarity.EXCLUDE),
    )  # fmt: skip
    click, outline, without = evidence_of(volume(), prompts, {})
    assert click.at_kji.tolist() == [[10, 20, 20]]
    assert click.inside.tolist() == [True]
    assert click.noise < outline.noise
    assert set(outline.inside) == {True, False}
    assert set(outline.at_kji[:, 0]) == {11}
    assert not without.inside.any()


def test_kinds():
    assert [kind_of(n) for n in ("GTVp", "iGTV", "PTV70", "ctv_high", "Parotid_L", "lesion")] == [
        "lesion", "lesion", "target", "target", "organ", "organ",
    ]  # fmt: skip


def test_the_settings_find_cards_and_say_once_what_is_not_calibrated(tmp_path, pair, monkeypatch):
    monkeypatch.setattr("osirix_agent.segmenter.choice.CLASSICAL_CARD", tmp_path / "none")
    told = []
    settings = Settings(segmenter="classical", calibration_dir=tmp_path)
    assert make_segmenter(settings, told.append).propose(REQUEST).spread is None
    assert len(told) == 1
    assert told[0].startswith("Not calibrated")
    write_card(tmp_path / "calibration.json", [pair[2]])
    told.clear()
    assert make_segmenter(settings, told.append).propose(REQUEST).calibration_id == pair[2].id
    assert told == []
    (tmp_path / "calibration.json").write_text("{")
    assert make_segmenter(settings, told.append).propose(REQUEST).spread is None
    assert "damaged" in told[0]
    write_card(tmp_path / "calibration.json", [pair[2].model_copy(update={"segmenter": "another 1"})])
    assert make_segmenter(settings, told.append).propose(REQUEST).calibration_id is None


def test_what_she_is_told_is_never_more_than_is_known(pair):
    plain, believed = pair[0].propose(REQUEST), pair[1].propose(REQUEST)
    assert verdict_said(plain) == "not calibrated"
    assert volume_said(plain, GEOMETRY).endswith("cm3")
    assert " to " in volume_said(believed, GEOMETRY)
    assert "nothing" in volume_said(replace(plain, mean_logit=np.minimum(plain.mean_logit, -1)), GEOMETRY)
    for verdict, word in ((Verdict.OK, "calibrated"), (Verdict.REVIEW, "review"), (Verdict.WITHHELD, "withheld")):
        said = verdict_said(replace(believed, judgement=Judgement(verdict, "odd")))
        assert word in said
        assert ("calibrated" in said) == (verdict is Verdict.OK)


def test_adapters_beside_the_base_leave_its_calibration_as_it_is(tiny_models, tiny_segmenter):
    """Organs are answered by the base whatever lies beside it; what an adapter answers has no fit."""
    alone, beside = type(tiny_segmenter)(tiny_models / "base"), tiny_segmenter
    click = (point(10, 20, 20),)
    organ, lesion = (SegmentationRequest(volume(), name, click) for name in ("Liver", "GTV"))
    fit = FIT.model_copy(update={"kind": "organ"})
    card = Calibration(segmenter=alone.propose(organ).source, data="balls", length_mm=8.0, fits=(fit,))
    believing = Believing(beside, {card.segmenter: card})
    assert believing.propose(organ).calibration_id == card.id
    assert alone.name == card.segmenter != beside.name
    odd = believing.propose(lesion)
    assert odd.calibration_id is None
    assert odd.source == beside.source_for("GTV") in beside.sources
    assert odd.source in verdict_said(odd)
    assert "calibrated against" not in verdict_said(odd)


def test_a_review_is_five_looks_each_with_its_reason(pair):
    belief, looks = pair[1].propose(REQUEST), Looks()
    found = [looks.next(belief, (), GEOMETRY, "GTV") for _ in range(5)]
    assert len({look.k for look in found}) == 5
    assert found[0].reason.startswith("Look 1 of 5")
    assert "last look" in found[-1].reason
    shares = [float(look.reason.partition("settle ")[2].partition("%")[0]) for look in found]
    assert shares[0] >= max(shares[1:])
    assert looks.next(belief, (), GEOMETRY, "GTV").k == found[0].k  # a new review
    hers = found[0].k
    assert Looks().next(belief, {hers}, GEOMETRY, "GTV").k != hers
