"""Any segmenter's answers with a calibrated spread, where there is a calibration card for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import calibrated
from osirix_agent.belief.card import Calibration, Fit
from osirix_agent.belief.gate import Judgement, Verdict
from osirix_agent.belief.update import condition
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import ShapePrompt, TextPrompt
from osirix_agent.segmenter.certain import CLICK_RADIUS_MM, Box, fixed_masks, hold
from osirix_agent.segmenter.evidence import evidence_of
from osirix_agent.segmenter.protocol import Describes, LooksAhead, SegmentationRequest, Segmenter
from osirix_agent.segmenter.seeds import read_marks
from osirix_agent.segmenter.seen import FloatArray, features

CERTAIN_LOGIT = 12.0  # four deviations: outside every isoline, whatever the spread


class Believing:
    """A segmenter whose beliefs are calibrated by card.

    Parameters
    ----------
    inner : gives beliefs without a spread
    cards : by what a belief says it comes from; one that comes from something else is shown as uncalibrated
    """

    def __init__(self, inner: Segmenter, cards: Mapping[str, Calibration]) -> None:
        self._inner, self._cards = inner, dict(cards)
        self.capabilities = inner.capabilities
        self._described: tuple[str, FloatArray] | None = None

    @property
    def name(self) -> str:
        held = "".join(f" + calibration {card.id}" for card in self._cards.values())
        return f"{self._inner.name}{held}"

    def look(self, volume: Volume) -> None:
        if isinstance(self._inner, LooksAhead):
            self._inner.look(volume)

    def propose(self, request: SegmentationRequest) -> Belief:
        belief = self._inner.propose(request)
        card = self._cards.get(belief.source)
        if card is None:
            said = Judgement(Verdict.WITHHELD, f"the weights that answered, {belief.source}, were not calibrated")
            return replace(belief, judgement=said)
        fit = card.fit_for(request.structure, request.volume.modality, len(request.drawn))
        described = self._describe(request.volume) if card.galleries else None
        said = card.judge(request.structure, fit, features(belief, request.volume), described)
        if said.verdict is Verdict.WITHHELD:  # what does not apply moves no contour and promises no band
            return replace(belief, judgement=said)
        return replace(believed(belief, request, card, fit), judgement=said)

    def _describe(self, volume: Volume) -> FloatArray | None:
        if not isinstance(self._inner, Describes):
            return None
        if self._described is None or self._described[0] != volume.digest:
            self._described = volume.digest, self._inner.describe(volume)
        return self._described[1]


def foretold(before: SegmentationRequest, belief: Belief, request: SegmentationRequest) -> Belief | None:
    """What a request's answer is expected to be, in closed form from the answer to one with fewer marks.

    None where that says nothing: there is no spread, more has changed than marks and edited slices that were added, or
    they lie beyond what was believed about.
    """
    added = request.prompts[len(before.prompts) :]
    volume, masks = request.volume, fixed_masks(request)
    if (
        belief.spread is None
        or replace(request, prompts=before.prompts, fixed=before.fixed).digest != before.digest
        or request.prompts[: len(before.prompts)] != before.prompts
        or not all(one in request.fixed for one in before.fixed)
        or any(isinstance(prompt, TextPrompt | ShapePrompt) for prompt in added)
    ):
        return None
    known = {one.k for one in before.fixed}
    evidence = evidence_of(volume, added, {k: mask for k, mask in masks.items() if k not in known})
    region = [(s.start, s.stop) for s in belief.region]
    points = [at for one in evidence for at in (one.at_kji.min(0), one.at_kji.max(0))]
    if not evidence or any(not low <= v < high for at in points for v, (low, high) in zip(at, region, strict=True)):
        return None
    return _held(condition(belief, evidence), request)


def believed(belief: Belief, request: SegmentationRequest, card: Calibration, fit: Fit | None) -> Belief:
    """A segmenter's belief, calibrated; marks, her slices and locked structures stay as certain as they were."""
    spacing = np.array(request.volume.geometry.spacing_kji_mm)
    evidence = evidence_of(request.volume, request.prompts, fixed_masks(request))
    return _held(calibrated(belief, spacing, card, fit, evidence, request.volume.array), request)


def _held(belief: Belief, request: SegmentationRequest) -> Belief:
    volume, mean = request.volume, belief.mean_logit.copy()
    box: Box = tuple((s.start, s.stop) for s in belief.region)  # type: ignore[assignment]
    hold(
        mean, box, np.array(volume.geometry.spacing_kji_mm), read_marks(volume, request.drawn), fixed_masks(request),
        request.excluded, CLICK_RADIUS_MM, CERTAIN_LOGIT,
    )  # fmt: skip
    return replace(belief, mean_logit=mean)
