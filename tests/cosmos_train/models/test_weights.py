"""Files of weights in each layout: which of a folder are read, what their tensors are called, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.models.misfit import misfit
from cosmos_train.models.weights import fill, load_tensors, read_weights, weight_names

ONE, TWO = torch.tensor([1.0, 2.0]), torch.tensor([[3, 4]])


def same(found: dict[str, Tensor], **wanted: Tensor) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor)


def test_a_folder_is_read_in_the_first_format_that_it_has(tmp_path: Path) -> None:
    torch.save({"c": ONE}, tmp_path / "c.pth")
    same(read_weights(tmp_path), c=ONE)
    torch.save({"p": ONE}, tmp_path / "p.pt")
    same(read_weights(tmp_path), p=ONE)
    torch.save({"b": ONE}, tmp_path / "pytorch_model.bin")
    for name in ("training_args.bin", "optimizer.pt", "scheduler.pt"):
        torch.save({"no": TWO}, tmp_path / name)
    same(read_weights(tmp_path), b=ONE)
    save_file({"x": ONE}, tmp_path / "model-00001.safetensors")
    save_file({"y": TWO}, tmp_path / "model-00002.safetensors")
    same(read_weights(tmp_path), x=ONE, y=TWO)
    assert weight_names(tmp_path) == {"x", "y"}
    same(read_weights(tmp_path / "p.pt"), p=ONE)
    assert weight_names(tmp_path / "c.pth") == {"c"}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"state_dict": tensors, "epoch": 3},
        lambda tensors: {f"module.{name}": one for name, one in tensors.items()},
        lambda tensors: {**tensors, "epoch": 3, "name": "x"},
    ],
)
def test_torchs_files_are_read_in_the_layouts_that_trainers_write(
    wrap: Callable[[dict[str, Tensor]], object], zipped: bool, tmp_path: Path
) -> None:
    torch.save(wrap({"a.module.b": ONE, "c": TWO}), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    same(read_weights(tmp_path / "w.pt"), **{"a.module.b": ONE, "c": TWO})
    assert weight_names(tmp_path) == {"a.module.b", "c"}


def test_a_state_that_is_no_dictionary_is_a_value_like_others(tmp_path: Path) -> None:
    torch.save({"state_dict": ONE}, tmp_path / "w.pt")
    same(read_weights(tmp_path), state_dict=ONE)
    torch.save([ONE], tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds no weights"):
        read_weights(tmp_path)


def test_what_holds_no_weights_or_code_is_refused_and_has_no_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no weights"):
        read_weights(tmp_path)
    assert weight_names(tmp_path) == weight_names(tmp_path / "absent") == set()
    torch.save({"model": nn.Linear(1, 1)}, tmp_path / "code.pt")
    with pytest.raises(UserError, match="could run code") as caught:
        load_tensors(tmp_path / "code.pt")
    assert "only its tensors" in caught.value.do
    torch.save({"a": ONE}, tmp_path / "bad.bin")
    (tmp_path / "bad.bin").write_bytes((tmp_path / "bad.bin").read_bytes()[:300])
    with pytest.raises(UserError, match=r"bad\.bin is not a file of weights: .* "):
        read_weights(tmp_path / "bad.bin")
    (tmp_path / "bad.safetensors").write_bytes(b"words")
    for read in (read_weights, lambda path: list(weight_names(path))):
        if read is read_weights:
            with pytest.raises(UserError, match=r"bad\.safetensors cannot be read"):
                read(tmp_path / "bad.safetensors")
        else:
            assert read(tmp_path / "bad.safetensors") == []


def test_a_model_is_filled_whole_or_told_what_differs(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    fill(model, {"weight": torch.tensor([[5.0, 6.0]]), "bias": torch.tensor([7.0])}, tmp_path, "do this")
    assert model.weight.tolist() == [[5.0, 6.0]] and model.bias.tolist() == [7.0]
    with pytest.raises(UserError, match=r"does not fit the recipe's model: bias is missing; weight is \(2, 1\), not \(1, 2\)") as caught:  # fmt: skip  # noqa: E501
        fill(model, {"weight": torch.zeros(2, 1)}, tmp_path, "do this")
    assert caught.value.do == "do this"
    assert model.weight.tolist() == [[5.0, 6.0]]


def test_five_differences_are_named_and_the_others_counted() -> None:
    assert misfit({"a": (1,)}, {"a": (1,)}) == ""
    assert misfit({"a": (1,), "b": (2,)}, {"c": (1,), "b": (3,)}) == (
        "a is missing; c is not in the model; b is (3,), not (2,)"
    )
    five = {f"n{n}": (1,) for n in range(5)}
    assert misfit(five, {}) == "; ".join(f"n{n} is missing" for n in range(5))
    assert misfit({**five, "n5": (1,), "n6": (1,)}, {}).endswith("n4 is missing and 2 more")
