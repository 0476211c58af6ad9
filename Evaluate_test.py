"""Choose the threshold on validation, judge the test split once, write results.json and the plots.

python Evaluate_test.py [--model Models/NAME] [--benchmark NAME=PATH --images DIR]

With --model given twice or more, the models are compared on the same texts.
"""

import functools
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro
from PIL import Image
from torch import Tensor

from Architectures import Scorer
from common import devices, metrics, storage
from common.jobs import progress
from common.metrics import Bootstrap, Criterion, Floats, Integers, Interval, RankCounter, hubness, interval
from common.pictures import open_picture
from Config import DatabaseConfig, fail, read_command_line, require
from DataBase_functions import Database, changed_words
from evaluation import plots as plots_lib
from evaluation import scoring
from evaluation.benchmarks import Benchmark, PictureFinder, identity_of, read_benchmark
from evaluation.plots import Bar, Curves, Example, Word
from evaluation.report import IN_BATCH, Row, Texts, blind_control, collect_texts, find_leaks, judge_benchmark, make_rows
from evaluation.scoring import TextBlock
from judging import suggest
from judging.judge import Judge
from Negative_map import KINDS
from negatives.text import Negative
from Tokenizer_lib import split_words
from training import checkpoints
from training.checkpoints import LoadedModel, Threshold

