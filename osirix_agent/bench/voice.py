"""`osirix-agent bench voice`: how many sentences are understood, intent and every slot, and how many wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from osirix_agent.bench.sentences import (
    KNOWN,
    PARAPHRASES,
    UNSEEN,
    Sentence,
    read_sentences,
    recipe,
)
from osirix_agent.figures import Figure
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.guesser import Chooser, else_guessed

REACH = "at least 97 % right"
REACH_WRONG = "upper 95 % bound at most 0.5 %"
RECIPE_SENTENCES = 600
# what the sets gave when they were new: right, something else carried out; to the thirty-fourth without guesses
_AS_NEW = {
    "first": "84.4 % and 2.4 %", "second": "96.3 % and 1.1 %", "third": "75.3 % and 2.7 %",
    "fourth": "91.5 % and 1.4 %", "fifth": "86.2 % and 1.4 %", "sixth": "97.6 % and 0.0 %",
    "seventh": "86.5 % and 2.4 %", "eighth": "98.2 % and 0.6 %", "ninth": "100.0 % and 0.0 %",
    "tenth": "88.0 % and 0.3 %", "eleventh": "84.7 % and 3.3 %", "twelfth": "92.7 % and 0.0 %",
    "thirteenth": "74.7 % and 1.0 %", "fourteenth": "81.3 % and 0.7 %", "fifteenth": "95.7 % and 0.7 %",
    "sixteenth": "93.3 % and 0.3 %", "seventeenth": "94.3 % and 2.3 %", "eighteenth": "87.0 % and 0.3 %",
    "nineteenth": "96.3 % and 0.7 %", "twentieth": "96.0 % and 0.3 %",
    "twenty-first": "99.3 % and 0.0 %", "twenty-second": "80.7 % and 0.3 %",
    "twenty-third": "95.7 % and 0.3 %", "twenty-fourth": "98.7 % and 0.0 %",
    "twenty-fifth": "84.0 % and 0.0 %", "twenty-sixth": "81.0 % and 0.3 %", "twenty-seventh": "88.0 % and 0.0 %",
    "twenty-eighth": "84.0 % and 1.0 %", "twenty-ninth": "91.3 % and 0.3 %",
    "thirtieth": "86.7 % and 1.0 %", "thirty-first": "93.7 % and 1.3 %",
    "thirty-second": "88.0 % and 1.0 %", "thirty-third": "88.7 % and 1.0 %", "thirty-fourth": "88.3 % and 2.0 %",
    "thirty-fifth": "97.7 % and 0.3 %", "thirty-sixth": "94.0 % and 0.3 %", "thirty-seventh": "94.3 % and 0.0 %",
}  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One sentence: was it understood as meant, and was anything else carried out instead of asked back?

    Attributes
    ----------
    waits : an order, understood as meant, that a yes is asked for
    guessed : the grammar did not understand it, and an order was offered
    """

    sentence: Sentence
    right: bool
    wrong_action: bool
    waits: bool
    guessed: bool = False


def judge(sentence: Sentence, known: Sequence[str] = KNOWN, chooser: Chooser | None = None) -> Outcome:
    """Right: intents and all slots as expected (a confirmation may still be asked for), or asked back where it must be.
    A wrong action: what would be carried out unasked is not what is expected."""
    alone = understand(sentence.say, known)
    understood = else_guessed(alone, chooser, known)
    done = understood.to_be_done
    if sentence.intents:
        right = not understood.questions and understood.intents == sentence.intents
    else:
        right = not done
    waits = right and bool(sentence.intents) and done != sentence.intents
    guessed = bool(alone.questions) and not understood.questions
    return Outcome(sentence, right, bool(done) and done != sentence.intents, waits, guessed)


