"""A trigram language model of sentences, in the ARPA format that recognisers read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from math import log10

ORDER = 3
_START, _END = "<s>", "</s>"
_NEVER = -99.0


def arpa(sentences: Iterable[list[str]]) -> str:
    """Interpolated with the weights of Witten & Bell (1991): as many new words after a context, so much is kept for
    those not seen there."""
    counts: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(ORDER)]
    for sentence in sentences:
        words = [_START, *sentence, _END]
        for n in range(ORDER):
            counts[n].update(tuple(words[at : at + n + 1]) for at in range(len(words) - n))
    del counts[0][(_START,)]
    total = sum(counts[0].values())
    chance: dict[tuple[str, ...], float] = {gram: count / total for gram, count in counts[0].items()}
    kept: dict[tuple[str, ...], float] = {}  # context to the share of what was not seen after it
    for n in range(1, ORDER):
        follows: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for gram, count in counts[n].items():
            follows[gram[:-1]].append(count)
        for context, seen in follows.items():
            kept[context] = len(seen) / (len(seen) + sum(seen))
        for gram, count in counts[n].items():
            new = kept[gram[:-1]]
            chance[gram] = (1 - new) * count / sum(follows[gram[:-1]]) + new * chance[gram[1:]]
    lines = ["\\data\\", f"ngram 1={len(counts[0]) + 1}", *(f"ngram {n + 1}={len(counts[n])}" for n in (1, 2))]
    for n in range(ORDER):
        lines += ["", f"\\{n + 1}-grams:"]
        if n == 0:
            lines.append(f"{_NEVER} {_START} {log10(kept[(_START,)]):.4f}")
        for gram in sorted(counts[n]):
            weight = f" {log10(kept[gram]):.4f}" if gram in kept else ""
            lines.append(f"{log10(chance[gram]):.4f} {' '.join(gram)}{weight}")
    return "\n".join([*lines, "", "\\end\\", ""])