REFERENCES = 1000  # pictures and captions of the validation split that retrieval by CSLS compares with
FOLD = 1000  # pictures of a gallery, as published tables of COCO have it
SHOWN = (*KINDS, IN_BATCH)  # in the plots
BLIND_NAMES = {judge: name for judge, (name, _) in plots_lib.BLIND.items()}
COMPARED = {
    "pairwise",
    "balanced_accuracy",
    "kendall_tau_b",
    "kendall_tau_c",
    "text_score",
    "image_score",
    "group_score",
}
WIDTHS = (7, 8, 14, 1, 7, 7, 8, 8, 8, 8, 9, 14, 7, 7)
HEADS = (
    *("n", "bal.acc", "", "", *BLIND_NAMES.values()),
    *("recall", "specif.", "ROC-AUC", "av.prec", "pairwise", "", *BLIND_NAMES.values()),
)
RANKINGS = {
    "all": "",
    "all_csls": ", CSLS",
    "folds": f", {FOLD:,} at a time",
    "folds_csls": f", {FOLD:,} at a time, CSLS",
}
NAMES = {
    "caption": "kind of caption",
    "length": "length of the caption",
    "category": "category of the swapped word",
    "kind": "kind of false text",
}


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of one evaluation."""

    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="DIR")] = ()
    """Folder of a trained model (Models/scenes); given again, the others are compared with the first."""
    threshold_for: Annotated[str | None, tyro.conf.arg(metavar="CRITERION")] = None
    """What the threshold is best at on validation: balanced-accuracy (if not given), recall=0.95, specificity=0.95, f1,
    or cost=5:1 (a false text that is accepted costs 5, a true one that is refused 1). With --database the model's
    stored threshold is used unchanged if this is not given."""
    benchmark: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=PATH")] = ()
    """An external benchmark as NAME=PATH: sugarcrepe, sugarcrepe++, foil, flickr8k-expert, flickr8k-cf, winoground, or
    pairs (your own CSV, TSV, JSONL or Parquet with image, caption, label). May be given again."""
    images: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder with the pictures of the benchmarks; without it they are looked for beside PATH."""
    allow_leak: bool = False
    """Judge a benchmark although the model was trained on some of its photographs."""
    database: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of another database than the one that the model was trained on."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps ..."""
    blind_captions: int = 30_000
    """Training captions that the blind control learns from."""
    corrections: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Ask for corrections of N swaps (see Predict.py --suggest): how often is the true word among the first?"""
    resamples: int = metrics.RESAMPLES
    """Bootstrap resamples of the photographs."""

    def __post_init__(self) -> None:
        require(self.corrections >= 0, f"--corrections {self.corrections}: must not be negative")
        require(self.resamples >= 10, f"--resamples {self.resamples}: must be at least 10")
        require(self.blind_captions >= 2, f"--blind-captions {self.blind_captions}: must be at least 2")
        Criterion.parse(self.threshold_for or "balanced-accuracy")

    @property
    def folders(self) -> list[Path]:
        return [Path(model) for model in self.model or ("Models/scenes",)]


class Scores(NamedTuple):
    """What the model says of a split."""

    caption: Floats  # (T,)
    false: dict[str, Floats]  # by kind, one for each false text
    pictures: Tensor  # (N, K, D) vectors
    captions: list[TextBlock]


@dataclass
class Evaluation:
    """All that is found about one model."""

    folder: Path
    loaded: LoadedModel
    database: Database
    own: bool  # is it the database that the model was trained on?
    chosen: bool  # was the threshold chosen on its validation split, or is it the stored one of another database?
    threshold: Threshold
    texts: dict[str, Texts]  # by split
    scores: dict[str, Scores]
    boot: Bootstrap
    groups: np.ndarray  # (N,) identity of each test photograph
    rows: list[Row] = field(default_factory=list)
    retrieval: dict[str, dict[str, Floats]] = field(default_factory=dict)  # samples, see metrics.judged
    words: dict[str, Any] = field(default_factory=dict)
    corrections: dict[str, Any] = field(default_factory=dict)
    benchmarks: list[dict[str, Any]] = field(default_factory=list)
    benchmark_rows: dict[str, list[Row]] = field(default_factory=dict)
    leaks: dict[str, list[str]] = field(default_factory=dict)  # of photographs trained on, if that is allowed
    seconds: float = 0.0

    @property
    def suffix(self) -> str:
        return "" if self.own else f"_{self.database.folder.name}"

    def curves(self, split: str, kind: str) -> Curves:
        """Scores of the captions that have a false text of a kind, and of these texts."""
        scores = self.scores[split]
        return Curves(scores.caption[self.texts[split].false[kind].of], scores.false[kind])


def main(args: Sequence[str] | None = None) -> None:
    settings = read_command_line(EvaluateConfig, __doc__ or "", args)
    try:
        benchmarks = {spec: read_benchmark(spec) for spec in settings.benchmark}
        device = devices.choose_device(settings.device)
        folders = list(dict.fromkeys(settings.folders))
        models = {folder: checkpoints.load_model(folder, device) for folder in folders}
        # What cannot be judged, or must not be, is told before minutes pass.
        databases = {folder: open_database(loaded, settings) for folder, loaded in models.items()}
        places = {spec: find_pictures(spec, benchmark, settings) for spec, benchmark in benchmarks.items()}
        leaks = {
            folder: find_all_leaks(folder, models[folder], databases[folder], places, settings) for folder in folders
        }
        texts: dict[str, dict[str, Texts]] = {}
        evaluations = []
        for folder, loaded in models.items():
            one = evaluate(folder, loaded, databases[folder], settings, texts)
            one.leaks = leaks[folder]
            for spec, benchmark in benchmarks.items():
                evaluate_benchmark(one, spec, benchmark, places[spec], settings)
            report(one)
            one.scores.clear()  # the vectors of all pictures and captions, which a comparison does without
            evaluations.append(one)
        if len(evaluations) > 1:
            compare(evaluations)
    except (ValueError, OSError) as error:
        fail(str(error))


def open_database(loaded: LoadedModel, settings: EvaluateConfig) -> Database:
    """The database to judge on. ValueError or FileNotFoundError if it lacks what an evaluation needs."""
    database = Database(Path(settings.database) if settings.database else loaded.config.data.folder)
    for split in ("validation", "test"):
        if len({database.groups[row] for row in database.rows(split)}) < 2:
            raise ValueError(f"the {split} split of {database.folder} has one photograph; an evaluation needs two")
    return database


def find_all_leaks(
    folder: Path,
    loaded: LoadedModel,
    database: Database,
    places: Mapping[str, Mapping[str, Path]],
    settings: EvaluateConfig,
) -> dict[str, list[str]]:
    """What of the test split, and of each benchmark, the model was trained on. ValueError unless --allow-leak."""
    home = loaded.config.data.folder
    trained_on = Database(home) if (home / "manifest.json").is_file() else None
    rows = database.rows("test")
    # One database has no copies in two of its splits; another may have them under other names.
    foreign = trained_on is None or database.fingerprint != trained_on.fingerprint
    look = functools.partial(map, database.picture, rows) if foreign else None
    identities: dict[str, str | None] = {database.ids[row]: database.groups[row] for row in rows}
    jobs: dict[str, tuple[dict[str, str | None], Any]] = {f"the test split of {database.folder}": (identities, look)}
    for spec, those in places.items():
        jobs[spec] = {name: identity_of(name) for name in those}, functools.partial(readable, those)
    leaks = {}
    for title, (names, pictures) in jobs.items():
        try:
            leaks[title] = find_leaks(folder, trained_on, names, pictures)
        except ValueError as error:
            if not settings.allow_leak:
                raise
            print(f"not checked: {error}")
            leaks[title] = []
        if leaks[title] and not settings.allow_leak:
            some = ", ".join(leaks[title][:3]) + (" ..." if len(leaks[title]) > 3 else "")
            raise ValueError(
                f"{folder} was trained on {len(leaks[title]):,} photographs ({some}) of {title}; "
                "--allow-leak judges them all the same"
            )
    if places and trained_on is None:
        print(f"{home} is not at hand: what {folder} was trained on is told by names alone, not by look")
    return leaks


def evaluate(
    folder: Path,
    loaded: LoadedModel,
    database: Database,
    settings: EvaluateConfig,
    known: dict[str, dict[str, Texts]],
) -> Evaluation:
    """One model on one database. known: texts by the database's fingerprint, the same for all models."""
    started = time.perf_counter()
    if database.fingerprint not in known:
        known[database.fingerprint] = {
            "validation": collect_texts(database, database.rows("validation"), ("mixture",)),
            "test": collect_texts(database, database.rows("test")),
        }
    texts = known[database.fingerprint]
    scores = {split: score_split(loaded, database, split, texts[split]) for split in texts}
    groups = np.array([database.groups[row] for row in database.rows("test")])
    threshold = loaded.threshold
    own = database.folder.resolve() == loaded.config.data.folder.resolve()
    chosen = own or settings.threshold_for is not None
    if chosen:
        mixture = texts["validation"].false["mixture"].of
        true, false = scores["validation"].caption[mixture], scores["validation"].false["mixture"]
        criterion = Criterion.parse(settings.threshold_for or "balanced-accuracy")
        threshold = Threshold.choose(true, false, loaded.threshold.epoch, criterion)
    if own:  # one of another database is for this report, not for the model's users
        checkpoints.save_threshold(folder, threshold)
    boot = Bootstrap(len(groups), settings.resamples)
    one = Evaluation(folder, loaded, database, own, chosen, threshold, texts, scores, boot, groups)
    blind = blind_control(database, texts["test"], settings.blind_captions)
    test = scores["test"]
    one.rows = make_rows(texts["test"], test.caption, test.false, threshold.threshold, blind, boot)
    one.retrieval = retrieve(loaded, texts["test"], test, scores["validation"], groups, boot)
    one.words = point_at_words(one)
    one.corrections = correct_swaps(one, settings.corrections)
    one.seconds = time.perf_counter() - started
    return one


