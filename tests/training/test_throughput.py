"""training.throughput: what a backbone computes, and what a GPU can."""

import pytest
import torch

from Architectures import SiameseModel
from Config import BackboneConfig, ModelConfig
from training import throughput


def test_the_arithmetic_of_a_resnet50():
    """He et al. 2015 give 3.8e9 multiply-adds for 224 x 224, without strides in the 3x3 convolutions and the head;
    torchvision's has 4.09e9 with a head of 2e6."""
    model = SiameseModel(10, BackboneConfig("resnet50", "v1_5.pth"), ModelConfig(width=8, word_width=8))
    assert throughput.forward_flops(model, 224) / 2 == pytest.approx(4.09e9, rel=0.01)


@pytest.mark.parametrize(
    ("name", "peak"), [("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA A100-SXM4-40GB", 312e12), ("NVIDIA L400", None)]
)
def test_what_a_gpu_can_compute(monkeypatch, name, peak):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert throughput.peak_flops(torch.device("cuda")) == peak
    assert throughput.peak_flops(torch.device("cpu")) is None
