"""Text to token ids. One interface for a byte-level BPE trained on the shards and a pretrained model's tokenizer.

Saved as one tokenizer.json next to the weights. Training is deterministic: same texts, same file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from cosmos_train.stream.clip_tokenizer import BEGIN as CLIP_BEGIN
from cosmos_train.stream.clip_tokenizer import END as CLIP_END
from cosmos_train.stream.clip_tokenizer import clean, clip_backend

PAD, BEGIN, END, VISUAL, END_OF_CHUNK = "<pad>", "<s>", "</s>", "<visual>", "<|endofchunk|>"
SPECIAL = (PAD, BEGIN, END, VISUAL, END_OF_CHUNK)


class Tokenizer:
    """`begin`, `end`, `pad`, `visual`, `end_of_chunk` are the ids of the special tokens; `size` counts all tokens."""

    def __init__(self, backend: Backend, begin: str = BEGIN, end: str = END, pad: str = PAD) -> None:
        self.backend = backend
        self.backend.no_padding()
        self.backend.no_truncation()
        self.backend.add_special_tokens(
            [AddedToken(token, special=True) for token in (begin, end, pad, VISUAL, END_OF_CHUNK)]
        )
        ids: dict[str, int] = backend.get_vocab(with_added_tokens=True)
        self.begin, self.end, self.pad = ids[begin], ids[end], ids[pad]
        self.visual, self.end_of_chunk = ids[VISUAL], ids[END_OF_CHUNK]
        self.names = {"begin": begin, "end": end, "pad": pad}
        self._markers = (*self.names.values(), VISUAL, END_OF_CHUNK)
        self.size = backend.get_vocab_size(with_added_tokens=True)
        self._clean = clean if begin == CLIP_BEGIN else str

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int) -> Tokenizer:
        """Trains a byte-level BPE of at most `vocabulary` tokens."""
        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(backend)

    @classmethod
    def pretrained(cls, name: str) -> Tokenizer:
        """The tokenizer of a Hugging Face model (hub id or folder), with our tokens added."""
        from cosmos_train.models.backends import transformers

        loaded = transformers().AutoTokenizer.from_pretrained(name)
        end = loaded.eos_token
        return cls(loaded.backend_tokenizer, loaded.bos_token or end, end, loaded.pad_token or PAD)

    @classmethod
    def clip(cls) -> Tokenizer:
        """CLIP's tokenizer."""
        return cls(clip_backend(), CLIP_BEGIN, CLIP_END)

    @classmethod
    def load(cls, path: Path, names: dict[str, str]) -> Tokenizer:
        """Raises ValueError if the file is not a tokenizer."""
        try:
            backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ValueError(f"{path.name} is not a tokenizer: {error}") from error
        return cls(backend, **names)

    def save(self, path: Path) -> None:
        self.backend.save(str(path), pretty=False)

    def without_markers(self, text: str) -> str:
        """The text with special tokens in it replaced by spaces."""
        for marker in self._markers:
            text = text.replace(marker, " ")
        return text

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone, without special tokens."""
        return self._ids(self._clean(text))

    def encode_words(self, text: str) -> list[int]:
        """The same, with special tokens in the text replaced by spaces, also those that cleaning brings to light."""
        return self._ids(self.without_markers(self._clean(text)))

    def _ids(self, text: str) -> list[int]:
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: list[int]) -> str:
        return str(self.backend.decode(ids, skip_special_tokens=True)).strip()