def score_split(loaded: LoadedModel, database: Database, split: str, texts: Texts) -> Scores:
    """Encode each picture once, and each different text once for its own picture and once more for retrieval.

    Vectors of captions are kept for retrieval; of the validation split those of the first REFERENCES, for CSLS.
    """
    pictures = scoring.encode_rows(loaded, database, database.rows(split), f"{split} pictures")
    ranked = texts.captions if split == "test" else texts.captions[:REFERENCES]
    captions = list(scoring.encode_texts(loaded, ranked, f"{split} captions"))
    kinds = list(texts.false)
    false = [negative.text for kind in kinds for negative in texts.false[kind].texts]
    of = np.concatenate([texts.owner, *(texts.owner[texts.false[kind].of] for kind in kinds)])
    scores = scoring.score_pairs(loaded, pictures, [*texts.captions, *false], of, f"{split} texts")
    if not np.isfinite(scores).all():
        raise ValueError("the model's scores are no numbers; train it again with a lower --optim.lr")
    ends = np.cumsum([len(texts.captions), *(len(texts.false[kind].of) for kind in kinds)])
    caption, *rest = np.split(scores, ends[:-1])
    return Scores(caption, dict(zip(kinds, rest)), pictures, captions)


def retrieve(
    loaded: LoadedModel, texts: Texts, test: Scores, validation: Scores, groups: np.ndarray, boot: Bootstrap
) -> dict[str, dict[str, Floats]]:
    """Recall among all test photographs, and of many also in galleries of FOLD; as scored, and by CSLS.

    CSLS' references are up to 1,000 photographs and captions of the validation split, so nothing of the test split is
    known beforehand. No score of a picture with another's text is kept.
    """
    references = validation.pictures[:REFERENCES]

    def blocks(pictures: Tensor, captions: Sequence[TextBlock], title: str) -> Iterator[tuple[slice, Floats]]:
        return scoring.score_blocks(loaded, pictures, captions, title, Scorer.ranking)

    by_text = [scores for _, scores in blocks(references, test.captions, "hubs among texts")]
    by_picture = [scores for _, scores in blocks(test.pictures, validation.captions, "hubs among pictures")]
    of_texts, of_pictures = hubness(np.concatenate(by_text).T), hubness(np.concatenate(by_picture))

    def corrected(scores: Floats, pictures: Any, its_texts: Any = slice(None)) -> Floats:
        return scores - (of_pictures[pictures] + of_texts[its_texts]) / 2

    own = scoring.score_pairs(loaded, test.pictures, texts.captions, texts.owner, "own texts", Scorer.ranking)
    own_corrected = corrected(own, texts.owner)
    counters = {
        "all": RankCounter(own, texts.owner, groups),
        "all_csls": RankCounter(own_corrected, texts.owner, groups),
    }
    if len(groups) >= 2 * FOLD:
        fold = np.random.default_rng(0).permutation(len(groups)) // FOLD
        fold[fold == len(groups) // FOLD] = -1  # those that fill no gallery
        counters["folds"] = RankCounter(own, texts.owner, groups, fold)
        counters["folds_csls"] = RankCounter(own_corrected, texts.owner, groups, fold)
    for place, scores in blocks(test.pictures, test.captions, "retrieval"):
        without_hubs = corrected(scores, (place, None))
        for name, counter in counters.items():
            counter.add(place, without_hubs if name.endswith("csls") else scores)
    return {name: counter.recalls(boot) for name, counter in counters.items()}


def point_at_words(one: Evaluation) -> dict[str, Any]:
    """How often the lowest word score of a swap points at a word that was swapped, and how often chance does."""
    false = one.texts["test"].false["swap"]
    some = scoring.some_with_words(one.loaded, len(false.of))
    negatives = [false.texts[i] for i in some.tolist()]
    of = one.texts["test"].owner[false.of[some]]
    _, scores = scoring.score_words(one.loaded, one.scores["test"].pictures, [n.text for n in negatives], of)
    return pointing(negatives, scores, of, false.categories[some], one.boot)


def pointing(
    negatives: Sequence[Negative], scores: Sequence[Floats], of: Integers, categories: np.ndarray, boot: Bootstrap
) -> dict[str, Any]:
    """Pointing accuracy (Zhang et al. 2016, of words instead of places), for all and by category."""
    changed = [
        changed_words(split_words(negative.text)[: len(line)], negative) for negative, line in zip(negatives, scores)
    ]
    read = np.array([bool(each) for each in changed], dtype=bool)  # else the change lies beyond what the model reads
    hit = np.array([points_at(line, c) for c, line in zip(changed, scores)], dtype=bool)
    chance = np.array([len(c) / max(1, len(line)) for c, line in zip(changed, scores)])

    def found(which: np.ndarray) -> dict[str, Any]:
        accuracy = interval(boot.mean(hit[which], of[which]))
        return {"n": int(which.sum()), "accuracy": accuracy, "chance": float(chance[which].mean())}

    if not read.any():
        return {}
    by_category = {c: found(read & (categories == c)) for c in np.unique(categories[read]).tolist()}
    return {**found(read), "categories": by_category}


def correct_swaps(one: Evaluation, count: int) -> dict[str, Any]:
    """How often a swap's own caption is the first of the corrections, or among the first three, and by chance.

    Of `count` swaps of the test split, evenly over it. A correction counts if it gives back all words of the caption.
    """
    false, texts = one.texts["test"].false["swap"], one.texts["test"]
    some = np.linspace(0, len(false.of) - 1, min(count, len(false.of))).astype(int)
    if not len(some):
        return {}
    judge, of = Judge(one.loaded), texts.owner[false.of[some]]
    parses = suggest.parse_texts([false.texts[i].text for i in some])
    hits: dict[int, list[bool]] = {1: [], 3: []}
    chance: dict[int, list[float]] = {1: [], 3: []}
    for i, picture, parse in zip(progress(some, "corrections", " swaps"), of, parses):
        text, caption = false.texts[i].text, texts.captions[false.of[i]]
        vectors = one.scores["test"].pictures[picture, None]
        ranked = suggest.rank(judge, vectors, text, parse, suggest.PLACES)
        right = [is_same_text(candidate.negative.text, caption) for candidate in ranked.candidates]
        better = [is_right and after > ranked.before for is_right, after in zip(right, ranked.after)]
        for k in hits:
            hits[k].append(any(better[:k]))
            chance[k].append(min(1.0, k / len(right)) if any(right) else 0.0)
    found: dict[str, Any] = {"n": len(some)}
    for k in hits:
        found[f"first_{k}"] = interval(one.boot.mean(np.array(hits[k]), of))
        found[f"first_{k}_by_chance"] = float(np.mean(chance[k]))
    return found


def is_same_text(text: str, other: str) -> bool:
    """The same words in the same order."""
    return [word.text for word in split_words(text)] == [word.text for word in split_words(other)]


def points_at(scores: Floats, changed: Sequence[int]) -> bool:
    """Is the lowest score at one of these words? A tie with another word is lost."""
    if not changed:
        return False
    others = np.delete(scores, changed)
    return bool(scores[changed].min() < others.min(initial=np.inf) - metrics.TIE)


# External benchmarks


def find_pictures(spec: str, benchmark: Benchmark, settings: EvaluateConfig) -> dict[str, Path]:
    """Where the pictures of a benchmark lie, by their names in it. ValueError if none is there."""
    path = Path(spec.partition("=")[2])
    images = Path(settings.images) if settings.images else (path if path.is_dir() else path.parent)
    finder = PictureFinder(images)
    names = list(dict.fromkeys(claim.picture for claim in benchmark.claims))
    places = {name: place for name in names if (place := finder.find(name)) is not None}
    if not places:
        raise ValueError(
            f"none of the {len(names):,} pictures of {spec} is in {images}; give their folder with --images DIR"
        )
    return places


def readable(places: Mapping[str, Path]) -> Iterator[Image.Image]:
    """Pictures for the search of leaks; an unreadable one is a grey square, which is like no photograph."""
    for path in places.values():
        try:
            yield open_picture(path, DatabaseConfig.short_side)
        except (ValueError, OSError):
            yield Image.new("RGB", (64, 64), "grey")


def evaluate_benchmark(
    one: Evaluation, spec: str, benchmark: Benchmark, places: Mapping[str, Path], settings: EvaluateConfig
) -> None:
    """One benchmark, at the threshold of this evaluation. ValueError if no picture of it can be read."""
    names = dict.fromkeys(claim.picture for claim in benchmark.claims)
    absent = [name for name in names if name not in places]
    unreadable: dict[str, ValueError | OSError] = {}
    prepared = scoring.prepare_files(one.loaded, places, unreadable)
    vectors = scoring.encode_pictures(one.loaded, prepared, len(places), f"{benchmark.name} pictures")
    number = {name: i for i, name in enumerate(places)}
    claims = [claim for claim in benchmark.claims if claim.picture in number and claim.picture not in unreadable]
    if not claims:
        raise ValueError(f"none of the pictures of {spec} can be read: {next(iter(unreadable.values()))}")
    used = benchmark._replace(claims=claims)
    of = np.array([number[claim.picture] for claim in claims])
    # Judgements of how well a text fits are ranked; claims are true or false.
    use = Scorer.ranking if benchmark.metric == "ratings" else Scorer.verdict
    scores = scoring.score_pairs(one.loaded, vectors, [claim.text for claim in claims], of, benchmark.name, use)
    boot = Bootstrap(len(places), settings.resamples)
    rows = one.benchmark_rows[spec] = judge_benchmark(used, scores, of, one.threshold.threshold, boot)
    result: dict[str, Any] = {
        "benchmark": benchmark.name,
        "path": spec.partition("=")[2],
        "photographs": len(places) - len(unreadable),
        "claims": len(claims),
        "claims_without_picture": len(benchmark.claims) - len(claims),
        "missing_pictures": absent,
        "unreadable_pictures": {name: str(error) for name, error in unreadable.items()},
        "left_out": [asdict(each) for each in benchmark.left_out],
        "trained_on": one.leaks[spec],
        "rows": [row.as_json() for row in rows],
    }
    if benchmark.metric == "labels":
        label = np.array([claim.label for claim in claims]) == 1
        result["calibration"] = calibration(one.threshold, scores, label, of, boot)[0]
    told = np.array([i for i, claim in enumerate(claims) if claim.changed], dtype=int)
    told = told[scoring.some_with_words(one.loaded, len(told))].tolist()
    if told:
        _, lines = scoring.score_words(one.loaded, vectors, [claims[i].text for i in told], of[told])
        negatives = [Negative(claims[i].text, "foil", claims[i].subset, claims[i].changed) for i in told]
        subsets = np.array([claims[i].subset for i in told], dtype=str)
        result["word_evidence"] = pointing(negatives, lines, of[told], subsets, boot)
    one.benchmarks.append(result)


# The report


def calibration(
    threshold: Threshold, scores: Floats, label: np.ndarray, of: Integers, boot: Bootstrap
) -> tuple[dict[str, Any], metrics.Reliability]:
    """Calibration error and Brier score of the probabilities of texts of the photographs `of`; and what to draw."""
    probability = threshold.calibration.probability(scores)
    found = metrics.reliability(probability, label)
    figures = {
        "slope": threshold.slope,
        "intercept": threshold.intercept,
        "ece": metrics.calibration_error(found),
        "brier": interval(boot.mean((probability - label) ** 2, of)),
    }
    return figures, found


def report(one: Evaluation) -> None:
    """results.json, the plots, and the table on the screen."""
    curves = one.curves("test", "mixture")
    label = np.repeat([True, False], [len(curves.true), len(curves.false)])
    of = one.texts["test"].owner[one.texts["test"].false["mixture"].of]
    calibrated, reliability = calibration(one.threshold, np.concatenate(curves), label, np.tile(of, 2), one.boot)
    results = {
        "model": str(one.folder),
        "database": str(one.database.folder),
        "fingerprint": one.database.fingerprint,
        "plan": one.database.plan.folder.name,
        "config": json.loads((one.folder / "config.json").read_text(encoding="utf-8")),
        "threshold": asdict(one.threshold),
        "equilibrium_threshold": metrics.equilibrium_threshold(*one.curves("validation", "mixture")),
        "test_photographs": len(one.groups),
        "test_captions": len(one.texts["test"].captions),
        "resamples": one.boot.resamples,
        "resamples_of_ranks": min(metrics.MEDIANS, one.boot.resamples),
        "trained_on": next(iter(one.leaks.values())),
        "test": [row.as_json() for row in one.rows],
        "calibration": calibrated,
        "retrieval": {
            name: {figure: interval(samples) for figure, samples in found.items()}
            for name, found in one.retrieval.items()
        },
        "word_evidence": one.words,
        "corrections": one.corrections,
        "benchmarks": one.benchmarks,
        "hardware": devices.hardware(one.loaded.model.device),
        "seconds": round(one.seconds, 1),
    }
    place = one.folder / f"results{one.suffix}.json"
    storage.write_json(place, plain(results))
    print_report(one, results)
    written = draw(one, reliability, calibrated)
    print(f"written: {place}, {len(written)} plots in {written[0].parent}")


def plain(value: Any) -> Any:
    """Intervals as {"value", "low", "high"}, and null for what could not be measured: JSON knows no nan."""
    if isinstance(value, Interval):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def draw(one: Evaluation, reliability: metrics.Reliability, calibrated: Mapping[str, Any]) -> list[Path]:
    """All plots; their paths."""
    name = f"{one.folder.name}{one.suffix}.png"
    folder, at = one.loaded.config.plots_folder, one.threshold
    kinds = {kind: one.curves("test", kind) for kind in SHOWN if len(one.texts["test"].false[kind].of)}
    sections: dict[str, list[Bar]] = {}
    for row in one.rows:
        blind = {judge: interval(values) for judge, values in row.blind.items()}
        bar = Bar(row.name, row.n, row.figures["balanced_accuracy"], blind)
        sections.setdefault(NAMES.get(row.section, row.section), []).append(bar)
    paths = {
        what: folder / f"{what}_{name}"
        for what in ("Threshold_Analysis", "Scores", "Curves", "Reliability", "Categories", "Errors")
    }
    overview = sections[NAMES["kind"]] + sections.get(NAMES["category"], [])
    validation, chosen = one.curves("validation", "mixture"), f"chosen for {at.criterion}" if one.chosen else "stored"
    plots_lib.plot_thresholds(paths["Threshold_Analysis"], validation, kinds, at.threshold, chosen, overview)
    plots_lib.plot_scores(paths["Scores"], kinds, at.threshold)
    plots_lib.plot_curves(paths["Curves"], kinds, at.threshold)
    plots_lib.plot_reliability(paths["Reliability"], reliability, calibrated["ece"], calibrated["brier"].value)
    plots_lib.plot_bars(paths["Categories"], sections)
    plots_lib.plot_errors(paths["Errors"], worst_errors(one))
    return list(paths.values())


def worst_errors(one: Evaluation) -> dict[str, list[Example]]:
    """The most confident errors of each kind, each of another photograph."""
    texts, scores, limit = one.texts["test"], one.scores["test"], one.threshold.threshold
    chosen: dict[str, list[tuple[int, float, Negative]]] = {}
    for i in first_of_each(np.argsort(scores.caption), texts.owner, scores.caption < limit):
        example = texts.owner[i], scores.caption[i], Negative(texts.captions[i], "", "", ())
        chosen.setdefault("true, but refused", []).append(example)
    for kind in SHOWN:
        false, said = texts.false[kind], scores.false[kind]
        for i in first_of_each(np.argsort(-said), texts.owner[false.of], said >= limit):
            example = texts.owner[false.of[i]], said[i], false.texts[i]
            chosen.setdefault(f"false ({kind}), but accepted", []).append(example)
    rows = one.database.rows("test")
    examples: dict[str, list[Example]] = {}
    for title, those in chosen.items():
        of = np.array([photograph for photograph, _, _ in those])
        _, lines = scoring.score_words(one.loaded, scores.pictures, [negative.text for *_, negative in those], of)
        for (photograph, score, negative), line in zip(those, lines):
            words = split_words(negative.text)[: len(line)]
            # Of a random caption nearly every word is foreign: marks would tell nothing.
            marked = changed_words(words, negative) if negative.kind != IN_BATCH else []
            shown = [
                Word(negative.text[w.start : w.end], float(x), i in marked) for i, (w, x) in enumerate(zip(words, line))
            ]
            examples.setdefault(title, []).append(Example(one.database.picture(rows[photograph]), float(score), shown))
    return examples


def first_of_each(order: Integers, photographs: Integers, wrong: np.ndarray) -> list[int]:
    """The first wrong ones in that order, each of another photograph, as many as a page has in a line."""
    first: dict[int, int] = {}
    for i in order[wrong[order]].tolist():
        first.setdefault(int(photographs[i]), i)
        if len(first) == plots_lib.EXAMPLES:
            break
    return list(first.values())


def print_report(one: Evaluation, results: Mapping[str, Any]) -> None:
    """The results as tables on the screen."""
    at, calibrated = one.threshold, results["calibration"]
    where_from = f"chosen for {at.criterion} on validation" if one.chosen else f"as stored, for {at.criterion}"
    print(
        f"\n{one.folder} on {one.database.folder}: threshold {at.threshold:.4f}, {where_from}; recall equals "
        f"specificity at {results['equilibrium_threshold']:.4f} on validation\n"
        f"test: {len(one.groups):,} photographs, {len(one.scores['test'].caption):,} captions; [95 % intervals], "
        f"{one.boot.resamples:,} bootstrap resamples of photographs"
    )
    if trained_on := results["trained_on"]:
        print(f"{len(trained_on):,} of these photographs were trained on: the figures flatter the model")
    section = None
    for row in one.rows:
        if row.section != section:
            section = row.section
            print(f"\n{NAMES.get(section, section):24s}" + table_line(HEADS))
        print(f"{row.name:24s}" + table_line(cells(row)))
    if any(row.tells_more_than_text is False for row in one.rows):
        print("= no better than a judge that sees no picture, as far as so many photographs tell")
    brier = "{:.4f} [{:.4f}, {:.4f}]".format(*calibrated["brier"])
    print(f"\ncalibration (mixture): ECE {calibrated['ece']:.4f}, Brier {brier}")
    if one.words:
        hit = one.words["accuracy"]
        print(
            f"word evidence: of {one.words['n']:,} swaps the lowest word score points at the swapped word in "
            f"{hit.value:.1%} [{hit.low:.1%}, {hit.high:.1%}], by chance {one.words['chance']:.1%}"
        )
    if one.corrections:
        first, three = (one.corrections[f"first_{k}"] for k in (1, 3))
        by_chance, among = (one.corrections[f"first_{k}_by_chance"] for k in (1, 3))
        print(
            f"corrections: of {one.corrections['n']:,} swaps the first gives back the caption in {first.value:.1%} "
            f"[{first.low:.1%}, {first.high:.1%}], one of the first three in {three.value:.1%} [{three.low:.1%}, "
            f"{three.high:.1%}], by chance {by_chance:.1%} and {among:.1%}"
        )
    print(f"\n{'retrieval':30s}{'R@1':>22s} {'R@5':>8s} {'R@10':>8s} {'median rank':>12s}")
    for kind, found in results["retrieval"].items():
        for name in ("picture_to_text", "text_to_picture"):
            first, fifth, tenth = (found[f"{name}_recall@{k}"] for k in (1, 5, 10))
            told = f"{first.value:.4f} [{first.low:.3f}, {first.high:.3f}]"
            rank = found[f"{name}_median_rank"].value
            label = name.replace("_", " ") + RANKINGS[kind]
            print(f"{label:30s}{told:>22s} {fifth.value:8.4f} {tenth.value:8.4f} {rank:12.1f}")
    for benchmark in one.benchmarks:
        print_benchmark(benchmark)
    print()


def table_line(cells: Sequence[object]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS))


