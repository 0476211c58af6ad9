"""common.parallel and the training on it: two processes on the CPU compute what one computes."""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace

import pyarrow as pa
import pytest
import torch
import torch.multiprocessing as multiprocessing
from batches import labelled
from conftest import ROOT, TRAIN_UNTIL, run_script, training_flags
from forks import LAZILY, Forked

import Main_train
from Architectures import ResNet50Backbone
from common.command_line import read_command_line
from common.grounding import Grounding, Tags
from common.parallel import ALONE, Group
from common.storage import POINTER
from Config import PRESETS, BackboneConfig, Config
from DataBase_functions import Database, divide
from Functions import Share, TextBatch
from sources.items import NEUTRAL
from training import checkpoints, restarts
from training.folders import lock
from training.log import read_log

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")


def in_processes(work, tmp_path, *args, size=2):
    """work(group, *args) in `size` processes at once; what each returned, by rank."""
    method = "spawn"
    if "forkserver" in multiprocessing.get_all_start_methods():  # imports what takes 3 s once, not in each process
        method = "forkserver"
        multiprocessing.set_forkserver_preload(["Main_train", *LAZILY])
    multiprocessing.start_processes(_one, (size, tmp_path, work, args), nprocs=size, start_method=method)
    return [torch.load(tmp_path / f"result-{rank}.pt") for rank in range(size)]


def _one(rank, size, tmp_path, work, args):
    torch.set_num_threads(1)  # two processes with all cores each would spin
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "localhost"}
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=rank, world_size=size)
    group = Group(rank, size)
    torch.save(work(group, *args), tmp_path / f"result-{rank}.pt")
    group.leave()


def exchange(group):
    own = torch.arange(2.0 + group.rank, requires_grad=True)  # 2 rows in the first process, 3 in the second
    everything = group.gather(own, (2, 3))
    factor = torch.arange(5.0) * (1 + group.rank)
    (everything * factor).sum().backward()
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.full((2, 2), 1.0 + group.rank)
    group.sum_gradients([weight, torch.nn.Parameter(torch.zeros(1))])  # the second has no gradient
    mean = torch.tensor([float(group.rank)])
    group.average([mean])
    return everything.detach(), own.grad, weight.grad, mean, group.merge(group.rank)


def test_gather_sum_average_and_merge_by_hand(tmp_path):
    for rank, (everything, gradient, summed, mean, merged) in enumerate(in_processes(exchange, tmp_path)):
        assert everything.tolist() == [0, 1, 0, 1, 2]
        assert gradient.tolist() == ([0.0, 3.0] if rank == 0 else [6.0, 9.0, 12.0])  # factor * (1 + 2)
        assert summed.tolist() == [[3.0, 3.0], [3.0, 3.0]]
        assert mean.item() == 0.5
        assert merged == [0, 1]


def test_a_single_process_does_not_communicate():
    x = torch.ones(3)
    assert ALONE.gather(x, (3,)) is x
    assert ALONE.merge("a") == ["a"]
    assert Group.join(torch.device("cpu")) == ALONE


def test_each_text_is_in_the_share_of_its_picture():
    owner, negative_of = [0, 0, 1, 2, 2, 2, 4], [0, 1, 3, 6]
    first = Share(slice(0, 2), slice(0, 3), slice(0, 2))  # pictures 0, 1 and 2, 3, 4
    assert divide(5, owner, negative_of, 2) == (first, Share(slice(2, 5), slice(3, 7), slice(2, 4)))
    assert divide(5, owner, negative_of, 1) == (Share(slice(0, 5), slice(0, 7), slice(0, 4)),)
    batch = TextBatch(
        torch.tensor(owner),
        torch.tensor(negative_of),
        torch.zeros(4, 1),
        torch.zeros(4, dtype=torch.bool),
        torch.arange(5),
        NO_REGIONS,
        NO_TAGS,
    )
    assert Share.everything(batch) == divide(5, owner, negative_of, 1)[0]


NO_REGIONS = Grounding(torch.zeros(7, 1), torch.zeros(0, 1, 4), torch.tensor(0))
NO_TAGS = Tags(torch.zeros(0), torch.zeros(0), torch.zeros(0), torch.zeros(0, 1, 4), torch.tensor(0))
STEPS = 7  # more than an epoch
# How far apart a weight may be after all steps, as a share of the way that it went. Adam's step does not depend on the
# size of a gradient: where it is almost 0, the order of a sum decides its sign. On an AMD EPYC the largest share is
# 0.0001 with a frozen backbone and 0.012 in an unfrozen ResNet-50.
MOST_APART = 0.03


