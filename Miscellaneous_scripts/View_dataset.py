"""See what training sees: a page of samples, how long the captions are, and how often the words occur.

python Miscellaneous_scripts/View_dataset.py [--name photos] [--split train] [--count 8] [--preset finetune]

Writes Plots/NAME_samples.png, and of the train split Plots/caption_length_hist.png (to choose --data.max-words by) and
Plots/vocab_rank_freq.png (to choose --data.min-count by).
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import DataBase_functions as db
from common.augment import augment
from common.command_line import fail, read_command_line
from Config import PRESETS, AugmentConfig, require
from DataBase_functions import Caption, Database, Key, PairDataset
from evaluation.style import pyplot
from Negative_map import KINDS
from negatives.edits import other_words
from negatives.text import Negative
from Tokenizer_lib import Tokenizer, split_words

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#595959"  # the first two: Okabe & Ito 2008
DPI = 150  # 1350 pixels wide: sharp at the 900 that a README shows
WIDTH, ROW, SIDE, GAP = 9.0, 2.0, 1.7, 0.12  # inches: page, distance of rows, side of a picture, margin
SIZE, LINE, MOST = 10, 0.18, 4  # points, inches between lines, lines of one text: 1 + 4 + 1 + 4 of them fill a row


@dataclass(frozen=True)
class ViewConfig:
    """What to look at."""

    name: str = "photos"
    """Name of the database."""
    root: str = "Database"
    """Folder of all databases."""
    split: str = "train"
    """Split of the samples: train, validation or test. Both statistics are of the train split."""
    count: int = 8
    """Samples on the page."""
    seed: int = 0
    """Seed of the run whose first epoch is shown."""
    preset: Literal[tuple(PRESETS)] = "finetune"  # type: ignore[valid-type]
    """Preset of Main_train.py whose augmentation, negatives and vocabulary are shown."""
    out: str | None = None
    """PNG of the samples, by default PLOTS/NAME_samples.png."""
    plots: str = "Plots"
    """Folder of the plots."""

    def __post_init__(self) -> None:
        # A PNG of matplotlib has fewer than 65,536 lines: 218 rows.
        require(1 <= self.count <= 200, f"--count {self.count}: must be 1 to 200")
        require(self.seed >= 0, f"--seed {self.seed}: must not be negative")


class Sample(NamedTuple):
    """One caption of a photograph as a step of training meets it."""

    stored: Image.Image
    seen: Tensor  # (3, side, side) bytes
    caption: Caption
    negative: Negative | None


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(ViewConfig, __doc__ or "", args)
    plots = Path(settings.plots)
    out = Path(settings.out) if settings.out else plots / f"{settings.name}_samples.png"
    config = PRESETS[settings.preset][1]
    augmentation, seen = config.augment, f"augmented\n(preset {settings.preset})"
    if not augmentation.active:
        views = config.backbone.views
        does = f"has {views} cached views" if views > 1 else "itself does not"
        augmentation, seen = PRESETS["finetune"][1].augment, f"augmented as finetune;\n{settings.preset} {does}"
    try:
        database = Database(Path(settings.root) / settings.name)
        tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
        dataset = PairDataset(database, tokenizer, config.data, config.negatives, augmentation, settings.seed)
        page = draw_samples(dataset, settings.split, settings.count)
        lengths = caption_lengths(split_captions(database, "train"))
        title = f"{settings.name}, {settings.split} split: samples as training sees them (seed {settings.seed})"
        plot_samples(out, title, seen, page, dataset)
        plot_lengths(plots / "caption_length_hist.png", settings.name, lengths, config.data.max_words)
        plot_vocabulary(plots / "vocab_rank_freq.png", settings.name, database.word_counts)
    except (ValueError, OSError) as error:
        fail(str(error))
    print(f"written: {out} ({len(page)} samples)")
    for name in ("caption_length_hist.png", "vocab_rank_freq.png"):
        print(f"written: {plots / name}")


def split_captions(database: Database, split: str) -> pa.Table:
    """Columns row, text and kind of all captions of a split.

    Taken from the Arrow columns at once: 0.2 s for 30,000 captions.
    """
    column = database.table.column("captions")
    rows = np.repeat(np.arange(len(column)), pc.list_value_length(column).to_numpy())
    flat = pc.list_flatten(column)
    captions = pa.table({"row": rows, **{name: pc.struct_field(flat, name) for name in ("text", "kind")}})
    return captions.filter(pa.array(np.isin(rows, database.rows(split))))


def draw_samples(dataset: PairDataset, split: str, count: int) -> list[Sample]:
    """The first samples of the first epoch, but at least one of each kind of caption where `count` allows it."""
    rows = dataset.database.rows(split)
    keys = [batch[0] for batch in db.EpochSampler(rows, 1, dataset.seed, shuffle=True)]
    captions = split_captions(dataset.database, split)
    kinds = Counter(captions["kind"].to_pylist())
    found: dict[int, Sample] = {}
    for kind in sorted(kinds, key=lambda kind: kinds[kind])[:count]:  # the rarest first, it has the least choice
        having = set(captions.filter(pc.equal(captions["kind"], kind))["row"].to_pylist()) - set(found)
        # Where no photograph draws this kind in the first epoch (one narrative beside 5 captions), a later one does.
        for key in (Key(epoch, key.row) for epoch in range(10) for key in keys if key.row in having):
            sample = draw_sample(dataset, key, kind)
            if sample.caption.kind == kind:
                found[key.row] = sample
                break
    for key in keys:
        if len(found) < count and key.row not in found:
            found[key.row] = draw_sample(dataset, key)
    return [found[key.row] for key in keys if key.row in found]


def draw_sample(dataset: PairDataset, key: Key, kind: str = "") -> Sample:
    """The first drawn caption of a photograph, or the first of this kind, with its picture as training augments it."""
    database, settings = dataset.database, dataset.augmentation or AugmentConfig()
    rng = db.seeded(dataset.seed, key.epoch, database.ids[key.row])
    drawn = dataset.texts(key.row, rng)
    words = set().union(*(caption.said for caption in drawn))
    picture = database.picture(key.row)
    seen = augment(picture, dataset.data.side, settings, rng, db.may_mirror(words), db.may_recolour(words))
    first, stored = dataset.plan.captions(key.row).start, database.captions(key.row)
    captions = [stored[caption.number - first] for caption in drawn]
    n = next((n for n, caption in enumerate(captions) if caption.kind == kind), 0)
    negatives = drawn[n].negatives
    return Sample(picture, seen, captions[n], negatives[0].negative if negatives else None)


def replaced_words(text: str, negative: Negative) -> list[tuple[int, int]]:
    """Spans of the words in the true text that the negative replaces.

    Unchanged words are aligned. An inflection or article that followed a changed word ("men" in "two men" -> "one man")
    is not marked; `Negative.changed` does not include it either. For a negative that is another text (a mined caption),
    these are the words of the true text that the negative lacks.
    """
    if not KINDS[negative.kind].rewrites:
        return list(other_words(negative.text, text))
    old, new = split_words(text), split_words(negative.text)
    changed = set(db.changed_words(new, negative))
    stayed = ["" if i in changed else word.text for i, word in enumerate(new)]  # "" equals no word
    spans = []
    matcher = SequenceMatcher(None, [word.text for word in old], stayed, autojunk=False)
    for _, first, last, start, end in matcher.get_opcodes():
        if inside := [i for i in range(start, end) if i in changed]:
            replaced = old[first + inside[0] - start : last - (end - 1 - inside[-1])]
            spans += [(word.start, word.end) for word in replaced]
    return spans


class Piece(NamedTuple):
    """A word as it is printed, with its punctuation and the space after it."""

    text: str
    marked: bool = False


ELLIPSIS = Piece("… ")


def split_pieces(text: str, marks: Sequence[tuple[int, int]]) -> list[Piece]:
    """The words of a text, marked where they touch one of the spans `marks`.

    A word is split after 24 characters: an address or a text without spaces would not fit on the page.
    """
    return [
        Piece(match.group(), any(match.start() < end and start < match.end() for start, end in marks))
        for match in re.finditer(r"\S{1,24}\s*", text)
    ]


def lay_out(pieces: Sequence[Piece], room: float, most: int, width: Callable[[Piece], float]) -> list[list[Piece]]:
    """Lines no wider than `room`. If there are more than `most` (>= 2), only the lines around the first marked piece.

    An ellipsis marks the omitted text before and after them.
    """

    def wrap(room: float) -> list[list[Piece]]:
        lines: list[list[Piece]] = [[]]
        for piece in pieces:
            if lines[-1] and sum(map(width, lines[-1])) + width(piece) > room:
                lines.append([])
            lines[-1].append(piece)
        return lines

    lines = wrap(room)
    if len(lines) <= most:
        return lines
    lines = wrap(room - width(ELLIPSIS))
    focus = next((n for n, line in enumerate(lines) if any(piece.marked for piece in line)), 0)
    first = min(max(0, focus - most // 2), len(lines) - most)
    shown = lines[first : first + most]
    if first > 0:
        shown[0] = [ELLIPSIS, *shown[0]]
    if first + most < len(lines):
        shown[-1] = [*shown[-1], ELLIPSIS]
    return shown


class SamplePage:
    """A figure with one row a sample: the stored picture, the augmented one, the caption and its hard negative.

    x and y are in inches from the upper left corner.
    """

    def __init__(self, rows: int):
        self.height = rows * ROW + 1.0
        self.figure = pyplot().figure(figsize=(WIDTH, self.height), dpi=DPI)
        self.renderer = self.figure.canvas.get_renderer()
        self.left = [GAP, 2 * GAP + SIDE, 4 * GAP + 2 * SIDE]  # of the three columns

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        # Without parse_math, a caption with two prices in $ would be set as a formula.
        style = {"size": SIZE, "va": "top", **style}
        self.figure.text(x / WIDTH, 1 - y / self.height, text, parse_math=False, **style)

    def width(self, piece: Piece) -> float:
        """Inches of a piece in print, with the space after it."""
        font = pyplot().matplotlib.font_manager.FontProperties(size=SIZE, weight="bold" if piece.marked else "normal")
        word = piece.text.rstrip()  # matplotlib measures ink, and a space has none
        space = 0.32 * SIZE / 72 if word != piece.text else 0.0
        return self.renderer.get_text_width_height_descent(word, font, ismath=False)[0] / DPI + space

    def write_text(self, y: float, pieces: Sequence[Piece], colour: str) -> float:
        """Write a text into the third column, marked pieces bold and in `colour`; returns the y below it."""
        for line in lay_out(pieces, WIDTH - self.left[2] - GAP, MOST, self.width):
            x = self.left[2]
            for piece in line:
                style = {"color": colour, "weight": "bold"} if piece.marked else {}
                # By the baseline: a word with an accent or a bracket is higher than the others.
                self.write(x, y + 0.76 * SIZE / 72, piece.text.rstrip(), va="baseline", **style)
                x += self.width(piece)
            y += LINE
        return y

    def write_sample(self, top: float, sample: Sample, cut: int) -> None:
        """One row; cut: the most words that a model reads."""
        for x, pixels in zip(self.left, (np.asarray(sample.stored), sample.seen.permute(1, 2, 0).numpy())):
            place = (x / WIDTH, 1 - (top + SIDE) / self.height, SIDE / WIDTH, SIDE / self.height)
            panel = self.figure.add_axes(place, anchor="N")
            panel.imshow(pixels)
            panel.axis("off")
        caption, negative = sample.caption, sample.negative
        words = len(split_words(caption.text))
        note = f"{caption.kind} from {caption.source}, {words} words" + (f", {cut} are read" if words > cut else "")
        self.write(self.left[2], top, note, color=GREY)
        replaced = replaced_words(caption.text, negative) if negative else []
        y = self.write_text(top + LINE, split_pieces(caption.text, replaced), BLUE) + 0.4 * LINE
        if negative is None:
            note = "no hard negative: nothing of it can be changed, nor is another caption near it"
            self.write(self.left[2], y, note, color=GREY, style="italic")
            return
        what = ", ".join(dict.fromkeys((negative.kind, negative.category)))  # of a mined one both are the same
        note = f"hard negative ({what})"
        if min(db.changed_words(split_words(negative.text), negative), default=0) >= cut:
            note += f": changed after the {cut} words that are read"
        self.write(self.left[2], y, note, color=GREY)
        self.write_text(y + LINE, split_pieces(negative.text, negative.changed), VERMILLION)


def plot_samples(path: Path, title: str, seen: str, samples: Sequence[Sample], dataset: PairDataset) -> None:
    """Write a PNG with one row a sample; seen: the head of the column with augmented pictures."""
    page = SamplePage(len(samples))
    page.write(GAP, GAP, title, size=12)
    heads = ("\nstored picture", seen, "\na caption and its hard negative; bold: where they differ")
    for x, head in zip(page.left, heads):
        page.write(x, 0.45, head, color=GREY)
    for n, sample in enumerate(samples):
        page.write_sample(0.85 + n * ROW, sample, dataset.data.max_words)
    save(path, page.figure)


def caption_lengths(captions: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Words of each caption, as the tokenizer counts them, for each kind; the most frequent kind first."""
    words = np.array([len(split_words(text)) for text in captions["text"].to_pylist()])
    kinds = np.array(captions["kind"].to_pylist())
    lengths = {str(kind): words[kinds == kind] for kind in np.unique(kinds)}
    return dict(sorted(lengths.items(), key=lambda item: -len(item[1])))


