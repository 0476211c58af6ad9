"""External benchmarks, one file each: what it expects, how it is read, and how its authors count.

To add one, write `evaluation/benchmarks/NAME.py` with a `Benchmark` and enter it in `BENCHMARKS` below.
"""

from evaluation.benchmarks.flickr8k import FLICKR8K_CF, FLICKR8K_EXPERT
from evaluation.benchmarks.foil import FOIL
from evaluation.benchmarks.pairs import PAIRS
from evaluation.benchmarks.reading import Benchmark, Claim, Contents
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
        PAIRS,
    )
}


def read_benchmark(spec: str) -> Contents:
    """Read the benchmark that NAME=PATH names. ValueError lists the known names; see also `Benchmark.read`."""
    name, _, path = spec.partition("=")
    if name not in BENCHMARKS or not path:
        raise ValueError(f"{spec!r} is no NAME=PATH of a benchmark; known names: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name].read(path)
