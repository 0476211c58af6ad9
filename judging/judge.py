"""A trained judge in use: pictures and texts in, verdicts out. `Predict.py`, its web page and its reports use it.

    from Predict import Judge

    judge = Judge.load()                                 # as Predict.py; or a model's folder, or a bundle
    verdict = judge.check("picture.jpg", "A red ball.")  # match, mismatch or unsure; score, each word and its place
    judge.verdicts(pictures, texts)                      # N verdicts, picture i with text i
    judge.pairs(pictures, texts)                         # (N,) scores, picture i with text i
    judge.scores(pictures, texts)                        # (N, M) scores, each picture with each text

A `Picture` is a path, the bytes of a picture file, a file object opened with mode "rb", a PIL picture, an array (H, W),
(H, W, 3) or (H, W, 4), or a tensor (1, 3 or 4, H, W). Arrays and tensors hold bytes, or floats from 0 to 1. Every
picture is reduced and squeezed as in training.

Shapes: N pictures, M texts, L words of a text that the model reads, V vectors of width D, (h, w) patch grid.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.augment import prepare
from common.devices import choose_device
from common.metrics import Floats, Integers
from common.risk import limits_at
from evaluation import scoring
from judging.bundle import MANIFEST, load_bundle
from judging.doubt import close_word, why_foreign, why_risky, why_strange, why_weak
from judging.inputs import (
    Picture,
    PictureError,
    check_text,
    key_of,
    list_pictures,
    list_texts,
    open_any,
    why_unreadable,
)
from Tokenizer_lib import Word, split_words
from training.checkpoints import LoadedModel, load_model

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = str(ROOT / "Models" / "photos")  # the judge of photographs that comes with the program
PAIRS = 256  # whose heat is computed at once


class WordScore(NamedTuple):
    """One word of a text, with its score and its place in the picture.

    The score says how well the word fits: with a head, the head's answer for the word, and the patch is where the word
    looks most; without one, the cosine of the word with its best patch. A model with only the pooled score has no word
    vectors: there the score is what the text's score loses without the word, and patch and box are None.
    """

    text: str
    start: int  # its characters in the text
    end: int
    score: float  # -1 to 1
    known: bool  # False: the word is not in the vocabulary, so its score says little
    patch: tuple[int, int] | None  # row and column of the best patch in the patch grid
    box: tuple[float, float, float, float] | None  # that patch: left, top, right, bottom, as fractions of the picture
    meant: str | None = None  # the known word that is spelled most like an unknown one


class Verdict(NamedTuple):
    """The judgement of one picture and one text. A notebook shows it as HTML, with the words coloured by their score.

    match is True if score >= threshold. The judge is unsure, and `why` says why, if the picture or the text is outside
    of what the model knows, or if the score decides nothing at the judge's risk.
    """

    score: float  # the verdict score, from -1 to 1
    probability: float  # of a match, if half of all texts are false; at least 0.5 for a match (see `Calibration`)
    threshold: float
    match: bool
    words: tuple[WordScore, ...]  # those that the model reads
    unread: int  # words beyond the maximum that the model reads
    heat: Floats | None  # (L, h, w), see heat_is; None for a model with only the pooled score
    text: str  # what was judged
    heat_is: str = "cosine"  # of each word with each patch; "attention": where each word looks, 1 is its best patch
    why: str = ""  # the judge is unsure; "" if it is not
    outside: bool = False  # the picture or the text is outside of what the model knows
    model: str = ""  # its name
    trained_on: str = ""  # number and kind of its training pictures, "6,036 drawn scenes"; "" if that is not known
    note: str = ""  # a warning, if the verdict depends on numbers, relations or negations and the model is weak at them

    @property
    def verdict(self) -> Literal["match", "mismatch", "unsure"]:
        return "unsure" if self.why else "match" if self.match else "mismatch"

    def as_dict(self) -> dict[str, Any]:
        """Everything except the heat and the text, as plain values for JSON."""
        values = {name: value for name, value in self._asdict().items() if name not in ("heat", "text", "heat_is")}
        return {"verdict": self.verdict, "why": self.why, **values, "words": [word._asdict() for word in self.words]}

    def __repr__(self) -> str:
        sign = ">=" if self.match else "<"
        numbers = f"score {self.score:.3f} {sign} threshold {self.threshold:.3f}"
        because = f", because {self.why}" if self.why else ""
        return f"<Verdict {self.verdict.upper()}: {numbers}, {shorten(repr(self.text), 45)}{because}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from judging.notebook import verdict_html

        return verdict_html(self)


class Judge:
    """A trained model with its threshold: is this text an accurate description of this picture?

    >>> judge = Judge.load()
    >>> verdict = judge.check("picture.jpg", "A red ball.")
    >>> print(verdict.match, verdict.score, judge.threshold)

    threshold: a text is a match from this verdict score on (float). It was chosen on the validation split.
    risk: see `load`. name: name of the model. trained_on: number and kind of its training pictures. loaded: its
    network, vocabulary, settings and calibration.

    Every method accepts any `Picture`: a path, the bytes of a picture file, a file object opened with mode "rb", a PIL
    picture, an array (H, W), (H, W, 3) or (H, W, 4), or a tensor (1, 3 or 4, H, W); arrays and tensors hold bytes, or
    floats from 0 to 1. What cannot be judged raises PictureError or TextError, both of them ValueErrors with the
    attributes number (its index in the list), name and reason.
    """

    def __init__(self, loaded: LoadedModel, name: str = "", risk: float | None = None):
        """Use `Judge.load`; this makes a judge of a model that is loaded already."""
        if isinstance(loaded, str | Path):
            raise TypeError(f"use Judge.load({str(loaded)!r})")
        self.loaded, self.name, self.risk = loaded, name, risk
        self._meant: dict[str, str | None] = {}  # unknown word -> the known one that is spelled most like it
        self.threshold = float(loaded.threshold.threshold)
        self.trained_on = loaded.model.trained_on
        self.limits = None if risk is None else limits_at(loaded.threshold.limits, risk, name or "the model")

    @classmethod
    def load(cls, model: str | Path | None = None, device: str = "auto", risk: float | None = None) -> Judge:
        """Load a model from its folder or from a bundle (.zip).

        Without `model`, as Predict.py: the judge of photographs that comes with the program, Models/photos. device:
        auto, cpu, cuda, cuda:1, mps ...; a bundle runs on the CPU. FileNotFoundError if there is no model, ValueError
        if it is damaged or of another version, if there is no such device, or if the model has no limits for a risk.

        risk: highest error rate of verdicts, for example 0.1; where it would be exceeded the verdict is "unsure". See
        docs/USING.md for what is guaranteed.

        >>> judge = Judge.load("Models/scenes", device="cpu")
        """
        path = Path(SHIPPED if model is None else model)
        with names_shipped(path):
            if path.suffix.lower() == ".zip" or (path / MANIFEST).is_file():
                loaded, name = load_bundle(path), path.stem
            else:
                loaded, name = load_model(path, choose_device(device, "device={!r}")), path.name
        if risk is not None:
            limits_at(loaded.threshold.limits, risk, str(path))  # its message names the folder
        return cls(loaded, name, risk)

    def check(self, picture: Picture, text: str) -> Verdict:
        """Judge one picture and one text. PictureError or TextError says why they cannot be judged.

        >>> verdict = judge.check("picture.jpg", "A red ball.")
        """
        check_text(text)
        pictures = self._encode([picture], [None])
        return self._judge(pictures, np.zeros(1, dtype=np.int64), [text])[0]

    def verdicts(self, pictures: Iterable[Picture], texts: Iterable[str]) -> list[Verdict]:
        """The N verdicts on picture i with text i, as `check` gives them; a repeated picture or text is encoded once.

        Pictures are the same if they are the same path or the same object. PictureError, TextError; ValueError if the
        numbers of pictures and texts differ.

        >>> red, blue = judge.verdicts(["a.jpg", "a.jpg"], ["A red ball.", "A blue ball."])
        """
        seen, which, texts = self._encode_pairs(pictures, texts)
        return self._judge(seen, which, texts) if texts else []

    def pairs(self, pictures: Iterable[Picture], texts: Iterable[str]) -> Floats:
        """The verdict scores (N,) of picture i with text i; faster than `verdicts`, with the same rules.

        >>> matches = judge.pairs(["a.jpg", "b.jpg"], ["A red ball.", "A blue ball."]) >= judge.threshold
        """
        seen, which, texts = self._encode_pairs(pictures, texts)
        if not texts:
            return np.zeros(0, dtype=np.float32)
        return scoring.score_pairs(self.loaded, seen.vectors, texts, which)

    def scores(self, pictures: Iterable[Picture], texts: Iterable[str]) -> Floats:
        """The verdict scores (N, M) of every picture with every text; each is encoded once. PictureError, TextError.

        >>> best = judge.scores(pictures, ["A red ball.", "A blue ball."]).argmax(axis=1)  # (N,) best text of each
        """
        pictures, texts = list_pictures(pictures), list_texts(texts)
        if not (pictures and texts):
            return np.zeros((len(pictures), len(texts)), dtype=np.float32)
        blocks = list(scoring.encode_texts(self.loaded, texts))
        scores = np.empty((len(pictures), len(texts)), dtype=np.float32)
        vectors = self.encode_pictures(pictures)
        for some, values in scoring.score_blocks(self.loaded, vectors, blocks, "scores"):
            scores[some] = values
        return scores

    def probability(self, scores: float | Floats) -> Floats:
        """Probability of a match at these scores, if true and false texts are equally frequent; same shape."""
        return self.loaded.threshold.calibration.probability(scores)

    def encode_pictures(self, pictures: Sequence[Picture], numbers: Sequence[int | None] | None = None) -> Tensor:
        """Vectors (N, V, D) of pictures; numbers: their indices in a PictureError, by default 0, 1, ..."""
        return self._encode(pictures, numbers or range(len(pictures))).vectors

    def why_unsure(self, score: float, text: str, unlike: float = 0.0) -> str:
        """Why there is neither match nor mismatch; "" if there is. unlike: of the picture, see common/world.py."""
        return self._why_outside(text, unlike) or why_risky(score, self.threshold, self.limits)

    def prepare(self, picture: Picture) -> Tensor:
        """A picture as the input of the model, bytes (3, side, side). ValueError or OSError if it cannot be read."""
        return prepare(open_any(picture), self.loaded.config.data.side)

    def __repr__(self) -> str:
        known = f"trained on {shorten(self.trained_on, 45)}, " if self.trained_on else ""
        risk = "" if self.risk is None else f"risk {self.risk:g}, "
        words = f"{len(self.loaded.tokenizer):,} words"
        facts = f"{known}threshold {self.threshold:.3f}, {risk}{words}, on {self.loaded.model.device}"
        return f"<Judge {shorten(repr(self.name), 40)}: {facts}>"

    def _encode(self, pictures: Sequence[Picture], numbers: Iterable[int | None]) -> scoring.Pictures:
        """The pictures as the model sees them; numbers: their indices in a PictureError."""
        return scoring.encode_and_measure(self.loaded, self._prepared(pictures, numbers), len(pictures))

    def _encode_pairs(
        self, pictures: Iterable[Picture], texts: Iterable[str]
    ) -> tuple[scoring.Pictures, Integers, list[str]]:
        """The K different pictures as the model sees them, the index into them of each pair (N,), and the N texts."""
        pictures = list_pictures(pictures)  # `key_of` uses id(): pictures that are made on access must stay alive
        texts = list_texts(texts)
        if len(pictures) != len(texts):
            raise ValueError(f"{len(pictures)} pictures and {len(texts)} texts: each picture needs one text")
        number: dict[str | int, int] = {}
        which = np.array([number.setdefault(key_of(picture), len(number)) for picture in pictures], dtype=np.int64)
        if not texts:
            return scoring.Pictures(torch.empty(0), np.zeros(0, dtype=np.float32)), which, texts
        first = np.unique(which, return_index=True)[1]
        return self._encode([pictures[i] for i in first], first.tolist()), which, texts

    def _why_outside(self, text: str, unlike: float) -> str:
        reasons = why_strange(unlike, self.trained_on), why_foreign(text, self.loaded.tokenizer.index)
        return " and ".join(filter(None, reasons))

    @torch.no_grad()
    def _judge(self, pictures: scoring.Pictures, which: Integers, texts: Sequence[str]) -> list[Verdict]:
        """The verdicts on text i with picture which[i] of the K different pictures."""
        heats: list[Floats] | None = None
        if self.loaded.model.scores_words:
            scores, best, heats = self._evidence(pictures.vectors, which, texts)
        else:
            scores, best = scoring.score_words(self.loaded, pictures.vectors, texts, which)
        unlike = pictures.unlike[which]
        return [
            self._verdict(text, float(scores[i]), best[i], None if heats is None else heats[i], float(unlike[i]))
            for i, text in enumerate(texts)
        ]

    def _evidence(
        self, pictures: Tensor, which: Integers, texts: Sequence[str]
    ) -> tuple[Floats, list[Floats], list[Floats]]:
        """Verdict scores (N,), and for each text the scores (L,) and the heat (L, h, w) of its words."""
        members: dict[str, list[int]] = {}  # equal texts are encoded once
        for i, text in enumerate(texts):
            members.setdefault(text, []).append(i)
        different, model = list(members), self.loaded.model
        scores = np.zeros(len(texts), dtype=np.float32)
        words, heats = ([scores[:0]] * len(texts) for _ in range(2))
        for block in scoring.encode_texts(self.loaded, different):
            pairs = [(i, row) for row, number in enumerate(block.numbers) for i in members[different[number]]]
            for start in range(0, len(pairs), PAIRS):
                some, rows = map(list, zip(*pairs[start : start + PAIRS]))
                mine = pictures[torch.from_numpy(which[some]).to(pictures.device)]
                found = model.evidence(mine, block.vectors[rows])
                grid = math.isqrt(found.heat.shape[-1])  # pictures are square, and so is their grid
                scores[some], lines, maps = (part.cpu().numpy() for part in found)
                for i, line, heat in zip(some, lines, maps):
                    length = len(scoring.words_of(self.loaded, texts[i]))
                    words[i], heats[i] = line[:length].copy(), heat[:length].reshape(-1, grid, grid).copy()
        return scores, words, heats

    def _verdict(self, text: str, score: float, best: Floats, heat: Floats | None, unlike: float) -> Verdict:
        """The verdict with this score; best: the scores (L,) of the words, heat: (L, h, w), unlike: see Pictures."""
        everything = split_words(text)
        words = everything[: len(best)]
        match, accuracies = score >= self.threshold, self.loaded.threshold.accuracies
        return Verdict(
            score=score,
            probability=float(self.probability(score)),
            threshold=self.threshold,
            match=match,
            words=tuple(
                self._word(text, word, float(value), None if heat is None else heat[i])
                for i, (word, value) in enumerate(zip(words, best))
            ),
            unread=len(everything) - len(words),
            heat=heat,
            text=text,
            heat_is="attention" if self.loaded.model.has_head else "cosine",
            why=self.why_unsure(score, text, unlike),
            outside=bool(self._why_outside(text, unlike)),
            model=self.name,
            trained_on=self.trained_on,
            note=why_weak([word.text for word in words], best.tolist(), match, accuracies),
        )

    def _word(self, text: str, word: Word, score: float, heat: Floats | None) -> WordScore:
        patch, box = None, None
        if heat is not None:
            height, width = heat.shape
            line, column = divmod(int(heat.argmax()), width)
            patch = line, column
            box = (column / width, line / height, (column + 1) / width, (line + 1) / height)
        known = word.text in self.loaded.tokenizer.index
        if not known and word.text not in self._meant:  # takes up to 40 ms if the vocabulary has 7,400 words
            self._meant[word.text] = close_word(word.text, self.loaded.tokenizer.words)
        meant = self._meant.get(word.text)
        return WordScore(text[word.start : word.end], word.start, word.end, score, known, patch, box, meant)

    def _prepared(self, pictures: Iterable[Picture], numbers: Iterable[int | None]) -> Iterator[Tensor]:
        for number, picture in zip(numbers, pictures):
            try:
                yield self.prepare(picture)
            except (ValueError, OSError) as error:
                name = str(picture) if isinstance(picture, str | Path) else ""
                raise PictureError(number, name, why_unreadable(error, name)) from error


@contextlib.contextmanager
def names_shipped(model: Path) -> Iterator[None]:
    """The message of a FileNotFoundError inside names the shipped model, unless `model` is that one."""
    try:
        yield
    except FileNotFoundError as error:
        if not Path(SHIPPED).is_dir() or model.resolve() == Path(SHIPPED):
            raise
        raise FileNotFoundError(f"{error}, or use the model that comes with the program: {SHIPPED}") from None


def name_model(name: str, trained_on: str) -> str:
    """A model in one line: "model scenes-small, trained on 6,036 drawn scenes"."""
    return f"model {name}" + (f", trained on {trained_on}" if trained_on else "")


def shorten(text: str, most: int) -> str:
    """The text, cut to at most `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
