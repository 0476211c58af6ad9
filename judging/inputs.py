"""What a judge takes: every kind of picture, lists of pictures and texts, and the errors for what cannot be judged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from common.pictures import check_size, open_bytes, open_picture, read_stream, reduce_picture, why_not_decoded
from Config import DatabaseConfig
from Tokenizer_lib import split_words

Picture = str | Path | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any] | Tensor
SHORT_SIDE = DatabaseConfig.short_side  # pixels that a picture is reduced to first, as in a database


class InputError(ValueError):
    """A picture or a text that cannot be judged.

    number: its index in the list, or None if it was given alone. name: its path, or the beginning of the text.
    reason: what is wrong with it.
    """

    kind = "input"

    def __init__(self, number: int | None, name: str, reason: str):
        which = name if number is None else f"{number} ({name})" if name else str(number)
        super().__init__(f"{' '.join(filter(None, (self.kind, which)))}: {reason}")
        self.number, self.name, self.reason = number, name, reason

    def __reduce__(self) -> tuple[type, tuple[int | None, str, str]]:
        return type(self), (self.number, self.name, self.reason)  # so that it can be pickled


class PictureError(InputError):
    """A picture that is missing, unreadable, or not an image."""

    kind = "picture"


class TextError(InputError):
    """A text without a word, or with half of a character."""

    kind = "text"


# Lists of inputs


def list_pictures(pictures: Iterable[Picture]) -> list[Picture]:
    """The pictures as a list. PictureError for a single picture: a loop over a path would yield its letters."""
    if is_one_picture(pictures):
        reason = f"a list of pictures is needed, not a single {type(pictures).__name__}; write [picture]"
        raise PictureError(None, "", reason)
    try:
        return list(pictures)
    except TypeError:
        raise PictureError(None, "", f"a list of pictures is needed, not {type(pictures).__name__}") from None


def is_one_picture(value: Any) -> bool:
    """Is this a single picture? An array (N, H, W) of grey pictures is not: a picture's last size is 1, 3 or 4."""
    if isinstance(value, Tensor):
        return value.ndim == 2 or (value.ndim == 3 and value.shape[0] in (1, 3, 4))
    if isinstance(value, np.ndarray):
        return value.ndim == 2 or (value.ndim == 3 and value.shape[2] in (1, 3, 4))
    return isinstance(value, str | Path | bytes | bytearray | memoryview | Image.Image) or hasattr(value, "read")


def list_texts(texts: Iterable[str]) -> list[str]:
    """The texts as a list. TextError for a single text, or if one of them has no word."""
    if isinstance(texts, str | bytes):
        raise TextError(None, "", f"a list of texts is needed, not a single {type(texts).__name__}; write [text]")
    try:
        found = list(texts)
    except TypeError:
        raise TextError(None, "", f"a list of texts is needed, not {type(texts).__name__}") from None
    for place, text in enumerate(found):
        check_text(text, place if len(found) > 1 else None)
    return found


def check_text(text: str, number: int | None = None) -> None:
    """TextError if it is not a string or has no word; number: its index in a list of several texts."""
    if not isinstance(text, str):
        raise TextError(number, "", f"a text is needed, not {type(text).__name__}")
    if broken := re.search("[\\ud800-\\udfff]", text):  # UTF-8 cannot encode it, so no output could show the text
        reason = f"it has half of a character (U+{ord(broken[0]):04X}) at position {broken.start()}; write it again"
        raise TextError(number, ascii(text[:40]), reason)
    if not split_words(text):
        raise TextError(number, repr(text[:40]), "it has no words to check")


def key_of(picture: Picture) -> str | int:
    """A key that two pictures share only if they are the same: the path, or the id of the object."""
    return str(picture) if isinstance(picture, str | Path) else id(picture)


# Pictures


def open_any(picture: Picture) -> Image.Image:
    """Any kind of picture as 8-bit RGB, its short side reduced as in a database.

    A file object is read from its current position to its end, and stays open. OSError if a file cannot be read,
    ValueError if it is not a usable picture.
    """
    if isinstance(picture, str | Path):
        return open_picture(Path(picture), SHORT_SIDE)
    if isinstance(picture, bytes | bytearray | memoryview):
        return open_bytes(bytes(picture), SHORT_SIDE)
    if hasattr(picture, "read"):
        if not (data := read_stream(cast(BinaryIO, picture))):
            raise ValueError("the file object has nothing left to read; if it was read before, call its seek(0)")
        return open_bytes(data, SHORT_SIDE)
    if isinstance(picture, Tensor):
        picture = array_of_tensor(picture)
    if isinstance(picture, np.ndarray):
        picture = image_of_array(picture)
    if not isinstance(picture, Image.Image):
        kinds = "a path, bytes, file object, PIL picture, array or tensor"
        raise ValueError(f"{kinds} is needed, not {type(picture).__name__}")
    check_size(picture)
    try:
        return reduce_picture(picture, SHORT_SIDE)
    except Exception as error:  # Pillow may decode only now; decoders raise any exception
        raise ValueError(why_not_decoded(error)) from error


def array_of_tensor(pixels: Tensor) -> NDArray[Any]:
    """Array (H, W, 1, 3 or 4) of a tensor (1, 3 or 4, H, W); otherwise ValueError."""
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3, 4):
        raise ValueError(f"a tensor (1, 3 or 4, H, W) is needed, not {tuple(pixels.shape)}")
    pixels = pixels.detach().cpu().permute(1, 2, 0)
    return (pixels.float() if pixels.is_floating_point() else pixels).numpy()  # NumPy has no bfloat16


def image_of_array(pixels: NDArray[Any]) -> Image.Image:
    """PIL image of an array (H, W), (H, W, 3) or (H, W, 4) of bytes, or of floats from 0 to 1; otherwise ValueError."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)) or not pixels.size:
        raise ValueError(f"an array (H, W), (H, W, 3) or (H, W, 4) is needed, not {pixels.shape}")
    if np.issubdtype(pixels.dtype, np.floating):
        if not (pixels.min() >= 0 and pixels.max() <= 1):  # also catches NaN
            raise ValueError(f"floats must be 0 to 1, these are {pixels.min():g} to {pixels.max():g}")
        pixels = (255 * pixels + 0.5).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise ValueError(f"bytes or floats are needed, not {pixels.dtype}")
    return Image.fromarray(np.ascontiguousarray(pixels))


def why_unreadable(error: Exception, name: str = "") -> str:
    """The reason why a picture cannot be read, without its path, which the message has already."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).removeprefix(f"{name}: ")
