"""Main_train: a whole run, exact resume, overfitting eight pairs, and what goes wrong in plain words."""

import json
import math
import os
import re
import signal
from dataclasses import replace

import pytest
import torch
from conftest import ROOT, TRAIN_UNTIL, run_process, run_script, training_flags
from forks import run_forked
from safetensors.torch import load_file

import Analyze_logs
import Main_train
from common.command_line import read_command_line
from common.risk import RISKS
from Config import PRESETS, BackboneConfig, NegativesConfig
from training import checkpoints
from training.log import LOG_COLUMNS, read_log


def states(root, name):
    folder = root / "Models" / name
    return checkpoints.load_state(folder), read_log(root / "Plots" / name / "training_log.csv")


def assert_same(one, other):
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert_same(a, b)
    else:
        assert one == other


def test_a_run_writes_all_that_a_model_needs(trained):
    folder = trained / "Models" / "small"
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "best.safetensors",
        "config.json",
        "vocabulary.json",
        "threshold.json",
        "world.safetensors",
        "last.json",
    }
    log = read_log(trained / "Plots" / "small" / "training_log.csv")
    assert [row["epoch"] for row in log] == [1, 2]
    assert all(0 <= row["balanced_accuracy"] <= 1 and row["pairs_per_second"] > 0 for row in log)
    best = max(log, key=lambda row: row["balanced_accuracy"])
    threshold = json.loads((folder / "threshold.json").read_text())
    assert threshold["threshold"] == pytest.approx(best["threshold"])
    assert [risk for risk, _, _ in threshold["limits"]] == list(RISKS)
    assert checkpoints.load_model(folder, torch.device("cpu")).threshold.epoch == best["epoch"]


def signalled(epoch, step, number, *args, whom="self"):
    """A training in a process of its own, until it gets a signal after `epoch` epochs, in the step after `step`."""
    return run_forked(TRAIN_UNTIL, epoch, step, int(number), whom, *args)


def test_resume_equals_no_interruption(databases, tmp_path):
    """Killed in the middle of an epoch and resumed, a run ends with the same numbers, bit for bit: with dropout,
    chunks, an average of the weights, augmentation and a loader process, most of which draw random numbers."""
    flags = ["--optim.epochs", "6", "--augment.shift", "0.1", "--optim.accumulation", "2", "--optim.ema", "0.9"]
    flags += ["--model.dropout", "0.2", "--data.workers", "1"]
    folder = tmp_path / "Models" / "broken"
    often = [*training_flags(tmp_path, databases, "broken"), *flags, "--optim.save-minutes", "0"]
    for killed_in in (1, 2):
        killed = signalled(killed_in, 2, signal.SIGKILL, "scenes", *often, *(["--resume"] if killed_in > 1 else []))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        reached = json.loads((folder / "last.json").read_text())
        assert (reached["epoch"], reached["step"]) == (killed_in, 2)
    done = run_process("Main_train.py", "scenes", *often, "--resume")
    assert "resumed in epoch 3 after step 2 of 5" in done.stdout
    shown = run_script("Main_train.py", "scenes", *training_flags(tmp_path, databases, "whole"), *flags).stdout
    sizes = r"; pictures: \d\d to train on, \d for validation\nfew pictures: the figures in docs/RESULTS\.md took "
    assert re.search(sizes, shown)

    (one, log_one), (other, log_other) = states(tmp_path, "whole"), states(tmp_path, "broken")
    one.pop("config"), other.pop("config")
    assert_same(one, other)
    for a, b in zip(log_one, log_other, strict=True):
        timeless = [name for name in LOG_COLUMNS if name not in ("seconds", "pairs_per_second", "waiting")]
        assert [a[name] for name in timeless] == [b[name] for name in timeless]
    best = [load_file(tmp_path / "Models" / name / "best.safetensors") for name in ("whole", "broken")]
    assert_same(*best)


