"""The settings of the engines, separate from the engines so that checking a recipe imports none of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from interlink.settings import Settings, operational


class TranscriptSettings(Settings):
    """The transcript engine has no settings."""


class AnnotatedSettings(Settings):
    """Captions from the stage `annotations`."""

    missing: Literal["nothing", "speech"] = Field(
        "nothing", description="caption of a clip without annotation: nothing, or its speech"
    )


class ImageTextModelSettings(Settings):
    """An image-to-text checkpoint, run locally with the transformers library."""

    model: str = Field("", description="hub id, or a local folder, of any AutoModelForImageTextToText checkpoint")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type of the weights; auto = as saved, float32 on a CPU"
    )
    device: str = operational(
        "auto",
        "cpu, cuda, cuda:N, spread (over all devices, with the package accelerate); auto = cuda if "
        "available (with Ray, set cuda or spread to reserve a GPU)",
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = operational(
        "auto", "attention implementation; auto = the library's choice"
    )
    batch_size: int = operational(8, "images or clips per batch; halved automatically when memory runs out", ge=1)
    ahead: int = operational(1, "batches that the CPU prepares while the model works", ge=0)
    num_beams: int = Field(1, ge=1, description="beams of the search; 1 = greedy")


class TransformersSettings(ImageTextModelSettings):
    """Settings of the caption engine `transformers`."""

    max_new_tokens: int = Field(64, ge=1, description="longest caption, tokens")
    max_frames: int = Field(4, ge=1, description="frames of a clip for a chat model; others get the middle one")


class ChatSettings(Settings):
    """Any server with OpenAI's chat completions API (vLLM, SGLang, llama.cpp, a paid service)."""

    base_url: str = operational("https://api.openai.com/v1", "root URL of the API, ending in /v1")
    model: str = Field("", description="the model's name on that server")
    api_key_env: str = operational(
        "OPENAI_API_KEY",
        "name of the environment variable with the key (the key itself is never stored); empty = no key",
    )
    concurrency: int = operational(16, "requests in flight", ge=1)
    timeout: float = operational(120.0, "seconds for one answer", gt=0)
    max_attempts: int = operational(6, "attempts for one request", ge=1)
    longest_wait: float = operational(60.0, "most seconds between two attempts, also if the server asks for more", ge=0)
    max_tokens: int = Field(256, ge=1, description="longest answer, tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="0 = the most likely words")
    seed: int = Field(0, description="sent with each request; servers may ignore it")


class OpenAISettings(ChatSettings):
    """A server that accepts images."""

    max_frames: int = Field(8, ge=1, description="frames of a clip that are sent, evenly chosen")
    detail: Literal["auto", "low", "high"] = Field("auto", description="image resolution that the server uses")


class WriterSettings(Settings):
    """A language model, run locally with the transformers library."""

    model: str = Field("", description="hub id, or a local folder, of any AutoModelForCausalLM checkpoint")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type of the weights; auto = as saved, float32 on a CPU"
    )
    device: str = operational(
        "auto", "cpu, cuda, cuda:N; auto = cuda if available (with Ray, set cuda to reserve a GPU)"
    )
    batch_size: int = operational(8, "texts per batch; halved automatically when memory runs out", ge=1)
    max_new_tokens: int = Field(160, ge=1, description="longest answer, tokens")
    num_beams: int = Field(1, ge=1, description="beams of the search; 1 = greedy")


class CheckpointSettings(Settings):
    """A CosMo exported by `cosmos_train export`."""

    model: str = Field(
        "",
        description="an exported folder, or sample-world: the bundled model for the videos of `interlink sample`; "
        "`engine: checkpoint:FOLDER` is short for both",
    )
    device: str = operational("auto", "cpu, cuda, cuda:N; auto = cuda if available")
    batch_size: int = operational(32, "clips per batch; halved automatically when memory runs out", ge=1)
    max_new_tokens: int = Field(48, ge=1, description="longest caption, tokens")
    num_beams: int = Field(1, ge=1, description="beams of the search; 1 = greedy")


class VllmSettings(Settings):
    """A model that vLLM runs locally, on GPUs."""

    model: str = Field("", description="hub id, or a local folder, of a model that vLLM supports")
    revision: str = Field("", description="branch, tag or commit of a hub id; empty = its main branch")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="number type of the weights")
    gpus: int = operational(1, "GPUs that share the model (tensor parallel)", ge=1)
    gpu_memory: float = operational(0.9, "share of each GPU's memory that vLLM takes", gt=0, le=1)
    batch_size: int = operational(256, "requests given to vLLM at once, for it to schedule", ge=1)
    max_model_len: int = Field(0, ge=0, description="longest request and answer, tokens; 0 = the model's limit")
    max_tokens: int = Field(256, ge=1, description="longest answer, tokens")
    temperature: float = Field(0.0, ge=0, le=2, description="0 = the most likely words")
    seed: int = Field(0, description="seed of each request")


class VllmCaptionSettings(VllmSettings):
    """A model that accepts images."""

    max_frames: int = Field(8, ge=1, description="frames of a clip per request, evenly chosen")
    chat: bool = Field(
        True, description="send a conversation; false = the plain prompt with the middle frame (BLIP-2 and similar)"
    )
