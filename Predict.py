"""Is this text an accurate description of this picture?

python Predict.py IMAGE "TEXT" [--model Models/NAME]

Prints MATCH or MISMATCH, the score, the threshold, the probability of a match, and each word's own score: how well its
best place in the picture fits. Exit status 0: match, 1: mismatch, 2: error.
"""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import torch.nn.functional as F
import tyro
from PIL import Image
from torch import Tensor

import Functions
from Architectures import real_words
from Config import fail, read_command_line
from DataBase_functions import prepare
from Functions import LoadedModel
from Picture_lib import open_picture
from Tokenizer_lib import split_words


class WordScore(NamedTuple):
    """One word of the text: where it stands, its best cosine over the patches, and that patch.

    A model with the pooled score alone has no vectors of words: there the score is what the text's score loses without
    the word, and the patch is None.
    """

    text: str
    start: int
    end: int
    score: float
    patch: tuple[int, int] | None  # line and column of the patch grid
    known: bool  # False: the word is not in the vocabulary, so its score says little


class Verdict(NamedTuple):
    """What the model says of one picture and one text."""

    score: float
    probability: float  # of a match, if true and false texts are equally frequent
    threshold: float
    match: bool
    words: tuple[WordScore, ...]
    unread: int  # words after the most that the model reads


class Judge:
    """A trained model, ready to check pictures against texts."""

    def __init__(self, loaded: LoadedModel):
        self.model, self.tokenizer, self.config, self.threshold = loaded

    @classmethod
    def load(cls, model_folder: str | Path, device: str = "auto") -> "Judge":
        """FileNotFoundError or ValueError tells what is absent or of another version."""
        return cls(Functions.load_model(Path(model_folder), Functions.choose_device(device)))

    @torch.no_grad()
    def check(self, picture: Image.Image, text: str) -> Verdict:
        """Judge one RGB picture against one text. ValueError if the text holds no word."""
        everything = split_words(text)
        words = everything[: self.config.data.max_words]
        if not words:
            raise ValueError(f"the text {text!r} holds no word to check")
        device = self.model.log_scale.device
        indices = torch.tensor([self.tokenizer.encode(text, self.config.data.max_words)], device=device)
        pixels = prepare(picture, self.config.data.side).unsqueeze(0).to(device)
        # Encoded in the precision that the threshold was tuned in, and scored in float32, as an evaluation does.
        with Functions.autocast(device, Functions.choose_precision(self.config.precision, device)):
            features = self.model.features(pixels.contiguous(memory_format=torch.channels_last))
            pictures, texts = self.model.neck(features), self.model.encode_texts(indices)
            shortened = None if self.model.scores_words else self.model.encode_texts(leave_each_out(indices))
        score = self.model.pair_scores(pictures, texts).item()
        places: list[tuple[int, int] | None] = [None] * len(words)
        if shortened is None:
            (_, patches), (_, vectors) = self.model.parts(pictures), self.model.parts(texts)
            best, where = (F.normalize(vectors, dim=-1) @ patches.transpose(1, 2))[real_words(vectors)].max(dim=-1)
            places = [divmod(patch, features.shape[-1]) for patch in where.tolist()]
        else:
            best = score - self.model.pair_scores(pictures.expand(len(words), -1, -1), shortened)
        return Verdict(
            score=score,
            probability=float(self.threshold.calibration.probability(score)),
            threshold=self.threshold.threshold,
            match=score >= self.threshold.threshold,
            words=tuple(
                WordScore(
                    text[word.start : word.end],
                    word.start,
                    word.end,
                    value,
                    place,
                    word.text in self.tokenizer.index,
                )
                for word, value, place in zip(words, best.tolist(), places)
            ),
            unread=len(everything) - len(words),
        )


def leave_each_out(indices: Tensor) -> Tensor:
    """The words (1, L) of a text -> (L, L): without its first, its second, ..., padded; of one word nothing is left."""
    count = indices.shape[1]
    kept = ~torch.eye(count, dtype=torch.bool, device=indices.device)
    return F.pad(indices.expand(count, -1)[kept].view(count, count - 1), (0, 1))


@dataclass(frozen=True)
class PredictConfig:
    """One picture, one text, one model."""

    image: tyro.conf.Positional[str]
    """Picture file."""
    text: tyro.conf.Positional[str]
    """Text to check, in quotes."""
    model: str = "Models/scenes"
    """Folder of the trained model."""
    device: Annotated[str, tyro.conf.arg(metavar="DEVICE")] = "auto"
    """auto, cpu, cuda, cuda:1, mps ..."""


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(PredictConfig, __doc__ or "", args)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a Windows pipe may not know the bar's block
    try:
        judge = Judge.load(settings.model, settings.device)
        verdict = judge.check(open_picture(Path(settings.image)), settings.text)
    except (ValueError, OSError) as error:
        fail(str(error))
    print_verdict(verdict)
    raise SystemExit(0 if verdict.match else 1)


def print_verdict(verdict: Verdict) -> None:
    name, sign = ("MATCH", ">=") if verdict.match else ("MISMATCH", "<")
    told = f"score {verdict.score:.3f} {sign} threshold {verdict.threshold:.3f}, probability {verdict.probability:.2f}"
    print(f"{name}  {told}")
    width = max(len(word.text) for word in verdict.words)
    for word in verdict.words:
        bar = "█" * round(20 * max(0.0, word.score))
        note = "" if word.known else "  (not in the vocabulary)"
        print(f"  {word.text:{width}s}  {word.score:6.3f}  {bar}{note}")
    if verdict.unread:
        print(f"  the last {verdict.unread} words were not read: the model reads {len(verdict.words)}")


if __name__ == "__main__":
    main()