def test_a_run_that_stopped_early_stays_stopped(databases, tmp_path):
    run = build(databases, tmp_path, "--optim.epochs", "9", "--optim.patience", "3")
    run.progress.epoch, run.progress.best_epoch = 5, 2
    before = [weight.clone() for weight in run.model.parameters()]
    Main_train.train(run)
    assert_same(before, list(run.model.parameters()))


@pytest.mark.parametrize(("keep_by", "kept"), [("balanced_accuracy", 2), ("loss", 3)])
def test_the_weights_of_the_best_epoch_are_kept(keep_by, kept, databases, tmp_path):
    flags = ("--optim.epochs", "9", "--optim.patience", "1", "--optim.keep-by", keep_by)
    run = build(databases, tmp_path, *flags)
    found = checkpoints.Threshold(0.5, "balanced accuracy", "validation", 0, 0.6, 0.6, 1.0, 0.0, 0)
    values = []
    for epoch, loss, balanced in ((1, 3.0, 0.6), (2, 2.0, 0.7), (3, 1.0, 0.65), (4, math.nan, 0.7)):
        with torch.no_grad():
            run.model.log_scale.fill_(epoch)
        values.append(run.model.log_scale.item())
        Main_train.finish_epoch(run, (loss, replace(found, balanced_accuracy=balanced, epoch=epoch)))
    folder = run.config.model_folder
    assert load_file(folder / "best.safetensors")["log_scale"].item() == values[kept - 1]
    assert json.loads((folder / "threshold.json").read_text())["epoch"] == run.progress.best_epoch == kept
    assert checkpoints.load_state(folder)["progress"]["best_epoch"] == kept
    (drawn,) = Analyze_logs.load([str(folder)])
    assert drawn.best == kept - 1, "the plots mark the epoch that is kept"
    before = values[-1]
    Main_train.train(run)
    assert run.progress.epoch == 4 and run.model.log_scale.item() == before, "patience counts by the same figure"


def test_resume_on_a_rebuilt_database_is_refused(databases, tmp_path):
    flags = ["--data.workers", "0"]
    run = build(databases, tmp_path, *flags)
    checkpoints.save_state(run.config.model_folder, 1, 0, Main_train.state_of(run) | {"database": "another"})
    with pytest.raises(ValueError, match="was rebuilt"):
        Main_train.resume(run)


def test_an_earlier_run_is_only_replaced_with_a_flag(trained, databases):
    flags = training_flags(trained, databases, "small")
    refused = run_script("Main_train.py", "scenes", *flags, status=2)
    assert "holds an earlier run; add --resume, --overwrite or --name OTHER" in refused.stderr
    other = run_script("Main_train.py", "scenes", *flags, "--resume", "--optim.lr", "0.5", status=2)
    assert "; the run had --optim.epochs 2 --optim.lr 0.003\n" in other.stderr


def test_the_log_of_a_run_with_another_models_folder_is_not_overwritten(trained, databases, tmp_path):
    flags = ["scenes", *training_flags(trained, databases, "small"), "--models", str(tmp_path)]
    log = trained / "Plots" / "small" / "training_log.csv"
    before = log.read_text()
    with pytest.raises(ValueError, match="is the log of another run; add --name OTHER, --plots OTHER or --overwrite"):
        Main_train.build_run(read_command_line(PRESETS, "", flags))
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        Main_train.resume(Main_train.build_run(read_command_line(PRESETS, "", [*flags, "--resume"])))
    assert log.read_text() == before
    assert not (tmp_path / "small" / "config.json").exists()
    Main_train.build_run(read_command_line(PRESETS, "", [*flags, "--overwrite"]))
    assert not log.exists()
    log.write_text(before)


