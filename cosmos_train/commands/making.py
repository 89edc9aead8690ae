"""Commands that convert: checkpoints to folders and experts, LLaVA's records to shards, shards to indexes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cosmos_train.commands.options import Checkpoint, Json, Part, Set, Which


def export(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    average: Annotated[bool, typer.Option("--average", help="Export the averaged weights (train.ema_decay).")] = False,
    part: Annotated[Part, typer.Option(help="Which half of a COSMOS becomes a plain open_clip model.")] = Part.teacher,
    licence: Annotated[str, typer.Option(help="Licence of the weights, for the model card: an SPDX id or a URL.")] = "",
) -> None:
    """Write a model as a self-contained folder: safetensors, configs, tokenizer, preprocessing, model card.

    Example: cosmos_train export runs/first exported
    """
    from cosmos_train.train.export import export as write

    print(write(checkpoint, out, average, part.value, licence))


def upcycle(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Argument(help="A new folder for the checkpoint; use it as train.start_from.")],
    experts: Annotated[int, typer.Option(min=2, help="Experts in each block.")] = 4,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Experts per token.")] = 2,
    places: Annotated[
        str,
        typer.Option(
            help="Networks to convert, by comma: vision, connector, text, language. Default: all but language."
        ),
    ] = "",
) -> None:
    """Copy a dense model's feed-forward networks into experts, and check that the outputs stay the same.

    Example: cosmos_train upcycle runs/tiny_cumo_stage2 runs/upcycled --experts 4 --top-k 2
    """
    from cosmos_train.train.upcycle import settings_for
    from cosmos_train.train.upcycle import upcycle as make

    found = make(checkpoint, out, settings_for(checkpoint, experts, top_k, places))
    print(f"{found.checkpoint}: {found.blocks} blocks of {experts} experts, {top_k} in use")
    print(f"  parameters  {found.dense / 1e6:.2f} M -> {found.sparse / 1e6:.2f} M, {found.active / 1e6:.2f} M in use")
    for dtype, difference in found.differences.items():
        print(f"  outputs     differ by at most {difference:.1e} in {dtype}: the same function")


def pack_llava(
    listed: Annotated[Path, typer.Argument(help="LLaVA's json or json lines: records with conversations or messages.")],
    pictures: Annotated[Path, typer.Argument(help="The folder that the records' `image` is relative to.")],
    out: Annotated[Path, typer.Argument(help="A new folder for the shards.")],
) -> None:
    """Write LLaVA's records and their pictures as shards for training a CuMo.

    Example: cosmos_train pack-llava blip_laion_cc_sbu_558k.json images shards/llava558k
    """
    from cosmos_train.stream.talk.convert import pack_llava as pack

    found = pack(listed, pictures, out)
    print(f"{out}: {found.records} records, {found.pictures} with a picture")
    for reason in found.reasons():
        print(f"  {reason}")


def index(recipe: Which, settings: Set = None) -> None:
    """Write sidecars next to the shards of a recipe: the positions of samples, and their token counts for packing.

    Example: cosmos_train index my_cosmo.yaml
    """
    from rich.console import Console

    from cosmos_train import recipe as recipes
    from cosmos_train.families.registry import family_of

    loaded = recipes.load(recipe, settings or [])
    family = family_of(loaded)
    from cosmos_train.stream.index_command import index_recipe

    console = Console()
    tokenizer = family.pretrained_tokenizer(loaded)  # None if it is trained on the shards: then lengths are unknown
    index_recipe(loaded, tokenizer, lambda one: console.print(str(one), soft_wrap=True, highlight=False))


def doctor(
    shards: Annotated[list[str], typer.Argument(help="A build, a folder, a tar or a glob; may be repeated.")],
    samples_per_second: Annotated[float, typer.Option(min=0.1, help="Samples that one GPU consumes.")] = 500.0,
    image_size: Annotated[int, typer.Option(min=16, help="Side of the model's input frames, pixels.")] = 224,
    clips_per_sample: Annotated[int, typer.Option(min=1, help="As data.clips_per_sample.")] = 2,
    frames_per_clip: Annotated[int, typer.Option(min=1, help="As data.frames_per_clip.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration of the measurement.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Measure the speed of one core in each step from storage to batch; report the bottleneck and the workers needed.

    Example: cosmos_train doctor shards --samples-per-second 800
    """
    from cosmos_train.stream.doctor import diagnose, show
    from cosmos_train.stream.settings import DataSettings

    data = DataSettings(
        shards=shards, clips_per_sample=clips_per_sample, frames_per_clip=frames_per_clip, image={"size": image_size}
    )
    found = diagnose(data, None, samples_per_second, seconds)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
        return
    from rich.console import Console

    show(found, Console())
