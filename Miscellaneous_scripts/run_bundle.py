"""Is this text an accurate description of this picture?

    python run.py IMAGE "TEXT" [--json] [--risk R]

Part of a bundle: it needs the other files of the bundle and `python -m pip install onnxruntime numpy pillow`.
Prints MATCH, MISMATCH or UNSURE, the score, the threshold, the probability of a match, and the score of each word. Exit
status 0: match, 1: mismatch, 3: unsure, 2: error.
(Miscellaneous_scripts/Export_model.py puts this file into every bundle.)

Shapes: T texts, L words that the model reads, P patches of the picture, V vectors of a picture or text of width D.
"""

import argparse
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
ABOUT = """Is this text an accurate description of this picture?

Prints MATCH or MISMATCH with the score, the threshold and the probability of a
match, or UNSURE with the reason; below, each word with its score from -1 to 1
and a bar. A low score: the word fits no place in the picture. Exit status: 0
match, 1 mismatch, 3 unsure, 2 error.
Run it in an unpacked bundle (Miscellaneous_scripts/Export_model.py makes one)."""
EXAMPLES = """examples:
  python run.py picture.jpg "A red ball on a beach."
  python run.py picture.jpg "A red ball on a beach." --json"""


def fail(message: str) -> NoReturn:
    """One line on stderr, exit status 2."""
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    raise SystemExit(2)


class Parser(argparse.ArgumentParser):
    """Prints errors in one line."""

    def error(self, message: str) -> NoReturn:
        fail(f'{message}; use: python run.py IMAGE "TEXT" [--json]')


def make_parser() -> Parser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser("run.py", 'python run.py IMAGE "TEXT" [--json]', ABOUT, EXAMPLES, formatter_class=layout)
    parser.add_argument("image", metavar="IMAGE", help="picture file: JPEG, PNG, WebP, GIF, TIFF or BMP")
    parser.add_argument("text", metavar="TEXT", help="text to check, in quotes")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON, with the place of each word")
    parser.add_argument("--risk", type=float, metavar="R", help="highest error rate of verdicts, for example 0.1")
    return parser


try:
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray

    from common.checked import BUNDLE, check, check_words, parse_vocabulary, read_bytes, read_json
    from common.pictures import open_picture
    from judging.doubt import close_word, why_foreign, why_risky, why_strange, why_weak
    from Tokenizer_lib import split_words
except ModuleNotFoundError as missing:
    if not {"-h", "--help"}.isdisjoint(sys.argv[1:]):  # help needs none of them
        make_parser().parse_args(["--help"])
    if missing.name in ("common", "common.checked", "common.pictures", "judging", "judging.doubt", "Tokenizer_lib"):
        fail(f"no {missing.name.replace('.', '/')}.py beside it; unpack a bundle and run the run.py in it")
    fail(f"{missing.name} is not installed: python -m pip install onnxruntime numpy pillow")

STORED: dict[str, dict[str, Any]] = {  # file -> what it must hold
    "bundle.json": {**BUNDLE, "trained_on": str},
    "threshold.json": {
        **dict.fromkeys(("threshold", "slope", "intercept"), float),
        "criterion": str,
        "limits": Sequence[Sequence[float | None]],
        "accuracies": Mapping[str, float],
    },
}
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
CUBIC = -0.5  # parameter a of the bicubic kernel, as in torch (antialias=True) and Pillow


def main(args: Sequence[str] | None = None) -> None:
    settings = make_parser().parse_args(args)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # a Windows pipe cannot encode the block of the bars
    try:
        verdict = Bundle(HERE, settings.risk).check(Path(settings.image), settings.text)
    except (ValueError, OSError) as error:
        fail(str(error))
    if settings.json:
        print(json.dumps(verdict, indent=2, ensure_ascii=False))
    else:
        print_verdict(verdict)
    raise SystemExit({"match": 0, "mismatch": 1, "unsure": 3}[verdict["verdict"]])


