"""Public models behind the Segmenter protocol: logits kept, what is hers held, nothing downloaded."""

import socket
from dataclasses import replace

import numpy as np
import pytest
import torch

from osirix_agent.belief.belief import OUTSIDE_LOGIT
from osirix_agent.errors import ModelError, PromptError, UnsupportedSeriesError
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import MaskPrompt, TextPrompt
from osirix_agent.segmenter.folder import KINDS, find_model, is_installed
from osirix_agent.segmenter.protocol import FixedSlice
from osirix_agent.segmenter.sam import SamSegmenter
from osirix_agent.segmenter.voxtell import Turn, VoxTellSegmenter, spoken
from tests.public import small_voxtell, write_lora, write_nninteractive, write_sam, write_voxtell
from tests.segmenter.test_contract import (
    CENTRE,
    OBLIQUE,
    VOLUME,
    box,
    lasso,
    lps,
    make_volume,
    point,
    propose,
    scribble,
)

K, J, I = CENTRE  # noqa: E741
PUBLIC = ["sam", "nninteractive", "voxtell"]


@pytest.fixture(params=PUBLIC)
def public(request):
    return request.getfixturevalue(f"{request.param}_segmenter")


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*given, **named):
        raise AssertionError("something wanted the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def fixed(k, low=20, high=40):
    a, b = low - 0.3, high + 0.3
    ring = [(k, a, a), (k, b, a), (k, b, b), (k, a, b)]
    return FixedSlice(k=k, rings_lps=(tuple(lps(VOLUME, p) for p in ring),))


# -- all of them -------------------------------------------------------------------------------------------------
def test_clicks_and_her_slices_hold_whatever_the_model_thinks(public):
    out = (K, J, I + 4)
    belief = propose(
        public, point(CENTRE), point(out, "exclude"), fixed=(fixed(K + 3), FixedSlice(k=K - 3, rings_lps=()))
    )
    assert belief.probability_at(*CENTRE) > 0.5
    assert belief.probability_at(*out) < 0.5
    hers = np.zeros(VOLUME.array.shape[1:], bool)
    hers[20:41, 20:41] = True
    assert np.array_equal(belief.mask()[K + 3], hers)
    assert not belief.mask()[K - 3].any()


def test_any_request_may_follow_any_other(public):
    requests = [
        (point(CENTRE),), (point(CENTRE), box()), (box(),), (scribble(),),
        (point(CENTRE), MaskPrompt(slices=(lasso(), lasso(K + 1))), point((K, 5, 5), "exclude")),
    ]  # fmt: skip
    first = [propose(public, *r) for r in requests]
    again = [propose(public, *r) for r in reversed(requests)][::-1]
    assert [b.mask_digest for b in first] == [b.mask_digest for b in again]
    assert all(np.array_equal(a.mean_logit, b.mean_logit) for a, b in zip(first, again, strict=True))


def test_logits_are_kept_not_thresholded(public):
    logits = propose(public, point(CENTRE), box()).mean_logit
    assert len(np.unique(logits)) > 6
    assert np.abs(logits).max() <= -OUTSIDE_LOGIT


# -- nnInteractive -----------------------------------------------------------------------------------------------
def test_the_logits_agree_with_the_masks_of_the_session(nninteractive_segmenter):
    session, kept = nninteractive_segmenter._session, nninteractive_segmenter._logits
    for prompts in [(point(CENTRE),), (point(CENTRE), box()), (lasso(),), (scribble(), point((K + 4, J, I)))]:
        propose(nninteractive_segmenter, *prompts)
        assert np.array_equal(kept.full > 0, session.target_buffer > 0)
        assert (kept.full > 0).any()


def test_a_further_click_runs_the_network_once_and_an_undo_starts_again(nninteractive_segmenter, monkeypatch):
    runs = []
    for name in ("add_point_interaction", "reset_interactions"):
        real = getattr(nninteractive_segmenter._session, name)
        monkeypatch.setattr(
            nninteractive_segmenter._session, name,
            lambda *a, name=name, real=real, **b: (runs.append(name[:5]), real(*a, **b)), raising=False,
        )  # fmt: skip
    propose(nninteractive_segmenter, box())
    runs.clear()
    clicks = [point(CENTRE), point((K, J, I + 9), "exclude"), point((K + 1, J, I))]
    propose(nninteractive_segmenter, *clicks[:2])
    propose(nninteractive_segmenter, *clicks)
    assert runs == ["reset", "add_p", "add_p", "add_p"]
    propose(nninteractive_segmenter, *clicks[:1])
    assert runs[4:] == ["reset", "add_p"]


def test_a_failure_half_way_leaves_nothing_to_build_on(nninteractive_segmenter, monkeypatch):
    good = propose(nninteractive_segmenter, point(CENTRE))
    with monkeypatch.context() as patch:
        patch.setattr(nninteractive_segmenter._session, "add_bbox_interaction", None, raising=False)
        with pytest.raises(TypeError):
            propose(nninteractive_segmenter, point(CENTRE), box())
    assert propose(nninteractive_segmenter, point(CENTRE)).mask_digest == good.mask_digest


def test_a_kind_of_prompt_that_the_checkpoint_does_not_take_is_refused(nninteractive_segmenter, monkeypatch):
    session = nninteractive_segmenter._session
    monkeypatch.setitem(session.supported_interactions, "scribble", False)
    with pytest.raises(PromptError, match="not made for"):
        propose(nninteractive_segmenter, scribble())


@pytest.mark.parametrize("name", ["nninteractive_segmenter", "voxtell_segmenter"])
def test_a_series_without_contrast_is_refused(name, request):
    flat = Volume(np.full(VOLUME.array.shape, 7, np.float32), VOLUME.geometry, "MR")
    with pytest.raises(UnsupportedSeriesError):
        propose(request.getfixturevalue(name), point(CENTRE), volume=flat)


# -- VoxTell -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "words"),
    [("Parotid_L", "left parotid"), ("Glnd_Submand_R", "right glnd submand"), ("SpinalCord", "spinal cord"),
     ("GTVp", "gtvp"), ("left  upper lobe", "left upper lobe"), ("A_Aorta", "a aorta")],
)  # fmt: skip
def test_names_become_words(name, words):
    assert spoken(name) == words


