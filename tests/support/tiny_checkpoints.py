"""Tiny random image-to-text checkpoints, made here and saved to disk: real models that say nonsense; no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SPECIAL = ["<pad>", "<s>", "</s>"]
_QWEN_SPECIAL = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
_QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_blip2(folder: Path) -> Path:
    """A BLIP-2 (OPT) of 30 k parameters that sees one 32 × 32 image."""
    torch, transformers = _libraries()
    tokenizer = _tokenizer(["<image>"])
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = transformers.Blip2Config(
        vision_config={**vision, "image_size": 32, "patch_size": 16},
        qformer_config={**vision, "encoder_hidden_size": 16, "vocab_size": len(tokenizer)},
        text_config={
            "model_type": "opt",
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "word_embed_proj_dim": 16,
            "num_hidden_layers": 1,
            "ffn_dim": 32,
            "num_attention_heads": 2,
            "max_position_embeddings": 128,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        num_query_tokens=4,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    model = transformers.Blip2ForConditionalGeneration(config)
    _let_images_matter(torch, model)
    model.save_pretrained(folder)
    images = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    transformers.Blip2Processor(images, tokenizer, num_query_tokens=4).save_pretrained(folder)
    return folder


def save_qwen3(folder: Path) -> Path:
    """A Qwen3-VL of 90 k parameters with a chat template; takes any number of images."""
    torch, transformers = _libraries()
    tokenizer = _tokenizer(_QWEN_SPECIAL)
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3], "mrope_interleaved": True}
    config = transformers.Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 1024,
            "rope_parameters": rope, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
            "patch_size": 14, "spatial_merge_size": 2, "num_position_embeddings": 16, "deepstack_visual_indexes": [0],
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
    )  # fmt: skip
    model = transformers.Qwen3VLForConditionalGeneration(config)
    _let_images_matter(torch, model)
    model.save_pretrained(folder)
    transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=56 * 56),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(),
        chat_template=_QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def save_qwen(folder: Path) -> Path:
    """A Qwen2.5-VL of 60 k parameters with a chat template; takes any number of images."""
    torch, transformers = _libraries()
    tokenizer = _tokenizer(_QWEN_SPECIAL)
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    config = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 1024,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "window_size": 56,
            "fullatt_block_indexes": [0],
        },
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
    )
    model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    _let_images_matter(torch, model)
    model.save_pretrained(folder)
    transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=56 * 56),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen2VLVideoProcessor(),
        chat_template=_QWEN_TEMPLATE,
    ).save_pretrained(folder)
    return folder


def _libraries() -> tuple[Any, Any]:
    from interlink.engines.guard import ensure_torchvision

    ensure_torchvision()
    import torch
    import transformers

    torch.set_num_threads(1)
    return torch, transformers


def _let_images_matter(torch: Any, model: Any) -> None:
    """Weights as a fresh model draws them hardly pass the image on; larger ones do."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.4)


def _tokenizer(special: list[str], marks: list[str] | None = None) -> Any:
    """marks: tokens of their own that are words all the same."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[*_SPECIAL, *special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    made.train_from_iterator(["a hand cuts an onion with a knife, then stirs the pot"], trainer)
    made.add_tokens(marks or [])
    named = {"extra_special_tokens": {"image_token": "<image>"}} if marks else {"additional_special_tokens": special}
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>", **named)


def save_llama(folder: Path, room: int = 4096) -> Path:
    """A Llama of 20 k parameters that takes prompts of up to `room` tokens; no chat template."""
    torch, transformers = _libraries()
    tokenizer = _tokenizer([])
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=room,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    model = transformers.LlamaForCausalLM(config)
    _let_images_matter(torch, model)  # here: the words before
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_clip(folder: Path) -> tuple[str, Path]:
    """(name, weights) of a random CLIP of 1 M parameters with vectors of 16 numbers, made known to open_clip here."""
    import json

    torch, _ = _libraries()
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    name = "interlink-tiny-clip"
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    }
    (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / f"{name}.json")
    torch.manual_seed(0)
    weights = folder / "weights.pt"
    torch.save(open_clip.create_model(name).state_dict(), weights)
    return name, weights


def save_classifier(folder: Path, bright: str = "harmless", dark: str = "harmful", head: bool = True) -> Path:
    """A ViT of 4 k parameters for 32 × 32 pictures, which learns here to tell bright ones from dark ones.

    It has a third label, `other`, which it never gives. Without its head it is no classifier.
    """
    torch, transformers = _libraries()
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16,
        id2label={0: bright, 1: dark, 2: "other"}, label2id={bright: 0, dark: 1, "other": 2},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        light = torch.rand(32, 1, 1, 1) * 2 - 1
        pixels = (light + 0.2 * torch.randn(32, 3, 32, 32)).clamp(-1, 1)
        loss = model(pixel_values=pixels, labels=(light.flatten() < 0).long()).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    (model if head else model.vit).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_florence2(folder: Path, regions: str = "", caption: str = "a hand cuts an onion") -> Path:
    """A Florence-2 of 60 k parameters that sees one 64 × 64 image.

    regions: what it answers to the task of dense region captions, whatever it sees, as text with `<loc_N>` marks;
    `caption` to any other. It learns both here in a second or two. Without `regions` it is random.
    """
    torch, transformers = _libraries()
    places = [f"<loc_{number}>" for number in range(1000)]
    tokenizer = _tokenizer(["<image>"], places)
    text = {
        "model_type": "bart", "vocab_size": len(tokenizer), "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": 128, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        "decoder_start_token_id": 2, "forced_eos_token_id": None, "dropout": 0.0,
    }  # fmt: skip
    vision = {
        "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [8, 4], "patch_padding": [3, 1],
        "patch_prenorm": [False, True], "embed_dim": [8, 16], "num_heads": [1, 2], "num_groups": [1, 2],
        "window_size": 2, "projection_dim": 32, "drop_path_rate": 0.0,
    }  # fmt: skip
    torch.manual_seed(0)
    config = transformers.Florence2Config(
        text_config=text, vision_config=vision, image_token_id=tokenizer.convert_tokens_to_ids("<image>")
    )
    model = transformers.Florence2ForConditionalGeneration(config)
    images = transformers.CLIPImageProcessor(
        size={"height": 64, "width": 64}, do_center_crop=False, image_seq_length=2 * 2 + 1
    )
    processor = transformers.Florence2Processor(images, tokenizer)
    if regions:
        _teach(torch, model, processor, {"<DENSE_REGION_CAPTION>": regions, "<DETAILED_CAPTION>": caption})
    else:
        _let_images_matter(torch, model)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _teach(torch: Any, model: Any, processor: Any, answers: dict[str, str]) -> None:
    """Answers to tasks by heart."""
    from PIL import Image

    picture = Image.new("RGB", (64, 64), (200, 40, 40))
    inputs = processor(images=[picture] * len(answers), text=list(answers), padding=True, return_tensors="pt")
    labels = processor.tokenizer([f"{answer}</s>" for answer in answers.values()], padding=True, return_tensors="pt")
    wanted = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(80):
        loss = model(**inputs, labels=wanted).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05, loss.item()
    model.eval()
