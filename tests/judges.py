"""Judges with random weights, for tests that need another score than the trained one's."""

from dataclasses import replace

import torch

from Architectures import SiameseModel
from judging.judge import Judge
from training.checkpoints import LoadedModel


def with_score(judge: Judge, score: str, head: str = "none") -> Judge:
    """A judge with random weights, another score, and without a head unless `head` names one."""
    torch.manual_seed(0)
    settings = replace(judge.loaded.config.model, score=score, head=head)
    model = SiameseModel(len(judge.loaded.tokenizer), judge.loaded.config.backbone, settings).eval()
    config = replace(judge.loaded.config, model=settings)
    return Judge(LoadedModel(model, judge.loaded.tokenizer, config, judge.loaded.threshold))
