"""Sentence ends by a token classifier: a tiny random one, made here. Its ends are nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlink.engines.ends import CONTEXT, WINDOW, RestoreSettings, SentenceEnds
from interlink.errors import UserError
from interlink.subtitles.sentences import sentences_of
from interlink.subtitles.words import Word

WORDS = ["salt", "water", "now", "okay", "pasta", "the"]


def save(folder: Path, labels: list[str]) -> Path:
    """A BERT of two layers whose output depends on the word alone: `now` begins after an end."""
    from interlink.engines.guard import ensure_torchvision

    ensure_torchvision()
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    inner = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(names), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=512, num_labels=len(labels), id2label=dict(enumerate(labels)),
        label2id={label: n for n, label in enumerate(labels)},
    )  # fmt: skip
    model = transformers.BertForTokenClassification(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="transformers (the extra `models`) is not installed")
    return save(tmp_path_factory.mktemp("ends") / "tiny", ["0", ".", ",", "?"])


def opened(folder: Path, threshold: float = 0.5) -> SentenceEnds:
    ends = SentenceEnds(RestoreSettings(model=str(folder), threshold=threshold, device="cpu"))
    ends.open()
    return ends


def test_every_word_ends_a_sentence_or_none_does_by_the_threshold(checkpoint: Path) -> None:
    words = WORDS * 3

    assert opened(checkpoint, 0.001)(words) == list(range(1, len(words)))
    assert opened(checkpoint, 0.999)(words) == []


def test_long_texts_are_judged_in_windows_and_every_word_once(checkpoint: Path) -> None:
    words = WORDS * ((2 * WINDOW + CONTEXT) // len(WORDS))

    assert opened(checkpoint, 0.001)(words) == list(range(1, len(words)))
    assert opened(checkpoint)([]) == []


def test_speech_without_punctuation_is_cut_where_the_model_says() -> None:
    words = [Word(text, float(n), n + 0.5, timed=True) for n, text in enumerate(["okay", "salt", "now", "water"])]

    assert [one.text for one in sentences_of(words, lambda texts: [texts.index("now")])] == ["okay salt", "now water"]


def test_a_checkpoint_that_knows_no_ends_or_is_absent_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no label of a sentence end") as raised:
        opened(save(tmp_path / "names", ["O", "PERSON"]))
    assert "transcribe.restore.model" in raised.value.do

    with pytest.raises(UserError, match="absent"):
        SentenceEnds.check(RestoreSettings(model=str(tmp_path / "absent")))


def test_each_window_has_its_context_and_only_its_own_words_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (WINDOW, CONTEXT) == (160, 32)
    ends = SentenceEnds(RestoreSettings(model="x", threshold=0.5))
    seen: list[tuple[str, str, int]] = []
    sure = {"0": 0.49, "1": 0.5, "158": 0.6, "159": 0.7, "160": 0.8, "191": 0.9, "319": 0.9, "320": 0.9, "398": 1.0, "399": 1.0}  # fmt: skip  # noqa: E501

    def likely(words: list[str]) -> list[float]:
        seen.append((words[0], words[-1], len(words)))
        return [sure.get(word, 0.0) for word in words]

    monkeypatch.setattr(ends, "_likely", likely)
    assert ends([str(n) for n in range(400)]) == [2, 159, 160, 161, 192, 320, 321, 399]
    assert seen == [("0", "191", 192), ("128", "351", 224), ("288", "399", 112)]
    seen.clear()
    ends([str(n) for n in range(160)])
    assert seen == [("0", "159", 160)]


def test_the_end_after_a_word_is_what_its_last_token_says_of_all_labels_of_ends(checkpoint: Path) -> None:
    import torch

    ends = opened(checkpoint)
    given = ends._tokenizer(["salt", "water"], is_split_into_words=True, return_tensors="pt")
    shares = ends._model(**given).logits[0].float().softmax(-1)
    assert ends._ends == [1, 3]  # `.` and `?`, not `,`
    wanted = (shares[:, 1] + shares[:, 3])[1:3]  # after [CLS]
    assert torch.tensor(ends._likely(["salt", "water"])).tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
    ends.close()
    assert ends._model is None and ends._tokenizer is None