class Bundle:
    """The model in the folder of an unpacked bundle."""

    def __init__(self, folder: Path, risk: float | None = None):
        """Load it. FileNotFoundError or ValueError says which file is missing or damaged, or what the risk lacks."""
        self.folder = folder
        self.settings, self.threshold = (
            check(read_json(folder / name), kinds, str(folder / name), needed=True) for name, kinds in STORED.items()
        )
        self.limits = None if risk is None else limits_at(self.threshold["limits"], risk)
        words = folder / "vocabulary.json"
        self.tokenizer = parse_vocabulary(read_bytes(words), str(words))
        check_words(self.tokenizer, self.settings.get("vocabulary"), str(words))
        self.picture, self.text, self.pair = map(self._open, ("picture.onnx", "text.onnx", "score.onnx"))

    def _open(self, name: str) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        # Without a number, onnxruntime binds its threads to cores, which fails with a warning in some containers.
        options.intra_op_num_threads = usable_cores()
        options.log_severity_level = 4
        data = (self.folder / name).read_bytes()
        try:
            return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a dozen exception classes with no common base but Exception
            reason = str(error).partition("\n")[0]
            raise ValueError(f"cannot read {self.folder / name}: {reason}") from error

    def check(self, path: Path, text: str) -> dict[str, Any]:
        """The verdict on one picture and one text, with the keys that --json prints.

        ValueError or OSError says why they cannot be judged.
        """
        if not is_utf8(text):
            raise ValueError(f"the text {text[:40]!a} has half of a character; write it again")
        everything = split_words(text)
        if not everything:
            raise ValueError(f"the text {text[:40]!r} has no words to check")
        words = everything[: self.settings["max_words"]]
        pixels = squeeze(np.asarray(open_picture(path, self.settings["short_side"])), self.settings["side"])
        picture, *unlike = self._run(self.picture, {"pictures": pixels.transpose(2, 0, 1)[None]})
        indices = np.array([self.tokenizer.encode_words(words)])
        score, *evidence = self._scores(picture, indices)
        best, places = self._of_words(picture, indices, score, *evidence)
        value, trained_on, threshold = float(score[0]), self.settings["trained_on"], self.threshold["threshold"]
        reasons = (
            why_strange(float(unlike[0][0]) if unlike else 0.0, trained_on),
            why_foreign(text, self.tokenizer.index),
        )
        outside = " and ".join(filter(None, reasons))
        why, match = outside or why_risky(value, threshold, self.limits), value >= threshold
        return {
            "verdict": "unsure" if why else "match" if match else "mismatch",
            "why": why,
            "score": value,
            "probability": self.probability(value),
            "threshold": threshold,
            "match": match,
            "words": [
                {
                    "text": text[word.start : word.end],
                    "start": word.start,
                    "end": word.end,
                    "score": float(best[i]),
                    "known": (known := word.text in self.tokenizer.index),
                    **places[i],
                    "meant": None if known else close_word(word.text, self.tokenizer.words),
                }
                for i, word in enumerate(words)
            ],
            "unread": len(everything) - len(words),
            "outside": bool(outside),
            "model": self.settings["name"],
            "trained_on": trained_on,
            "note": why_weak([word.text for word in words], best.tolist(), match, self.threshold["accuracies"]),
        }

    def probability(self, score: float) -> float:
        """Of a match, if half of all texts are false; at least 1/2 for a match if balanced accuracy chose the threshold
        and at most 1/2 for a mismatch, as in common/metrics.py."""
        at = self.threshold
        fitted = sigmoid(at["slope"] * score + at["intercept"])
        if at["criterion"] != "balanced-accuracy":
            return fitted
        return max(fitted, 0.5) if score >= at["threshold"] else min(fitted, 0.5)

    def _scores(self, picture: Floats, indices: NDArray[np.int64]) -> list[Floats]:
        """Scores (T,) of a picture (1, V, D) with texts of word indices (T, L); for a model with word vectors also the
        scores of the words (T, L) and their heat (T, L, P)."""
        (texts,) = self._run(self.text, {"words": indices})
        return self._run(self.pair, {"pictures": np.repeat(picture, len(texts), axis=0), "texts": texts})

    def _run(self, graph: onnxruntime.InferenceSession, inputs: Mapping[str, NDArray[Any]]) -> list[Floats]:
        """The outputs of a graph. ValueError if it does not fit the other files, or computes NaN."""
        try:
            found = graph.run(None, dict(inputs))
        except Exception as error:  # see `_open`
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"the files in {self.folder} are damaged, or of different models: {reason}") from error
        if not all(np.isfinite(values).all() for values in found):
            raise ValueError(f"the files in {self.folder} are damaged, or of different models: a score is not finite")
        return found

    def _of_words(
        self,
        picture: Floats,
        indices: NDArray[np.int64],
        score: Floats,
        words: Floats | None = None,
        heat: Floats | None = None,
    ) -> tuple[Floats, list[dict[str, Any]]]:
        """The score (L,) and the place of each word of a text.

        The place is the patch with the highest heat, as row and column of the grid, and its box (left, top, right,
        bottom) as fractions of the picture. A model with only the pooled score has no word
        vectors: there the score is what the text's score loses without the word, and the places are None.
        """
        count = indices.shape[1]
        if words is not None and heat is not None:
            grid = math.isqrt(heat.shape[2])
            places = [divmod(int(patch), grid) for patch in heat[0].argmax(axis=-1)]
            boxes = [(x / grid, y / grid, (x + 1) / grid, (y + 1) / grid) for y, x in places]
            return words[0], [{"patch": patch, "box": box} for patch, box in zip(places, boxes)]
        shorter = np.zeros((count, max(1, count - 1)), dtype=np.int64)
        for i in range(count):
            shorter[i, : count - 1] = np.delete(indices[0], i)
        return score[0] - self._scores(picture, shorter)[0], [{"patch": None, "box": None}] * count


