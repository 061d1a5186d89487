"""Requests with a contour edited in words: exactly that contour, changed only where later prompts change the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from osirix_agent.belief.belief import OUTSIDE_LOGIT, Belief
from osirix_agent.imaging.contour import fill
from osirix_agent.prompting.prompt import MaskPrompt, Prompt, ShapePrompt, TextPrompt
from osirix_agent.segmenter.certain import CLICK_RADIUS_MM, fixed_masks, hold, trimmed
from osirix_agent.segmenter.protocol import SegmentationRequest, Segmenter
from osirix_agent.segmenter.seeds import Marks

FINER = 4  # parts of a pixel by which an outline is followed
CERTAIN_LOGIT = 10.0


def propose(segmenter: Segmenter, request: SegmentationRequest) -> Belief:
    """What the segmenter answers; from the last edit in words on, that shape is what it starts from.

    Raises
    ------
    PromptError
        The segmenter cannot act on the prompts.
    """
    edits = [n for n, prompt in enumerate(request.prompts) if isinstance(prompt, ShapePrompt)]
    if not edits:
        return segmenter.propose(request)
    shape, later = request.prompts[edits[-1]], request.prompts[edits[-1] + 1 :]
    assert isinstance(shape, ShapePrompt)
    said: tuple[Prompt, ...] = tuple(p for p in request.prompts[: edits[-1]] if isinstance(p, TextPrompt))
    started = (*said, MaskPrompt(slices=shape.slices))
    source = f"edited in words; {segmenter.name}"
    logit = _logit(shape, request)
    if later:
        before = segmenter.propose(replace(request, prompts=started))
        after = segmenter.propose(replace(request, prompts=(*started, *later)))
        full = np.full(logit.shape, OUTSIDE_LOGIT, np.float32)
        full[after.region] = after.mean_logit
        logit = np.where(before.mask() != after.mask(), full, logit)
    geometry = request.volume.geometry
    k, j, i = geometry.shape_kji
    box, spacing = ((0, k), (0, j), (0, i)), np.array(geometry.spacing_kji_mm)
    hold(
        logit, box, spacing, Marks((), ()), fixed_masks(request), request.excluded, CLICK_RADIUS_MM, CERTAIN_LOGIT
    )  # later clicks hold already: the answer above has them
    return trimmed(logit, box, geometry.shape_kji, source)


def _logit(shape: ShapePrompt, request: SegmentationRequest) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(k, j, i) on the whole volume: inside the rings in, and at their edge by how much of the pixel they hold, so that
    the isoline at one half runs where they do."""
    geometry = request.volume.geometry
    rows, columns = geometry.shape_kji[1:]
    logit = np.full(geometry.shape_kji, -CERTAIN_LOGIT, np.float32)
    for lasso in shape.slices:
        placed = [geometry.to_kji(ring) for ring in lasso.rings_lps]
        k = int(np.clip(round(float(placed[0][:, 0].mean())), 0, geometry.shape_kji[0] - 1))
        rings = [ring[:, 1:] for ring in placed]
        low = np.clip(np.floor(np.min([r.min(0) for r in rings], axis=0)).astype(int) - 1, 0, (rows, columns))
        high = np.clip(np.ceil(np.max([r.max(0) for r in rings], axis=0)).astype(int) + 2, 0, (rows, columns))
        size = high - low
        if not size.all():
            continue
        fine = fill([(r - low) * FINER + (FINER - 1) / 2 for r in rings], (size[0] * FINER, size[1] * FINER))
        share = fine.reshape(size[0], FINER, size[1], FINER).mean(axis=(1, 3))
        inside = fill([r - low for r in rings], (int(size[0]), int(size[1])))
        edge = np.where(inside, np.maximum(share - 0.5, 0.05), np.minimum(share - 0.5, -0.05))
        part = logit[k, low[0] : high[0], low[1] : high[1]]
        np.copyto(part, np.where(inside, np.maximum(part, edge * 2 * CERTAIN_LOGIT), edge * 2 * CERTAIN_LOGIT))
    return logit
