"""The tables of an evaluation on the screen."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from common.metrics import Interval
from evaluation.plots import BLIND
from evaluation.retrieval import RANKINGS
from evaluation.rows import Row

SECTIONS = {  # as they are printed; others as they are
    "caption": "kind of caption",
    "length": "length of the caption",
    "category": "category of the swapped word",
    "kind": "kind of false text",
}
BLIND_NAMES = {judge: name for judge, (name, _) in BLIND.items()}
WIDTHS = (7, 8, 14, 1, 7, 7, 8, 8, 8, 8, 9, 14, 7, 7)
HEADS = (
    *("n", "bal.acc", "", "", *BLIND_NAMES.values()),
    *("recall", "specif.", "ROC-AUC", "av.prec", "pairwise", "", *BLIND_NAMES.values()),
)


def print_results(results: Mapping[str, Any], rows: Sequence[Row], chosen: bool) -> None:
    """results: as in results.json, with `Interval`s; chosen: was the threshold chosen, or is it the stored one?"""
    at = results["threshold"]
    where_from = f"chosen for {at['criterion']} on validation" if chosen else f"as stored, for {at['criterion']}"
    print(
        f"\n{results['model']} on {results['database']}: threshold {at['threshold']:.4f}, {where_from}; recall equals "
        f"specificity at {results['equilibrium_threshold']:.4f} on validation\n"
        f"test: {results['test_photographs']:,} photographs, {results['test_captions']:,} captions; [95 % intervals], "
        f"{results['resamples']:,} bootstrap resamples of photographs"
    )
    if trained_on := results["trained_on"]:
        print(f"{len(trained_on):,} of these photographs were trained on: the figures flatter the model")
    print_rows(rows)
    brier = "{:.4f} [{:.4f}, {:.4f}]".format(*results["calibration"]["brier"])
    print(f"\ncalibration (mixture): ECE {results['calibration']['ece']:.4f}, Brier {brier}")
    print_words(results["word_evidence"], results["corrections"])
    print_retrieval(results["retrieval"])
    for benchmark in results["benchmarks"]:
        print_benchmark(benchmark)
    print()


def print_rows(rows: Sequence[Row]) -> None:
    section = None
    for row in rows:
        if row.section != section:
            section = row.section
            print(f"\n{SECTIONS.get(section, section):24s}" + table_line(HEADS))
        print(f"{row.name:24s}" + table_line(cells(row)))
    if any(row.beats_blind is False for row in rows):
        print("= no better than a judge that sees no picture, as far as so many photographs tell")


def table_line(cells: Sequence[object]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS))


def cells(row: Row) -> list[str]:
    found = row.figures
    rest = [f"{found[name].value:.4f}" for name in ("recall", "specificity", "roc_auc", "average_precision")]
    blind = [f"{row.blind[judge][0]:.4f}" if judge in row.blind else "–" for judge in BLIND_NAMES]
    pairwise = [f"{row.blind_pairwise[judge]:.4f}" if judge in row.blind_pairwise else "–" for judge in BLIND_NAMES]
    mark = "=" if row.beats_blind is False else ""
    balanced, preferred = with_interval(found["balanced_accuracy"]), with_interval(found["pairwise"])
    return [f"{row.n:,}", *balanced, mark, *blind, *rest, *preferred, *pairwise]


def with_interval(found: Interval) -> tuple[str, str]:
    return f"{found.value:.4f}", f"[{found.low:.3f}, {found.high:.3f}]"


def print_words(words: Mapping[str, Any], corrections: Mapping[str, Any]) -> None:
    """Pointing accuracy, and how often a correction gives back the caption; each if it was measured."""
    if words:
        hit = words["accuracy"]
        print(
            f"word evidence: of {words['n']:,} swaps the lowest word score points at the swapped word in "
            f"{hit.value:.1%} [{hit.low:.1%}, {hit.high:.1%}], by chance {words['chance']:.1%}"
        )
    if corrections:
        first, three = (corrections[f"first_{k}"] for k in (1, 3))
        by_chance, among = (corrections[f"first_{k}_by_chance"] for k in (1, 3))
        print(
            f"corrections: of {corrections['n']:,} swaps the first gives back the caption in {first.value:.1%} "
            f"[{first.low:.1%}, {first.high:.1%}], one of the first three in {three.value:.1%} [{three.low:.1%}, "
            f"{three.high:.1%}], by chance {by_chance:.1%} and {among:.1%}"
        )


def print_retrieval(retrieval: Mapping[str, Mapping[str, Interval]]) -> None:
    print(f"\n{'retrieval':30s}{'R@1':>22s} {'R@5':>8s} {'R@10':>8s} {'median rank':>12s}")
    for ranking, found in retrieval.items():
        for name in ("picture_to_text", "text_to_picture"):
            first, fifth, tenth = (found[f"{name}_recall@{k}"] for k in (1, 5, 10))
            label = name.replace("_", " ") + RANKINGS[ranking]
            rank = found[f"{name}_median_rank"].value
            print(
                f"{label:30s}{' '.join(with_interval(first)):>22s} {fifth.value:8.4f} {tenth.value:8.4f} {rank:12.1f}"
            )


def print_benchmark(result: Mapping[str, Any]) -> None:
    """Every figure of every row, with its interval and that of the blind judges, and what could not be counted."""
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
        print_benchmark_row(row)
    if not any(row["blind_balanced_accuracy"] for row in result["rows"]):
        print("  no blind control: there are too few true or false texts to learn from")
    if words := result.get("word_evidence"):
        print(f"  word evidence {words['accuracy'].value:.1%} of {words['n']:,}, by chance {words['chance']:.1%}")
    if calibrated := result.get("calibration"):
        print(f"  calibration: ECE {calibrated['ece']:.4f}, Brier {calibrated['brier'].value:.4f}")


def print_benchmark_row(row: Mapping[str, Any]) -> None:
    print(f"  {row['name']} (n {row['n']:,})")
    balanced = {judge: found["value"] for judge, found in row["blind_balanced_accuracy"].items()}
    blinds = {"balanced_accuracy": balanced, "pairwise": row["blind_pairwise"]}
    for name, found in row.items():
        if not isinstance(found, Mapping) or "value" not in found:
            continue
        line = f"    {name.replace('_', ' '):22s}"
        if math.isnan(found["value"]):
            print(f"{line}–: all texts have one label")
            continue
        blind = ", ".join(f"{BLIND_NAMES[judge]} {x:.4f}" for judge, x in blinds.get(name, {}).items())
        line += f"{found['value']:7.4f} [{found['low']:.4f}, {found['high']:.4f}]"
        print(line + (f"   blind: {blind}" if blind else ""))
