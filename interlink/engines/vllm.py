"""Captions and narrations by vLLM in this process: its offline engine, which fills a GPU with a window of requests.

Costs the model on one or more GPUs per worker. Never runs code of a checkpoint. Written for the interface of vLLM 0.33
(`LLM.chat`, `LLM.generate`); tested only with a stand-in, without a GPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity, fill_prompt
from interlink.engines.frames import evenly, to_picture
from interlink.engines.local import Batches, folder_revision, local_folder
from interlink.engines.openai import PROMPT, question
from interlink.engines.present import importing, require_model, require_packages
from interlink.engines.settings import VllmCaptionSettings, VllmSettings
from interlink.engines.writer import Writer, WriteRequest, Written
from interlink.errors import StageError, UserError
from interlink.settings import Settings
from interlink.stage import Resources

CAPTION, NARRATE = "caption.vllm", "narrate.vllm"  # the blocks of the recipe
_WHO = "the vllm engine"
_INSTALL = (
    "pip install 'interlink[vllm]' in a separate environment (it pins a torch build for CUDA), or "
    "serve the model elsewhere and set the engine to openai"
)


def check_vllm(settings: VllmSettings, where: str) -> None:
    """Raises UserError where the model or the package is missing. Costs milliseconds."""
    require_model(settings.model, settings.revision, where, ("config.json", "params.json"))
    require_packages(_WHO, ("vllm",), _INSTALL)


@dataclass(frozen=True)
class Generated:
    """One answer. flag: like a caption's. tokens: of the answer."""

    text: str
    flag: str
    tokens: int


class VllmModel:
    """A model loaded by vLLM."""

    def __init__(self, settings: VllmSettings, where: str, images: int) -> None:
        """where: the block of the recipe with `settings`. images: most images in one request.

        Raises UserError without vLLM or a GPU, and where the model is missing or not supported by vLLM.
        """
        folder = local_folder(settings.model, where)
        with importing(_WHO, _INSTALL):
            from vllm import LLM, SamplingParams
        options: dict[str, Any] = {}
        if settings.max_model_len:
            options["max_model_len"] = settings.max_model_len
        if folder is None and settings.revision:
            options["revision"] = settings.revision
        if images:
            options["limit_mm_per_prompt"] = {"image": images}
        try:
            self._llm: Any = LLM(
                model=settings.model if folder is None else str(folder),
                dtype=settings.dtype,
                tensor_parallel_size=settings.gpus,
                gpu_memory_utilization=settings.gpu_memory,
                seed=settings.seed,
                trust_remote_code=False,
                **options,
            )
        except (OSError, ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"vLLM cannot load {settings.model!r}: {first}",
                f"check {where}: a model that vLLM supports, {settings.gpus} GPUs, and enough memory",
            ) from error
        self._sampling: Any = SamplingParams(
            temperature=settings.temperature, max_tokens=settings.max_tokens, seed=settings.seed
        )
        self.name = settings.model if folder is None else folder.name
        self.revision = self._commit() if folder is None else folder_revision(folder)

    def _commit(self) -> str:
        config = getattr(getattr(self._llm.llm_engine, "model_config", None), "hf_config", None)
        return str(getattr(config, "_commit_hash", None) or "")

    def chat(self, conversations: list[list[dict[str, Any]]]) -> list[Generated]:
        """Answers to conversations, in order."""
        return self._all(lambda: self._llm.chat(conversations, self._sampling, use_tqdm=False), len(conversations))

    def generate(self, prompts: list[dict[str, Any]]) -> list[Generated]:
        """Continuations of prompts (`prompt`, `multi_modal_data`), for models without a chat format."""
        return self._all(lambda: self._llm.generate(prompts, self._sampling, use_tqdm=False), len(prompts))

    def _all(self, ask: Any, asked: int) -> list[Generated]:
        try:
            outputs = ask()
        except ValueError as error:  # for example a prompt that is too long; the other members of the batch are retried
            raise StageError("model", f"vLLM rejects the request: {error}"[:500]) from error
        if len(outputs) != asked:
            raise StageError("model", f"vLLM returned {len(outputs)} answers to {asked} requests")
        return [_read(output.outputs[0]) for output in outputs]


def _read(output: Any) -> Generated:
    text = " ".join(output.text.split())
    flag = "empty" if not text else "length" if output.finish_reason == "length" else ""
    return Generated(text, flag, len(output.token_ids))


def parameters(settings: VllmSettings) -> dict[str, Any]:
    """The settings that shape the answers."""
    names = ("dtype", "max_model_len", "max_tokens", "seed", "temperature")
    return {name: getattr(settings, name) for name in names}


