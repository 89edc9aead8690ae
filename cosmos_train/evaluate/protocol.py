"""How a benchmark is asked: prompts, demonstrations, beams. A protocol is data: bundled by name, or a YAML file.

Light: nothing here imports torch. Every result records the whole protocol.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from typing import Protocol as Interface

import yaml
from pydantic import Field, ValidationError, field_validator

from cosmos_train.errors import UserError
from cosmos_train.settings import Settings
from cosmos_train.stream.tokenizer import VISUAL

_FIELDS = {
    "caption": {"answer"},
    "question": {"question", "answer"},
    "meme": {"text", "answer"},
    "retrieval": {"text"},
}


class HasSplit(Interface):
    """A task: its name, and the split that it scores by default."""

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...


class Prompts(Settings):
    """Templates. Demonstrations fill in {answer}, which the model must generate; the prompt ends before it."""

    caption: str = Field(default=f"{VISUAL}{{answer}}", description="captioning: {answer}")
    question: str = Field(
        default=f"{VISUAL}Question: {{question}} Short answer: {{answer}}", description="VQA: {question}, {answer}"
    )
    meme: str = Field(
        default=f"{VISUAL}The image says: {{text}} Is it hateful? Answer: {{answer}}",
        description="Hateful Memes: {text}, {answer}",
    )
    retrieval: str = Field(default=f"{VISUAL}{{text}}", description="a text to embed: {text}")

    @field_validator("*")
    @classmethod
    def _fillable(cls, value: str, info: Any) -> str:
        wanted = _FIELDS[info.field_name]
        if any(f"{{{name}}}" not in value for name in wanted):
            raise ValueError(f"must hold {', '.join(sorted(f'{{{name}}}' for name in wanted))}")
        if info.field_name != "retrieval" and not value.endswith("{answer}"):
            raise ValueError("must end with {answer}")
        return value


class Talk(Settings):
    """How a CuMo is asked: questions as LLaVA words them, in the prompt version of its training."""

    caption: str = Field(default="Describe the picture.", description="the request for a caption")
    question: str = Field(
        default="{question}\nAnswer the question using a single word or phrase.",
        description="a question with a short answer: {question}",
    )
    choice: str = Field(
        default="{question}\n{choices}\nAnswer with the option's letter from the given choices directly.",
        description="a question with choices: {question}, {choices}",
    )
    option: str = Field(default="{letter}. {choice}", description="a line of {choices}: {letter}, {choice}")
    judged: str = Field(default="{question}", description="a question for an answer that a judge scores: {question}")
    tokens: int = Field(default=64, gt=0, description="longest caption or short answer, tokens")
    judged_tokens: int | None = Field(
        default=None, gt=0, description="longest answer for the judge, tokens; none: the benchmark's own"
    )
    beams: int = Field(default=1, gt=0, description="width of the beam search; 1 is greedy")

    @field_validator("question", "judged", "choice", "option")
    @classmethod
    def _fillable(cls, value: str, info: Any) -> str:
        wanted = {"choice": ("question", "choices"), "option": ("letter", "choice")}.get(info.field_name, ("question",))
        if any(f"{{{name}}}" not in value for name in wanted):
            raise ValueError(f"must hold {', '.join(f'{{{name}}}' for name in wanted)}")
        return value


class Judge(Settings):
    """The server that scores answers: any with OpenAI's chat completions API."""

    model: str = Field(default="", description="name of the model on that server")
    base_url: str = Field(default="https://api.openai.com/v1", description="the API's root, ending in /v1")
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="NAME of the environment variable with the key; empty: no key"
    )
    concurrency: int = Field(default=8, gt=0, description="requests in flight")
    timeout: float = Field(default=120.0, gt=0, description="seconds for one answer")
    max_attempts: int = Field(default=6, gt=0, description="attempts per request")
    max_tokens: int = Field(default=512, gt=0, description="longest answer of the judge, tokens")


class Segment(Settings):
    """How segmentation processes a picture."""

    attention: Literal["correlative", "plain"] = Field(
        default="correlative", description="attention of the tower's last block: SCLIP's, or as trained"
    )
    short_side: int = Field(
        default=0, ge=0, description="shorter side of resized pictures, pixels; 0: the set's default"
    )
    stride: int = Field(default=0, ge=0, description="distance of windows, pixels; 0: half a window")
    logit_scale: float = Field(default=0.0, ge=0, description="factor from cosines to logits; 0: the set's default")
    probability: float | None = Field(
        default=None, ge=0, lt=1, description="places with a lower probability are background; none: the set's default"
    )
    area: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="classes below this share of a picture's foreground are background; none: the set's default",
    )


