"""The results of a model on an external benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.metrics import Bootstrap, Floats, calibration_figures
from common.scores import Scorer
from evaluation import scoring
from evaluation.benchmarks import Benchmark, Claim, Contents
from evaluation.benchmarks.figures import Scored, class_pairs
from evaluation.blind import blind_across
from evaluation.pointing import pointing
from evaluation.rows import Row
from negatives.text import Negative
from training.checkpoints import LoadedModel, Threshold


class BenchmarkResult(NamedTuple):
    """The part of results.json of one benchmark, and its rows with their bootstrap samples."""

    as_json: dict[str, Any]
    rows: list[Row]


def evaluate_benchmark(
    loaded: LoadedModel,
    threshold: Threshold,
    contents: Contents,
    places: Mapping[str, Path],
    trained_on: Sequence[str],
    resamples: int,
) -> BenchmarkResult:
    """Evaluate a model on a benchmark, with this threshold. ValueError if no picture of the benchmark can be read.

    places: picture files by their names in the benchmark; trained_on: names of pictures that the model was trained on.
    """
    benchmark = contents.benchmark
    unreadable: dict[str, ValueError | OSError] = {}
    prepared = scoring.prepare_files(loaded, places, unreadable)
    vectors = scoring.encode_pictures(loaded, prepared, len(places), f"{benchmark.name} pictures")
    number = {name: i for i, name in enumerate(places)}
    claims = [claim for claim in contents.claims if claim.picture in number and claim.picture not in unreadable]
    if not claims:
        raise ValueError(f"none of the pictures of {contents.spec} can be read: {next(iter(unreadable.values()))}")
    of = np.array([number[claim.picture] for claim in claims])
    use = Scorer.pair_ranking if benchmark.ratings else Scorer.pair_scores
    scores = scoring.score_pairs(loaded, vectors, [claim.text for claim in claims], of, benchmark.name, use)
    boot = Bootstrap(len(places), resamples)
    rows = benchmark_rows(benchmark, claims, scores, of, threshold.threshold, boot)
    result: dict[str, Any] = {
        "benchmark": benchmark.name,
        "path": str(contents.path),
        "photographs": len(places) - len(unreadable),
        "claims": len(claims),
        "claims_without_picture": len(contents.claims) - len(claims),
        "missing_pictures": [name for name in dict.fromkeys(c.picture for c in contents.claims) if name not in places],
        "unreadable_pictures": {name: str(error) for name, error in unreadable.items()},
        "left_out": [asdict(each) for each in contents.left_out],
        "trained_on": list(trained_on),
        "rows": [row.as_json() for row in rows],
    }
    if benchmark.calibrated:
        label = np.array([claim.label for claim in claims]) == 1
        result["calibration"] = calibration_figures(threshold.calibration, scores, label, of, boot)[0]
    marked = np.array([i for i, claim in enumerate(claims) if claim.changed], dtype=int)
    marked = marked[scoring.some_with_words(loaded, len(marked))]
    if len(marked):
        some = [claims[i] for i in marked.tolist()]
        _, lines = scoring.score_words(loaded, vectors, [claim.text for claim in some], of[marked])
        negatives = [Negative(claim.text, "foil", claim.subset, claim.changed) for claim in some]
        subsets = np.array([claim.subset for claim in some], dtype=str)
        result["word_evidence"] = pointing(negatives, lines, of[marked], subsets, boot)
    return BenchmarkResult(result, rows)


def benchmark_rows(
    benchmark: Benchmark,
    claims: Sequence[Claim],
    scores: Floats,
    photographs: NDArray[np.int64],
    threshold: float,
    boot: Bootstrap,
) -> list[Row]:
    """A row for the whole benchmark and, if it has several subsets, a row for each subset.

    If the benchmark has classes, a row for each pair of them instead.

    scores, photographs: (I,) score of each claim, and the number of its photograph.
    """
    scored = Scored(claims, scores, photographs, threshold, boot, {})
    if benchmark.classes:
        parts = list(class_pairs(benchmark.classes, scored))
        for _, part in parts:
            part.blind = blind_of(part)
    else:
        scored.blind = {} if benchmark.ratings else blind_of(scored)
        names = np.unique(scored.subsets).tolist()
        subsets = [(name or "(no subset)", np.flatnonzero(scored.subsets == name)) for name in names if len(names) > 1]
        parts = [("all", scored), *((name, scored.part(some)) for name, some in subsets)]
    rows = []
    for name, part in parts:
        n, samples, blind, pairwise = benchmark.figures(part)
        rows.append(Row(benchmark.name, name, n, len(np.unique(part.photographs)), samples, blind, pairwise))
    return rows


def blind_of(scored: Scored) -> Mapping[str, Floats]:
    """Scores (I,) of each blind judge, which has learnt from the claims about other photographs."""
    return blind_across([claim.text for claim in scored.claims], scored.label == 1, scored.photographs)