class Vllm(Captioner):
    """Captions. With `chat`, a clip's frames are one message; without it, the plain prompt is sent with one frame."""

    settings_class: ClassVar[type[Settings] | None] = VllmCaptionSettings

    def __init__(self, settings: VllmCaptionSettings, prompt: str) -> None:
        super().__init__(settings, prompt or (PROMPT if settings.chat else ""))
        self._batches: Batches[ClipRequest, list[dict[str, Any]], ClipCaption] = Batches(
            settings.batch_size, "clips", self._prepare, self._answers, _lost_clip, ahead=1
        )
        self._model: VllmModel | None = None

    @staticmethod
    def resources(settings: VllmCaptionSettings) -> Resources:
        return Resources(cpus=1.0, gpus=float(settings.gpus))

    @staticmethod
    def parallel(settings: VllmCaptionSettings) -> int:
        return settings.batch_size

    @staticmethod
    def check(settings: VllmCaptionSettings) -> None:
        check_vllm(settings, CAPTION)

    def open(self) -> Identity:
        """Loads the model. Raises UserError where it cannot be loaded."""
        frames = self.settings.max_frames if self.settings.chat else 1
        model = self._model = VllmModel(self.settings, CAPTION, frames)
        return Identity(
            engine="vllm",
            model=model.name,
            revision=model.revision,
            prompt=self.prompt,
            parameters={**parameters(self.settings), "chat": self.settings.chat, "max_frames": frames},
        )

    def close(self) -> None:
        self._model = None

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        return self._batches.run(requests)

    def _prepare(self, batch: Sequence[ClipRequest]) -> list[Any]:
        """A conversation or a prompt for each clip with frames."""
        found: list[Any] = []
        for request in batch:
            if not request.frames:
                continue
            prompt = fill_prompt(self.prompt, request)
            if self.settings.chat:
                found.append(question(evenly(request.frames, self.settings.max_frames), prompt))
            else:
                picture = to_picture(evenly(request.frames, 1)[0])
                found.append({"prompt": prompt, "multi_modal_data": {"image": picture}})
        return found

    def _answers(self, batch: Sequence[ClipRequest], asked: list[Any]) -> list[ClipCaption]:
        assert self._model is not None, "call open() first"
        ask = self._model.chat if self.settings.chat else self._model.generate
        output = iter(ask(asked) if asked else [])
        answers = []
        for request in batch:
            if not request.frames:
                answers.append(ClipCaption(request.id, request.clip, flag="no_frames"))
                continue
            one = next(output)
            answers.append(ClipCaption(request.id, request.clip, one.text, one.flag, tokens=one.tokens))
        return answers


class VllmWriter(Writer):
    """Narrations: rules and request are messages."""

    settings_class: ClassVar[type[Settings] | None] = VllmSettings

    def __init__(self, settings: VllmSettings) -> None:
        super().__init__(settings)
        self._batches: Batches[WriteRequest, list[list[dict[str, Any]]], Written] = Batches(
            settings.batch_size, "texts", _conversations, self._write, _lost_text
        )
        self._model: VllmModel | None = None

    @staticmethod
    def resources(settings: VllmSettings) -> Resources:
        return Resources(cpus=1.0, gpus=float(settings.gpus))

    @staticmethod
    def parallel(settings: VllmSettings) -> int:
        return settings.batch_size

    @staticmethod
    def check(settings: VllmSettings) -> None:
        check_vllm(settings, NARRATE)

    def open(self) -> Identity:
        """Loads the model. Raises UserError where it cannot be loaded."""
        model = self._model = VllmModel(self.settings, NARRATE, 0)
        return Identity(engine="vllm", model=model.name, revision=model.revision, parameters=parameters(self.settings))

    def close(self) -> None:
        self._model = None

    def write(self, requests: Iterable[WriteRequest | None]) -> Iterator[Written]:
        return self._batches.run(requests)

    def _write(self, batch: Sequence[WriteRequest], conversations: list[list[dict[str, Any]]]) -> list[Written]:
        assert self._model is not None, "call open() first"
        output = self._model.chat(conversations)
        return [Written(r.id, r.clip, one.text, one.flag) for r, one in zip(batch, output, strict=True)]


def _conversations(batch: Sequence[WriteRequest]) -> list[list[dict[str, Any]]]:
    found = []
    for request in batch:
        rules = [{"role": "system", "content": request.system}] if request.system else []
        found.append([*rules, {"role": "user", "content": request.prompt}])
    return found


def _lost_clip(request: ClipRequest, fault: StageError) -> ClipCaption:
    return ClipCaption(request.id, request.clip, error=fault)


def _lost_text(request: WriteRequest, fault: StageError) -> Written:
    return Written(request.id, request.clip, error=fault)
