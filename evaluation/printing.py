"""The tables of an evaluation on the screen. Figures are in percent with one decimal, [...] is a 95 % interval."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from common.command_line import counted
from common.metrics import Interval, interval
from evaluation.benchmarks.figures import BLIND_AUC
from evaluation.external import BenchmarkResult
from evaluation.plots import BLIND
from evaluation.retrieval import RANKINGS
from evaluation.rows import FEW, Row
from evaluation.screen import (
    FEW_MARK,
    NOT_BETTER,
    Column,
    Line,
    columns_that_fit,
    print_table,
    print_text,
    shorten,
)

SECTIONS = {  # titles of sections in plots and comparisons; other sections have their name
    "caption": "kind of caption",
    "length": "length of the caption",
    "category": "category of the swapped word",
    "geometric": "refuted by boxes",
    "add": "added phrase",
    "kind": "kind of false text",
}
SHORT = {
    "kind": "false texts",
    "category": "swapped word",
    "geometric": "boxes refute",
    "add": "added phrase",
    "length": "caption length",
    "caption": "caption kind",
}
BLIND_NAMES = {judge: name for judge, (name, _) in BLIND.items()}
STANDARD = ("balanced_accuracy", "recall", "specificity", "roc_auc", "average_precision")  # figures of `judged`
HEADS = {"roc_auc": "ROC-AUC", "specificity": "specif."}
NOTHING = "–"
PATH = 38  # characters of a path in a heading
SHOWN_RISKS = ("0.05", "0.1", "0.2")  # --full shows all
LISTED = 3  # names of lost pictures; --full lists all


class Figure(NamedTuple):
    """A column of a table, and the function that makes its cell from a row."""

    column: Column
    cell: Callable[[Row], str]


def print_results(
    results: Mapping[str, Any], rows: Sequence[Row], benchmarks: Sequence[BenchmarkResult], chosen: bool, full: bool
) -> None:
    """results: as in results.json, with `Interval`s; chosen: was the threshold chosen, or is it the stored one?

    full: every figure of results.json instead of the most important ones.
    """
    print_text()
    print_text(f"{shorten(results['model'], PATH)} on {shorten(results['database'], PATH)}", "bold")
    print_threshold(results, rows, chosen)
    print_text()
    print_figures(rows, [*standard_figures(), blind_figure()])
    print_text(
        f"In %, with 95 % intervals from {results['resamples']:,} bootstrap resamples of the "
        f"{counted(results['test_photographs'], 'test picture')} ({counted(results['test_captions'], 'caption')}). "
        "n: false texts, each compared with its caption."
    )
    explained = print_legend(rows, set())
    print_trained_on(results["trained_on"])
    if full:
        print_every_figure(rows)
        print_outside(results["outside"])
    print_text()
    print_calibration("calibration (mixture)", results["calibration"])
    print_selective(results["selective"], full)
    print_words(results["word_evidence"], "swaps", full)
    print_corrections(results["corrections"])
    print_text()
    print_retrieval(results["retrieval"], full)
    if "all_csls" in results["retrieval"]:
        print_text("CSLS lowers the scores of texts and pictures that score high with everything.")
    if results["rerank_weight"] is not None:
        weight = f"{results['rerank_weight']:g}, chosen on validation"
        print_text(f"re-ranked: the best candidates are ordered by score + weight * verdict score; weight {weight}.")
    for benchmark in benchmarks:
        explained = print_benchmark(benchmark, full, explained)
    print_text()


def print_threshold(results: Mapping[str, Any], rows: Sequence[Row], chosen: bool) -> None:
    at = results["threshold"]
    where_from = f"chosen on validation for {at['criterion']}" if chosen else f"as stored, chosen for {at['criterion']}"
    equal = results["equilibrium_threshold"]
    where_equal = "" if equal is None else f"; on validation recall equals specificity at {equal:.4f}"
    print_text(f"threshold {at['threshold']:.4f}, {where_from}{where_equal}")
    reached = [f"{percent(at['balanced_accuracy'])} % on validation"] if chosen else []
    reached += [f"{percent(row.samples['balanced_accuracy'][0])} % on test" for row in rows if row.name == "mixture"]
    if reached:
        print_text(f"balanced accuracy on the mixture: {', '.join(reached)}")


# Cells


def percent(figure: float, sign: str = "") -> str:
    """sign: "+" to write the sign of positive figures too."""
    return NOTHING if math.isnan(figure) else f"{100 * figure:{sign}.1f}"


def with_interval(found: Interval, sign: str = "") -> str:
    if math.isnan(found.value):
        return NOTHING
    return f"{percent(found.value, sign)} [{percent(found.low, sign)}, {percent(found.high, sign)}]"


def count(n: int) -> str:
    return f"{n:,}{FEW_MARK if n < FEW else ''}"


def best_blind(row: Row) -> str:
    """The higher balanced accuracy of the blind judges, with a mark if the model is no better."""
    best = max((samples[0] for samples in row.blind.values()), default=math.nan)
    return percent(best) + (NOT_BETTER if row.beats_blind is False else "")


# Columns


def brief(name: str, head: str | None = None, optional: bool = False) -> Figure:
    """A figure without its interval."""
    column = Column(head or HEADS.get(name, name.replace("_", " ")), optional)
    return Figure(column, lambda row: percent(row.samples[name][0]) if name in row.samples else NOTHING)


def whole(name: str, optional: bool = False) -> Figure:
    """A figure with its interval."""
    column = Column(HEADS.get(name, name.replace("_", " ")), optional)
    return Figure(column, lambda row: with_interval(row.figures[name]) if name in row.samples else NOTHING)


def blind_figure(optional: bool = False) -> Figure:
    return Figure(Column("blind", optional), best_blind)


def standard_figures() -> list[Figure]:
    return [whole("balanced_accuracy"), *(brief(name, optional=True) for name in ("recall", "specificity", "roc_auc"))]


def benchmark_figures(rows: Sequence[Row]) -> list[Figure]:
    """The columns of a benchmark: the figures that only it has, or else recall and specificity; balanced accuracy."""
    names = {name: None for row in rows for name in row.samples}
    own = [name for name in names if name not in (*STANDARD, BLIND_AUC)]
    has_blind = any(row.blind for row in rows)
    last = [blind_figure(optional=bool(own))] if has_blind else []
    last += [brief(BLIND_AUC, "blind\nAUC", optional=True)] if BLIND_AUC in names else []
    if not own:
        return [*standard_figures(), *last]
    many = len(own) > 2  # with their intervals they would not fit
    found = [brief(name, name.replace("_", "\n")) if many else whole(name) for name in own]
    if any(row.blind_pairwise for row in rows):
        blind = Figure(Column("blind"), lambda row: percent(max(row.blind_pairwise.values(), default=math.nan)))
        found.insert(1, blind)
    if "balanced_accuracy" not in names:  # ratings
        return [*found, whole("roc_auc", optional=True)]
    return [*found, whole("balanced_accuracy", optional=True), *last]


def print_figures(rows: Sequence[Row], figures: Sequence[Figure], counts: bool = True) -> None:
    """A table of these rows and columns; counts: the first column is n."""
    titles = {row.section for row in rows}
    sections: dict[str, list[Line]] = {}
    for row in rows:
        title = SHORT.get(row.section, row.section) if len(titles) > 1 else ""
        cells = [count(row.n)] * counts + [figure.cell(row) for figure in figures]
        sections.setdefault(title, []).append(Line(row.name, cells, faint=row.n < FEW))
    print_table([Column("n")] * counts + [figure.column for figure in figures], sections)


def print_every_figure(rows: Sequence[Row]) -> None:
    """Tables of all figures with intervals, then of those of each blind judge, as many in a table as fit."""
    names = dict.fromkeys(name for row in rows for name in row.samples)
    judges = [judge for judge in BLIND_NAMES if any(judge in row.blind for row in rows)]
    fitting = columns_that_fit()
    for figures, most in (
        ([whole(name) for name in names], fitting),
        (list(every_blind_figure(judges)), 4 if fitting > 2 else fitting),  # half of them have no interval
    ):
        for start in range(0, len(figures), most):
            print_text()
            print_figures(rows, figures[start : start + most], counts=False)


def every_blind_figure(judges: Sequence[str]) -> Iterator[Figure]:
    """The balanced accuracy of each blind judge, then how often it prefers the caption."""

    def balanced(judge: str) -> Callable[[Row], str]:
        return lambda row: with_interval(interval(row.blind[judge])) if judge in row.blind else NOTHING

    def pairwise(judge: str) -> Callable[[Row], str]:
        return lambda row: percent(row.blind_pairwise.get(judge, math.nan))

    for judge in judges:
        yield Figure(Column(f"{BLIND_NAMES[judge]} (blind)\nbalanced accuracy"), balanced(judge))
    for judge in judges:
        yield Figure(Column(f"{BLIND_NAMES[judge]}\npairwise"), pairwise(judge))


def print_legend(rows: Sequence[Row], explained: set[str]) -> set[str]:
    """Explain "blind" and the marks that these rows have, unless they are in `explained`.

    Returns everything that is explained by then.
    """
    names = " and ".join(BLIND_NAMES.values())
    legend = {}
    if any(row.blind for row in rows):
        legend["blind"] = f"blind: the better of two classifiers that see only the text ({names})."
    if any(row.beats_blind is False for row in rows):
        legend[NOT_BETTER] = f"{NOT_BETTER} not significantly better than a blind judge or than chance."
    if any(row.n < FEW for row in rows):
        legend[FEW_MARK] = f"{FEW_MARK} n below {FEW}: too few for a conclusion."
    for mark, meaning in legend.items():
        if mark not in explained:
            print_text(meaning)
    return explained | legend.keys()


def print_trained_on(photographs: Sequence[str]) -> None:
    if photographs:
        print_text(f"The model was trained on {len(photographs):,} of these pictures, so the figures are too high.")


def print_calibration(title: str, found: Mapping[str, Any]) -> None:
    brier = "{:.3f} [{:.3f}, {:.3f}]".format(*found["brier"])
    print_text(f"{title}: expected calibration error {percent(found['ece'])} %, Brier score {brier}")


def print_selective(found: Mapping[str, Mapping[str, float]], full: bool) -> None:
    """How many texts get a verdict at some risks, and how many of these verdicts are wrong; full: at all risks."""
    shown = [risk for risk in found if full or risk in SHOWN_RISKS]
    if shown:
        each = [f"{percent(found[r]['coverage'])} % ({percent(found[r]['error'])} %) at {r}" for r in shown]
        print_text(f"verdicts (wrong ones) with --risk: {', '.join(each)}")


def print_outside(found: Mapping[str, float]) -> None:
    """Which fractions of the splits count as outside of what the model knows."""
    each = [f"{percent(fraction)} % of {name.replace('_', ' ')}" for name, fraction in found.items()]
    print_text()
    print_text(f"outside of what the model knows: {', '.join(each)}")


def print_words(found: Mapping[str, Any], texts: str, full: bool) -> None:
    """Pointing accuracy; texts: what the false texts are called."""
    if not found:
        return
    print_text(
        f"word evidence: in {with_interval(found['accuracy'])} % of {found['n']:,} {texts} a changed word has the "
        f"lowest word score (by chance {percent(found['chance'])} %)"
    )
    if full and len(found["categories"]) > 1:
        lines = [
            Line(name or "(no subset)", [count(each["n"]), with_interval(each["accuracy"]), percent(each["chance"])])
            for name, each in found["categories"].items()
        ]
        print_text()
        print_table([Column("n"), Column("word evidence"), Column("by chance")], {"": lines})
        print_text()


def print_corrections(found: Mapping[str, Any]) -> None:
    """How often a correction restores the caption."""
    if found:
        first, three = (
            f"{with_interval(found[f'first_{k}'])} % (by chance {percent(found[f'first_{k}_by_chance'])} %)"
            for k in (1, 3)
        )
        print_text(
            f"corrections of {counted(found['n'], 'swap')}: the first one restores the caption in {first}, one of the "
            f"first three in {three}"
        )


def print_retrieval(retrieval: Mapping[str, Mapping[str, Interval]], full: bool) -> None:
    directions = ("picture_to_text", "text_to_picture")

    def table(heads: Sequence[str], cells: Callable[[Mapping[str, Interval], str], list[str]]) -> None:
        sections = {
            f"retrieval{RANKINGS[ranking]}": [Line(name.replace("_", " "), cells(found, name)) for name in directions]
            for ranking, found in retrieval.items()
        }
        print_table([Column(head) for head in heads], sections)

    def recall(found: Mapping[str, Interval], name: str, k: int) -> Interval:
        return found[f"{name}_recall@{k}"]

    def median(found: Mapping[str, Interval], name: str) -> str:
        rank = found[f"{name}_median_rank"]
        return f"{rank.value:.1f} [{rank.low:.1f}, {rank.high:.1f}]" if full else f"{rank.value:.1f}"

    if not full:
        table(
            ["recall@1", "@5", "@10", "median rank"],
            lambda found, name: [
                with_interval(recall(found, name, 1)),
                *(percent(recall(found, name, k).value) for k in (5, 10)),
                median(found, name),
            ],
        )
        return
    table(["recall@1", "recall@5"], lambda found, name: [with_interval(recall(found, name, k)) for k in (1, 5)])
    print_text()
    table(
        ["recall@10", "median rank"],
        lambda found, name: [with_interval(recall(found, name, 10)), median(found, name)],
    )


def print_benchmark(benchmark: BenchmarkResult, full: bool, explained: set[str]) -> set[str]:
    """Print the figures of every row beside those of the blind judges, and what could not be counted.

    Returns what the legend has explained, see `print_legend`.
    """
    result, rows = benchmark
    print_text()
    sizes = f"{counted(result['photographs'], 'picture')}, {counted(result['claims'], 'claim')}"
    print_text(f"{result['benchmark']}: {sizes}", "bold")
    print_lost(result, full)
    print_figures(rows, benchmark_figures(rows))
    if any(math.isnan(samples[0]) for row in rows for samples in row.samples.values()):
        print_text(f"{NOTHING} not measured: all texts of the row have the same label.")
    if not any(row.blind for row in rows) and "balanced_accuracy" in rows[0].samples:
        print_text("no blind judge: there are too few true or false texts to learn from")
    explained = print_legend(rows, explained)
    if full:
        print_every_figure(rows)
    print_words(result.get("word_evidence", {}), "false texts", full)
    if found := result.get("calibration"):
        print_calibration("calibration", found)
    return explained


def print_lost(result: Mapping[str, Any], full: bool) -> None:
    """Print what is not counted, and how many photographs the model was trained on."""
    lost = [*result["missing_pictures"], *result["unreadable_pictures"]]
    if lost:
        listed = ", ".join(lost if full else lost[:LISTED]) + ("" if full or len(lost) <= LISTED else " ...")
        some, claims = counted(len(lost), "picture"), counted(result["claims_without_picture"], "claim")
        print_text(f"missing or unreadable: {some} ({listed}); not counted: {claims}")
    print_trained_on(result["trained_on"])
    for each in result["left_out"]:
        if each["what"] == "collection":
            print_text(f"left out: {each['reason']}")
    broken = [f"{each['where']}: {each['reason']}" for each in result["left_out"] if each["what"] != "collection"]
    if broken:
        listed = "; ".join(broken if full else broken[:1]) + ("" if full or len(broken) == 1 else " ...")
        print_text(f"left out: {counted(len(broken), 'broken record')} ({listed})")