def cells(row: Row) -> list[str]:
    found = row.figures
    rest = [f"{found[name].value:.4f}" for name in ("recall", "specificity", "roc_auc", "average_precision")]
    blind = [f"{row.blind[judge][0]:.4f}" if judge in row.blind else "–" for judge in BLIND_NAMES]
    pairwise = [f"{row.blind_pairwise[judge]:.4f}" if judge in row.blind_pairwise else "–" for judge in BLIND_NAMES]
    balanced, mark = found["balanced_accuracy"], "=" if row.tells_more_than_text is False else ""
    return [f"{row.n:,}", *told(balanced), mark, *blind, *rest, *told(found["pairwise"]), *pairwise]


def told(found: Interval) -> tuple[str, str]:
    return f"{found.value:.4f}", f"[{found.low:.3f}, {found.high:.3f}]"


def print_benchmark(result: Mapping[str, Any]) -> None:
    """Every figure of every part, with its interval and what the blind judges reach."""
    print(f"\n{result['benchmark']}: {result['photographs']:,} photographs, {result['claims']:,} claims")
    lost = [*result["missing_pictures"], *result["unreadable_pictures"]]
    if lost:
        some, uncounted = ", ".join(lost[:3]) + (" ..." if len(lost) > 3 else ""), result["claims_without_picture"]
        print(f"  {len(lost):,} pictures are missing or unreadable ({some}); {uncounted:,} claims are not counted")
    if result["trained_on"]:
        print(f"  {len(result['trained_on']):,} of the photographs were trained on: the figures flatter the model")
    for each in result["left_out"]:
        if each["what"] == "collection":
            print(f"  left out: {each['reason']}")
    if broken := [each for each in result["left_out"] if each["what"] != "collection"]:
        first = broken[0]
        print(f"  {len(broken):,} broken records are left out ({first['where']}: {first['reason']} ...)")
    for row in result["rows"]:
        figures = {name: x for name, x in row.items() if isinstance(x, Mapping) and "value" in x}
        print(f"  {row['name']} (n {row['n']:,})")
        balanced = {judge: found["value"] for judge, found in row["blind_balanced_accuracy"].items()}
        blinds = {"balanced_accuracy": balanced, "pairwise": row["blind_pairwise"]}
        for name, found in figures.items():
            if math.isnan(found["value"]):
                print(f"    {name.replace('_', ' '):22s}–: all texts have one label")
                continue
            blind = ", ".join(f"{BLIND_NAMES[judge]} {x:.4f}" for judge, x in blinds.get(name, {}).items())
            line = f"    {name.replace('_', ' '):22s}{found['value']:7.4f} [{found['low']:.4f}, {found['high']:.4f}]"
            print(line + (f"   blind: {blind}" if blind else ""))
    if not any(row["blind_balanced_accuracy"] for row in result["rows"]):
        print("  no blind control: there are too few true or false texts to learn from")
    if words := result.get("word_evidence"):
        print(f"  word evidence {words['accuracy'].value:.1%} of {words['n']:,}, by chance {words['chance']:.1%}")
    if calibrated := result.get("calibration"):
        print(f"  calibration: ECE {calibrated['ece']:.4f}, Brier {calibrated['brier'].value:.4f}")