class Protocol(Settings):
    name: str = Field(default="default", description="name of the protocol in results")
    prompts: Prompts = Prompts()
    split: str = Field(default="", description="split to score: train, val or test; empty: the task's default")
    splits: dict[str, str] = Field(default={}, description="split to score by task, where `split` is empty")
    pictures: Literal["own", "training", "open_clip", "cosmo"] = Field(
        default="own",
        description="preprocessing of pictures: as the model's authors score it (own: of a CLIP or COSMOS open_clip's, "
        "of a CosMo as in training), training: as in training, open_clip: exact decode, shorter side by bicubic, then "
        "the middle, cosmo: shorter side to 256 for a crop of 224; no effect on a CuMo",
    )
    examples: int = Field(default=0, ge=0, description="number of examples to score, drawn at random; 0: all")
    seed: int = Field(default=42, ge=0, description="seed of the draw of examples, query set and demonstrations")
    query_set: int = Field(
        default=0, ge=0, description="number of training examples to take demonstrations from, drawn once; 0: all"
    )
    demonstrations: Literal["random", "rices"] = Field(
        default="random",
        description="random: drawn for each example; rices: the nearest by image embedding, in order, the nearest last",
    )
    zero_shot_texts: int = Field(
        default=0, ge=0, description="number of demonstrations at 0 shots, with text but without picture"
    )
    zero_shot_texts_video_qa: int = Field(default=0, ge=0, description="the same for questions on videos")
    demonstrated_answer: Literal["first", "commonest"] = Field(
        default="commonest", description="the annotators' answer that a demonstration shows"
    )
    frames: int = Field(default=3, gt=0, description="frames of a video")
    beams: int = Field(default=3, gt=0, description="width of the beam search; 1 is greedy")
    length_penalty: float = Field(
        default=0.0, description="a text's log-probability is divided by its length to this power to rank beams"
    )
    caption_tokens: int = Field(default=30, gt=0, description="longest caption, tokens")
    answer_tokens: int = Field(default=10, gt=0, description="longest answer, tokens")
    label_score: Literal["sum", "mean"] = Field(
        default="sum", description="a label's log-likelihood: summed over its tokens, or their mean"
    )
    caption_stops: tuple[str, ...] = Field(default=(), description="a caption ends before any of these")
    answer_stops: tuple[str, ...] = Field(
        default=("Question", "Answer", "Short", ", "), description="an answer ends before any of these"
    )
    classes: str = Field(
        default="",
        description="classification: a file with the classes' names (JSON {class: name}, lines of class<TAB>name, or "
        "one name per line in order); segmentation: a class per line, its names by comma; empty: the set's default",
    )
    templates: str = Field(
        default="",
        description="for classes: a bundled list of prompts (simple, imagenet, cifar, …) or a text file with one per "
        "line, {} for the class; empty: the set's default",
    )
    segment: Segment = Segment()
    talk: Talk = Talk()
    judge: Judge = Judge()
    batch_size: int = Field(default=8, gt=0, description="examples in a forward pass; no effect on results")
    cache_megabytes: int = Field(
        default=2048, ge=0, description="latents of media kept in memory, MB; no effect on the result"
    )
    max_left_out: float = Field(
        default=0.05, ge=0, le=1, description="stop if more than this share of examples has no readable media"
    )

    def split_of(self, task: HasSplit) -> str:
        """The split of a task to score."""
        return self.split or self.splits.get(task.name) or task.split


BUNDLED: dict[str, Protocol] = {
    "default": Protocol(),
    # CosMo (Wang et al. 2024) and its released evaluation, which follows OpenFlamingo's.
    "cosmo": Protocol(
        name="cosmo",
        prompts=Prompts(
            caption=f"{VISUAL}Output:{{answer}}",
            question=f"{VISUAL}Question:{{question}} Short answer:{{answer}}",
            meme=f"{VISUAL}is an image with: '{{text}}' written on it. Is it hateful? Answer:{{answer}}",
            retrieval=f"{VISUAL}A photo of a {{text}}",
        ),
        examples=5000,
        query_set=2048,
        zero_shot_texts=2,
        demonstrated_answer="first",
        beams=5,
        length_penalty=-2.0,
        caption_tokens=20,
        answer_tokens=5,
        label_score="mean",
        caption_stops=("Output",),
        frames=8,
        pictures="cosmo",
    ),
    # COSMOS (Kim et al. 2024): the splits of its retrieval tables.
    "cosmos": Protocol(name="cosmos", splits={"coco-retrieval": "val2017", "flickr30k-retrieval": "val"}),
}


def load(source: str, settings: list[str]) -> Protocol:
    """Loads the bundled protocol of that name, or the one in a YAML file, and applies `key=value` settings.

    A file holds the fields that differ from the default. Raises UserError (code 2).
    """
    from cosmos_train import recipe as recipes

    if source in BUNDLED:
        values = BUNDLED[source].model_dump()
    elif Path(source).is_file():
        try:
            read = yaml.safe_load(Path(source).read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{source} is not YAML: {error}", "fix the file", 2) from error
        if not isinstance(read, dict):
            raise UserError(f"{source} holds no settings", "a protocol is a mapping of keys to values", 2)
        values = {"name": Path(source).stem, **read}
    else:
        raise UserError(f"there is no protocol {source}", f"give a YAML file, or one of: {', '.join(BUNDLED)}", 2)
    for setting in settings:
        recipes.apply(values, setting)
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{source}: {key}: {first['msg'].removeprefix('Value error, ')}",
            f"keys of a protocol: {', '.join(Protocol.model_fields)}",
            2,
        ) from None
