"""A trained judge in use: pictures and texts in, verdicts out. `Predict.py`, its web page and its reports use it.

judge = Judge.load("Models/scenes-small")           # a model's folder, or a bundle
verdict = judge.check("picture.jpg", "A red ball.") # score, probability, match, and every word with its place
judge.pairs(pictures, texts)                        # (N,) scores, each picture with its own text
judge.scores(pictures, texts)                       # (N, M) scores, each picture with each text

A picture is a path, a PIL picture, an array (H, W), (H, W, 3) or (H, W, 4), or a tensor (1, 3 or 4, H, W); arrays and
tensors hold bytes, or floats from 0 to 1. Every picture is reduced and squeezed as in training.

Shapes: N pictures, M texts, L words of a text that the model reads, V vectors of width D, (h, w) patch grid.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from common.augment import prepare
from common.devices import choose_device
from common.metrics import Floats
from common.patch_word import word_cosines
from common.pictures import check_size, open_picture, reduce_picture
from Config import DatabaseConfig
from evaluation import scoring
from judging.bundle import MANIFEST, load_bundle
from Tokenizer_lib import Word, split_words
from training.checkpoints import LoadedModel, load_model

Picture = str | Path | Image.Image | NDArray[Any] | Tensor
# Words that name nothing visible. Numbers, "left", "under" and "no" are not among them.
FUNCTION_WORDS = frozenset(
    "a an the this that these those some of and or is are was were be been being am has have had do does did its it his"
    " her their there which who whose as to for at by with in on from into it's they he she them him".split()
)
ROOT = Path(__file__).resolve().parent.parent
SHIPPED = str(ROOT / "Models" / "scenes-small")  # the model that comes with the program
EXAMPLE = (str(ROOT / "Plots" / "example_scene.png"), "A striped yellow umbrella on a beach.")
SHORT_SIDE = DatabaseConfig.short_side  # pixels that a picture is reduced to first, as in a database


class InputError(ValueError):
    """An input that cannot be judged. `number` is its index among several inputs, `reason` what is wrong with it."""

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
    """A text without a word."""

    kind = "text"


class WordScore(NamedTuple):
    """One word of the text: its position, its best cosine over the patches, and that patch.

    A model with only the pooled score has no word vectors: there the score is what the text's score loses without the
    word, and patch and box are None.
    """

    text: str
    start: int  # its characters in the text
    end: int
    score: float
    known: bool  # False: the word is not in the vocabulary, so its score says little
    patch: tuple[int, int] | None  # line and column of the patch grid
    box: tuple[float, float, float, float] | None  # the patch: left, top, right, bottom as shares of width and height


class Verdict(NamedTuple):
    """The judgement of one picture and one text."""

    score: float  # cosine, -1 to 1
    probability: float  # of a match, if true and false texts are equally frequent
    threshold: float
    match: bool
    words: tuple[WordScore, ...]
    unread: int  # words beyond the maximum that the model reads
    heat: Floats | None  # (L, h, w) cosine of each word with each patch; None for a model with only the pooled score

    def as_dict(self) -> dict[str, Any]:
        """Everything except the heat, as plain values for JSON."""
        values = {name: value for name, value in self._asdict().items() if name != "heat"}
        return {**values, "words": [word._asdict() for word in self.words]}


class Judge:
    """A trained model, ready to check pictures against texts."""

    def __init__(self, loaded: LoadedModel, name: str = ""):
        self.loaded, self.name = loaded, name
        self.threshold = loaded.threshold

    @classmethod
    def load(cls, model: str | Path, device: str = "auto") -> "Judge":
        """Load a model from its folder, or from a bundle (.zip, runs on the CPU).

        FileNotFoundError or ValueError says what is missing or of another version.
        """
        path = Path(model)
        if path.suffix.lower() == ".zip" or (path / MANIFEST).is_file():
            return cls(load_bundle(path), path.stem)
        return cls(load_model(path, choose_device(device)), path.name)

    @torch.no_grad()
    def check(self, picture: Picture, text: str) -> Verdict:
        """Judge one picture and one text. PictureError or TextError says why they cannot be judged."""
        self.check_texts([text])
        vectors = self.encode_pictures([picture], [None])
        everything = split_words(text)
        words = everything[: self.loaded.config.data.max_words]
        heat = None
        if self.loaded.model.scores_words:
            (block,) = scoring.encode_texts(self.loaded, [text])
            score = self.loaded.model.pair_scores(vectors, block.vectors).item()
            heat = self._heat(vectors, block.vectors)
            best = heat.max(axis=(1, 2))
        else:
            scores, (best,) = scoring.score_words(self.loaded, vectors, [text], np.zeros(1, dtype=np.int64))
            score = float(scores[0])
        return Verdict(
            score=score,
            probability=float(self.probability(score)),
            threshold=self.threshold.threshold,
            match=score >= self.threshold.threshold,
            words=tuple(
                self._word(text, word, float(value), None if heat is None else heat[i])
                for i, (word, value) in enumerate(zip(words, best))
            ),
            unread=len(everything) - len(words),
            heat=heat,
        )

    def pairs(self, pictures: Sequence[Picture], texts: Sequence[str]) -> Floats:
        """Scores (N,) of picture i with text i; a repeated picture or text is encoded once.

        Pictures are the same if they are the same path or the same object. PictureError, TextError; ValueError if the
        numbers of pictures and texts differ.
        """
        pictures = list(pictures)  # `identity` uses id(): objects that a sequence creates on access must stay alive
        if len(pictures) != len(texts):
            raise ValueError(f"{len(pictures)} pictures and {len(texts)} texts: pairs need one text for each picture")
        if not len(texts):
            return np.zeros(0, dtype=np.float32)
        checked = self.check_texts(texts)
        number: dict[str | int, int] = {}
        which = np.array([number.setdefault(key_of(picture), len(number)) for picture in pictures], dtype=np.int64)
        first = np.unique(which, return_index=True)[1]
        vectors = self.encode_pictures([pictures[i] for i in first], first.tolist())
        return scoring.score_pairs(self.loaded, vectors, checked, which)

    def scores(self, pictures: Sequence[Picture], texts: Sequence[str]) -> Floats:
        """Scores (N, M) of every picture with every text; each is encoded once. PictureError, TextError."""
        if not (len(pictures) and len(texts)):
            return np.zeros((len(pictures), len(texts)), dtype=np.float32)
        blocks = list(scoring.encode_texts(self.loaded, self.check_texts(texts)))
        scores = np.empty((len(pictures), len(texts)), dtype=np.float32)
        vectors = self.encode_pictures(pictures)
        for some, values in scoring.score_blocks(self.loaded, vectors, blocks, "scores"):
            scores[some] = values
        return scores

    def probability(self, scores: float | Floats) -> Floats:
        """Probability of a match at these scores, if true and false texts are equally frequent."""
        return self.threshold.calibration.probability(scores)

    def encode_pictures(self, pictures: Sequence[Picture], numbers: Sequence[int | None] | None = None) -> Tensor:
        """Vectors (N, V, D) of pictures; numbers: their indices in a PictureError, by default 0, 1, ..."""
        prepared = self._prepared(pictures, numbers or range(len(pictures)))
        return scoring.encode_pictures(self.loaded, prepared, len(pictures))

    def prepare(self, picture: Picture) -> Tensor:
        """A picture as the input of the model, bytes (3, side, side). ValueError or OSError if it cannot be read."""
        return prepare(open_any(picture), self.loaded.config.data.side)

    def check_texts(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the texts. TextError if one of them has no word."""
        for place, text in enumerate(texts):
            number = place if len(texts) > 1 else None
            if not isinstance(text, str):
                raise TextError(number, "", f"a text is needed, not {type(text).__name__}")
            if not split_words(text):
                raise TextError(number, repr(text[:40]), "it holds no word to check")
        return texts

    def _prepared(self, pictures: Iterable[Picture], numbers: Iterable[int | None]) -> Iterator[Tensor]:
        for number, picture in zip(numbers, pictures):
            try:
                yield self.prepare(picture)
            except (ValueError, OSError) as error:
                name = str(picture) if isinstance(picture, str | Path) else ""
                raise PictureError(number, name, why_unreadable(error, name)) from error

    def _heat(self, picture: Tensor, text: Tensor) -> Floats:
        """Cosines (L, h, w) of the words of one text (1, V, D) with the patches of one picture (1, V, D)."""
        (_, patches), (_, words) = self.loaded.model.parts(picture), self.loaded.model.parts(text)
        grid = math.isqrt(patches.shape[1])  # pictures are square, and so is their grid
        return word_cosines(patches, words)[0].float().cpu().numpy().reshape(-1, grid, grid)

    def _word(self, text: str, word: Word, score: float, heat: Floats | None) -> WordScore:
        patch, box = None, None
        if heat is not None:
            height, width = heat.shape
            line, column = divmod(int(heat.argmax()), width)
            patch = line, column
            box = (column / width, line / height, (column + 1) / width, (line + 1) / height)
        known = word.text in self.loaded.tokenizer.index
        return WordScore(text[word.start : word.end], word.start, word.end, score, known, patch, box)