TURNED = [
    (((1, 0, 0), (0, 1, 0)), False),
    (((1, 0, 0), (0, 1, 0)), True),
    (OBLIQUE, False),
    (((0, 1, 0), (0, 0, -1)), True),
]


@pytest.mark.parametrize(("cosines", "flip"), TURNED)
def test_the_model_sees_superior_anterior_right(cosines, flip):
    geometry = make_volume(cosines=cosines, flip=flip)[0].geometry
    places = geometry.to_lps(np.moveaxis(np.indices(geometry.shape_kji), 0, -1))
    turn = Turn.of(geometry)
    for axis, (lps_axis, sign) in enumerate([(2, 1), (1, -1), (0, -1)]):
        there = turn.there(places[..., lps_axis])
        assert (np.diff(there, axis=axis) * sign > 0).all()
        assert np.array_equal(turn.back(there), places[..., lps_axis])


@pytest.mark.parametrize(("cosines", "flip"), TURNED)
def test_left_is_the_patients_left(voxtell_segmenter, cosines, flip):
    if is_installed(KINDS["voxtell"][0]) and voxtell_segmenter._encoder is not None:
        pytest.skip("a network of random weights does not know left from right")
    volume, _ = make_volume(cosines=cosines, flip=flip)
    x = {}
    for name in ("Parotid_L", "Parotid_R"):
        mask = propose(voxtell_segmenter, TextPrompt(phrase=name), volume=volume).mask()
        x[name] = volume.geometry.to_lps(np.argwhere(mask))[:, 0].mean()
    assert x["Parotid_L"] > x["Parotid_R"] + 20


