"""Calibration cards: what was fitted for each set of weights, and what may be said of a case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from osirix_agent.belief.gate import Gallery, Gate, Judgement, Verdict
from osirix_agent.belief.tissue import Curves
from osirix_agent.errors import ModelError
from osirix_agent.imaging.structure import kind_of
from osirix_agent.whole import write_whole

FORMAT = 3  # of the file
FEWEST = 10  # patients, below which nothing is called calibrated
OFF = 0.05  # from 0.9: a band that held so much more or less of other patients' surfaces is not called calibrated
NEAR = 0.01  # added to an image's distance before its logarithm is taken

FloatArray = npt.NDArray[np.float64]
Kind = Literal["organ", "target", "lesion"]
KINDS = get_args(Kind)


class Fit(BaseModel):
    """Calibrated mean logit = line (1 + centre exp(-line^2 / (2 `CENTRE`^2))), for one kind of structure or one
    structure; line = slope * logit + per_mm * distance + shift, and what the curves add.

    Attributes
    ----------
    curves : logits by CT number, at the knots of `belief.tissue`; None: brightness says nothing
    centre : how much steeper it is about the boundary than farther off
    kind : "organ", "target" or "lesion"
    structure : the only one that it is for; None: for all of the kind that have no fit of their own
    prompts : number of prompts the fit is for; the last one also for more
    temperature : of the baseline that only divides the logits; for comparison
    held_out : share of the observers' surfaces in the 90 and the 50 % band as they are drawn, each half of the patients
        under the other half's fit
    conformal_level : probability beyond which, on either side, at least `surface` of the surface lies in at least
        `cases` of new cases; None: too few cases for that promise
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    structure: str | None = None
    modality: str
    prompts: int = Field(ge=0)
    slope: float
    per_mm: float = Field(ge=0)
    shift: float
    centre: float = Field(default=0.0, ge=-1, le=2)
    curves: Curves | None = None
    patients: int = Field(gt=0)
    temperature: float = 1.0
    held_out: tuple[float, float] | None = None
    conformal_level: float | None = None
    surface: float = 0.9
    cases: float = 0.9

    @property
    def subject(self) -> str:
        """What it is for, in words."""
        return self.structure or self.kind

    @property
    def off(self) -> float:
        """How far from 0.9 the share in the 90 % band was on patients that the fit had not seen."""
        return abs(self.held_out[0] - 0.9) if self.held_out is not None else 0.0

    @property
    def slack(self) -> float:
        """What the conformal promise may be off by: 1 / (n + 1)."""
        return 1 / (self.patients + 1)