def key_of(picture: Picture) -> str | int:
    """A key that two pictures share only if they are the same: the path, or the id of the object."""
    return str(picture) if isinstance(picture, str | Path) else id(picture)


def open_any(picture: Picture) -> Image.Image:
    """Any kind of picture as 8-bit RGB, its short side reduced as in a database.

    OSError if a file cannot be read, ValueError if it is not a usable picture.
    """
    if isinstance(picture, str | Path):
        return open_picture(Path(picture), SHORT_SIDE)
    if isinstance(picture, Tensor):
        if picture.ndim != 3 or picture.shape[0] not in (1, 3, 4):
            raise ValueError(f"a tensor (1, 3 or 4, H, W) is needed, not {tuple(picture.shape)}")
        pixels = picture.detach().cpu().permute(1, 2, 0)
        picture = (pixels.float() if pixels.is_floating_point() else pixels).numpy()  # NumPy has no bfloat16
    if isinstance(picture, np.ndarray):
        picture = image_of_array(picture)
    if not isinstance(picture, Image.Image):
        raise ValueError(f"a path, PIL picture, array or tensor is needed, not {type(picture).__name__}")
    check_size(picture)
    try:
        return reduce_picture(picture, SHORT_SIDE)
    except Exception as error:  # Pillow may decode only now; decoders raise any exception
        raise ValueError(str(error)) from error


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


def content_words(words: Sequence[str]) -> list[int]:
    """Indices of the words that name something visible; all indices if no word does."""
    named = [i for i, word in enumerate(words) if word.lower() not in FUNCTION_WORDS]
    return named or list(range(len(words)))
