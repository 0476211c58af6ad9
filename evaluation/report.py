"""The report of an evaluation: results.json, the plots, and the tables on the screen."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common import devices, metrics, storage
from common.checked import read_json
from common.metrics import Bootstrap, Integers, Interval, Reliability, calibration_figures, interval
from common.risk import Limits, select
from common.storage import CONFIG
from DataBase_functions import Database, changed_words
from evaluation import plots, scoring
from evaluation.external import BenchmarkResult
from evaluation.plots import Bar, Curves, Example, Word
from evaluation.printing import SECTIONS, print_results
from evaluation.retrieval import Retrieval
from evaluation.rows import Row
from evaluation.splits import Scores
from evaluation.style import FigureFormat
from evaluation.texts import IN_BATCH, SHOWN, Texts
from negatives.text import Negative
from Tokenizer_lib import split_words
from training.checkpoints import LoadedModel, Threshold

PLOTS = ("Threshold_Analysis", "Scores", "Curves", "Reliability", "Risk", "Categories", "Errors")


@dataclass
class Evaluation:
    """Everything that was measured of one model on one database."""

    folder: Path
    loaded: LoadedModel
    database: Database
    own: bool  # whether the model was trained on this database
    chosen: bool  # whether the threshold was chosen on its validation split; else it is the stored threshold
    threshold: Threshold
    texts: dict[str, Texts]  # by split
    scores: dict[str, Scores]
    boot: Bootstrap
    groups: np.ndarray  # (N,) identity of each test photograph
    rows: list[Row] = field(default_factory=list)
    retrieval: Retrieval = field(default_factory=lambda: Retrieval({}, None))
    words: dict[str, Any] = field(default_factory=dict)  # pointing accuracy
    corrections: dict[str, Any] = field(default_factory=dict)
    outside: dict[str, float] = field(
        default_factory=dict
    )  # fractions of pictures and captions that the model does not know
    benchmarks: dict[str, BenchmarkResult] = field(default_factory=dict)  # by NAME=PATH
    leaks: dict[str, list[str]] = field(
        default_factory=dict
    )  # of the test split, then of benchmarks; see `check_leaks`
    seconds: float = 0.0

    @property
    def suffix(self) -> str:
        """What file names end with if the model was not trained on the database."""
        return suffix_of(self.database, self.own)

    @property
    def validation(self) -> Curves | None:
        """Scores of the mixture on validation; None if the database has no such split, or a too small one."""
        return self.curves("validation", "mixture") if "validation" in self.texts else None

    def curves(self, split: str, kind: str) -> Curves:
        """Scores of the false texts of a kind, and of their captions."""
        scores = self.scores[split]
        return Curves(scores.caption[self.texts[split].false[kind].of], scores.false[kind])


def report(one: Evaluation, full: bool = False, figures: FigureFormat = "png") -> None:
    """Write results.json, print the tables, and draw the plots.

    full: print every figure of results.json; figures: the format of the plots.
    """
    curves = one.curves("test", "mixture")
    label = np.repeat([True, False], [len(curves.true), len(curves.false)])
    of = one.texts["test"].owner[one.texts["test"].false["mixture"].of]
    scores, calibration = np.concatenate(curves), one.threshold.calibration
    calibrated, reliability = calibration_figures(calibration, scores, label, np.tile(of, 2), one.boot)
    results = results_of(one, calibrated)
    place = results_file(one.folder, one.database, one.own)
    storage.write_json(place, plain(results))
    print_results(results, one.rows, list(one.benchmarks.values()), one.chosen, full)
    written = draw(one, reliability, calibrated, figures)
    print(f"written: {place}\nwritten: {len(written)} plots in {written[0].parent}")


def suffix_of(database: Database, own: bool) -> str:
    return "" if own else f"_{database.folder.name}"


def results_file(model: Path, database: Database, own: bool) -> Path:
    return model / f"results{suffix_of(database, own)}.json"


def refuse_to_overwrite(model: Path, database: Database, own: bool) -> None:
    """ValueError if the model has results of a different database whose folder has the same name."""
    place = results_file(model, database, own)
    if own or not place.is_file():
        return
    try:
        earlier = read_json(place)
        folder, fingerprint = Path(earlier["database"]), earlier["fingerprint"]
    except (ValueError, KeyError, TypeError):  # the file holds no results
        return
    if fingerprint != database.fingerprint and folder.resolve() != database.folder.resolve():
        raise ValueError(
            f"{place} holds the results of another database, {folder}; move the file away, or rename the folder "
            f"{database.folder}"
        )


def results_of(one: Evaluation, calibrated: Mapping[str, Any]) -> dict[str, Any]:
    """The content of results.json."""
    return {
        "model": str(one.folder),
        "database": str(one.database.folder),
        "fingerprint": one.database.fingerprint,
        "plan": one.database.plan.folder.name,
        "config": json.loads((one.folder / CONFIG).read_text(encoding="utf-8")),
        "threshold": asdict(one.threshold),
        "equilibrium_threshold": None if one.validation is None else metrics.equilibrium_threshold(*one.validation),
        "test_photographs": len(one.groups),
        "test_captions": len(one.texts["test"].captions),
        "resamples": one.boot.resamples,
        "resamples_of_ranks": min(metrics.MEDIANS, one.boot.resamples),
        "trained_on": next(iter(one.leaks.values())),
        "test": [row.as_json() for row in one.rows],
        "calibration": calibrated,
        "retrieval": {
            name: {figure: interval(samples) for figure, samples in found.items()}
            for name, found in one.retrieval.samples.items()
        },
        "rerank_weight": one.retrieval.weight,
        "word_evidence": one.words,
        "corrections": one.corrections,
        "outside": one.outside,
        "selective": {f"{limits.risk:g}": selected(one, limits) for limits in one.threshold.limits},
        "benchmarks": [result.as_json for result in one.benchmarks.values()],
        "hardware": devices.hardware(one.loaded.model.device),
        "seconds": round(one.seconds, 1),
    }


def selected(one: Evaluation, limits: Limits) -> dict[str, float]:
    """Of the mixture on test: the fraction of texts that get a verdict at a risk, and of these verdicts those wrong."""
    return select(*one.curves("test", "mixture"), limits)._asdict()


def plain(value: Any) -> Any:
    """For JSON: intervals as {"value", "low", "high"}, and null for NaN and infinity, which JSON lacks."""
    if isinstance(value, Interval):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def draw(one: Evaluation, reliability: Reliability, calibrated: Mapping[str, Any], figures: FigureFormat) -> list[Path]:
    """Draw all plots. Returns their files."""
    folder, at = one.loaded.config.plots_folder, one.threshold
    paths = {what: folder / f"{what}_{one.folder.name}{one.suffix}.{figures}" for what in PLOTS}
    kinds = {kind: one.curves("test", kind) for kind in SHOWN if len(one.texts["test"].false[kind].of)}
    sections: dict[str, list[Bar]] = {}
    for row in one.rows:
        blind = {judge: interval(values) for judge, values in row.blind.items()}
        bar = Bar(row.name, row.n, row.figures["balanced_accuracy"], blind)
        sections.setdefault(SECTIONS.get(row.section, row.section), []).append(bar)
    overview = sections[SECTIONS["kind"]] + sections.get(SECTIONS["category"], [])
    chosen = f"chosen for {at.criterion}" if one.chosen else "stored"
    mixture = one.curves("test", "mixture")
    plots.plot_thresholds(paths["Threshold_Analysis"], one.validation, mixture, kinds, at.threshold, chosen, overview)
    plots.plot_scores(paths["Scores"], kinds, at.threshold)
    plots.plot_curves(paths["Curves"], kinds, at.threshold)
    plots.plot_reliability(paths["Reliability"], reliability, calibrated["ece"], calibrated["brier"].value)
    at_risks = {limits.risk: selected(one, limits) for limits in at.limits}
    plots.plot_risk(paths["Risk"], mixture, at.threshold, at_risks)
    plots.plot_bars(paths["Categories"], sections)
    plots.plot_errors(paths["Errors"], worst_errors(one))
    return list(paths.values())


def worst_errors(one: Evaluation) -> dict[str, list[Example]]:
    """The most confident errors on captions and on each kind of false text, at most one for each photograph."""
    texts, scores, limit = one.texts["test"], one.scores["test"], one.threshold.threshold
    errors: dict[str, list[tuple[int, float, Negative]]] = {}  # photograph, score and text
    first = first_of_each(np.argsort(scores.caption), texts.owner, scores.caption < limit)
    errors["Refused captions"] = [
        (texts.owner[i], scores.caption[i], Negative(texts.captions[i], "", "", ())) for i in first
    ]
    for kind in SHOWN:
        false, its_scores = texts.false[kind], scores.false[kind]
        first = first_of_each(np.argsort(-its_scores), texts.owner[false.of], its_scores >= limit)
        errors[f"Accepted negatives: {kind}"] = [
            (texts.owner[false.of[i]], its_scores[i], false.texts[i]) for i in first
        ]
    return {title: examples_of(one, those) for title, those in errors.items() if those}


def examples_of(one: Evaluation, errors: Sequence[tuple[int, float, Negative]]) -> list[Example]:
    """For each error its picture, and its text with the score of each word; errors: photograph, score and text."""
    photographs = np.array([photograph for photograph, _, _ in errors])
    texts = [negative.text for _, _, negative in errors]
    _, lines = scoring.score_words(one.loaded, one.scores["test"].pictures, texts, photographs)
    rows = one.database.rows("test")
    examples = []
    for (photograph, score, negative), line in zip(errors, lines):
        words = split_words(negative.text)[: len(line)]
        # In a random caption nearly every word is false, so marks would show nothing.
        marked = changed_words(words, negative) if negative.kind != IN_BATCH else []
        shown = [
            Word(negative.text[word.start : word.end], float(x), i in marked)
            for i, (word, x) in enumerate(zip(words, line))
        ]
        examples.append(Example(one.database.picture(rows[photograph]), float(score), shown))
    return examples


def first_of_each(order: Integers, photographs: Integers, wrong: np.ndarray) -> list[int]:
    """The first wrong texts in this order, at most one for each photograph, as many as a line of the page holds."""
    first: dict[int, int] = {}
    for i in order[wrong[order]].tolist():
        first.setdefault(int(photographs[i]), i)
        if len(first) == plots.EXAMPLES:
            break
    return list(first.values())
