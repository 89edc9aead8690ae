"""Faces in pictures by MTCNN: three small networks, each of which refuses most of what the one before it proposes.

Source: Zhang, Zhang, Li, Qiao, "Joint face detection and alignment using multitask cascaded convolutional networks",
2016; weights (2 MB) from the package facenet-pytorch (MIT). Its requirements exclude newer versions of torch, and none
of its code is used: only the weight files are read. Costs 5 to 15 ms a picture on a core, since only large faces are
searched for.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

LEAST = 0.2  # height of a face over the picture's
CELL, STRIDE = 12, 2  # pixels that P-Net sees at once, and from one place to the next
FACTOR = 0.709  # from one size of the pyramid to the next: half the area
SURE = (0.6, 0.7, 0.9)  # least probability after each network
OVERLAP = (0.5, 0.7, 0.7, 0.5)  # most intersection over union: in one size, over all sizes, after R-Net and O-Net

Weights = dict[str, Any]
Boxes = NDArray[np.float32]  # (n, 5) left, top, right, bottom in pixels, probability


class Faces:
    """Finds faces, on the CPU. height: of the pictures that it searches, pixels."""

    height: ClassVar[int] = 240

    def __init__(self, folder: Path) -> None:
        """folder: of the files of weights."""
        self._weights = _load(folder)

    def largest(self, picture: NDArray[np.uint8]) -> float:
        """The height of the largest face over the picture's (0..1); 0: none of at least LEAST.

        picture: (H, W, 3) uint8 RGB, upright.
        """
        boxes = self.find(picture)
        height = float((boxes[:, 3] - boxes[:, 1]).max()) / picture.shape[0] if len(boxes) else 0.0
        return height if height >= LEAST else 0.0

    def find(self, picture: NDArray[np.uint8]) -> Boxes:
        """(n, 5) boxes of faces."""
        import torch

        with torch.inference_mode():
            image = (torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() - 127.5) / 128
            boxes = self._proposed(image)
            boxes = self._refined(image, boxes, 24, _refine, self._weights[1], SURE[1], OVERLAP[2])
            return self._refined(image, boxes, 48, _output, self._weights[2], SURE[2], OVERLAP[3])

    def _proposed(self, image: torch.Tensor) -> Boxes:
        """Boxes by P-Net, over the pictures of a pyramid."""
        from torch.nn.functional import interpolate

        height, width = image.shape[2:]
        scale, found = CELL / (0.85 * LEAST * height), []
        while min(height, width) * scale >= CELL:
            size = (int(height * scale), int(width * scale))
            chance, moves = _propose(interpolate(image, size, mode="area"), self._weights[0])
            down, across = np.nonzero(chance >= SURE[0])
            corner = np.stack([across, down, across, down], axis=1) * STRIDE + np.array([0, 0, CELL, CELL])
            boxes = np.concatenate([corner / scale, chance[down, across][:, None]], axis=1).astype(np.float32)
            boxes = _moved(boxes, moves[:, down, across].T)
            found.append(boxes[_kept(boxes, OVERLAP[0])])
            scale *= FACTOR
        boxes = np.concatenate(found) if found else np.zeros((0, 5), np.float32)
        return boxes[_kept(boxes, OVERLAP[1])]

    def _refined(
        self, image: torch.Tensor, boxes: Boxes, side: int, network: Any, weights: Weights, sure: float, overlap: float
    ) -> Boxes:
        """The boxes that a network confirms, moved as it says."""
        import torch

        if not len(boxes):
            return boxes
        boxes = _square(boxes)
        chance, moves = network(torch.cat([_crop(image, box, side) for box in boxes]), weights)
        there = chance >= sure
        boxes = _moved(np.concatenate([boxes[there, :4], chance[there, None]], axis=1), moves[there])
        return boxes[_kept(boxes, overlap)]


def _propose(x: torch.Tensor, w: Weights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """P-Net: (h, w) probability of a face at each place, and (4, h, w) corrections of its box."""
    from torch.nn.functional import conv2d, max_pool2d

    x = max_pool2d(_convolved(x, w, 1), 2, 2, ceil_mode=True)
    x = _convolved(_convolved(x, w, 2), w, 3)
    chance = conv2d(x, w["conv4_1.weight"], w["conv4_1.bias"]).softmax(1)[0, 1]
    return chance.numpy(), conv2d(x, w["conv4_2.weight"], w["conv4_2.bias"])[0].numpy()


def _refine(x: torch.Tensor, w: Weights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """R-Net, of (n, 3, 24, 24): (n,) probabilities and (n, 4) corrections."""
    from torch.nn.functional import max_pool2d

    for layer in (1, 2):
        x = max_pool2d(_convolved(x, w, layer), 3, 2, ceil_mode=True)
    return _judged(_convolved(x, w, 3), w, "4", "5")


def _output(x: torch.Tensor, w: Weights) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """O-Net, of (n, 3, 48, 48): (n,) probabilities and (n, 4) corrections."""
    from torch.nn.functional import max_pool2d

    for layer, side in ((1, 3), (2, 3), (3, 2)):
        x = max_pool2d(_convolved(x, w, layer), side, 2, ceil_mode=True)
    return _judged(_convolved(x, w, 4), w, "5", "6")


def _convolved(x: torch.Tensor, w: Weights, layer: int) -> torch.Tensor:
    from torch.nn.functional import conv2d, prelu

    return prelu(conv2d(x, w[f"conv{layer}.weight"], w[f"conv{layer}.bias"]), w[f"prelu{layer}.weight"])


def _judged(x: torch.Tensor, w: Weights, hidden: str, last: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The fully connected part. The weights were trained on features in the order width, height, channel."""
    from torch.nn.functional import linear, prelu

    x = x.permute(0, 3, 2, 1).flatten(1)
    x = prelu(linear(x, w[f"dense{hidden}.weight"], w[f"dense{hidden}.bias"]), w[f"prelu{hidden}.weight"])
    chance = linear(x, w[f"dense{last}_1.weight"], w[f"dense{last}_1.bias"]).softmax(1)[:, 1]
    return chance.numpy(), linear(x, w[f"dense{last}_2.weight"], w[f"dense{last}_2.bias"]).numpy()


