"""The temporary folder of a run of Benchmark.py: photographs, and databases, models and trainings made from them."""

import contextlib
import io
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import Main_train
from Architectures import ResNet50Backbone, SiameseModel
from common.devices import choose_device
from Config import PRESETS, BackboneConfig, Config
from DataBase_functions import Database
from judging.judge import Judge
from Miscellaneous_scripts.benchmarks import Skip
from Miscellaneous_scripts.benchmarks.photographs import PICTURES, copy_evenly, draw_photographs
from Miscellaneous_scripts.benchmarks.processes import ROOT, run
from sources.parser import find_pipeline
from Tokenizer_lib import Tokenizer
from training.checkpoints import LoadedModel, Threshold


class Workspace:
    """A temporary folder with `count` photographs, copied from `photos` or drawn, and all that is made from them."""

    def __init__(self, folder: Path, photos: Path | None, count: int):
        self.folder, self.count, self.quarter, self.pipeline = folder, count, count // 4, find_pipeline()
        self.source = f"{count} photographs of {photos}" if photos else f"{count} drawn scenes, 640 x 480, with grain"
        self.all = photos or folder / f"photographs-{count}"
        if photos is None:
            draw_photographs(self.all, count)
        self.photographs(count)

    def photographs(self, count: int) -> Path:
        """A folder with `count` of the photographs."""
        folder = self.folder / f"photographs-{count}"
        if not folder.is_dir():
            copy_evenly(self.all, folder, count)
        return folder

    def database(self, way: str) -> Path:
        """The database of all photographs, built by a way ("ours" or "plain") when it is first asked for."""
        folder = self.folder / f"{way}-{self.count}" / "bench"
        if not folder.is_dir():
            self.build(way, self.count)
        return folder

    def config(self, preset: str) -> Config:
        """The settings of a preset, on our database and with a ResNet-50 with random weights."""
        config, weights = PRESETS[preset][1], self.folder / "random.pth"
        if not weights.is_file():
            torch.manual_seed(0)
            torch.save(ResNet50Backbone(BackboneConfig("resnet50")).network.state_dict(), weights)
        return replace(
            config,
            overwrite=True,
            models=str(self.folder / "Models"),
            plots=str(self.folder / "Plots"),
            data=replace(config.data, root=str(self.database("ours").parent), name="bench"),
            backbone=replace(config.backbone, weights=str(weights)),
        )

    def judge(self, preset: str, count: int) -> tuple[Any, list[Path], list[list[str]]]:
        """A judge with random weights and the settings of a preset, `count` picture files, and the texts of each."""
        config, database = self.config(preset), Database(self.database("ours"))
        tokenizer = Tokenizer.build(database.word_counts, config.data.min_count)
        model = SiameseModel(len(tokenizer), config.backbone, config.model)
        model.backbone.load(config.backbone.weights)
        model = model.to(choose_device(config.device)).eval()
        threshold = Threshold(0.5, "balanced accuracy", "nothing", 0.5, 0.5, 0.5, 1.0, 0.0, 1)
        rows = range(min(len(database), count))
        files = [self.photographs(self.count) / PICTURES / f"{database.ids[row]}" for row in rows]
        texts = [[caption.text for caption in database.captions(row)] for row in rows]
        return Judge(LoadedModel(model, tokenizer, config, threshold)), files, texts

    def plan(self) -> None:
        """Make the plan of hard negatives, so that its time is not measured. Skip if training cannot start."""
        database = Database(self.database("ours"))
        try:
            for split in ("train", "validation"):
                database.rows(split)
        except ValueError as error:
            raise Skip(f"{error}; use a larger --count") from error
        database.plan  # noqa: B018

    def start(self, config: Config) -> Any:
        """A training run with these settings, before its first step."""
        self.plan()
        with contextlib.redirect_stdout(io.StringIO()):
            return Main_train.build_run(config)

    def build(self, way: str, count: int, watch: bool = False) -> tuple[float, list[float]]:
        """Build a database in a process of its own; returns seconds, and with `watch` the peak MB of each process."""
        photographs, target = self.photographs(count), self.folder / f"{way}-{count}"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        command = [ROOT / "Database_create.py", "--name", "bench", "--root", target, "--flickr8k", photographs]
        command.append("--no-negatives")  # the plain way makes none; the benchmark "negatives" measures their time
        if way == "plain":
            code = "import sys; from Miscellaneous_scripts.benchmarks.plain_build import build; build(*sys.argv[1:])"
            command = ["-c", code, photographs, target, self.pipeline]
        start = time.perf_counter()
        peaks = run([sys.executable, *map(str, command)], self.folder / "log.txt", watch)
        return time.perf_counter() - start, peaks