def test_tag_epochs_train_only_the_image_branch(databases, tmp_path, capsys):
    """And the embeddings, which the tag loss predicts; the last epoch is never one of them."""
    flags = ["scenes", *training_flags(tmp_path, databases, "tags"), "--optim.epochs", "2", "--optim.tag-epochs", "5"]
    run = Main_train.build_run(read_command_line(PRESETS, "", flags))
    assert run.tag_epochs == 1
    before = {name: weight.clone() for name, weight in run.model.named_parameters()}
    for epoch in (1, 2):
        Main_train.train_epoch(run)
        Main_train.finish_epoch(run, None if run.only_tags else Main_train.validate(run))
        unchanged = {name for name, weight in run.model.named_parameters() if torch.equal(weight, before[name])}
        trained = {"backbone", "neck", "to_word"} | ({"text", "head", "match_at"} if epoch == 2 else set())
        assert {name.partition(".")[0] for name in before.keys() - unchanged} >= trained
        if epoch == 1:
            others = {"head", "log_scale", "match_at", "text"}
            assert all(name in unchanged for name in before if name.startswith(tuple(others)) and "embed" not in name)
            assert "text.embed.weight" not in unchanged
        assert (run.config.model_folder / "best.safetensors").exists() == (epoch == 2)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert re.fullmatch(r"epoch  1  loss \d\.\d{3} of tags: only the image branch is trained  \d+ captions/s", lines[0])
    assert lines[1].startswith("epoch  2* loss ") and "quick check" in lines[1]
    (drawn,) = Analyze_logs.load([str(run.config.model_folder)])
    assert drawn.best == 1 and math.isnan(drawn.columns["val_loss"][0])


def test_patience_does_not_count_tag_epochs(databases, tmp_path):
    flags = ("--optim.epochs", "4", "--optim.tag-epochs", "3", "--optim.patience", "1")
    run = build(databases, tmp_path, *flags)
    run.progress = replace(run.progress, epoch=2)
    Main_train.train(run)
    assert run.progress.epoch == 4 and run.progress.best_epoch == 4
    (drawn,) = Analyze_logs.load([str(run.config.model_folder)])
    assert drawn.end == "finished: 4 epochs"


def test_without_boxes_there_are_no_tag_epochs(databases, tmp_path, monkeypatch):
    flags = ["scenes", *training_flags(tmp_path, databases, "tags"), "--optim.tag-epochs", "1"]
    run = Main_train.build_run(read_command_line(PRESETS, "", flags))
    assert run.tag_epochs == 1 and run.database.has_regions
    for source in run.database.manifest["sources"].values():
        monkeypatch.setitem(source["regions"], "words", 0)
    assert run.tag_epochs == 0 and not run.database.has_regions


def test_without_a_tag_loss_there_are_no_tag_epochs(databases, tmp_path):
    run = build(databases, tmp_path, "--optim.tag-epochs", "1", "--optim.epochs", "2", "--loss.tag", "0")
    assert run.database.has_regions and run.tag_epochs == 0


