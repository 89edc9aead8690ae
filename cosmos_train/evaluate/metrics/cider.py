"""CIDEr-D (Vedantam, Zitnick, Parikh, CVPR 2015, §4 and appendix): agreement of a caption with human captions.

Costs counting n-grams: about 20,000 captions a second. Papers print a score of 1.0 as 100.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import chain

from cosmos_train.evaluate.metrics.words import words

LONGEST = 4  # n-grams of 1 to 4 words, equally weighted
SIGMA = 6.0  # words: the Gaussian penalty on a difference in length
SCALE = 10.0

NGram = tuple[str, ...]


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """The score of each candidate caption against the references of the same picture, 0 to 10.

    The rarity of an n-gram is counted over the references of all given pictures: score a whole test set at once. Raises
    ValueError if a picture has no reference.
    """
    if len(candidates) != len(references):
        raise ValueError(f"{len(candidates)} captions but references of {len(references)} pictures")
    if not all(references):
        raise ValueError("a picture without references cannot be scored")
    written = [[_count(reference) for reference in those] for those in references]
    pictures = Counter(chain.from_iterable(set(chain.from_iterable(those)) for those in written))
    everywhere = math.log(len(written)) if written else 0.0

    def weigh(counts: Counter[NGram]) -> list[dict[NGram, float]]:
        """tf-idf by length of n-gram; the tf is a raw count, which the clipping below compares."""
        weights: list[dict[NGram, float]] = [{} for _ in range(LONGEST)]
        for gram, count in counts.items():
            weights[len(gram) - 1][gram] = count * (everywhere - math.log(max(1, pictures[gram])))
        return weights

    found = []
    for candidate, those in zip(candidates, written, strict=True):
        said = _count(candidate)
        weighed = weigh(said)
        scores = [_similarity(weighed, weigh(one), _length(said) - _length(one)) for one in those]
        found.append(SCALE * sum(scores) / len(scores))
    return found


def tells_nothing(references: Sequence[Sequence[str]]) -> bool:
    """Whether every score against these references is 0: no n-gram is in fewer than all pictures (one picture, say)."""
    grams = [set(chain.from_iterable(map(_count, those))) for those in references]
    return all(one == grams[0] for one in grams)


def _count(caption: str) -> Counter[NGram]:
    split = words(caption)
    return Counter(tuple(split[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(split) - n + 1))


def _length(counts: Counter[NGram]) -> int:
    return sum(count for gram, count in counts.items() if len(gram) == 1)


def _similarity(said: list[dict[NGram, float]], wrote: list[dict[NGram, float]], longer: int) -> float:
    """Mean over n of the clipped cosine, times the penalty for `longer` words too many or too few."""
    penalty = math.exp(-(longer**2) / (2 * SIGMA**2))
    total = 0.0
    for ours, theirs in zip(said, wrote, strict=True):
        norms = math.sqrt(sum(w * w for w in ours.values()) * sum(w * w for w in theirs.values()))
        if norms:
            total += sum(min(w, theirs[gram]) * theirs[gram] for gram, w in ours.items() if gram in theirs) / norms
    return penalty * total / LONGEST
