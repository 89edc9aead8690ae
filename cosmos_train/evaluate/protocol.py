"""How a benchmark is asked: prompts, demonstrations, beams. A protocol is data: bundled by name, or a YAML file.

Light: nothing here imports torch. Every result carries the whole protocol it was made with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

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


class Prompts(Settings):
    """Templates. What a demonstration fills in at {answer} the model is to say; the prompt ends before it."""

    caption: str = Field(default=f"{VISUAL}{{answer}}", description="captioning: {answer}")
    question: str = Field(
        default=f"{VISUAL}Question: {{question}} Short answer: {{answer}}", description="VQA: {question}, {answer}"
    )
    meme: str = Field(
        default=f"{VISUAL}The image says: {{text}} Is it hateful? Answer: {{answer}}",
        description="Hateful Memes: {text}, {answer}",
    )
    retrieval: str = Field(default=f"{VISUAL}{{text}}", description="a text to be embedded: {text}")

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
    """How a CuMo is asked: questions as LLaVA words them, in the prompt version that it was trained with."""

    caption: str = Field(default="Describe the picture.", description="what captions are asked for with")
    question: str = Field(
        default="{question}\nAnswer the question using a single word or phrase.",
        description="a question with a short answer: {question}",
    )
    choice: str = Field(
        default="{question}\n{choices}\nAnswer with the option's letter from the given choices directly.",
        description="a question with choices: {question}, {choices}",
    )
    option: str = Field(default="{letter}. {choice}", description="a line of {choices}: {letter}, {choice}")
    judged: str = Field(default="{question}", description="a question whose answer is judged: {question}")
    tokens: int = Field(default=64, gt=0, description="longest caption or short answer, tokens")
    judged_tokens: int = Field(default=512, gt=0, description="longest answer that is judged, tokens")
    beams: int = Field(default=1, gt=0, description="width of the beam search; 1 is greedy")

    @field_validator("question", "judged", "choice", "option")
    @classmethod
    def _fillable(cls, value: str, info: Any) -> str:
        wanted = {"choice": ("question", "choices"), "option": ("letter", "choice")}.get(info.field_name, ("question",))
        if any(f"{{{name}}}" not in value for name in wanted):
            raise ValueError(f"must hold {', '.join(f'{{{name}}}' for name in wanted)}")
        return value


class Judge(Settings):
    """The server that scores answers: any that speaks OpenAI's chat completions."""

    model: str = Field(default="", description="the model's name on that server")
    base_url: str = Field(default="https://api.openai.com/v1", description="the API's root, ending in /v1")
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="NAME of the environment variable with the key; empty: no key"
    )
    concurrency: int = Field(default=8, gt=0, description="requests in flight")
    timeout: float = Field(default=120.0, gt=0, description="seconds for one answer")
    max_attempts: int = Field(default=6, gt=0, description="tries of one request")
    max_tokens: int = Field(default=512, gt=0, description="longest answer of the judge, tokens")


class Segment(Settings):
    """How segmentation looks at a picture."""

    attention: Literal["correlative", "plain"] = Field(
        default="correlative", description="of the tower's last block: SCLIP's, or as it was trained"
    )
    short_side: int = Field(
        default=0, ge=0, description="pictures are resized to this shorter side, pixels; 0: the set's own"
    )
    stride: int = Field(default=0, ge=0, description="pixels from one window to the next; 0: half a window")
    logit_scale: float = Field(default=0.0, ge=0, description="cosines times this are logits; 0: the set's own")
    probability: float | None = Field(
        default=None, ge=0, lt=1, description="places less sure than this are background; none: the set's own"
    )
    area: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="classes with less than this share of a picture's foreground are background; none: the set's own",
    )


class Protocol(Settings):
    name: str = Field(default="default", description="what the protocol is called in results")
    prompts: Prompts = Prompts()
    split: str = Field(default="", description="split to score: train, val or test; empty: the task's own")
    examples: int = Field(default=0, ge=0, description="examples scored, drawn at random; 0: all")
    seed: int = Field(default=42, ge=0, description="of the draw of examples, query set and demonstrations")
    query_set: int = Field(
        default=0, ge=0, description="training examples that demonstrations are taken from, drawn once; 0: all"
    )
    demonstrations: Literal["random", "rices"] = Field(
        default="random",
        description="random: drawn for each example; rices: the nearest by image embedding, the nearest last",
    )
    zero_shot_texts: int = Field(
        default=0, ge=0, description="demonstrations at 0 shots that keep their text and lose their picture"
    )
    zero_shot_texts_video_qa: int = Field(default=0, ge=0, description="the same for questions on videos")
    demonstrated_answer: Literal["first", "commonest"] = Field(
        default="commonest", description="which of the annotators' answers a demonstration shows"
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
        default=("Question", "Answer", "Short", ","), description="an answer ends before any of these"
    )
    classes: str = Field(
        default="",
        description="classification: a file with the classes' names (JSON {class: name}, lines of class<TAB>name, or "
        "one name a line in order); segmentation: a class a line, its names by comma; empty: the set's own",
    )
    templates: str = Field(
        default="",
        description="of classes: a bundled list of prompts (simple, imagenet, cifar, …) or a text file with one a "
        "line, {} for the class; empty: the set's own",
    )
    segment: Segment = Segment()
    talk: Talk = Talk()
    judge: Judge = Judge()
    batch_size: int = Field(default=8, gt=0, description="examples in a forward pass; no effect on what is asked")
    cache_megabytes: int = Field(
        default=2048, ge=0, description="latents of media kept in memory, MB; no effect on the result"
    )
    max_left_out: float = Field(
        default=0.05, ge=0, le=1, description="stop where more than this share of examples has no readable media"
    )


BUNDLED: dict[str, Protocol] = {
    "default": Protocol(),
    # CosMo (Wang et al. 2024) and its released evaluation, which follow OpenFlamingo's.
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
    ),
}


def load(source: str, settings: list[str]) -> Protocol:
    """The bundled protocol of that name, or the one in a YAML file, with `key=value` settings applied.

    A file holds the fields that differ from the default. Raises UserError (code 2).
    """
    from cosmos_train import recipe as recipes

    if source in BUNDLED:
        values = BUNDLED[source].model_dump()
    elif Path(source).is_file():
        try:
            read = yaml.safe_load(Path(source).read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{source} is not YAML: {error}", "mend the file", 2) from error
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
            f"a protocol may hold: {', '.join(Protocol.model_fields)}",
            2,
        ) from None