def interval(held: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Two-sided and exact, of a share (Clopper & Pearson 1934)."""
    if n == 0:
        return 0.0, 1.0
    low, high = binomtest(held, n).proportion_ci(level, "exact")
    return float(low), float(high)


def upper_bound(wrong: int, n: int) -> float:
    """One-sided 95 % upper bound of a share."""
    return interval(wrong, n, 0.90)[1]


def figures_of(name: str, outcomes: Sequence[Outcome], note: str) -> list[Figure]:
    """The figures of a set of sentences."""
    n = len(outcomes)
    right, wrong = sum(o.right for o in outcomes), sum(o.wrong_action for o in outcomes)
    share, bound = right / max(n, 1), upper_bound(wrong, n)
    missed = "; ".join(o.sentence.say for o in outcomes if not o.right)
    return [
        Figure(id=f"voice.text.{name}", value=100 * share, unit="%", n=n, reach=REACH, holds=share >= 0.97,
               note=note + (f" Not as meant: {missed}." if missed else "")),
        Figure(id=f"voice.text.{name}.wrong", value=100 * wrong / max(n, 1), unit="%", interval=(0.0, 100 * bound), n=n,
               reach=REACH_WRONG, holds=bound <= 0.005,
               note="Carried out instead of asked back; the interval's end is the one-sided 95 % bound."),
        confirmed(f"voice.text.{name}.confirmed", [o.waits for o in outcomes if o.right and o.sentence.intents]),
        *_guessed(f"voice.text.{name}.guessed", outcomes),
    ]  # fmt: skip


def _guessed(id_: str, outcomes: Sequence[Outcome]) -> list[Figure]:
    """What was offered because the grammar did not understand: nothing was done, and a yes was asked for."""
    offered = [o for o in outcomes if o.guessed]
    meant, idle = [o for o in offered if o.sentence.intents], [o for o in outcomes if not o.sentence.intents]
    if not offered:
        return []
    right = sum(o.right for o in meant)
    note = (
        f"Of {len(outcomes)} sentences: right only because it was guessed. Offered beside it: something else than was "
        f"meant {len(meant) - right} times, an order where none was meant {len(offered) - len(meant)} of {len(idle)}."
    )
    return [Figure(id=id_, value=100 * right / len(outcomes), unit="%", n=len(outcomes), note=note)]


def confirmed(id_: str, waits: Sequence[bool]) -> Figure:
    """Of orders that were understood, the share that a yes is asked for."""
    low, high = interval(sum(waits), len(waits))
    share = 100 * sum(waits) / len(waits) if waits else None
    return Figure(id=id_, value=share, unit="%", interval=(100 * low, 100 * high), n=len(waits),
                  note="Of orders understood as meant: a yes is asked for first.")  # fmt: skip


def measure_text(seed: int, corpus: Path | None, chooser: Chooser | None = None) -> list[Figure]:
    """Typed sentences: those of a file, or the paraphrases and the recipe's.

    Parameters
    ----------
    chooser : guesses, to be confirmed, what the grammar does not understand; None: the grammar alone
    """
    if corpus is not None:
        found = [judge(s, KNOWN, chooser) for s in read_sentences(corpus)]
        return figures_of("corpus", found, "The sentences of the file.")
    written = {name: [judge(s, KNOWN, chooser) for s in read_sentences(path)] for name, path in PARAPHRASES.items()}
    made = [judge(s, KNOWN, chooser) for s in recipe(seed, RECIPE_SENTENCES)]
    notes = {
        name: f"New they gave {then}; " + ("never improved upon." if name in UNSEEN else "improved upon since.")
        for name, then in _AS_NEW.items()
    }
    rows = [figures_of(n, o, notes[n]) for n, o in written.items()]
    unseen = [one for name in UNSEEN for one in written[name]]
    rows.append(figures_of("unseen", unseen, f"Never improved upon: the {', the '.join(UNSEEN)}."))
    every = [one for outcomes in (*written.values(), made) for one in outcomes]
    return [figure for row in (*rows, figures_of("all", every, "These and the recipe's.")) for figure in row]