def limits_at(limits: Sequence[Sequence[Any]], risk: float) -> Sequence[Any]:
    """The limits (risk, lower, upper) of the highest stored risk that is not above `risk`."""
    if not limits:
        raise ValueError("this model has no limits for --risk; evaluate it with this version and export it again")
    if not limits[0][0] <= risk < 0.5:
        raise ValueError(f"--risk {risk:g}: must be at least {limits[0][0]:g} and below 0.5")
    return max((each for each in limits if each[0] <= risk), key=lambda each: each[0])


def is_utf8(text: str) -> bool:
    """Can the text be shown? Some programs, and terminals with another encoding, give half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sigmoid(x: float) -> float:
    """The logistic function of x, without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def squeeze(pixels: Bytes, side: int) -> Bytes:
    """Resize a picture (H, W, 3) to (side, side, 3): bicubic, antialiased, with the bytes that torch gave in training.

    First along the rows, rounded to bytes, then along the columns; an axis that already has the size is not touched.
    """
    for axis in (1, 0):
        if pixels.shape[axis] != side:
            weights, bits = cubic_weights(pixels.shape[axis], side)
            # Whole numbers below 2**53: float64 sums them exactly, and NumPy sums it faster than integers.
            sums = np.moveaxis(np.tensordot(weights, pixels.astype(np.float64), (1, axis)), 0, axis)
            pixels = np.clip(np.floor(sums / 2**bits + 0.5), 0, 255).astype(np.uint8)
    return pixels


def cubic_weights(size: int, side: int) -> tuple[NDArray[np.float64], int]:
    """Weight (side, size) of each of `size` pixels in each of `side` new ones, as whole numbers scaled by 2**bits; and
    bits. torch stores these weights in 16 bits, with the largest scale at which the largest weight fits."""
    scale = size / side
    stretch = max(scale, 1.0)  # antialiasing widens the kernel only where a picture is reduced
    centre = scale * (np.arange(side)[:, None] + 0.5)
    place = np.arange(size)
    first, last = (np.trunc(centre + sign * 2 * stretch + 0.5) for sign in (-1, 1))
    x = np.abs((place + 0.5 - centre) / stretch)
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * CUBIC
    weights = np.where((place >= first) & (place < last), np.where(x < 1, near, np.where(x < 2, far, 0)), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    bits = 0
    while bits < 22 and int(0.5 + weights.max() * 2 ** (bits + 1)) < 2**15:
        bits += 1
    return np.trunc(weights * 2**bits + np.copysign(0.5, weights)), bits


def print_verdict(verdict: dict[str, Any]) -> None:
    sign, why = ">=" if verdict["match"] else "<", verdict["why"]
    score, threshold, probability = (verdict[key] for key in ("score", "threshold", "probability"))
    chance = "" if why else f", probability {probability:.2f}"
    print(f"{verdict['verdict'].upper()}  score {score:.3f} {sign} threshold {threshold:.3f}{chance}")
    if why:
        print(f"  because {why}")
    if verdict["note"]:
        print(f"  {verdict['note']}")
    trained_on = f", trained on {verdict['trained_on']}" if verdict["trained_on"] else ""
    print(f"model {verdict['model']}{trained_on}")
    width = max(len(word["text"]) for word in verdict["words"])
    if sys.stdout.isatty():  # a line has up to 57 other characters
        width = min(width, max(8, shutil.get_terminal_size().columns - 57))
    for word in verdict["words"]:
        name = word["text"] if len(word["text"]) <= width else f"{word['text'][: width - 1]}…"
        bar = "█" * round(20 * max(0.0, word["score"]))
        meant = f"; did you mean {word['meant']}?" if word["meant"] else ""
        note = "" if word["known"] else f"  (not in the vocabulary{meant})"
        print(f"  {name:{width}s}  {word['score']:6.3f}  {bar}{note}")
    if verdict["unread"]:
        last = "word was" if verdict["unread"] == 1 else f"{verdict['unread']} words were"
        print(f"  the last {last} not read: the model reads {len(verdict['words'])}")


if __name__ == "__main__":
    main()