def test_main_leaves_no_global_state(databases, tmp_path, capsys):
    handlers, environment = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)], dict(os.environ)
    Main_train.main(["scenes", *training_flags(tmp_path, databases, "one"), "--optim.epochs", "1"])
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    changed = {name for name, _ in set(os.environ.items()) ^ set(environment.items())}
    assert changed <= {"TORCHINDUCTOR_CACHE_DIR"}, "torch sets this one"
    shown = capsys.readouterr().out
    assert re.search(
        r"^epoch  1\* loss \d+\.\d{3} \(validation \d+\.\d{3}\)  quick check: \d+\.\d %  \d+ captions/s", shown, re.M
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.name", "nowhere"], "no database at"),
        (["--device", "cuda:77"], "use the CPU instead: --device cpu"),
        (["--resume"], "no checkpoint in"),
        (["frozen", "--data.name", "tiny", "--backbone.weights", "absent.pth"], "no backbone weights at absent.pth"),
    ],
)
def test_what_a_user_can_fix_gets_one_line(databases, tmp_path, flags, message):
    preset = [flags.pop(0)] if flags[0] == "frozen" else ["scenes"]
    own = training_flags(tmp_path, databases, "wrong")
    if preset == ["frozen"]:
        own = own[: own.index("--backbone.channels")] + own[own.index("--model.width") :]
    done = run_script("Main_train.py", *preset, *own, *flags, status=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def build(databases, tmp_path, *flags):
    args = ["scenes", *training_flags(tmp_path, databases, "built"), *flags]
    return Main_train.build_run(read_command_line(PRESETS, "", args))


def test_the_model_can_overfit_eight_pairs(databases, tmp_path):
    """Without the losses whose minimum is not 0.

    A caption says several words of a box, a word looks at many cells, and several cells share a centre.
    """
    one = ("--model.dropout", "0", "--data.captions-per-picture", "1")
    run = build(databases, tmp_path, *one, "--loss.tag", "0", "--loss.ground", "0", "--loss.count", "0")
    run.scheduler.step = lambda: None
    for group in run.optimizer.param_groups:
        group["lr"] = 3e-3
    run.model.train()
    batch = next(iter(run.train_loader))
    first = Main_train.train_step(run, batch).item()
    for _ in range(150):
        last = Main_train.train_step(run, batch).item()
    assert last < 0.1 * first
    run.model.eval()
    with torch.no_grad():
        patches, words = run.encode_pictures(batch.pictures), run.encode_texts(batch.words)
        scores, ranking = run.model.all_scores(patches, words[:8]), run.model.all_ranking(patches, words[:8])
        hard = run.model.pair_scores(patches[batch.owner[batch.negative_of]], words[8:])
    assert (ranking.argmax(0) == torch.arange(8)).all()
    assert (scores.diag()[batch.negative_of] > hard).float().mean() > 0.9


def test_validation_negatives_are_the_same_in_every_epoch(databases, tmp_path):
    run = build(databases, tmp_path)
    first = Main_train.validate(run)
    run.train_sampler.epoch = 5
    assert Main_train.validate(run) == first


def test_the_quick_check_draws_the_mixture_of_evaluations(databases, tmp_path):
    """Whatever training adds to it; but a training with one kind alone is checked with that kind."""
    run = build(databases, tmp_path, "--negatives.geometric", "5", "--negatives.add", "1", "--negatives.geometry", "7")
    assert run.val_loader.dataset.negatives == replace(NegativesConfig(), labelled=0.0)
    alone = ["--negatives.swap", "0", "--negatives.exchange", "0", "--negatives.mined", "0"]
    run = build(databases, tmp_path, *alone, "--overwrite")
    assert run.val_loader.dataset.negatives.weights == {
        "swap": 0,
        "exchange": 0,
        "mined": 0,
        "geometric": 0.2,
        "add": 0,
    }


def test_a_nan_loss_stops_the_run(databases, tmp_path):
    run = build(databases, tmp_path)
    with torch.no_grad():
        run.model.log_scale.fill_(torch.nan)
    before = [weight.clone() for weight in run.model.parameters()]
    with pytest.raises(FloatingPointError, match=r"epoch 1, step 1, with the 8 photographs .* --overwrite"):
        Main_train.train_epoch(run)
    failed = torch.load(run.config.model_folder / "failed.pt", weights_only=True)
    first = next(iter(run.train_sampler))
    assert failed["photographs"] == [run.database.ids[key.row] for key in first]
    for (name, _), weight in zip(run.model.named_parameters(), before):
        torch.testing.assert_close(failed["model"][name], weight, rtol=0, atol=0, equal_nan=True)


def test_nan_scores_are_never_saved_as_the_best(databases, tmp_path):
    run = build(databases, tmp_path)
    with torch.no_grad():
        run.model.neck.project.weight.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="NaN or infinite"):
        Main_train.validate(run)