def enough_words(words: NDArray[np.int64]) -> list[int]:
    """The least numbers of words that hold half, 95 % and 99 % of the captions whole."""
    return [int(n) for n in np.percentile(words, [50, 95, 99], method="inverted_cdf")]


def plot_lengths(path: Path, name: str, lengths: Mapping[str, NDArray[np.int64]], max_words: int) -> None:
    """Histogram of words per caption, one outline for each kind."""
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(WIDTH, 5.6), layout="constrained")
    everything = np.concatenate(list(lengths.values()))
    longest = max(int(everything.max()), max_words)
    step = -(-longest // 150)  # whole numbers of words, or bars would be uneven
    edges = np.arange(0, longest + 2 * step, step) - 0.5
    for n, (kind, words) in enumerate(lengths.items()):
        label = f"{kind} ({len(words):,})"
        if len(lengths) > 1:
            label += ": median {}, 95 % up to {}, 99 % up to {}".format(*enough_words(words))
        panel.hist(words, edges, histtype="stepfilled", color=f"C{n}", alpha=0.25)
        panel.hist(words, edges, histtype="step", color=f"C{n}", ls=("-", "--", ":")[n % 3], lw=1.5, label=label)
    names = ("median", "95th percentile", "99th percentile")
    for limit, what, dashes in zip(enough_words(everything), names, ("-", "--", ":")):
        panel.axvline(limit, color="k", ls=dashes, lw=1.3, label=f"{what} of all captions: {limit} words")
    cut = everything > max_words
    label = f"--data.max-words {max_words}: {cut.sum():,} captions are cut ({100 * cut.mean():.2f} %)"
    panel.axvline(max_words, color=GREY, ls="-.", lw=1.3, label=label)
    panel.set(title=f"Length of the captions of {name} (train split)", ylabel="captions")
    panel.set(xlabel="words" if step == 1 else f"words (bars of {step})", xlim=(0, 1.02 * edges[-1]))
    panel.set(yscale="log", ylim=(0.7, None))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    save(path, figure)


def vocabulary_sizes(counts: Mapping[str, int], least: Sequence[int] = (1, 2, 5)) -> list[tuple[int, int, float]]:
    """For each least count: itself, how many words reach it, and which share of all tokens they are."""
    sizes = []
    for n in least:
        kept = [count for count in counts.values() if count >= n]
        sizes.append((n, len(kept), sum(kept) / sum(counts.values())))
    return sizes


def plot_vocabulary(path: Path, name: str, counts: Mapping[str, int]) -> None:
    """Frequency of each word over its rank, with the vocabulary that each --data.min-count leaves."""
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(WIDTH, 5.4), layout="constrained")
    panel.loglog(range(1, len(counts) + 1), sorted(counts.values(), reverse=True), lw=2)
    for (least, size, share), marker, n in zip(vocabulary_sizes(counts), "os^", (5, 2, 1)):
        label = f"{least}× or more: {size:,} words, {100 * share:.2f} % of the tokens"
        panel.plot(size, least, marker, color=f"C{n}", ms=9, mec="k", label=label)
    panel.set(title=f"Words in the captions of {name} (train split)", xlabel="rank of the word", ylabel="occurrences")
    title = f"of {sum(counts.values()):,} tokens, the words that occur"
    figure.legend(loc="outside lower center", fontsize=10, frameon=False, title=title)
    save(path, figure)


def save(path: Path, figure: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
    pyplot().close(figure)


if __name__ == "__main__":
    main()