class Calibration(BaseModel):
    """Fits for the answers of one set of weights, with where they come from; a card holds several of these.

    Attributes
    ----------
    segmenter : what the answers that it calibrates say they come from
    observers : of each calibration case; with one, inter-observer spread is not in the numbers
    galleries : by kind of structure and modality: "organ CT"; none where the segmenter does not describe images
    gates : by kind or name of structure, and modality: "organ CT", "Parotid_L CT"
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segmenter: str
    data: str
    observers: int = 1
    length_mm: float = Field(gt=0)
    fits: tuple[Fit, ...]
    galleries: dict[str, Gallery] = {}
    gates: dict[str, Gate] = {}

    @property
    def id(self) -> str:
        """Digest of all that it says; beliefs carry it."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def broken(self) -> dict[tuple[str, str | None, str], Fit]:
        """Kinds of structure, structures and modalities whose 90 % band did not hold on patients that its fit had not
        seen, each with the worst of its fits."""
        found: dict[tuple[str, str | None, str], Fit] = {}
        for fit in sorted(self.fits, key=lambda f: f.off):
            if fit.off > OFF:
                found[fit.kind, fit.structure, fit.modality] = fit
        return found

    def fit_for(self, structure: str, modality: str, prompts: int) -> Fit | None:
        """The fit for a structure, else for its kind, after so many drawn prompts or the most below; None: it was not
        calibrated. After more prompts answers err in other ways, so that a fit for more is the last to be taken."""
        kind = kind_of(structure)
        like = [f for f in self.fits if f.kind == kind and f.modality == modality and f.patients >= FEWEST]
        own, kinds = ([f for f in like if f.structure == name] for name in (structure, None))
        for found in (own, kinds):
            if below := [f for f in found if f.prompts <= prompts]:
                return max(below, key=lambda f: f.prompts)
        return min(own or kinds, key=lambda f: f.prompts, default=None)

    def gate_for(self, structure: str, kind: str, modality: str) -> Gate | None:
        """The gate of that very structure, else of its kind."""
        return self.gates.get(f"{structure} {modality}") or self.gates.get(f"{kind} {modality}")

    def judge(self, structure: str, fit: Fit | None, features: FloatArray, described: FloatArray | None) -> Judgement:
        """What may be said of a case.

        Parameters
        ----------
        fit : the one that was used; None: there is none for this kind of structure and modality
        features : of the case, as the card's gates were fitted on, without the image as a whole
        described : what the segmenter's network makes of the image
        """
        if fit is None:
            return Judgement(Verdict.WITHHELD, "no such structure on such images was calibrated")
        gate = self.gate_for(structure, fit.kind, fit.modality)
        held = self.placed(fit.kind, fit.modality, features, described)
        if gate is None or len(gate.names) != len(held):
            return Judgement(Verdict.REVIEW, "it is not known whether it is like the cases it was calibrated on")
        return gate.judge(held)

    def placed(self, kind: str, modality: str, features: FloatArray, described: FloatArray | None) -> FloatArray:
        """Features as the gates take them: with how far the image as a whole is from the calibration's."""
        gallery = self.galleries.get(f"{kind} {modality}")
        if gallery is None or described is None:
            return features
        return np.append(features, np.log(gallery.distance(described) + NEAR))

    def refitted(self, newer: Calibration) -> Calibration:
        """With what was fitted again, or for the first time, for the same weights; all else stays."""
        assert newer.segmenter == self.segmenter
        again = {(fit.kind, fit.modality) for fit in newer.fits}
        kept = tuple(fit for fit in self.fits if (fit.kind, fit.modality) not in again)
        groups = {key: _group(key) for key in self.gates}
        return newer.model_copy(
            update={
                "data": ", ".join(dict.fromkeys([*self.data.split(", "), *newer.data.split(", ")])),
                "fits": tuple(sorted((*kept, *newer.fits), key=lambda f: (f.kind, f.modality, f.subject, f.prompts))),
                "galleries": {**self.galleries, **newer.galleries},
                "gates": {**{key: g for key, g in self.gates.items() if groups[key] not in again}, **newer.gates},
            }
        )


def _group(gate: str) -> tuple[str, str]:
    """Kind of structure and modality of a gate, from its key."""
    name, _, modality = gate.rpartition(" ")
    return (name if name in KINDS else kind_of(name)), modality


class _Card(BaseModel):
    """The file: calibrations of one segmenter's sets of weights, each matched to the answers by its own name."""

    format: int
    calibrations: tuple[Calibration, ...]


def write_card(path: Path, calibrations: Iterable[Calibration]) -> None:
    held = _Card(format=FORMAT, calibrations=tuple(calibrations))
    write_whole(path, json.dumps(held.model_dump(mode="json")) + "\n")


def read_card(path: Path) -> tuple[Calibration, ...]:
    """What a card holds.

    Raises
    ------
    ModelError
        Missing, damaged, or of another format.
    """
    again = "Fit it again with 'osirix-agent calibrate', or copy it again from where the model came from."
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        number = int(raw["format"])
        if number > FORMAT:
            raise ModelError(f"The calibration card {path} is newer than this program.", "Update osirix-agent.")
        if number < FORMAT:
            raise ModelError(f"The calibration card {path} is of a form that is no longer read.", again)
        return _Card.model_validate(raw).calibrations
    except OSError:
        raise ModelError(f"There is no calibration card at {path}.", again) from None
    except (ValueError, TypeError, KeyError):
        raise ModelError(f"The calibration card {path} is damaged.", again) from None
