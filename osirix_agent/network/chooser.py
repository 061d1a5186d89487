"""A local language model for what the grammar misses: it only chooses among typed intents, by their likelihood.

The intents come from the grammar, with amounts, directions and names as it read them in the sentence; the model never
writes anything, and never a number. What it chooses is always confirmed by the clinician.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from osirix_agent.errors import ModelError
from osirix_agent.prompting.command import candidates
from osirix_agent.prompting.guessing import reading
from osirix_agent.prompting.intent import Intent

NONE_OF_THESE = "something else"
_ASKED = "A radiation oncologist says to the contouring program: {sentence}\nIn plain words this means: "


class LanguageModelChooser:
    """Chooses with a causal language model.

    Parameters
    ----------
    folder : a model folder as `transformers` writes it, tokenizer included; nothing is downloaded

    Raises
    ------
    ModelError
        The folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"The language model cannot be used ({type(error).__name__}).",
                "Give a folder with config.json, the weights and the tokenizer.",
            ) from None

    def choose(self, sentence: str, known: Collection[str], *, surely: bool = False) -> tuple[Intent, ...]:
        """The likeliest intent; () when 'something else' is likelier than all, or there is none to choose from; for
        what is denied or only spoken of; and where it would have to be sure: its likelihoods are not calibrated."""
        read = reading(sentence, known)
        options = [] if surely or read.denies or read.tells else candidates(sentence, known)
        if not options:
            return ()
        asked = _ASKED.format(sentence=sentence)
        scores = [self._likelihood(asked, words) for words in (*(words for words, _ in options), NONE_OF_THESE)]
        best = max(range(len(scores)), key=scores.__getitem__)
        return () if best == len(options) else (options[best][1],)

    @torch.inference_mode()
    def _likelihood(self, asked: str, words: str) -> float:
        """Mean log-likelihood of the words' tokens after the question."""
        before = self._tokenizer(asked, return_tensors="pt").input_ids
        after = self._tokenizer(words, return_tensors="pt", add_special_tokens=False).input_ids
        ids = torch.cat([before, after], dim=1)
        logits = self._model(input_ids=ids).logits[0, before.shape[1] - 1 : -1]
        chosen = logits.log_softmax(-1).gather(1, after[0][:, None])
        return float(chosen.mean())
