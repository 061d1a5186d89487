"""Any segmenter's answers with a calibrated spread, where there is a calibration card for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.calibration import calibrated
from osirix_agent.belief.card import Calibration, Fit
from osirix_agent.belief.gate import Judgement, Verdict
from osirix_agent.imaging.structure import kind_of
from osirix_agent.imaging.volume import Volume
from osirix_agent.prompting.prompt import TextPrompt
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
        drawn = tuple(p for p in request.prompts if not isinstance(p, TextPrompt))
        fit = card.fit_for(kind_of(request.structure), request.volume.modality, len(drawn))
        described = self._describe(request.volume) if card.galleries else None
        said = card.judge(request.structure, fit, features(belief, request.volume), described)
        found = believed(belief, request, card, fit)
        withheld = said.verdict is Verdict.WITHHELD
        return replace(found, judgement=said, calibration_id=None if withheld else found.calibration_id)

    def _describe(self, volume: Volume) -> FloatArray | None:
        if not isinstance(self._inner, Describes):
            return None
        if self._described is None or self._described[0] != volume.digest:
            self._described = volume.digest, self._inner.describe(volume)
        return self._described[1]


def believed(belief: Belief, request: SegmentationRequest, card: Calibration, fit: Fit | None) -> Belief:
    """A segmenter's belief, calibrated; marks, her slices and locked structures stay as certain as they were."""
    volume = request.volume
    spacing = np.array(volume.geometry.spacing_kji_mm)
    drawn = tuple(p for p in request.prompts if not isinstance(p, TextPrompt))
    fixed = fixed_masks(request)
    box: Box = tuple((s.start, s.stop) for s in belief.region)  # type: ignore[assignment]
    found = calibrated(belief, spacing, card, fit, evidence_of(volume, drawn, fixed))
    mean, marks = found.mean_logit.copy(), read_marks(volume, drawn)
    hold(mean, box, spacing, marks, fixed, request.excluded, CLICK_RADIUS_MM, CERTAIN_LOGIT)
    return replace(found, mean_logit=mean)
