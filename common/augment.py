"""How pictures are prepared for the model, and random variants of training pictures."""

import math
import random

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from common.regions import View
from Config import AugmentConfig


def prepare(picture: Image.Image, side: int) -> Tensor:
    """An RGB picture as input of the model: bytes (3, side, side).

    The whole picture is resized to a square. A crop could cut off what a caption names.
    """
    return resize(picture, side, (0, 0, *picture.size))


def resize(picture: Image.Image, side: int, box: tuple[float, float, float, float]) -> Tensor:
    """The part (left, top, right, bottom) of an RGB picture, in whole pixels, resized to bytes (3, side, side).

    torch's bicubic, antialiased resize is within 0.07 of 255 levels of Pillow's, and takes 0.33 ms instead of 1.2 ms
    (256 x 386 to 224, one core; without AVX2 it takes twice as long as Pillow).
    """
    left, top, right, bottom = int(box[0]), int(box[1]), math.ceil(box[2]), math.ceil(box[3])
    pixels = np.asarray(picture)[top:bottom, left:right]
    if pixels.shape[:2] == (side, side):
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    return functional.interpolate(tensor[None], (side, side), mode="bicubic", antialias=True)[0]


def random_box(size: tuple[int, int], crop: float, rng: random.Random) -> tuple[float, float, float, float]:
    """A box (left, top, right, bottom) of about `crop` to 1 times the area of a picture of this (width, height).

    Its aspect ratio differs from the picture's by up to 20 %.
    """
    width, height = size
    area = rng.uniform(crop, 1.0) ** 0.5
    stretch = rng.uniform(0.9, 1.1)
    w, h = min(1.0, area * stretch) * width, min(1.0, area / stretch) * height
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return x, y, x + w, y + h


def augment(
    picture: Image.Image,
    side: int,
    settings: AugmentConfig,
    rng: random.Random,
    may_mirror: bool = True,
    may_recolour: bool = True,
) -> tuple[Tensor, View]:
    """A random variant of an RGB picture, as bytes (3, side, side), and which part of the picture it shows.

    may_mirror, may_recolour: whether the captions stay true of a mirror image, and with other colours.
    """
    mirrored = rng.random() < settings.flip and may_mirror
    box = random_box(picture.size, settings.crop, rng) if settings.crop < 1 else (0, 0, *picture.size)
    tensor = resize(picture, side, box)
    view = shown(picture.size, box, mirrored)
    if mirrored:
        tensor = tensor.flip(-1)
    if settings.shift:
        most = round(settings.shift * side)
        dx, dy = rng.randint(-most, most), rng.randint(-most, most)
        columns = (torch.arange(side) - dx).clamp(0, side - 1)
        lines = (torch.arange(side) - dy).clamp(0, side - 1)
        tensor = tensor[:, lines][:, :, columns]
        view = view.shifted(dx / side, dy / side)
    if (settings.jitter or settings.grey) and may_recolour:
        factors = [rng.uniform(1 - settings.jitter, 1 + settings.jitter) for _ in range(3)]
        if rng.random() < settings.grey:
            factors[2] = 0.0
        if factors != [1.0, 1.0, 1.0]:
            tensor = recolour(tensor, *factors)
    if rng.random() < settings.blur:
        tensor = blur(tensor, rng.uniform(0.1, 2.0) * side / 224)
    return tensor, view


def shown(size: tuple[int, int], box: tuple[float, float, float, float], mirrored: bool = False) -> View:
    """The part of a picture of this (width, height) that `resize` takes for a box in pixels."""
    width, height = size
    left, top, right, bottom = int(box[0]), int(box[1]), math.ceil(box[2]), math.ceil(box[3])
    return View((left / width, top / height, right / width, bottom / height), mirrored)


def recolour(picture: Tensor, brightness: float, contrast: float, saturation: float) -> Tensor:
    """Change brightness, contrast and saturation (factors, 1 is no change) of bytes (3, H, W).

    The result is that of torchvision's adjust_* functions without their rounding and clamping in between. As a single
    linear map it takes 0.2 ms instead of 0.5 ms.
    """
    pixels = picture.reshape(3, -1).float()
    luma = torch.tensor([[0.2989, 0.587, 0.114]])  # (1, 3)
    mean = brightness * (luma @ pixels.mean(1, keepdim=True))
    mixed = brightness * contrast * (saturation * torch.eye(3) + (1 - saturation) * luma)
    return to_bytes(torch.addmm((1 - contrast) * mean.expand(3, 1), mixed, pixels)).view_as(picture)


def blur(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of bytes (3, H, W), one axis after the other.

    sigma: in pixels. Takes 0.3 to 0.8 ms at side 224; torchvision takes 4 to 8 ms, Pillow 2.1 ms.
    """
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    blurred = functional.pad(picture.float(), (reach, reach, reach, reach), mode="reflect")
    for dim in (1, 2):
        length = picture.shape[dim]
        total = torch.zeros_like(blurred.narrow(dim, 0, length))
        for start, weight in enumerate((weights / weights.sum()).tolist()):
            total.add_(blurred.narrow(dim, start, length), alpha=weight)
        blurred = total
    return to_bytes(blurred)


def to_bytes(values: Tensor) -> Tensor:
    """Round and clamp (in place) to bytes. Via int, since torch needs three times as long from float to byte."""
    return values.round_().clamp_(0, 255).int().byte()
