"""External benchmarks. Each has one file: which files it expects, how it reads them, and which figures it reports.

To add a benchmark, write `evaluation/benchmarks/NAME.py` with a `Benchmark` and enter it in `BENCHMARKS` below.
"""

from evaluation.benchmarks.flickr8k import FLICKR8K_CF, FLICKR8K_EXPERT
from evaluation.benchmarks.foil import FOIL
from evaluation.benchmarks.pairs import PAIRS
from evaluation.benchmarks.reading import Benchmark, Claim, Contents
from evaluation.benchmarks.snli_ve import SNLI_VE
from evaluation.benchmarks.sugarcrepe import SUGARCREPE, SUGARCREPE_PP
from evaluation.benchmarks.winoground import WINOGROUND

__all__ = ["BENCHMARKS", "Benchmark", "Claim", "Contents", "read_benchmark"]

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        SUGARCREPE,
        SUGARCREPE_PP,
        FOIL,
        FLICKR8K_EXPERT,
        FLICKR8K_CF,
        WINOGROUND,
        SNLI_VE,
        PAIRS,
    )
}


def read_benchmark(spec: str) -> Contents:
    """Read the benchmark NAME=PATH. ValueError lists the known names; for other errors see `Benchmark.read`."""
    name, _, path = spec.partition("=")
    if name not in BENCHMARKS or not path:
        raise ValueError(f"--benchmark {spec!r}: expected NAME=PATH; known names: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name].read(path)
