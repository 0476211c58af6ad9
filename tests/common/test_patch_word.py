"""common.patch_word: scores against values worked out by hand, gradients against torch's own."""

import math

import pytest
import torch

from common.patch_word import BestPatch, average_words, best_cosines, patch_word_matrix, patch_word_score


def test_blocks_change_neither_scores_nor_gradients():
    generator = torch.Generator().manual_seed(1)
    patches = torch.nn.functional.normalize(torch.randn(5, 4, 8, generator=generator), dim=-1).requires_grad_()
    words = torch.nn.functional.normalize(torch.randn(3, 6, 8, generator=generator), dim=-1)
    counts = torch.tensor([[6], [2], [4]])
    words = (words * (torch.arange(6) < counts).unsqueeze(-1) / counts.unsqueeze(-1)).requires_grad_()
    results = []
    for block in (1, 2**25):
        matrix = patch_word_matrix(patches, words, sharpness=5.0, block=block)
        gradients = torch.autograd.grad((matrix * torch.arange(15.0).view(5, 3)).sum(), (patches, words))
        results.append((matrix, *gradients))
    for one, other in zip(*results):
        torch.testing.assert_close(one, other)


def test_the_gradient_of_the_best_patch_is_that_of_torch():
    torch.manual_seed(0)
    patches = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    words = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    factor = torch.randn(3, 7)
    found = []
    for best in (BestPatch.apply(patches, words), (patches @ words.T).amax(dim=1).float()):
        found.append(torch.autograd.grad((best * factor).sum(), (patches, words)))
    assert found[0][0].count_nonzero() > 0
    for one, other in zip(*found):
        torch.testing.assert_close(one, other)


def test_scores_worked_out_by_hand():
    patches = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    words = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [0.0, 0.0]]]) * torch.tensor([0.25, 0.75, 0.0]).view(1, 3, 1)
    # Best cosines 1 and 0.8; the second has three times the weight.
    torch.testing.assert_close(patch_word_score(patches, words), torch.tensor([0.85]))
    soft = -math.log(0.25 * math.exp(-10) + 0.75 * math.exp(-8)) / 10
    torch.testing.assert_close(patch_word_score(patches, words, sharpness=10.0), torch.tensor([soft]))
    torch.testing.assert_close(best_cosines(patches, words), torch.tensor([[1.0, 0.8, 0.0]]))


@pytest.mark.parametrize("sharpness", [0.0, 10.0])
def test_a_text_without_words_scores_0_and_passes_no_nan(sharpness):
    patches, words = torch.randn(1, 3, 4), torch.zeros(1, 2, 4, requires_grad=True)
    for score in (patch_word_score(patches, words, sharpness), patch_word_matrix(patches, words, sharpness)):
        assert score.flatten().tolist() == [0.0]
        (gradient,) = torch.autograd.grad(score.sum(), words)
        assert gradient.isfinite().all()


def test_soft_minimum_lies_between_the_least_and_the_mean():
    cosines, weights = torch.rand(100, 12) * 2 - 1, torch.rand(100, 12).softmax(-1)
    soft = average_words(weights * cosines, weights, 10.0)
    assert (soft <= average_words(weights * cosines, weights) + 1e-6).all()
    assert (soft >= cosines.amin(-1) - 1e-6).all()
