"""What a study lets the clinician see of a proposal: nothing before her own contour, its uncertainty or not by lot.

The lot follows from a seed that the journal does not hold, so that nobody who reads the journal knows an arm before it
acts; who has the seed can draw every lot again. Sessions are drawn in blocks of four, two of each arm, in the order of
the site's sessions; structures one by one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from osirix_agent.agent.log import SessionLog
from osirix_agent.agent.state import SessionState
from osirix_agent.belief.belief import Belief
from osirix_agent.errors import PromptError
from osirix_agent.prompting.prompt import LassoPrompt, MaskPrompt, Polarity
from osirix_agent.record.events import Arm
from osirix_agent.settings import Settings

BLOCK: tuple[Arm, ...] = ("uncertainty", "uncertainty", "plain", "plain")
_NEEDS_SIGHT = ("accept", "lock", "next")
_UNCERTAINTY = ("next", "isolines", "show", "all")


def session_arm(seed: str, nth: int) -> Arm:
    """Of the site's session number `nth`, from 1."""
    block, place = divmod(max(nth, 1) - 1, len(BLOCK))
    order = sorted(range(len(BLOCK)), key=lambda n: _drawn(seed, f"block {block} {n}"))
    return BLOCK[order[place]]


def structure_arm(seed: str, series: str, structure: str) -> Arm:
    """Of a structure on a series, both as the journal has them."""
    return "uncertainty" if _drawn(seed, f"structure {series} {structure}")[0] % 2 else "plain"


def _drawn(seed: str, what: str) -> bytes:
    return hmac.new(seed.encode(), what.encode(), hashlib.sha256).digest()


class Study:
    """Who sees what in a session, by the settings `study_blind`, `study_arms` and `study_seed`.

    Attributes
    ----------
    on : bool
        A study is under way; else everything is shown as ever, and nothing is written down.
    version : int
        Grows whenever something is revealed.
    """

    def __init__(self, settings: Settings, log: SessionLog) -> None:
        self._blind, self._arms, self._seed = settings.study_blind, settings.study_arms, settings.study_seed
        self._log = log
        self.on = self._blind or self._arms != "off"
        self.version = 0

    def reveal_answered(self, shown: Mapping[str, Belief]) -> None:
        """Where nobody draws first, a structure is seen as soon as there is an answer."""
        if self.on and not self._blind:
            for name in shown:
                self._reveal(name)

    def visible(self, shown: Mapping[str, Belief]) -> dict[str, Belief]:
        """Of what the session proposes, what she may see."""
        return {name: belief for name, belief in shown.items() if not self.on or self._revealed(name)}

    def plain(self, shown: Mapping[str, Belief]) -> frozenset[str]:
        """Structures that are shown without their uncertainty."""
        return frozenset(name for name in shown if self.on and self._arm(name) == "plain")

    def before(self, verb: str, name: str, state: SessionState) -> None:
        """A command is about to be carried out; `propose` reveals.

        Raises
        ------
        PromptError
            It needs what she has not been shown, or will not be.
        """
        if not self.on:
            return
        if verb == "propose" and self._blind and not self._revealed(name):
            if not any(_is_contour(record.prompt) for record in state.structure(name).prompts):
                raise PromptError("This study asks for your own contour first.", "Outline the structure, then propose.")
            self._reveal(name)
        if verb in _NEEDS_SIGHT and state.structure(name).is_asked and not self._revealed(name):
            raise PromptError("The proposal is not shown yet.", "Outline the structure yourself, then propose.")
        if verb in _UNCERTAINTY and self._arm(name) == "plain":
            raise PromptError("In this study's arm uncertainty is not shown.", "Nothing was changed.")

    def _revealed(self, name: str) -> bool:
        return self._log.name(name) in self._log.revealed

    def _arm(self, name: str) -> Arm | None:
        return self._log.revealed.get(self._log.name(name))

    def _reveal(self, name: str) -> None:
        if self._revealed(name):
            return
        started, arm = self._log.began_with, None
        assert started is not None
        if self._arms == "session":
            arm = session_arm(self._seed or "", started.nth or 1)
        elif self._arms == "structure":
            arm = structure_arm(self._seed or "", started.series, self._log.name(name))
        self._log.reveals(name, arm, blind=self._blind)
        self.version += 1


def _is_contour(prompt: object) -> bool:
    return isinstance(prompt, LassoPrompt | MaskPrompt) and prompt.polarity is Polarity.INCLUDE
