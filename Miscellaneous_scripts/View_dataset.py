"""Plot what training sees: samples, the lengths of captions, word frequencies.

    python Miscellaneous_scripts/View_dataset.py --name photos [--split train]

The plots are written to Plots/NAME:
* samples_SPLIT.png: pictures as stored and as the model sees them (augmented, squeezed to a square), captions and hard
  negatives; and the boxes of the captions' words, if there are any
* caption_length_hist.png: to choose --data.max-words (training captions)
* vocab_rank_freq.png: to choose --data.min-count (training captions)
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tyro.conf import arg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import DataBase_functions as db
from common.augment import augment
from common.command_line import counted, fail, read_command_line
from common.regions import Box, Region, View
from common.storage import write_atomically
from Config import PRESETS, AugmentConfig, require
from DataBase_functions import Caption, Database, Key, PairDataset
from evaluation.style import DPI, FigureFormat, pyplot, save
from Negative_map import KINDS
from negatives.edits import other_words
from negatives.text import Negative
from Tokenizer_lib import Tokenizer, split_words

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#595959"  # the first two: Okabe & Ito 2008
# Of the boxes of a caption, in this order; the first three: Okabe & Ito 2008.
BOX_COLOURS = ("#E69F00", "#009E73", "#CC79A7", "#7B3FA0", "#00B5D8", "#8C564B")
WIDTH, ROW, SIDE, GAP = 9.0, 2.0, 1.7, 0.12  # inches: page, distance of rows, side of a picture, margin
SIZE, LINE, MOST = 10, 0.18, 4  # points, inches between lines, lines of one text: 1 + 4 + 1 + 4 lines fill a row
MOST_ROWS = 160  # a PNG of matplotlib has fewer than 65,536 lines of pixels
OWNER = "database.txt"  # file in the folder of the plots with the path of the database that they show


@dataclass(frozen=True)
class ViewConfig:
    """Which database is shown, and how."""

    name: str = "photos"
    """Name of the database."""
    root: str = "Database"
    """Folder of all databases."""
    split: str = "train"
    """Split of the samples: train, validation or test. The other two plots are always of the train split."""
    count: int = 8
    """Number of samples."""
    seed: int = 0
    """Seed of the training run; the samples are from its first epoch."""
    preset: Literal[tuple(PRESETS)] = "finetune"  # type: ignore[valid-type]
    """Preset of Main_train.py whose augmentation, negatives and vocabulary are shown."""
    out: Annotated[str | None, arg(metavar="FILE", help_behavior_hint="(default: PLOTS/NAME/samples_SPLIT.png)")] = None
    """File for the samples: .png, .pdf or .svg."""
    plots: str = "Plots"
    """The plots are written to PLOTS/NAME."""
    figures: FigureFormat = "png"
    """Format of the plots; pdf and svg are vector graphics."""
    overwrite: bool = False
    """Replace the plots of another database with the same name; those of the same database are always replaced."""

    def __post_init__(self) -> None:
        require(1 <= self.count <= MOST_ROWS, f"--count {self.count}: must be 1 to {MOST_ROWS}")
        require(self.seed >= 0, f"--seed {self.seed}: must not be negative")
        endings = [f".{ending}" for ending in get_args(FigureFormat)]
        is_figure = self.out is None or Path(self.out).suffix in endings
        require(is_figure, f"--out {self.out}: the file name must end with {', '.join(endings[:-1])} or {endings[-1]}")

    @property
    def folder(self) -> Path:
        """The folder of the plots."""
        return Path(self.plots) / self.name


class Sample(NamedTuple):
    """One caption of a photograph, with its picture and its hard negative, as in a step of training."""

    stored: Image.Image
    seen: Tensor  # (3, side, side) bytes
    caption: Caption
    negative: Negative | None
    regions: tuple[Region, ...] = ()
    view: View = View()
    """Which part of the stored picture is seen."""


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(ViewConfig, __doc__ or "", args)
    try:
        for path in plot_all(settings):
            print(f"written: {path}")
    except (ValueError, OSError) as error:
        fail(str(error))


def plot_all(settings: ViewConfig) -> Iterator[Path]:
    """Write the three plots; yields their paths."""
    config = PRESETS[settings.preset][1]
    augmentation, seen = config.augment, f"augmented, squeezed\n(preset {settings.preset})"
    if not augmentation.active:
        views = config.backbone.views
        instead = f"uses {views} cached views" if views > 1 else "does not augment"
        augmentation, seen = PRESETS["finetune"][1].augment, f"augmented by finetune\n({settings.preset} {instead})"
    database = Database(Path(settings.root) / settings.name)
    tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
    dataset = PairDataset(database, tokenizer, config.data, config.negatives, augmentation, settings.seed)
    samples = draw_samples(dataset, settings.split, settings.count)
    claim_folder(settings.folder, database.folder, settings.overwrite)
    folder, ending = settings.folder, settings.figures

    path = Path(settings.out) if settings.out else folder / f"samples_{settings.split}.{ending}"
    title = f"{settings.name}: samples of the {settings.split} split (seed {settings.seed})"
    plot_samples(path, title, seen, samples, dataset)
    yield path
    lengths = caption_lengths(split_captions(database, "train"))
    plot_lengths(path := folder / f"caption_length_hist.{ending}", settings.name, lengths, config.data.max_words)
    yield path
    plot_vocabulary(path := folder / f"vocab_rank_freq.{ending}", settings.name, database.word_counts)
    yield path


def claim_folder(folder: Path, database: Path, overwrite: bool) -> None:
    """Write into the folder of the plots which database they show.

    ValueError if it has plots of another database with the same name, unless `overwrite`.
    """
    try:
        own = os.path.relpath(database.resolve(), folder.resolve())  # stays true if the project is moved
    except ValueError:  # on two drives of Windows
        own = str(database.resolve())
    note = folder / OWNER
    if note.is_file() and not overwrite:
        other = note.read_text(encoding="utf-8").strip()
        require(
            other == own,
            f"{folder} has the plots of another database, {os.path.normpath(folder.resolve() / other)}; "
            "choose another folder with --plots DIR, or replace them with --overwrite",
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(note, lambda path: path.write_text(f"{own}\n", encoding="utf-8"))


def split_captions(database: Database, split: str) -> pa.Table:
    """Columns row, text and kind of all captions of a split, from whole Arrow columns (0.2 s for 30,000 captions)."""
    column = database.table.column("captions")
    rows = np.repeat(np.arange(len(column)), pc.list_value_length(column).to_numpy())
    flat = pc.list_flatten(column)
    captions = pa.table({"row": rows, **{name: pc.struct_field(flat, name) for name in ("text", "kind")}})
    return captions.filter(pa.array(np.isin(rows, database.rows(split))))


def draw_samples(dataset: PairDataset, split: str, count: int) -> list[Sample]:
    """The first samples of the first epoch, with at least one of each kind of caption if `count` allows it."""
    rows = dataset.database.rows(split)
    keys = [batch[0] for batch in db.EpochSampler(rows, 1, dataset.seed, shuffle=True)]
    captions = split_captions(dataset.database, split)
    kinds = Counter(captions["kind"].to_pylist())
    found: dict[int, Sample] = {}
    for kind in sorted(kinds, key=lambda kind: kinds[kind])[:count]:  # the rarest first: fewest photographs have it
        with_kind = set(captions.filter(pc.equal(captions["kind"], kind))["row"].to_pylist()) - set(found)
        # If no caption of this kind is drawn in the first epoch (one narrative beside 5 captions), try later epochs.
        for key in (Key(epoch, key.row) for epoch in range(10) for key in keys if key.row in with_kind):
            sample = draw_sample(dataset, key, kind)
            if sample.caption.kind == kind:
                found[key.row] = sample
                break
    for key in keys:
        if len(found) < count and key.row not in found:
            found[key.row] = draw_sample(dataset, key)
    return [found[key.row] for key in keys if key.row in found]


def draw_sample(dataset: PairDataset, key: Key, kind: str = "") -> Sample:
    """The first caption (of this kind) that training draws for a photograph, with the augmented picture."""
    database, settings = dataset.database, dataset.augmentation or AugmentConfig()
    rng = db.seeded(dataset.seed, key.epoch, database.ids[key.row])
    drawn = dataset.texts(key.row, rng)
    words = set().union(*(caption.said for caption in drawn))
    picture = database.picture(key.row)
    seen, shown = augment(picture, dataset.data.side, settings, rng, db.may_mirror(words), db.may_recolour(words))
    first, stored = dataset.plan.captions(key.row).start, database.captions(key.row)
    captions = [stored[caption.number - first] for caption in drawn]
    n = next((n for n, caption in enumerate(captions) if caption.kind == kind), 0)
    negatives = drawn[n].negatives
    return Sample(picture, seen, captions[n], negatives[0].negative if negatives else None, drawn[n].regions, shown)


def replaced_words(text: str, negative: Negative) -> list[tuple[int, int]]:
    """Spans of the words of the caption that the negative replaces.

    They are found by aligning the unchanged words. An inflection or article that changes with a replaced word ("men" in
    "two men" -> "one man") is not marked, as in `Negative.changed`. If the negative is another caption (mined), these
    are the words of the caption that the negative does not contain.
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
    """A word with its punctuation and the space after it."""

    text: str
    marked: bool = False
    colour: str | None = None
    """Of the line under it: the colour of the boxes of what it names."""


