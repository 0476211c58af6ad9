"""common.devices: precision and device as asked, or one line that says what is there."""

import pytest
import torch

from common import devices


def test_precision_and_device_choices():
    cpu = torch.device("cpu")
    assert devices.choose_precision("float16", cpu) == torch.float16
    assert devices.choose_precision("auto", cpu) in (torch.bfloat16, torch.float32)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ("gpu", "--device gpu: did you mean cuda? choose from auto, cpu, cuda, cuda:1, mps"),
        ("gpu0", "--device gpu0: did you mean cuda? choose from auto, cpu, cuda, cuda:1, mps"),
        ("cpuu", "--device cpuu: did you mean cpu? choose from auto, cpu, cuda, cuda:1, mps"),
        ("nonsense", "--device nonsense: choose from auto, cpu, cuda, cuda:1, mps"),
    ],
)
def test_a_wrong_device_names_the_usual_ones(wanted, line):
    with pytest.raises(ValueError, match="choose from") as error:
        devices.choose_device(wanted)
    assert str(error.value) == line


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_absent_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^--device cuda:77: .*; use the CPU instead: --device cpu$"):
        devices.choose_device("cuda:77")