def _crop(image: torch.Tensor, box: NDArray[np.float32], side: int) -> torch.Tensor:
    """(1, 3, side, side) the part of the image in a box; what lies outside the image is grey."""
    from torch.nn.functional import interpolate, pad

    left, top, right, bottom = (round(float(edge)) for edge in box[:4])
    height, width = image.shape[2:]
    part = image[:, :, max(top, 0) : max(bottom, 1), max(left, 0) : max(right, 1)]
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    edges = (max(0, -left), max(0, right - width), max(0, -top), max(0, bottom - height))
    return interpolate(pad(part, edges), (side, side), mode="area")


def _moved(boxes: Boxes, moves: NDArray[np.float32]) -> Boxes:
    """Boxes whose edges are moved by shares of their sizes."""
    size = boxes[:, 2:4] - boxes[:, :2]
    return np.concatenate([boxes[:, :4] + moves * np.concatenate([size, size], axis=1), boxes[:, 4:]], axis=1)


def _square(boxes: Boxes) -> Boxes:
    """The smallest squares around the middles of boxes that are as large as their longer sides."""
    middle = (boxes[:, :2] + boxes[:, 2:4]) / 2
    half = (boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half, boxes[:, 4:]], axis=1)


def _kept(boxes: Boxes, overlap: float) -> NDArray[np.intp]:
    """Indices of boxes without those that overlap a more probable one (non-maximum suppression)."""
    order, kept = np.argsort(-boxes[:, 4], kind="stable"), []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        size = np.minimum(boxes[first, 2:4], boxes[rest, 2:4]) - np.maximum(boxes[first, :2], boxes[rest, :2])
        common = np.clip(size, 0, None).prod(axis=1)
        order = rest[common <= overlap * (areas[first] + areas[rest] - common)]
    return np.array(kept, np.intp)


@lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[Weights, Weights, Weights]:
    """The weights of P-Net, R-Net and O-Net, once per process, on one thread."""
    import torch

    torch.set_num_threads(1)
    p, r, o = (
        torch.load(folder / f"{name}.pt", map_location="cpu", weights_only=True) for name in ("pnet", "rnet", "onet")
    )
    return p, r, o