def test_words_exclude_and_drawings_hold_beside_them(voxtell_segmenter):
    alone = propose(voxtell_segmenter, TextPrompt(phrase="GTV")).mask()
    without = propose(voxtell_segmenter, TextPrompt(phrase="GTV"), TextPrompt(phrase="Parotid_L", polarity="exclude"))
    named = propose(voxtell_segmenter, TextPrompt(phrase="Parotid_L")).mask()
    assert np.array_equal(without.mask() | (alone & named), alone)
    drawn = propose(voxtell_segmenter, TextPrompt(phrase="GTV"), lasso()).mask()
    assert drawn[K, J - 4 : J + 5, I - 4 : I + 5].all()
    boxed = propose(voxtell_segmenter, TextPrompt(phrase="GTV"), box())
    assert boxed.mask()[K].sum() < alone[K].sum()
    assert np.array_equal(boxed.mask()[K + 2], alone[K + 2])


def test_words_that_are_in_no_list_need_the_encoder(voxtell_segmenter, monkeypatch):
    monkeypatch.setattr(voxtell_segmenter, "_encoder", None)
    with pytest.raises(PromptError, match="list of words"):
        propose(voxtell_segmenter, TextPrompt(phrase="something else"))


# -- the SAM family ----------------------------------------------------------------------------------------------
def brightness(volume, k, said):
    """Instead of a network: what is bright within reach of the prompts."""
    bright = np.where(np.abs(volume.array[k] - volume.array[CENTRE]) < 15, 3.0, -3.0).astype(np.float32)
    inside = np.zeros(bright.shape, bool)
    low, high = (
        (said.box_ji if said.box_ji is not None else said.points_ji.min(0) + np.array([[-9], [9]])).round().astype(int)
    )
    inside[low[0] - 1 : high[0] + 2, low[1] - 1 : high[1] + 2] = True
    return np.where(inside, bright, -10).astype(np.float32)


@pytest.fixture
def follower(sam_segmenter, monkeypatch):
    asked = []

    def ask(volume, k, said):
        asked.append(k)
        return brightness(volume, k, said)

    monkeypatch.setattr(sam_segmenter, "_ask", ask)
    sam_segmenter.asked = asked
    return sam_segmenter


def ball(radius, centre=CENTRE):
    """A bright ball (radius mm) in a dark volume."""
    away = (np.moveaxis(np.indices(VOLUME.array.shape), 0, -1) - centre) * VOLUME.geometry.spacing_kji_mm
    truth = np.linalg.norm(away, axis=-1) <= radius
    return Volume(np.where(truth, 100, 0).astype(np.float32), VOLUME.geometry, "MR"), truth


def test_a_slices_answer_is_handed_on_until_nothing_is_found(follower):
    volume, truth = ball(14)
    found = propose(follower, point(CENTRE), volume=volume).mask()
    assert 2 * (found & truth).sum() > 0.85 * (found.sum() + truth.sum())
    assert not found[[K - 5, K + 5]].any()


def test_no_further_than_the_structure_is_wide_and_to_half_way(follower):
    volume, _ = ball(500)
    box_mm = float(np.ptp([p[1] for p in box().corners_lps]))
    found = np.flatnonzero(propose(follower, box(), volume=volume).mask().any((1, 2)))
    assert (found[-1] - K) * 4.0 <= 0.75 * (box_mm + 60)
    follower.asked.clear()
    propose(follower, point((4, J, I)), point((9, J, I)), volume=volume)
    assert sorted(k for k in follower.asked if 4 <= k <= 9) == [4, 5, 6, 7, 8, 9]


