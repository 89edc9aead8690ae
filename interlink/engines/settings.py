"""The settings of each engine, apart from the engines so that a recipe is checked without importing any of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from interlink.settings import Settings, operational


class TranscriptSettings(Settings):
    """The transcript engine has nothing to choose."""


class AnnotatedSettings(Settings):
    """Captions as the stage `annotations` has them."""

    missing: Literal["nothing", "speech"] = Field(
        "nothing", description="what a clip says that no annotation is about: nothing, or the speech in it"
    )


class ImageTextModelSettings(Settings):
    """A checkpoint of the transformers library that looks at images, run here."""

    model: str = Field("", description="hub id, or a local folder, of any AutoModelForImageTextToText checkpoint")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type of the weights; auto = as saved, float32 on a CPU"
    )
    device: str = operational(
        "auto",
        "cpu, cuda, cuda:N, spread (over all devices, by the package accelerate); auto = cuda where there "
        "is one (under Ray, say cuda or spread: it asks for a GPU)",
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = operational(
        "auto", "how attention is computed; auto = the library's choice"
    )
    batch_size: int = operational(8, "images or clips at once; halved by itself without memory", ge=1)
    ahead: int = operational(1, "batches that the CPU prepares while the model works", ge=0)
    num_beams: int = Field(1, ge=1, description="beams of the search; 1 = greedy")


class TransformersSettings(ImageTextModelSettings):
    """One that captions."""

    max_new_tokens: int = Field(64, ge=1, description="longest caption, tokens")
    max_frames: int = Field(4, ge=1, description="frames of a clip that a chat model sees; others see the middle one")


class ChatSettings(Settings):
    """Any server that speaks OpenAI's chat completions (vLLM, SGLang, llama.cpp, a paid service)."""

    base_url: str = operational("https://api.openai.com/v1", "the API's root, ending in /v1")
    model: str = Field("", description="the model's name on that server")
    api_key_env: str = operational(
        "OPENAI_API_KEY",
        "NAME of the environment variable with the key (the key itself is never stored); empty = no key",
    )
    concurrency: int = operational(16, "requests in flight", ge=1)
    timeout: float = operational(120.0, "seconds for one answer", gt=0)
    max_attempts: int = operational(6, "tries of one request", ge=1)
    longest_wait: float = operational(60.0, "most seconds between two tries, also if the server asks more", ge=0)
    max_tokens: int = Field(256, ge=1, description="longest answer, tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="0 = the likeliest words")
    seed: int = Field(0, description="sent along; servers may heed it")


class OpenAISettings(ChatSettings):
    """A server that takes images."""

    max_frames: int = Field(8, ge=1, description="frames of a clip that are sent, evenly chosen")
    detail: Literal["auto", "low", "high"] = Field("auto", description="how closely the server looks at an image")


class WriterSettings(Settings):
    """A language model of the transformers library, run here."""

    model: str = Field("", description="hub id, or a local folder, of any AutoModelForCausalLM checkpoint")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type of the weights; auto = as saved, float32 on a CPU"
    )
    device: str = operational(
        "auto", "cpu, cuda, cuda:N; auto = cuda where there is one (under Ray, say cuda: it asks for a GPU)"
    )
    batch_size: int = operational(8, "texts at once; halved by itself when memory runs out", ge=1)
    max_new_tokens: int = Field(160, ge=1, description="longest answer, tokens")
    num_beams: int = Field(1, ge=1, description="beams of the search; 1 = greedy")


class CheckpointSettings(Settings):
    """A CosMo of ours, exported by `cosmos_train export`."""

    model: str = Field(
        "",
        description="its folder, or sample-world: the one that comes along, for the videos of `interlink sample`; "
        "`engine: checkpoint:FOLDER` says the same in one word",
    )
    device: str = operational("auto", "cpu, cuda, cuda:N; auto = cuda where there is one")
    batch_size: int = operational(32, "clips at once; fewer where memory runs out", ge=1)
    max_new_tokens: int = Field(48, ge=1, description="longest caption, tokens")
    num_beams: int = Field(1, ge=1, description="beams of the search; 1 = greedy")


class VllmSettings(Settings):
    """A model that vLLM runs here, on GPUs."""

    model: str = Field("", description="hub id, or a local folder, of a model that vLLM knows")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="number type of the weights")
    gpus: int = operational(1, "GPUs that share the model (tensor parallel)", ge=1)
    gpu_memory: float = operational(0.9, "share of each GPU's memory that vLLM takes", gt=0, le=1)
    batch_size: int = operational(256, "requests that it is given at once, to schedule as it likes", ge=1)
    max_model_len: int = Field(0, ge=0, description="longest question and answer, tokens; 0 = the model's own")
    max_tokens: int = Field(256, ge=1, description="longest answer, tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="0 = the likeliest words")
    seed: int = Field(0, description="of each request")


class VllmCaptionSettings(VllmSettings):
    """One that takes images."""

    max_frames: int = Field(8, ge=1, description="frames of a clip that it sees, evenly chosen")
    chat: bool = Field(
        True, description="ask in a conversation; false = the prompt as it is and the middle frame (BLIP-2 and its kin)"
    )
