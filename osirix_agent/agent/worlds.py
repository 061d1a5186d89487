"""Uncertainty carried on: the same M worlds run through every step, and how much of the outcome each step decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from osirix_agent.belief.belief import Belief
from osirix_agent.belief.spread import generator
from osirix_agent.belief.update import Evidence, condition

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VAN_HERK_WARNING = (
    "The recipe is for a population: it assumes rigid errors that are normal and independent, and many fractions. "
    "Delineation is none of these; read it beside the probability of coverage."
)


@dataclass(frozen=True, eq=False)
class World:
    """What is so in one world, as far as the steps have gone.

    Attributes
    ----------
    m : number of the world
    logit : (k, j, i) of the structure on its crop; None before it was segmented
    shift_mm : (k, j, i) by which the patient lies beside the plan
    covered : share of the structure inside the margin; None before it was asked
    """

    m: int
    logit: npt.NDArray[np.float32] | None = None
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    covered: float | None = None


@dataclass(frozen=True)
class Step:
    """A conditional step: a pure function of the world that comes in and of its own chance.

    `act` gets the world and the number that its chance is drawn from (`generator(case, name, number)`).
    """

    name: str
    act: Callable[[World, int], World]


def run(steps: Sequence[Step], worlds: int = 100) -> list[World]:
    """Every world through every step; equal arguments give equal worlds."""
    found = []
    for m in range(worlds):
        world = World(m)
        for step in steps:
            world = step.act(world, m)
        found.append(world)
    return found


def segmentation(case: str, belief: Belief, evidence: Sequence[Evidence] = ()) -> Step:
    """The structure as each world has it, once the prompts were taken up."""
    told = condition(belief, evidence)
    return Step("segmentation", lambda world, number: replace(world, logit=told.world(number, case)))


def setup(case: str, deviation_mm: tuple[float, float, float]) -> Step:
    """The patient lies elsewhere than planned: a systematic shift, normal along k, j and i."""

    def act(world: World, number: int) -> World:
        k, j, i = generator(case, "setup", number).normal(0, deviation_mm)
        return replace(world, shift_mm=(float(k), float(j), float(i)))

    return Step("setup", act)


def coverage(planned: BoolArray, margin_mm: tuple[float, float, float], spacing_kji: npt.ArrayLike) -> Step:
    """The share of each world's structure that lies inside the planned one grown by a margin along k, j and i."""
    margin = np.maximum(np.asarray(margin_mm, float), 1e-3)
    spacing = np.asarray(spacing_kji, float)
    room = np.ceil(3 * margin / spacing).astype(int) + 1
    outside = ndimage.distance_transform_edt(~np.pad(planned, [(n, n) for n in room]), tuple(spacing / margin))

    def act(world: World, number: int) -> World:
        del number  # nothing is left to chance here
        if world.logit is None:
            raise ValueError("coverage needs a structure: put a segmentation before it")
        at = np.argwhere(world.logit >= 0) + room + np.array(world.shift_mm) / spacing
        reach = ndimage.map_coordinates(outside, at.T, order=1, mode="nearest")
        return replace(world, covered=float(np.mean(reach <= 1.0)) if len(at) else 1.0)

    return Step("margin", act)


def van_herk_mm(systematic_mm: Sequence[float], random_mm: Sequence[float]) -> float:
    """2.5 Sigma + 0.7 sigma: 95 % of the dose to 90 % of patients (van Herk et al. 2000). See `VAN_HERK_WARNING`.

    Parameters
    ----------
    systematic_mm, random_mm : standard deviations of independent errors along one axis, added in quadrature
    """
    return 2.5 * float(np.hypot.reduce(systematic_mm)) + 0.7 * float(np.hypot.reduce(random_mm))


def delineation_mm(band_25_75_mm: float) -> float:
    """Standard deviation of the outline, were it normal, from the distance between its 25 % and 75 % isolines."""
    return band_25_75_mm / 1.349


def covering_probability(worlds: Sequence[World], share: float = 0.98) -> float:
    """In how many worlds at least `share` of the structure is inside the margin."""
    return float(np.mean([w.covered is not None and w.covered >= share for w in worlds]))


@dataclass(frozen=True)
class Share:
    """Of a figure's variance over worlds, what one step decides by itself, and with all it takes part in."""

    step: str
    first: float
    total: float


def variance_split(
    steps: Sequence[Step], figure: Callable[[World], float], worlds: int = 200
) -> tuple[tuple[Share, ...], float]:
    """Sobol' shares of each step by pick and freeze, and the figure's variance.

    First order after Janon et al. 2014, total after Jansen 1999: worlds whose chance agrees in one step alone, and in
    all steps but one; (2 k + 2) M runs of k steps. A step without chance has shares near 0.
    """

    def outcomes(numbers: Callable[[str, int], int]) -> FloatArray:
        found = np.empty(worlds)
        for m in range(worlds):
            world = World(m)
            for step in steps:
                world = step.act(world, numbers(step.name, m))
            found[m] = figure(world)
        return found

    one = outcomes(lambda _name, m: m)
    other = outcomes(lambda _name, m: m + worlds)
    spread = float(np.concatenate([one, other]).var())
    if spread == 0:
        return tuple(Share(step.name, 0.0, 0.0) for step in steps), 0.0
    shares = []
    for step in steps:
        same = outcomes(lambda name, m, kept=step.name: m if name == kept else m + worlds)  # type: ignore[misc]
        differs = outcomes(lambda name, m, moved=step.name: m + worlds if name == moved else m)  # type: ignore[misc]
        middle = float((one + same).mean()) / 2
        first = (float((one * same).mean()) - middle**2) / (float((one**2 + same**2).mean()) / 2 - middle**2)
        shares.append(Share(step.name, first, float(((one - differs) ** 2).mean()) / 2 / spread))
    return tuple(shares), spread