def test_her_slices_are_handed_on_and_her_empty_ones_stop_it(follower):
    volume, _ = ball(14)
    hers = propose(follower, fixed=(fixed(K, J - 3, J + 3),), volume=volume).mask()
    assert hers[K + 1].any() or hers[K - 1].any() or not volume.array[K, J, J].any()
    follower.asked.clear()
    propose(follower, point(CENTRE), fixed=(FixedSlice(k=K + 1, rings_lps=()),), volume=volume)
    assert max(follower.asked) == K


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_positions_come_back_where_they_were(tmp_path, monkeypatch, kind):
    """A network that answers with the mask it is given, and looks at the points and boxes it is given."""
    segmenter = SamSegmenter(find_model("sam", write_sam(tmp_path / "m", kind)))
    given = {}

    def answer(**named):
        given.update({} if given else named)  # the prompted slice is asked first
        masks = named["input_masks"][:, None]
        return type("Answer", (), {"iou_scores": torch.ones(1, 1, 1), "pred_masks": masks})

    monkeypatch.setattr(segmenter._network, "forward", answer)
    wide = Volume(VOLUME.array[:, :40].copy(), replace(VOLUME.geometry, shape_kji=(20, 40, 84)), "CT")
    ring = [(K, 9.6, 19.6), (K, 30.4, 19.6), (K, 30.4, 70.4), (K, 9.6, 70.4)]
    outline = lasso().model_copy(update={"rings_lps": (tuple(lps(wide, p) for p in ring),)})
    logit = propose(segmenter, outline, point((K, 15, 60), volume=wide), volume=wide).mask()[K]
    truth = np.zeros(logit.shape, bool)
    truth[10:31, 20:71] = True
    assert 2 * (logit & truth).sum() > 0.88 * (logit.sum() + truth.sum())
    across = 64 / 84 if kind == "sam" else 64 / 40
    assert given["input_boxes"][0, 0].tolist() == pytest.approx([20 * 64 / 84, 10 * across, 71 * 64 / 84, 31 * across])


def test_an_adapter_changes_the_answers_and_must_fit(tmp_path, sam_segmenter):
    base = write_sam(tmp_path / "sam2")
    write_lora(tmp_path / "ours", base, strength=5)
    adapted = SamSegmenter(find_model("sam", tmp_path))
    plain, changed = (propose(s, point(CENTRE)).mean_logit for s in (sam_segmenter, adapted))
    assert plain.shape != changed.shape or not np.allclose(plain, changed)
    (tmp_path / "ours" / "adapter_config.json").write_text(
        (write_lora(tmp_path / "x" / "y", base, layers="v_proj") / "adapter_config.json").read_text()
    )
    with pytest.raises(ModelError, match="does not fit"):
        SamSegmenter(find_model("sam", tmp_path))


def test_sam_is_loaded_from_its_folder_alone(tmp_path, no_network):
    write_lora(tmp_path / "lora", write_sam(tmp_path / "sam"))
    propose(SamSegmenter(find_model("sam", tmp_path)), point(CENTRE))


# -- by the packages themselves ----------------------------------------------------------------------------------
def test_nninteractive_is_loaded_from_its_folder_alone(tmp_path, no_network):
    pytest.importorskip("nnunetv2", reason="needs pip install '.[nninteractive]'; the stand-in covers the rest")
    from osirix_agent.segmenter.nninteractive import NnInteractiveSegmenter

    segmenter = NnInteractiveSegmenter(find_model("nninteractive", write_nninteractive(tmp_path / "m")))
    assert "NON-COMMERCIAL" in segmenter.name
    propose(segmenter, point(CENTRE))
    checkpoint = tmp_path / "m" / "fold_0" / "checkpoint_final.pth"
    held = torch.load(checkpoint, weights_only=False)
    torch.save({**held, "trainer": print}, checkpoint)
    with pytest.raises(ModelError, match="could run as a program"):
        NnInteractiveSegmenter(find_model("nninteractive", tmp_path))
    held["network_weights"].popitem()
    torch.save(held, checkpoint)
    with pytest.raises(ModelError, match="cannot load"):
        NnInteractiveSegmenter(find_model("nninteractive", tmp_path))


def test_voxtell_is_loaded_from_its_folder_alone(tmp_path, no_network, monkeypatch):
    if not is_installed("voxtell.model.voxtell_model"):
        pytest.skip("needs pip install '.[voxtell]'; the stand-in covers the rest")
    monkeypatch.setattr("voxtell.inference.predictor.VoxTellModel", small_voxtell())
    segmenter = VoxTellSegmenter(find_model("voxtell", write_voxtell(tmp_path / "v")))
    a, b = (propose(segmenter, TextPrompt(phrase="Spleen")).mean_logit for _ in range(2))
    segmenter._answers.clear()
    c = propose(segmenter, TextPrompt(phrase="Spleen")).mean_logit
    assert np.array_equal(a, b)
    assert np.array_equal(a, c)
    with pytest.raises(ModelError, match="nothing that reads words"):
        VoxTellSegmenter(find_model("voxtell", write_voxtell(tmp_path / "w", bank=False, encoder=False)))
