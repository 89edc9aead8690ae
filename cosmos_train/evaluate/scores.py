"""Held-out scores of a checkpoint, each with the level of chance or of a blind model.

Retrieval: given a clip's frames, find its text among N distinct ones; mean and standard error over draws of N clips.
Language: loss per token with a sample's own frames, and with another document's: a model that looks does better.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cosmos_train.errors import UserError
from cosmos_train.evaluate.clips import Embedded, LanguageLosses, embed, language_losses
from cosmos_train.evaluate.metrics.ranking import mean
from cosmos_train.evaluate.stored import Score
from cosmos_train.stream.settings import DataSettings


@dataclass(frozen=True)
class Retrieval:
    """R@1 of frames to text among `candidates` distinct texts: mean over `draws`, and its s.e.

    shuffled, shuffled_error: the same with the frames shuffled across clips.
    """

    recall: float
    error: float
    shuffled: float
    shuffled_error: float
    chance: float
    candidates: int
    draws: int


@dataclass(frozen=True)
class Language:
    """Nats per token with a sample's own frames and with another document's; error: s.e. of the difference."""

    own_frames: float
    shuffled_frames: float
    error: float
    samples: int


@dataclass(frozen=True)
class Scores:
    checkpoint: str
    step: int
    clips: int
    retrieval: Retrieval
    language: Language


def evaluate(
    path: Path, settings: list[str], candidates: int = 64, draws: int = 10, max_clips: int = 2048, seed: int = 0
) -> Scores:
    """Scores the checkpoint at `path` on the shards in `settings` (`data.shards=…`).

    Raises UserError if there is no checkpoint, or the shards hold fewer than two distinct texts.
    """
    from cosmos_train import recipe as recipes
    from cosmos_train.train.parallel import device_of
    from cosmos_train.train.precision import autocast
    from cosmos_train.train.starting import load_model

    trained, model = load_model(path)
    recipe = recipes.build(trained.recipe.model_dump(), settings, str(trained.folder))
    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)
    data: DataSettings = recipe.data
    device = device_of(recipe)
    with autocast(recipe, device):
        embedded = embed(model, data, trained.tokenizer, max_clips, device)
        losses = language_losses(model, data, trained.tokenizer, max_clips, device)
    return Scores(
        checkpoint=str(trained.folder),
        step=trained.step,
        clips=len(embedded.texts),
        retrieval=retrieval(embedded, candidates, draws, seed),
        language=language(losses),
    )


def measures(scores: Scores) -> list[Score]:
    """As the run's evaluations keep them. The error of the language loss is that of the gain from frames."""
    found, language = scores.retrieval, scores.language
    gain = language.shuffled_frames - language.own_frames
    return [
        Score(
            f"R@1, frames to text, of {found.candidates}", found.recall, found.error, found.chance, found.shuffled,
            examples=scores.clips,
        ),
        Score(
            "language loss, nats per token", language.own_frames, None, None, language.shuffled_frames,
            examples=language.samples,
        ),
        Score("gain from frames, nats per token", gain, language.error, 0.0, examples=language.samples, least=None),
    ]  # fmt: skip


def retrieval(
    embedded: Embedded, candidates: int, draws: int, seed: int, meanings: Sequence[Hashable] | None = None
) -> Retrieval:
    """See the module. If there are fewer distinct texts, all of them are candidates.

    meanings: of each text; texts with equal meaning are not distinct. Default: equal texts, ignoring case.
    """
    texts: dict[Hashable, list[int]] = {}
    for number, text in enumerate(meanings or [text.casefold() for text in embedded.texts]):
        texts.setdefault(text, []).append(number)
    candidates = min(candidates, len(texts))
    if candidates < 2:
        raise UserError("retrieval needs at least two distinct texts", "evaluate on more documents")
    found, shuffled = [], []
    for draw in range(draws):
        random = np.random.default_rng((seed, draw))
        chosen = random.permutation(len(texts))[:candidates]
        groups = list(texts.values())
        rows = torch.tensor([groups[text][random.integers(len(groups[text]))] for text in chosen])
        wrong = rows[torch.from_numpy(random.permutation(candidates))]
        found.append(recall_at_1(embedded.media[rows], embedded.text[rows]))
        shuffled.append(recall_at_1(embedded.media[wrong], embedded.text[rows]))
    own, other = mean(found), mean(shuffled)
    return Retrieval(
        recall=own.value,
        error=own.error,
        shuffled=other.value,
        shuffled_error=other.error,
        chance=1 / candidates,
        candidates=candidates,
        draws=draws,
    )


def recall_at_1(media: Tensor, text: Tensor) -> float:
    """The share of rows with their own text nearest. Ties count against the model."""
    similarity = media @ text.T
    own = similarity.diagonal()
    return float(((similarity >= own[:, None]).sum(1) == 1).float().mean())


def language(losses: LanguageLosses) -> Language:
    """See the module. Raises UserError if no two documents can be compared."""
    samples = len(losses.tokens)
    if samples == 0:
        raise UserError(
            "shuffling frames needs two documents with the same number of clips", "evaluate on more documents"
        )
    tokens = losses.tokens.sum()
    own, other = float(losses.own.sum() / tokens), float(losses.other.sum() / tokens)
    # Error of a ratio of sums: each sample's share of the difference, relative to the mean difference per token.
    residual = (losses.other - losses.own) - (other - own) * losses.tokens
    error = float(residual.pow(2).sum().sqrt() / tokens)
    return Language(own, other, error, samples)
