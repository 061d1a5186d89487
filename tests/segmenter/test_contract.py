"""What every segmenter promises, for each implementation."""

import numpy as np
import pytest

from osirix_agent.belief.belief import Belief
from osirix_agent.bench.soak import BallSegmenter
from osirix_agent.errors import PromptError
from osirix_agent.imaging.geometry import Geometry
from osirix_agent.imaging.mask import dice
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    ScribblePrompt,
    TextPrompt,
)
from osirix_agent.segmenter.classical import ClassicalSegmenter
from osirix_agent.segmenter.protocol import FixedSlice, SegmentationRequest
from osirix_agent.training.clicks import next_click
from osirix_agent.virtual_osirix.phantom import PhantomRecipe, make_phantom

RECIPE = PhantomRecipe(shape_kji=(20, 80, 84), spacing_kji_mm=(4.0, 2.0, 2.0))
A = np.sqrt(0.5)
OBLIQUE = ((A, 0.0, A), (0.0, 1.0, 0.0))


def make_volume(recipe=RECIPE, modality="CT", cosines=((1, 0, 0), (0, 1, 0)), flip=False):
    image, truth = make_phantom(recipe)
    normal = np.cross(*cosines)
    step = -recipe.spacing_kji_mm[0] if flip else recipe.spacing_kji_mm[0]
    origins = np.array([5.0, -7.0, 11.0]) + np.arange(len(image))[:, None] * step * normal
    geometry = Geometry.from_slices(origins, *cosines, *recipe.spacing_kji_mm[1:], *image.shape[1:])
    return Volume(image.astype(np.float32), geometry, modality), truth