def train_steps(group, flags):
    run = Main_train.build_run(read_command_line(PRESETS, "", flags), group)
    gradients = []
    run.optimizer.register_step_pre_hook(
        lambda *_: gradients.append({n: w.grad.clone() for n, w in run.model.named_parameters() if w.grad is not None})
    )
    run.model.train()
    start = {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
    losses = []
    while len(losses) < STEPS:
        for batch in itertools.islice(run.train_loader, STEPS - len(losses)):
            losses.append(Main_train.train_step(run, batch))
        run.train_sampler.epoch += 1
    losses = torch.stack(losses)
    loss, threshold = Main_train.validate(run)
    judged = {"loss": loss} | {name: getattr(threshold, name) for name in ("threshold", "balanced_accuracy", "recall")}
    moved = {name: weight.detach() - start[name] for name, weight in run.model.named_parameters()}
    return sum(group.merge(losses)), gradients[0], moved, judged


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A file of random ResNet-50 weights."""
    path = tmp_path_factory.mktemp("weights") / "resnet.pth"
    torch.manual_seed(0)
    torch.save(ResNet50Backbone(BackboneConfig("resnet50", "resnet.pth")).network.state_dict(), path)
    return path


def resnet_flags(folder, databases, name, weights, *flags):
    own = training_flags(folder, databases, name)
    cut = own.index("--backbone.channels")
    own = own[:cut] + own[cut + 2 :] + ["--backbone.weights", str(weights), "--data.min-count", "1"]
    return [*own, "--model.dropout", "0", "--optim.max-norm", "1e9", *map(str, flags)]


NO_HEAD = ["--model.head", "none", "--model.no-evidence", "--model.patch-layers", "0"]
# No averaging to a grid: in a grid finer than the features, patches are equal, and rounding would decide the best one.
FROZEN = ["frozen", "--backbone.views", "2", "--data.batch-pictures", "7", "--backbone.grid", "0"]
FINETUNE = [
    "finetune",
    "--backbone.unfreeze-epoch",
    "0",
    "--optim.accumulation",
    "1",
    "--model.score",
    "pooled",
    *NO_HEAD,
]
FINETUNE += ["--data.side", "32"]


@pytest.mark.parametrize(
    ("flags", "alone"),
    [
        # A batch of 7 does not divide evenly. The backbone's output is cached.
        ([*FROZEN, "--model.score", "pooled", *NO_HEAD], []),
        ([*FROZEN, "--model.score", "both", "--model.weigh-words", *NO_HEAD, "--optim.lr", "2e-4"], []),
        # All of the preset. A maximum over patches decides what the head reads, and a difference of 1e-8 can decide the
        # maximum, so the steps are smaller still.
        ([*FROZEN, "--optim.lr", "2e-6"], []),
        # The same for an unfrozen ResNet-50, and in two chunks.
        ([*FINETUNE, "--optim.lr", "1e-4", "--optim.backbone-lr", "2e-6"], ["--optim.accumulation", "2"]),
    ],
    ids=["frozen-pooled", "frozen-both", "frozen", "finetune"],
)
def test_two_processes_train_as_one(databases, tmp_path, resnet, flags, alone):
    """Losses and weights of seven steps with hard negatives, and validation after that."""
    two_as_one(databases, tmp_path, resnet, flags, alone)


def test_two_processes_train_as_one_on_labelled_texts(databases, tmp_path, resnet):
    """Every caption has a false or a neutral text; the head learns from both."""
    shutil.copytree(databases / "tiny", tmp_path / "databases" / "tiny")
    (file,) = (tmp_path / "databases" / "tiny").glob("data-*.arrow")
    table = labelled(Database(databases / "tiny"), ("a green sea", "contradicted"), ("two tall cars", NEUTRAL)).table
    with pa.ipc.new_stream(str(file), table.schema) as stream:
        stream.write_table(table)
    manifest = file.parent / "manifest.json"
    stored = json.loads(manifest.read_text())
    stored["files"][file.name]["bytes"] = file.stat().st_size
    manifest.write_text(json.dumps(stored))
    assert Database(tmp_path / "databases" / "tiny").has_mismatches
    flags = [*FROZEN, *NO_HEAD, "--model.head", "attention", "--negatives.labelled", "1"]
    two_as_one(tmp_path / "databases", tmp_path, resnet, [*flags, "--optim.lr", "2e-4"], [])


def two_as_one(databases, tmp_path, resnet, flags, alone):
    preset, *own = flags
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of the two: on an Intel Xeon a second thread alone moves a gradient by 1.9e-4
    try:
        losses, gradients, one, validated = train_steps(
            ALONE, [preset, *resnet_flags(tmp_path, databases, "one", resnet, *own, *alone)]
        )
    finally:
        torch.set_num_threads(threads)
    both = in_processes(train_steps, tmp_path, [preset, *resnet_flags(tmp_path, databases, "two", resnet, *own)])
    for theirs, first, moved, judged in both:
        torch.testing.assert_close(theirs, losses, atol=1e-5, rtol=1e-5)
        assert first.keys() == gradients.keys()
        for name, gradient in first.items():  # Adam would hide a wrong scale of one weight's gradient
            assert (gradient - gradients[name]).norm() <= 2e-5 * gradients[name].norm() + 1e-7, name
        for name, step in moved.items():
            assert (step - one[name]).norm() <= MOST_APART * one[name].norm(), name
        assert judged == pytest.approx(validated, abs=1e-4)


@pytest.mark.system
def test_torchrun_goes_on_after_a_kill_and_the_result_is_that_of_an_undisturbed_run(databases, tmp_path, monkeypatch):
    """One of two processes is killed in the second epoch, torchrun starts both again, and is stopped in the third."""
    flags = {name: [*training_flags(tmp_path, databases, name), "--optim.epochs", "3"] for name in ("pair", "whole")}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    events = ["1,2", "2,1", f"{int(signal.SIGKILL)},{int(signal.SIGTERM)}", "rank1,torchrun"]
    command = [*torchrun, "--max-restarts", "2", str(TRAIN_UNTIL), *events, "scenes", *flags["pair"], "--overwrite"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode != 0
    assert "go on with the same command and --resume" in done.stderr  # of the process that was not killed
    assert done.stdout.count("resumed after epoch 1") == 1
    assert "stopped by SIGTERM in epoch 3" in done.stderr  # torchrun hands it on, and does not start them again

    refused = run_script("Main_train.py", "scenes", *flags["pair"], "--resume", status=2)
    assert "began with 2 processes, not 1" in refused.stderr
    assert "resumed in epoch 3" in run_pair(monkeypatch, "scenes", *flags["pair"], "--resume")
    assert "resumed" not in run_pair(monkeypatch, "scenes", *flags["whole"])
    pair, whole = (checkpoints.load_state(tmp_path / "Models" / name) for name in flags)
    assert pair["progress"]["epoch"] == 3 and pair["progress"]["best"] == whole["progress"]["best"]
    for name, weight in whole["model"].items():
        assert torch.equal(weight, pair["model"][name]), name
    logs = [read_log(tmp_path / "Plots" / name / "training_log.csv") for name in flags]
    assert [row["train_loss"] for row in logs[0]] == [row["train_loss"] for row in logs[1]]


@pytest.mark.system
def test_if_one_process_is_refused_the_others_end_with_a_line(databases, tmp_path, monkeypatch):
    flags = training_flags(tmp_path, databases, "taken")
    folder = tmp_path / "Models" / "taken"
    folder.mkdir(parents=True)
    with lock(folder, "wait"):
        printed = run_pair(monkeypatch, "scenes", *flags, statuses=[2, 2])
    own, other = sorted(printed.splitlines(), key=lambda line: "process 1" in line)
    assert own.startswith("Main_train.py: error: another process writes to ")
    assert other == (
        "Main_train.py: error: process 1: another process has ended before the first step; its message says why"
    )


def run_pair(monkeypatch, *flags, statuses=(0, 0)):
    """What a training of two processes prints; they are forked, which takes no time as the start of torchrun does."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    with tempfile.TemporaryFile() as out, monkeypatch.context() as patch:
        processes = []
        for rank in "01":
            for name, value in {**meeting, "RANK": rank, "LOCAL_RANK": rank}.items():
                patch.setenv(name, value)
            processes.append(Forked([ROOT / "Main_train.py", *flags], out.fileno(), out.fileno()))
        ended = [process.wait() for process in processes]
        out.seek(0)
        printed = out.read().decode()
    assert ended == [*statuses], printed
    return printed


@pytest.fixture
def begun(tmp_path):
    """The settings of a run whose folder exists."""
    config = Config(name="run", models=str(tmp_path))
    config.model_folder.mkdir()
    return config


def test_a_start_of_torchrun_again_goes_on_only_with_a_run_that_it_has_begun(begun, monkeypatch):
    def start(run_id, count, config=begun):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run_id)
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(count))
        settled = restarts.settle_restart(config, ALONE)
        return settled.resume, settled.overwrite

    assert start("a", 0) == (False, False)
    assert start("a", 1) == (False, False), "the first start was refused, so the second one is too"
    restarts.mark_begun(begun)
    assert start("a", 1) == (False, True), "without a checkpoint it starts again"
    (begun.model_folder / POINTER).touch()
    assert start("a", 1) == start("a", 2, replace(begun, overwrite=True)) == (True, False)
    assert start("b", 1) == (False, False), "the run of another torchrun"
    assert start("b", 0) == start("a", 1) == (False, False), "another torchrun has removed the mark"
    restarts.mark_begun(begun)
    restarts.mark_done(begun, ALONE)
    assert not [*begun.model_folder.glob("torchrun*")]
