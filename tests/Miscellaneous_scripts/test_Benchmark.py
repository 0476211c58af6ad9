"""Miscellaneous_scripts/Benchmark.py: the arithmetic, the command line, and tiny runs. No timing is asserted."""

import importlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from conftest import ROOT, run_process, run_script
from forks import run_forked

from Config import PRESETS
from DataBase_functions import Database
from Miscellaneous_scripts import Benchmark, benchmarks
from Miscellaneous_scripts.benchmarks import (
    chunks,
    drawing,
    judging,
    loader,
    photographs,
    plain_build,
    plain_training,
    training,
    workspace,
)
from Miscellaneous_scripts.benchmarks.training import TimedLoader
from Miscellaneous_scripts.benchmarks.workspace import Workspace

SCRIPT = "Miscellaneous_scripts/Benchmark.py"
EPOCHS = PRESETS["frozen"][1].optim.epochs


def test_medians_and_their_ratio():
    row = Benchmark.summarise("build", "photographs/s", ours=[30, 10, 80], plain=[4, 6, 5])
    assert (row["ours"], row["plain"], row["ratio"], row["rounds"]) == (30, 5, 6, 3)
    assert (row["ours_all"], row["plain_all"]) == ([30, 10, 80], [4, 6, 5])


def test_a_benchmark_without_a_plain_way_has_no_ratio(capsys):
    row = Benchmark.summarise("negatives", "mined/s", ours=[3, 1, 2], plain=[])
    assert (row["ours"], row["plain"], row["ratio"], row["plain_all"]) == (2, None, None, [])
    Benchmark.print_table([{**row, "better": "larger"}])
    assert capsys.readouterr().out.splitlines()[1].split() == ["negatives", "mined/s", "2", "(1–3)", "–", "–", "larger"]


def test_both_ways_are_measured_alternately_and_show_other_numbers(monkeypatch, capsys):
    turns = []

    def prepare(work):
        def turn(way, numbers):
            turns.append(way)
            return {"MB": next(numbers), "largest": 1}

        ours, plain = iter([6, 2, 4]), iter([1, 3, 2])
        return lambda: turn("ours", ours), lambda: turn("plain", plain)

    monkeypatch.setitem(Benchmark.BENCHMARKS, "mine", benchmarks.Benchmark("MB", "smaller", prepare, "one | another"))
    row = Benchmark.measure("mine", type("Work", (), {"source": "none"}), 3)
    assert turns == ["ours", "plain"] * 3
    assert (row["unit"], row["ours"], row["plain"], row["ratio"], row["better"]) == ("MB", 4, 2, 2, "smaller")
    assert [(other["unit"], other["ratio"]) for other in row["also"]] == [("largest", 1)]
    Benchmark.print_table([row])
    printed = capsys.readouterr().out
    assert printed.startswith("mine: one | another\n") and "(2–6)" in printed


def test_photographs_are_chosen_evenly_with_their_lines(tmp_path):
    photographs.draw_photographs(tmp_path / "all", 10)
    photographs.copy_evenly(tmp_path / "all", tmp_path / "some", 5)
    names = [f"{1_000_000 + seed}_scene.jpg" for seed in (0, 2, 4, 6, 8)]
    assert sorted(path.name for path in (tmp_path / "some" / photographs.PICTURES).iterdir()) == names
    lists = [(tmp_path / "some" / file).read_text().split() for file in (photographs.DEVELOPMENT, photographs.TRAINING)]
    assert lists == [[names[0], names[3]], [names[1], names[2], names[4]]]
    captions = (tmp_path / "some" / photographs.CAPTIONS).read_text().splitlines()
    assert [line.split("\t")[0] for line in captions] == [f"{name}#{n}" for name in names for n in range(5)]


def test_help_lists_each_benchmark_on_a_line():
    shown = run_process(SCRIPT, "--help").stdout.splitlines()
    for name in Benchmark.BENCHMARKS:
        assert sum(line.split()[:1] == [name] for line in shown) == 1, name
    assert max(map(len, shown)) <= 80 and "  python Miscellaneous_scripts/Benchmark.py open negatives" in shown


