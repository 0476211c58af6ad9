"""Memory of a large training step: in chunks, with the cached gradient | at once."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

import Functions
import Main_train
from common.storage import CONFIG
from Config import from_json, to_json
from DataBase_functions import Key
from Miscellaneous_scripts.benchmarks import Measure, Skip
from Miscellaneous_scripts.benchmarks.processes import run, watched
from Miscellaneous_scripts.benchmarks.workspace import Workspace

WHOLE_BATCH, CHUNKS, CHUNKED_SIDE = 128, 8, 64  # pictures, chunks, pixels


def accumulation(work: Workspace) -> tuple[Measure, Measure]:
    config = work.config("finetune")
    config = replace(
        config,
        precision="float32",
        data=replace(
            config.data, side=CHUNKED_SIDE, batch_pictures=WHOLE_BATCH, captions_per_picture=1, min_count=1, workers=0
        ),
        negatives=replace(config.negatives, per_caption=1),
        model=replace(config.model, dropout=0.0),  # its masks would differ
    )
    work.plan()

    def step(chunks: int) -> dict[str, float]:
        target = work.folder / f"step-{chunks}"
        target.mkdir(exist_ok=True)
        (target / CONFIG).write_text(to_json(config), encoding="utf-8")
        code = "import sys; from Miscellaneous_scripts.benchmarks import chunks; chunks.one_step(*sys.argv[1:])"
        run([sys.executable, "-c", code, str(target), str(chunks)], target / "log.txt", watch=False)
        measured = (target / "measured.txt").read_text().split()
        if not measured:
            raise Skip("it needs /proc or a GPU to read the memory of a step; this system has neither")
        return {"MB": float(measured[0]), "s": float(measured[1])}

    step(1)
    whole = load_file(work.folder / "step-1" / "gradients.safetensors")

    def ours() -> dict[str, float]:
        reading = step(CHUNKS)
        parts = load_file(work.folder / f"step-{CHUNKS}" / "gradients.safetensors")
        largest = max(float((parts[name] - one).abs().max() / one.abs().max()) for name, one in whole.items())
        return {**reading, "largest relative difference": largest}

    return ours, lambda: step(1)


def one_step(folder: str, chunks: str) -> None:
    """Run one step in this process; writes gradients.safetensors and measured.txt (MB, seconds) to the folder."""
    run: Any = Main_train.build_run(from_json((Path(folder) / CONFIG).read_text(encoding="utf-8")))
    run.model.train()
    run.model.backbone.requires_grad_(True)
    dataset, rows = run.train_loader.dataset, run.train_sampler.rows
    # If there are fewer rows than pictures in a batch, rows are repeated.
    keys = [Key(n // len(rows), rows[n % len(rows)]) for n in range(run.config.data.batch_pictures)]
    batch = Main_train.to_device(dataset.__getitems__(keys), run.device)

    def loss(patches: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return Functions.total_loss(run.model, patches, words, batch.texts, run.config.loss)

    def step() -> float:
        start = time.perf_counter()
        encoders = [(run.encode_pictures, batch.pictures), (run.encode_texts, batch.words)]
        float(Functions.backward_in_chunks(encoders, loss, int(chunks)))  # waits for a GPU
        return time.perf_counter() - start

    seconds, growth = watched(step, run.device)
    gradients = {
        name: weight.grad.cpu().contiguous()
        for name, weight in run.model.named_parameters()
        if weight.grad is not None and torch.count_nonzero(weight.grad)
    }
    save_file(gradients, Path(folder) / "gradients.safetensors")
    (Path(folder) / "measured.txt").write_text("" if growth is None else f"{growth} {seconds}")