def test_a_signal_during_validation_saves_the_weights_and_not_their_average(databases, tmp_path):
    run = build(databases, tmp_path, "--optim.ema", "0.9")
    run.model.train()
    for batch in list(run.train_loader)[:2]:
        Main_train.train_step(run, batch)
    weights = {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
    run.stop = signal.SIGTERM
    with pytest.raises(Main_train.Stopped):
        Main_train.validate(run)
    saved = checkpoints.load_state(run.config.model_folder)
    for name, weight in weights.items():
        assert torch.equal(saved["model"][name], weight), name
    assert any(not torch.equal(a, b) for a, b in zip(saved["average"]["mean"], run.average.weights))


def test_a_signal_while_the_processes_exchange_flags_stops_at_the_next_step(databases, tmp_path):
    run = build(databases, tmp_path)

    class Interrupted(type(run.group)):
        def merge(self, value):
            run.stop = signal.SIGTERM
            return [value]

    alone, run.group = run.group, Interrupted()
    run.progress.step = len(run.train_loader)
    Main_train.between_steps(run)
    assert run.stop == signal.SIGTERM
    run.group = alone
    with pytest.raises(Main_train.Stopped):
        Main_train.between_steps(run)


def test_the_learned_temperature_stays_within_its_limit(databases, tmp_path):
    run = build(databases, tmp_path, "--loss.max-logit-scale", "20")
    with torch.no_grad():
        run.model.log_scale.fill_(9.0)
    Main_train.train_step(run, next(iter(run.train_loader)))
    assert run.model.log_scale.exp().item() == pytest.approx(20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_the_group", [False, True])
def test_a_signal_saves_in_the_middle_of_an_epoch(databases, tmp_path, number, to_the_group):
    flags = [*training_flags(tmp_path, databases, "long"), "--optim.epochs", "500", "--data.workers", "1"]
    folder = tmp_path / "Models" / "long"
    stopped = signalled(1, 2, number, "scenes", *flags, whom="group" if to_the_group else "self")
    error = stopped.stderr
    assert stopped.returncode == 128 + number
    assert error.strip().splitlines()[-1].startswith(f"Main_train.py: stopped by {number.name} in epoch ")
    assert "--resume" in error
    assert "Traceback" not in error
    saved = json.loads((folder / "last.json").read_text())
    assert (saved["epoch"], saved["step"]) == (1, 3), "the step ends, and what it has learned is saved"
    assert f"in epoch {saved['epoch'] + 1} after step {saved['step']} of 5" in error
    checkpoints.load_state(folder)


KILLS_ITS_LOADER = """
import multiprocessing, sys
import Main_train

def step(run, batch, real=Main_train.train_step):
    for child in multiprocessing.active_children():
        child.kill()
    return real(run, batch)

Main_train.train_step = step
Main_train.main(sys.argv[1:])
"""


def test_a_killed_loader_process_gets_one_line(databases, tmp_path):
    flags = [*training_flags(tmp_path, databases, "long"), "--optim.epochs", "500", "--data.workers", "1"]
    done = run_forked("-c", KILLS_ITS_LOADER, "scenes", *flags)
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    # torch reports the signal, or only that the process has ended, if it notices that while it waits for a batch.
    reason = "(is killed by signal: Killed|exited unexpectedly)"
    start_of_line = r"-c: error: DataLoader worker \(pid(\(s\))? \d+\) "
    assert re.fullmatch(f"{start_of_line}{reason}; there is no checkpoint yet, start again with --overwrite", message)
    assert "Traceback" not in done.stderr


def test_a_full_disk_leaves_the_earlier_checkpoint_valid(databases, tmp_path, monkeypatch):
    """The limit on the size of a file is what a full disk is to a checkpoint."""
    pytest.importorskip("resource", reason="this system has no limit on the size of files")
    flags = [*training_flags(tmp_path, databases, "full"), "--optim.epochs", "500"]
    folder = tmp_path / "Models" / "full"

    def stop_in_the_second_epoch(run, batch, real=Main_train.train_step):
        if run.progress.epoch == 1:
            signal.raise_signal(signal.SIGINT)
        return real(run, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Main_train, "train_step", stop_in_the_second_epoch)
        run_script("Main_train.py", "scenes", *flags, status=130)
    before = (folder / "last.json").read_text()
    small = 50_000  # bytes; the log and last.json stay below, a checkpoint of 400 KB does not
    done = run_forked(ROOT / "Main_train.py", "scenes", *flags, "--resume", largest_file=small)
    error = done.stderr
    assert done.returncode == 2, error
    assert "File too large" in error
    assert "; the last checkpoint is still valid, go on with --resume" in error
    assert "Traceback" not in error
    assert (folder / "last.json").read_text() == before
    assert not list(folder.glob(".*.part"))
    checkpoints.load_state(folder)


def test_a_full_disk_at_the_first_checkpoint_gets_advice_that_works(databases, tmp_path, monkeypatch):
    flags = ["scenes", *training_flags(tmp_path, databases, "full"), "--optim.epochs", "1"]

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_state", full)
        failed = run_script("Main_train.py", *flags, status=2).stderr
    assert failed.endswith("no space left on device; there is no checkpoint yet, start again with --overwrite\n")
    assert (tmp_path / "Models" / "full" / "best.safetensors").exists(), (
        "the weights were written before the checkpoint"
    )
    again = run_script("Main_train.py", *flags, status=2).stderr
    assert again.endswith("full holds an earlier run; add --overwrite or --name OTHER\n")
    resumed = run_script("Main_train.py", *flags, "--resume", status=2).stderr
    assert resumed.endswith("; start again with --overwrite instead of --resume\n")
    run_script("Main_train.py", *flags, "--overwrite")


def test_captions_without_hard_negatives_are_refused_before_the_first_step(databases, tmp_path, monkeypatch):
    monkeypatch.setattr("DataBase_functions.draw_negatives", lambda *_: [])
    flags = ["scenes", *training_flags(tmp_path, databases, "none")]
    done = run_script("Main_train.py", *flags, status=2)
    assert "gets a hard negative, so no threshold could be chosen" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "Models" / "none").exists()


def test_a_damaged_checkpoint_gets_one_line(databases, tmp_path):
    run = build(databases, tmp_path)
    folder, state = run.config.model_folder, Main_train.state_of(run)
    checkpoints.save_state(folder, 0, 0, state)
    Main_train.resume(run)
    (path,) = folder.glob("last-*.pt")
    weights = state["model"]
    changes = {
        "model": [{**weights, "log_scale": torch.tensor(torch.nan)}, {}, {**weights, "log_scale": torch.zeros(3)}, []],
        "optimizer": [{}, {"state": {}, "param_groups": []}],
        "progress": [{}, {**state["progress"], "unknown": 1}, {**state["progress"], "epoch": -1}, None],
        "config": ["{", "[" * 100_000, "[]", 5],
        "rng": [5, [5], [{}]],
        "average": [{"steps": 0}],
    }
    for name, values in changes.items():
        for value in values:
            checkpoints.save_torch({**state, name: value}, path)
            with pytest.raises(ValueError, match=r"; train again with --overwrite$") as error:
                Main_train.resume(run)
            assert str(path) in str(error.value) and "\n" not in str(error.value), (name, value)


def test_frozen_backbone_uses_the_cache_and_is_not_saved_each_epoch(databases, tmp_path):
    from Architectures import ResNet50Backbone

    weights = tmp_path / "resnet.pth"
    torch.manual_seed(0)
    torch.save(ResNet50Backbone(BackboneConfig("resnet50")).network.state_dict(), weights)
    own = training_flags(tmp_path, databases, "frozen")
    own = own[: own.index("--backbone.channels")] + own[own.index("--model.width") :]
    flags = [*own, "--backbone.weights", weights, "--backbone.views", "1"]
    run_script("Main_train.py", "frozen", *flags, "--optim.epochs", 2, "--data.min-count", 1)
    state = checkpoints.load_state(tmp_path / "Models" / "frozen")
    assert not any(name.startswith("backbone.") for name in state["model"])
    stored = load_file(tmp_path / "Models" / "frozen" / "best.safetensors")
    assert any(name.startswith("backbone.") for name in stored)
    resumed = run_script("Main_train.py", "frozen", *flags, "--optim.epochs", 2, "--data.min-count", 1, "--resume")
    assert "resumed after epoch 2" in resumed.stdout
