"""What depends on `data.form`: how documents are read, the sample at a position, and the type of batch."""

from __future__ import annotations

from collections.abc import Sequence

from cosmos_train.stream.batch import BadSample, BatchBase, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.corpus import Corpus
from cosmos_train.stream.index import Lengths
from cosmos_train.stream.loader import Samples
from cosmos_train.stream.settings import DataSettings
from cosmos_train.stream.tokenizer import Tokenizer


def open_corpus(data: DataSettings, setting: str) -> Corpus:
    """The documents of one source. setting: the recipe's key for its shards."""
    if data.form == "views":
        from cosmos_train.stream.views.samples import SceneCorpus

        return SceneCorpus(data, setting)
    if data.form == "talk":
        from cosmos_train.stream.talk.corpus import TalkCorpus

        return TalkCorpus(data, setting)
    return Corpus(data.shards, data.text, data.clips_per_sample, data.match_threshold, data.match_noise, setting)


def open_samples(corpus: Corpus, data: DataSettings, seed: int) -> Samples:
    """The samples of a corpus by position."""
    if data.form == "views":
        from cosmos_train.stream.views.samples import ViewSamples

        return ViewSamples(corpus, data, seed)
    if data.form == "talk":
        from cosmos_train.stream.talk.corpus import TalkSamples

        return TalkSamples(corpus, data, seed)
    return Samples(corpus, data, seed)


def counted(data: DataSettings) -> bool:
    """Whether a stream needs the lengths of all samples before it begins."""
    weighed = data.mixture == "weighted" and data.weigh_by != "samples"
    return data.pack.tokens > 0 or weighed or (data.form == "talk" and data.talk.group_batches > 0)


def group(samples: Samples, lengths: Lengths | None, rows: int, accumulation: int) -> None:
    """Groups similar samples in batches of `rows`, or in steps of so many batches, if the recipe asks for it."""
    if samples.data.form == "talk" and samples.data.talk.group_batches and lengths is not None:
        from cosmos_train.stream.talk.corpus import TalkSamples

        assert isinstance(samples, TalkSamples)
        samples.group(lengths, rows, accumulation)


def lay_out(items: Sequence[Sample | BadSample], data: DataSettings, tokenizer: Tokenizer, source: str) -> BatchBase:
    """A batch of rows that are not packed: a Batch, or the form's own type."""
    if data.form == "views":
        from cosmos_train.stream.views.batch import collate_views

        views = data.views
        sizes, counts = (data.image.size, views.local_size), (views.global_views, views.local_views)
        return collate_views(items, tokenizer, data.max_tokens, sizes, counts, source)
    if data.form == "talk":
        from cosmos_train.stream.talk.batch import collate_talk

        return collate_talk(items, tokenizer, data.talk, data.max_tokens, data.image.size, source)
    return collate(items, tokenizer, data.max_tokens, source, data.learn_lead)