VOLUME, TRUTH = make_volume()
CENTRE = tuple(int(v) for v in np.argwhere(TRUTH)[len(np.argwhere(TRUTH)) // 2])


def lps(volume, kji):
    return tuple(float(v) for v in volume.geometry.to_lps(kji))


def point(kji, polarity="include", volume=VOLUME):
    return PointPrompt(position_lps=lps(volume, kji), polarity=polarity)


def box(volume=VOLUME, truth=TRUTH):
    k = CENTRE[0]
    rows, columns = np.flatnonzero(truth[k].any(1)), np.flatnonzero(truth[k].any(0))
    top, bottom, left, right = rows[0] - 0.5, rows[-1] + 0.5, columns[0] - 0.5, columns[-1] + 0.5
    corners = [(k, top, left), (k, bottom, left), (k, bottom, right), (k, top, right)]
    return BoxPrompt(corners_lps=tuple(lps(volume, c) for c in corners))


def lasso(k=CENTRE[0], polarity="include"):
    j, i = CENTRE[1:]
    ring = [(k, j - 5, i - 5), (k, j + 5, i - 5), (k, j + 5, i + 5), (k, j - 5, i + 5)]
    return LassoPrompt(rings_lps=(tuple(lps(VOLUME, p) for p in ring),), polarity=polarity)


def scribble(polarity="include"):
    k, j, i = CENTRE
    return ScribblePrompt(points_lps=(lps(VOLUME, (k, j - 3, i)), lps(VOLUME, (k, j + 3, i))), polarity=polarity)


@pytest.fixture(
    params=[
        ClassicalSegmenter, BallSegmenter, "tiny_segmenter", "refined_segmenter", "joined_segmenter",
        "sam_segmenter", "nninteractive_segmenter", "voxtell_segmenter", "remote_classical", "remote_model",
        pytest.param("ray_model", marks=pytest.mark.slow),
    ]
)  # fmt: skip
def segmenter(request):
    if isinstance(request.param, str):
        return request.getfixturevalue(request.param)
    return request.param()


def propose(segmenter, *prompts, volume=VOLUME, **options) -> Belief:
    return segmenter.propose(SegmentationRequest(volume, "GTV", prompts, **options))


@pytest.mark.parametrize(
    "prompts",
    [[point(CENTRE)], [box()], [scribble()], [lasso()], [MaskPrompt(slices=(lasso(), lasso(CENTRE[0] + 1)))],
     [point(CENTRE), point((CENTRE[0], 5, 5), "exclude"), scribble("exclude")]],
)  # fmt: skip
def test_every_prompt_gives_a_finite_belief_on_the_volume(segmenter, prompts):
    belief = propose(segmenter, *prompts)
    assert belief.shape_kji == VOLUME.array.shape
    assert np.isfinite(belief.mean_logit).all()
    assert belief.mean_logit.dtype == np.float32
    assert belief.calibration_id is None
    assert belief.source.partition(" (")[0] in segmenter.name


def test_equal_requests_give_equal_bytes(segmenter):
    a, b = (propose(segmenter, point(CENTRE), box()) for _ in range(2))
    assert np.array_equal(a.mean_logit, b.mean_logit)
    assert a.mask_digest == b.mask_digest


@pytest.mark.parametrize(
    ("prompt", "what"),
    [
        (point((0, -50, 0)), "outside the image"),
        (
            lasso(polarity="include").model_copy(update={"rings_lps": (((1e4, 0, 0), (1e4, 1, 0), (1e4, 1, 1)),)}),
            "outside",
        ),
        (point(CENTRE, "exclude"), "Nothing says yet"),
    ],
)
def test_what_cannot_be_acted_on_is_refused_with_a_cure(segmenter, prompt, what):
    with pytest.raises(PromptError, match=what) as caught:
        propose(segmenter, prompt)
    assert caught.value.cure


def test_words_are_refused_by_who_cannot_read(segmenter):
    if segmenter.capabilities.text:
        assert propose(segmenter, TextPrompt(phrase="Parotid_L")).shape_kji == VOLUME.array.shape
    else:
        with pytest.raises(PromptError, match="cannot read words"):
            propose(segmenter, TextPrompt(phrase="Parotid_L"))


def test_locked_structures_are_never_overlapped(segmenter):
    locked = propose(segmenter, point(CENTRE))
    beside = (CENTRE[0], CENTRE[1], CENTRE[2] + 3)
    mask = propose(segmenter, point(beside), excluded=(locked,)).mask()
    assert not (mask & locked.mask()).any()


CLASSICAL = ClassicalSegmenter()


@pytest.mark.parametrize("seed", range(5))
def test_a_clicked_voxel_ends_on_its_right_side_and_the_newest_wins(seed):
    rng = np.random.default_rng(seed)
    inside, outside = np.argwhere(TRUTH), np.argwhere(~TRUTH & (VOLUME.array > -200))
    prompts = []
    wanted = {}
    for n in range(6):
        where = inside if n % 2 == 0 else outside
        voxel = tuple(int(v) for v in where[rng.integers(len(where))])
        prompts.append(point(voxel, "include" if n % 2 == 0 else "exclude"))
        wanted[voxel] = n % 2 == 0
    belief = propose(CLASSICAL, *prompts)
    close = [v for v in wanted if all(v == w or np.linalg.norm((np.array(v) - w) * (4, 2, 2)) > 6 for w in wanted)]
    assert all((belief.probability_at(*v) >= 0.5) == wanted[v] for v in close)
    flipped = propose(CLASSICAL, *prompts, point(CENTRE), point(CENTRE, "exclude"))
    assert flipped.probability_at(*CENTRE) < 0.5


def test_clicks_and_box_find_the_phantom_tumour():
    big, truth = make_volume(PhantomRecipe(shape_kji=(32, 120, 120), spacing_kji_mm=(3.0, 2.0, 2.0)))
    centre = tuple(int(v) for v in next_click(truth, np.zeros_like(truth)).kji)
    assert dice(propose(CLASSICAL, point(centre, volume=big), volume=big).mask(), truth) > 0.7
    assert dice(propose(CLASSICAL, box(), point(CENTRE)).mask(), TRUTH) > 0.6


@pytest.mark.parametrize(("cosines", "flip"), [(OBLIQUE, False), (((1, 0, 0), (0, 1, 0)), True)])
def test_the_answer_does_not_depend_on_where_the_patient_lies(cosines, flip):
    turned, truth = make_volume(cosines=cosines, flip=flip)
    there = propose(CLASSICAL, point(CENTRE, volume=turned), volume=turned)
    here = propose(CLASSICAL, point(CENTRE))
    assert there.mask_digest == here.mask_digest
    assert np.array_equal(truth, TRUTH)


def test_an_edited_slice_comes_back_exactly_and_pulls_its_neighbours():
    k = CENTRE[0]
    rings = [lps(VOLUME, p) for p in [(k, 20.2, 20.2), (k, 60.3, 20.2), (k, 60.3, 50.4), (k, 20.2, 50.4)]]
    belief = propose(CLASSICAL, point(CENTRE), fixed=(FixedSlice(k=k, rings_lps=(tuple(rings),)),))
    expected = np.zeros(VOLUME.array.shape[1:], bool)
    expected[21:61, 21:51] = True
    assert np.array_equal(belief.mask()[k], expected)
    before = propose(CLASSICAL, point(CENTRE)).mask()
    assert belief.mask()[k + 1].sum() > before[k + 1].sum()
    empty = propose(CLASSICAL, point(CENTRE), fixed=(FixedSlice(k=k + 2, rings_lps=()),))
    assert not empty.mask()[k + 2].any()


@pytest.mark.parametrize("spacing", [(0.3, 0.3, 0.3), (10.0, 10.0, 10.0), (10.0, 0.5, 0.5)])
def test_extreme_spacing_gives_an_answer(spacing):
    volume, _ = make_volume(PhantomRecipe(shape_kji=(20, 64, 64), spacing_kji_mm=spacing))
    voxel = (10, 27, 41)
    assert propose(CLASSICAL, point(voxel, volume=volume), volume=volume).mask()[voxel]


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "OT"])
def test_a_constant_image_and_a_single_voxel_structure_are_survived(modality):
    geometry = VOLUME.geometry
    flat = Volume(np.full(geometry.shape_kji, 7, np.float32), geometry, modality)
    assert propose(CLASSICAL, point(CENTRE, volume=flat), volume=flat).mask()[CENTRE]


def test_outside_the_body_is_refused_on_ct_and_lung_is_not():
    with pytest.raises(PromptError, match="outside the body"):
        propose(CLASSICAL, point((10, 2, 2)))
    lung = VOLUME.array.copy()
    lung[:, 35:45, 30:40] = -950
    volume = Volume(lung, VOLUME.geometry, "CT")
    assert propose(CLASSICAL, point((10, 40, 35), volume=volume), volume=volume).mask()[10, 40, 35]


def test_outside_the_body_is_allowed_for_an_exclusion():
    assert propose(CLASSICAL, point(CENTRE), point((10, 2, 2), "exclude")).mask()[CENTRE]


def test_two_thousand_prompts_are_answered():
    rng = np.random.default_rng(1)
    voxels = np.argwhere(TRUTH)[rng.integers(TRUTH.sum(), size=2000)]
    belief = propose(CLASSICAL, *[point(tuple(int(c) for c in v)) for v in voxels])
    assert belief.mask()[tuple(voxels[0])]
