"""Exports a COSMOS for open_clip, and in the layout of the authors' files.

    OUT/   open_clip_config.json  open_clip_model.safetensors  cosmos.pt  README.md
           tokenizer.json  tokenizer_config.json

`open_clip.create_model("local-dir:OUT")` gives a plain CLIP, the teacher or the student;
`open_clip.get_tokenizer("local-dir:OUT")` its tokenizer. `cosmos.pt`
holds both with their poolers, in the released layout. Costs two copies of the weights on disk.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cosmos_train.families.base import Trained
from cosmos_train.families.cosmos import released
from cosmos_train.families.cosmos.model import Cosmos
from cosmos_train.families.words import write_text_tower_tokenizer
from cosmos_train.models.pixels import CLIP_MEAN, CLIP_STD


def write(out: Path, trained: Trained, model: Cosmos, part: str = "teacher") -> None:
    """Writes into an existing folder; the config comes last: a folder with one is whole."""
    from safetensors.torch import save_file

    chosen = model.teacher if part == "teacher" else model.student
    state = released.to_open_clip(released.released_state(chosen))
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, str(out / "open_clip_model.safetensors"))
    released.write(model, out / "cosmos.pt", trained.recipe.name, trained.step)
    (out / "README.md").write_text(_card(trained, part))
    model_config = released.open_clip_config(chosen)
    text = model_config["text_cfg"]
    write_text_tower_tokenizer(out, trained.tokenizer, text["vocab_size"], text["context_length"])
    # open_clip takes the tokenizer of this folder if a name is there, and of the repository with this name on the hub.
    text |= {"hf_tokenizer_name": trained.recipe.name, "tokenizer_kwargs": {"padding_side": "right"}}
    config: dict[str, Any] = {
        "model_cfg": model_config,
        "preprocess_cfg": {"mean": list(CLIP_MEAN), "std": list(CLIP_STD), "interpolation": "bicubic"},
    }
    words = trained.tokenizer
    config["words"] = {"begin": words.begin, "end": words.end, "length": trained.recipe.data.max_tokens}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def _card(trained: Trained, part: str) -> str:
    words = trained.tokenizer
    return f"""# {trained.recipe.name}

The {part} of a COSMOS trained for {trained.step} steps, as a plain CLIP:

    model, preprocess = open_clip.create_model_from_pretrained("local-dir:FOLDER")
    tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")

On the Hugging Face hub, set `hf_tokenizer_name` in `open_clip_config.json` to the repository's id.

`cosmos.pt` holds student and teacher with their cross-attention poolers, in the layout of the authors' checkpoints.
Texts are `<begin> words <end>` in the ids of `tokenizer.json` (begin {words.begin}, end {words.end}), filled up with 0
to {trained.recipe.data.max_tokens}.
"""
