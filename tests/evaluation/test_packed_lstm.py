"""The LSTM of the blind judges computes what `nn.LSTM` computes."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from evaluation.packed_lstm import run_packed


@pytest.mark.parametrize("lengths", [[3], [2, 5, 1, 5], [4, 4, 4]])
def test_states_and_gradients_are_those_of_torch_bit_by_bit(lengths):
    torch.manual_seed(0)
    lstm = nn.LSTM(32, 32, batch_first=True, bidirectional=True)
    words = torch.randn(len(lengths), max(lengths), 32)
    found = []
    for run in (lambda packed: lstm(packed)[0], lambda packed: run_packed(lstm, packed)):
        lstm.zero_grad()
        inputs = words.clone().requires_grad_()
        states = run(pack_padded_sequence(inputs, torch.tensor(lengths), batch_first=True, enforce_sorted=False)).data
        states.backward(torch.linspace(-1, 1, states.numel()).reshape(states.shape))
        found.append([states.detach(), inputs.grad, *(weight.grad for weight in lstm.parameters())])
    assert all(map(torch.equal, *found))