def coloured_regions(regions: Sequence[Region]) -> list[tuple[Region, str]]:
    """The regions, longest span first, with a colour for each set of boxes."""
    colours: dict[tuple[Box, ...], str] = {}
    for region in regions:
        colours.setdefault(region.boxes, BOX_COLOURS[len(colours) % len(BOX_COLOURS)])
    ordered = sorted(regions, key=lambda region: region.start - region.end)
    return [(region, colours[region.boxes]) for region in ordered]


ELLIPSIS = Piece("… ")


def split_pieces(text: str, marks: Sequence[tuple[int, int]], regions: Sequence[Region] = ()) -> list[Piece]:
    """The words of a text; a word is marked if it overlaps with one of the spans `marks`.

    A word is split after 24 characters, because a URL or a text without spaces would not fit on the page.
    """
    pieces = []
    for match in re.finditer(r"(\S{1,24})\s*", text):
        first, last = match.span(1)
        marked = any(first < end and start < last for start, end in marks)
        # The shortest span is the last one, as in training.
        colours = [colour for region, colour in coloured_regions(regions) if first < region.end and region.start < last]
        pieces.append(Piece(match.group(), marked, colours[-1] if colours else None))
    return pieces


def lay_out(pieces: Sequence[Piece], room: float, most: int, width: Callable[[Piece], float]) -> list[list[Piece]]:
    """Wrap a text into lines no wider than `room`; at most `most` (>= 2) lines, around the first marked piece.

    An ellipsis marks text that is left out.
    """

    def wrap(room: float) -> list[list[Piece]]:
        lines: list[list[Piece]] = [[]]
        used = 0.0
        for piece in pieces:
            if lines[-1] and used + width(piece) > room:
                lines.append([])
                used = 0.0
            lines[-1].append(piece)
            used += width(piece)
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
    """A figure with one row per sample: stored picture, augmented picture, caption and hard negative.

    x and y are in inches from the upper left corner.
    """

    def __init__(self, rows: int):
        self.height = rows * ROW + 1.0
        self.plt = pyplot()
        self.figure = self.plt.figure(figsize=(WIDTH, self.height), dpi=DPI)
        self.renderer = self.figure.canvas.get_renderer()
        self.widths: dict[tuple[str, bool], float] = {}  # a word is measured once: that takes 0.7 ms
        self.left = [GAP, 2 * GAP + SIDE, 4 * GAP + 2 * SIDE]  # of the three columns

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write one line of text below (x, y)."""
        # Without parse_math, a caption with two prices in $ would be set as a formula.
        style = {"size": SIZE, "va": "top", **style}
        self.figure.text(x / WIDTH, 1 - y / self.height, text, parse_math=False, **style)

    def width(self, piece: Piece) -> float:
        """Width of a piece in inches, with the space after it."""
        word = piece.text.rstrip()  # matplotlib measures ink, and a space has none
        space = 0.32 * SIZE / 72 if word != piece.text else 0.0
        if (word, piece.marked) not in self.widths:
            weight = "bold" if piece.marked else "normal"
            font = self.plt.matplotlib.font_manager.FontProperties(size=SIZE, weight=weight)
            ink = self.renderer.get_text_width_height_descent(word, font, ismath=False)[0]
            self.widths[word, piece.marked] = ink / DPI
        return self.widths[word, piece.marked] + space

    def write_text(self, y: float, pieces: Sequence[Piece], colour: str) -> float:
        """Write a text into the third column, marked pieces bold and in `colour`; returns the y after its last line."""
        for line in lay_out(pieces, WIDTH - self.left[2] - GAP, MOST, self.width):
            x = self.left[2]
            for piece in line:
                style = {"color": colour, "weight": "bold"} if piece.marked else {}
                # Aligned by the baseline, because words with an accent or a bracket are higher.
                self.write(x, y + 0.76 * SIZE / 72, piece.text.rstrip(), va="baseline", **style)
                if piece.colour is not None:
                    self.underline(
                        x, y + 0.95 * SIZE / 72, self.width(Piece(piece.text.rstrip(), piece.marked)), piece.colour
                    )
                x += self.width(piece)
            y += LINE
        return y

    def underline(self, x: float, y: float, length: float, colour: str) -> None:
        ends, height = (x / WIDTH, (x + length) / WIDTH), 1 - y / self.height
        line = self.plt.matplotlib.lines.Line2D(ends, (height, height), color=colour, lw=2, solid_capstyle="butt")
        self.figure.add_artist(line)

    def write_sample(self, top: float, sample: Sample, cut: int) -> None:
        """Write one row. cut: a model reads this many words of a text."""
        pictures = (np.asarray(sample.stored), sample.seen.permute(1, 2, 0).numpy())
        for x, pixels, view in zip(self.left, pictures, (View(), sample.view)):
            place = (x / WIDTH, 1 - (top + SIDE) / self.height, SIDE / WIDTH, SIDE / self.height)
            panel = self.figure.add_axes(place, anchor="NW")
            panel.imshow(pixels)
            panel.axis("off")
            height, width = pixels.shape[:2]
            for region, colour in coloured_regions(sample.regions):
                for x0, y0, x1, y1 in view.place(region.boxes):
                    # Pixel 0 lies from -0.5 to 0.5.
                    corner, size = (x0 * width - 0.5, y0 * height - 0.5), ((x1 - x0) * width, (y1 - y0) * height)
                    panel.add_patch(self.plt.Rectangle(corner, *size, fill=False, ec=colour, lw=1.5))
        caption, negative = sample.caption, sample.negative
        words = len(split_words(caption.text))
        note = f"{caption.kind} from {caption.source}, {counted(words, 'word')}"
        if words > cut:
            note += f" (the model reads {cut})"
        self.write(self.left[2], top, note, color=GREY)
        replaced = replaced_words(caption.text, negative) if negative else []
        pieces = split_pieces(caption.text, replaced, sample.regions)
        y = self.write_text(top + LINE, pieces, BLUE) + 0.4 * LINE
        if negative is None:
            note = "(no hard negative: none of the words has a fair replacement, and no similar caption was found)"
            self.write_text(y, split_pieces(note, ()), GREY)
            return
        what = ", ".join(dict.fromkeys((negative.kind, negative.category)))  # a mined negative has the same twice
        note = f"hard negative ({what})"
        if min(db.changed_words(split_words(negative.text), negative), default=0) >= cut:
            note += f": changed after word {cut}, not read"
        self.write(self.left[2], y, note, color=GREY)
        self.write_text(y + LINE, split_pieces(negative.text, negative.changed), VERMILLION)


def plot_samples(path: Path, title: str, seen: str, samples: Sequence[Sample], dataset: PairDataset) -> None:
    """Write the page of samples. seen: the head of the column of augmented pictures."""
    page = SamplePage(len(samples))
    page.write(GAP, GAP, title, size=12)
    boxes = "; underlined: in boxes" if any(sample.regions for sample in samples) else ""
    heads = ("\nstored picture", seen, f"\ncaption and hard negative (differences in bold{boxes})")
    for x, head in zip(page.left, heads):
        page.write(x, 0.45, head, color=GREY)
    for n, sample in enumerate(samples):
        page.write_sample(0.85 + n * ROW, sample, dataset.data.max_words)
    save(page.figure, path)


def caption_lengths(captions: pa.Table) -> dict[str, NDArray[np.int64]]:
    """Kind of caption -> number of words (of the tokenizer) of each caption; the most frequent kind first."""
    words = np.array([len(split_words(text)) for text in captions["text"].to_pylist()])
    kinds = np.array(captions["kind"].to_pylist())
    lengths = {str(kind): words[kinds == kind] for kind in np.unique(kinds)}
    return dict(sorted(lengths.items(), key=lambda item: -len(item[1])))


def enough_words(words: NDArray[np.int64]) -> list[int]:
    """The median and the 95th and 99th percentiles of the numbers of words."""
    return [int(n) for n in np.percentile(words, [50, 95, 99], method="inverted_cdf")]


def plot_lengths(path: Path, name: str, lengths: Mapping[str, NDArray[np.int64]], max_words: int) -> None:
    """Histogram of the words per caption, one for each kind of caption."""
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(WIDTH, 5.6), layout="constrained")
    everything = np.concatenate(list(lengths.values()))
    longest = max(int(everything.max()), max_words)
    step = -(-longest // 150)  # a whole number of words, so that all bars have the same width
    edges = np.arange(0, longest + 2 * step, step) - 0.5
    for n, (kind, words) in enumerate(lengths.items()):
        label = f"{kind} ({len(words):,})"
        if len(lengths) > 1:
            label += ": median {}, 95 % have at most {}, 99 % at most {}".format(*enough_words(words))
        panel.hist(words, edges, histtype="stepfilled", color=f"C{n}", alpha=0.25)
        panel.hist(words, edges, histtype="step", color=f"C{n}", ls=("-", "--", ":")[n % 3], lw=1.5, label=label)
    names = ("median", "95th percentile", "99th percentile")
    for limit, what, dashes in zip(enough_words(everything), names, ("-", "--", ":")):
        panel.axvline(limit, color="k", ls=dashes, lw=1.3, label=f"{what} of all captions: {counted(limit, 'word')}")
    cut = everything > max_words
    label = f"--data.max-words {max_words}: cuts {counted(cut.sum(), 'caption')} ({100 * cut.mean():.2f} %)"
    panel.axvline(max_words, color=GREY, ls="-.", lw=1.3, label=label)
    panel.set(title=f"Words per caption: {name}, train split", ylabel="captions")
    panel.set(xlabel="words" if step == 1 else f"words (bars of {step})", xlim=(0, 1.02 * edges[-1]))
    panel.set(yscale="log", ylim=(0.7, None))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    save(figure, path)


def vocabulary_sizes(counts: Mapping[str, int], least: Sequence[int] = (1, 2, 5)) -> list[tuple[int, int, float]]:
    """For each minimum count: the count, how many words reach it, and their fraction of all word occurrences."""
    sizes = []
    for n in least:
        kept = [count for count in counts.values() if count >= n]
        sizes.append((n, len(kept), sum(kept) / sum(counts.values())))
    return sizes


def plot_vocabulary(path: Path, name: str, counts: Mapping[str, int]) -> None:
    """Frequency of each word by its rank, with the size of the vocabulary for several values of --data.min-count."""
    plt = pyplot()
    figure, panel = plt.subplots(figsize=(WIDTH, 5.4), layout="constrained")
    panel.loglog(range(1, len(counts) + 1), sorted(counts.values(), reverse=True), lw=2)
    for (least, size, fraction), marker, n in zip(vocabulary_sizes(counts), "os^", (5, 2, 1)):
        label = f"--data.min-count {least}: {counted(size, 'word')}, {100 * fraction:.2f} % of all occurrences"
        panel.plot(size, least, marker, color=f"C{n}", ms=9, mec="k", label=label)
    panel.set(title=f"Word frequencies: {name}, train split", xlabel="rank of the word", ylabel="occurrences")
    title = f"Vocabulary ({sum(counts.values()):,} word occurrences in all)"
    figure.legend(loc="outside lower center", fontsize=10, frameon=False, title=title)
    save(figure, path)


if __name__ == "__main__":
    main()
