"""common.devices: precision and device as asked, or one line that says what is there."""

import pytest
import torch

from common import devices


def test_precision_and_device_choices():
    cpu = torch.device("cpu")
    assert devices.choose_precision("float16", cpu) == torch.float16
    assert devices.choose_precision("auto", cpu) in (torch.bfloat16, torch.float32)
    with pytest.raises(ValueError, match="use --device cpu"):
        devices.choose_device("nonsense")