@pytest.mark.parametrize("name", benchmarks.BENCHMARKS)
def test_each_line_of_the_table_names_a_function(name):
    place = inspect.getclosurevars(benchmarks.BENCHMARKS[name].prepare).nonlocals
    module = importlib.import_module(f"{benchmarks.__name__}.{place['theme']}")
    assert list(inspect.signature(getattr(module, place["name"])).parameters) == ["work"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "there is no benchmark 'nonsense'; choose from: build, "),
        (["open", "--rounds", "0"], "must be at least 8 and at least 1"),
        (["open", "--rounds", "many"], "invalid int value"),
        (["open", "--photos", "nowhere"], "--photos nowhere must be a folder of Flickr8k"),
        (["open", "--json", "nowhere/results.json"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_run_is_one_line(arguments, message):
    error = run_script(SCRIPT, *arguments, status=2).stderr
    assert message in error and error.count("\n") == 1


def build_here(command, *_):
    """What `workspace.run` does, without a process: the builds of both ways in this one."""
    if command[1] == "-c":
        plain_build.build(*command[3:])
    else:
        run_script("Database_create.py", *command[2:])
    return []


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """What a run of four benchmarks has printed, the file of its results, and the folder with its databases.

    A measurement that takes a second takes a twentieth of it here.
    """
    folder = tmp_path_factory.mktemp("run")
    target, databases = folder / "results.json", folder / "left"

    def measure(name, work, rounds, real=Benchmark.measure):
        row = real(name, work, rounds)
        for way in ("ours-12", "plain-12"):
            without_plan = shutil.ignore_patterns("negatives")
            shutil.copytree(work.folder / way, databases / way, ignore=without_plan, dirs_exist_ok=True)
        return row

    names = ("bytes", "loader-plain-work", "loader", "negatives")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "DRAWING", 0.05)
        patch.setattr(Benchmark, "measure", measure)
        patch.setattr(workspace, "run", build_here)
        patch.setattr(plain_build, "usable_cores", lambda: 1)
        done = run_script(SCRIPT, *names, "--count", "12", "--rounds", "1", "--json", target)
    return done, target, databases


def test_a_tiny_run_writes_json(small_run):
    done, target, _ = small_run
    assert done.returncode == 0, done.stderr
    assert "12 drawn scenes" in done.stdout
    results = json.loads(target.read_text())
    assert list(results) == ["hardware", "rows"]
    assert {"cpu", "cores", "ram_gb", "gpu", "python", "torch", "datasets"} <= set(results["hardware"])
    assert [(row["name"], row["unit"]) for row in results["rows"]] == [
        ("bytes", "bytes/photograph"),
        ("loader-plain-work", "samples/s"),
        ("loader", "samples/s"),
        ("negatives", "negatives/s"),
    ]
    for row in results["rows"]:
        assert row["ratio"] == pytest.approx(row["ours"] / row["plain"])
        assert row["ours_all"] == [row["ours"]] and row["plain_all"] == [row["plain"]]
        assert row["ours"] > 0 and row["plain"] > 0
    plan = ("s for a plan of 1,000", "bytes of plan per caption")
    beside = {row["unit"]: row for row in results["rows"][-1]["also"]}
    assert list(beside) == ["exchange/s", "mined/s", "add/s", "mixture/s", *plan]
    assert all(row["ours"] > 0 and row["plain"] is row["ratio"] is None for row in beside.values())


@pytest.fixture(scope="module")
def work(small_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    shutil.copytree(small_run[2], folder, dirs_exist_ok=True)
    return Workspace(folder, None, 12)


@pytest.fixture
def small_presets(monkeypatch):
    """The presets of training, so small that a step takes a tenth of a second."""
    for name in ("frozen", "finetune"):
        about, config = PRESETS[name]
        model = replace(config.model, width=32, word_width=16)
        data = replace(config.data, side=64, batch_pictures=8, workers=0)
        optim = replace(config.optim, accumulation=1)
        small = replace(config, device="cpu", model=model, data=data, optim=optim)
        monkeypatch.setitem(PRESETS, name, (about, small))
    monkeypatch.setattr(plain_training, "PLAIN_WORDS", 64)
    monkeypatch.setattr(training, "LAPTOP_BATCH", 8)
    monkeypatch.setattr(chunks, "run", lambda command, *_, **__: run_forked(*command[1:]))  # a start takes no 3 s
    for setting, small_one in {"WHOLE_BATCH": 8, "CHUNKS": 2, "CHUNKED_SIDE": 32}.items():
        monkeypatch.setattr(chunks, setting, small_one)
    monkeypatch.setattr(loader, "FROM_SCRATCH", 6)
    monkeypatch.setattr(judging, "PLAIN_PAIRS", 3)
    monkeypatch.setattr(judging, "PREDICTED", 6)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("open", []),
        ("loader-from-scratch", []),
        (
            "train-frozen",
            [
                f"captions/s, cache and {EPOCHS} epochs",
                "pictures/s of making the cache",
                "plain epochs in the time of the cache",
            ],
        ),
        ("train-finetune", ["captions/s in 2 chunks"]),
        ("waiting", ["% without its first batch", "% slower than with loaded batches", "batches"]),
        ("scoring", ["pairs/s of the scores", "MB of the scores"]),
        ("accumulation", ["s", "largest relative difference"]),
        ("predict-one", ["ms of the next verdict", "ms of the next verdict on a drawing"]),
        ("predict-pairs", []),
        ("predict-matrix", []),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_training_is_measured_at_the_smallest_count(name, beside, work, small_presets, capsys):
    threads = torch.get_num_threads()
    row = json.loads(json.dumps(Benchmark.measure(name, work, 1)))
    assert row["ours"] > 0 and row["ours_all"] == [row["ours"]]
    if name in ("waiting", "predict-one"):
        assert row["plain"] is row["ratio"] is None
    else:
        assert row["plain"] > 0 and row["ratio"] == pytest.approx(row["ours"] / row["plain"])
    others = {other["unit"]: other for other in row.get("also", ())}
    assert list(others) == beside
    if name == "accumulation":
        assert 0 < others["largest relative difference"]["ours"] < 1e-3
    Benchmark.print_table([row])
    assert len(capsys.readouterr().out.strip().splitlines()) >= 2 + len(beside)
    assert torch.get_num_threads() == threads


def test_too_few_photographs_for_a_training_are_reported(work, monkeypatch):
    def rows(self, split):
        raise ValueError(f"the {split} split is empty")

    monkeypatch.setattr(Database, "rows", rows)
    with pytest.raises(benchmarks.Skip, match="the train split is empty; use a larger --count"):
        Benchmark.BENCHMARKS["waiting"].prepare(work)


def test_the_wait_for_each_batch_of_a_pass_is_noted():
    def batches():
        for batch in "ab":
            time.sleep(0.02)
            yield batch

    class Loader:
        def __len__(self):
            return 2

        def __iter__(self):
            return batches()

    timed = TimedLoader(Loader())
    for _ in range(2):
        assert [batch for batch in timed if not time.sleep(0.5)] == ["a", "b"]
        assert len(timed.seconds) == len(timed) == 2
        assert min(timed.seconds) >= 0.02 and max(timed.seconds) < 0.5  # what is done with a batch does not count


# In processes of their own, where no other test's threads and garbage come and go: torch is imported once, and each
# measurement is forked.
WATCHED = """
import gc, os, sys
import numpy as np, torch
sys.path.insert(0, sys.argv[1])
from Miscellaneous_scripts.benchmarks.processes import watched

def held_for_a_while():
    gc.collect()  # as it comes by itself, at a time that nobody knows
    return np.ones(2**24).sum()  # 134 MB

for before, work in zip(sys.argv[2::2], sys.argv[3::2]):
    if not (process := os.fork()):
        exec(before)
        print(*watched(eval(work), torch.device("cpu")), flush=True)
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
"""
GARBAGE = "garbage = [np.ones(2**25)]; garbage.append(garbage); del garbage"  # 268 MB, in a circle
HELD = [
    ("", "held_for_a_while", "16777216.0", 120, 250),
    (GARBAGE, "held_for_a_while", "16777216.0", 120, 250),  # what is freed meanwhile hides nothing
    ("held_for_a_while()", "lambda: None", "None", 0, 20),
]


@pytest.fixture(scope="module")
def measured():
    """The line that each measurement of HELD prints."""
    works = [part for before, work, *_ in HELD for part in (before, work)]
    command = [sys.executable, "-c", WATCHED, str(ROOT), *works]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("number", range(len(HELD)), ids=["alone", "after garbage", "before"])
def test_memory_that_is_held_for_a_while_is_seen(measured, number):
    _, _, result, least, most = HELD[number]
    returned, grown = measured[number].split()
    assert returned == result and least <= float(grown) < most


@pytest.mark.skipif(sys.platform == "win32", reason="a signal to one process")
def test_an_interruption_leaves_nothing_behind(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-u", ROOT / SCRIPT, "memory", "--count", "8", "--rounds", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    for line in process.stdout:
        if line.startswith("memory:"):
            break
    while not list(tmp_path.glob("benchmark-*/ours-8/.bench.building")):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert (process.returncode, error) == (130, "Benchmark.py: interrupted\n")
    assert not list(tmp_path.iterdir())