# Comparison


def compare(evaluations: Sequence[Evaluation]) -> None:
    """Each further model minus the first, with paired bootstrap: both are resampled with the same photographs."""
    first, *others = evaluations
    for other in others:
        if other.database.fingerprint != first.database.fingerprint:
            print(f"{other.folder} and {first.folder} have different databases: compare them with --database DIR")
            continue
        sections: dict[str, dict[str, Interval]] = {}
        for mine, theirs in zip(first.rows, other.rows, strict=True):
            assert (mine.section, mine.name, mine.n) == (theirs.section, theirs.name, theirs.n)
            difference = interval(theirs.samples["balanced_accuracy"] - mine.samples["balanced_accuracy"])
            sections.setdefault(NAMES.get(mine.section, mine.section), {})[f"{mine.name} ({mine.n:,})"] = difference
        for spec, mine_of_benchmark in first.benchmark_rows.items():
            for mine, theirs in zip(mine_of_benchmark, other.benchmark_rows[spec], strict=True):
                for figure in COMPARED & mine.samples.keys():
                    difference = interval(theirs.samples[figure] - mine.samples[figure])
                    sections.setdefault(f"{mine.section}: {figure.replace('_', ' ')}", {})[mine.name] = difference
        for ranking, found in first.retrieval.items():
            section = "recall@1" + RANKINGS[ranking]
            for name in ("picture_to_text", "text_to_picture"):
                figure = f"{name}_recall@1"
                difference = interval(other.retrieval[ranking][figure] - found[figure])
                sections.setdefault(section, {})[name.replace("_", " ")] = difference
        title = f"{other.folder.name} minus {first.folder.name}"
        print(f"\n{title}: balanced accuracy and recall; * where the 95 % interval does not hold 0")
        for section, found_in in sections.items():
            print(f"\n{section:44s}{'difference':>10s}  95 % interval")
            for name, (value, low, high) in found_in.items():
                print(f"{name:44s}   {value:+.4f}  [{low:+.4f}, {high:+.4f}]{'' if low <= 0 <= high else ' *'}")
        name = f"Comparison_{other.folder.name}_minus_{first.folder.name}{first.suffix}"
        plot, table = (first.loaded.config.plots_folder / f"{name}.{ending}" for ending in ("png", "json"))
        plots_lib.plot_differences(plot, title, sections)
        storage.write_json(table, plain(sections))
        print(f"written: {table}, {plot}")


if __name__ == "__main__":
    main()
