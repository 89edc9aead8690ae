"""How the trainer reads a document, through the one function that `cosmos_train` has for it.

No other module of the viewer imports the trainer; without torch this page says what to install.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from interlink.engines.present import importing
from interlink.errors import UserError
from interlink.report.view.site import Looked

MAX_TOKENS = 128  # the trainer's default length of a sample
_TRAINED_ON = 500  # documents that the tokenizer of a build without a model is trained on
_tokenizers: dict[str, Any] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class ModelReads:
    """tokens: of `cosmos_train.stream.reading`; problem: why there are none."""

    tokens: tuple[Any, ...] = ()
    max_tokens: int = MAX_TOKENS
    tokenizer: str = ""
    problem: str = ""

    @property
    def cut(self) -> int:
        return sum(token.cut for token in self.tokens)


def model_reads(
    key: str, texts: Callable[[], Iterable[str]], name: str, document: Mapping[str, Any], max_tokens: int | None
) -> ModelReads:
    """The document as one sample.

    name: a tokenizer's folder or hub id; empty: one trained on `texts`, which is kept under `key`.
    """
    longest = min(max_tokens or MAX_TOKENS, 1 << 20)
    try:
        with importing("reading as the model reads", "pip install 'interlink[train]'"):
            from cosmos_train.stream import reading
        with _lock:
            kept = name or key
            if kept not in _tokenizers:
                _tokenizers[kept] = reading.load_tokenizer(name) if name else reading.train_tokenizer(texts())
        tokens = reading.read_document(document, _tokenizers[kept], longest)
    except UserError as error:
        return ModelReads(max_tokens=longest, problem=f"{error.what}: {error.do}")
    return ModelReads(tokens, longest, name or "a byte-level BPE trained on the first documents here")


def texts_of(looked: Looked) -> Iterator[str]:
    """The texts of the first documents; the same for the same build."""
    tables = looked.tables
    for document in islice(tables.workspace.documents(tables.lock.fingerprints["interleave"]), _TRAINED_ON):
        yield from (segment["text"] for segment in document["segments"] if segment["type"] == "text")
