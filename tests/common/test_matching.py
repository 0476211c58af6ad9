"""The matching head: padding and neighbours change nothing, and it can learn what best patches cannot."""

import pytest
import torch

from common.matching import COUNTS, Layout, MatchingHead, MatchingLayer, of_counts

WIDTH = 16


def small_head(**settings):
    torch.manual_seed(0)
    return MatchingHead(WIDTH, layers=2, heads=2, **settings)


def some_input(pictures=2, texts=3, length=5, patches=9):
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(pictures, texts, length, WIDTH, generator=generator)
    real = torch.ones(pictures, texts, length, dtype=torch.bool)
    return torch.randn(pictures, patches, WIDTH, generator=generator), words, real


@pytest.mark.parametrize("settings", [{}, {"geometry": False}, {"counting": False}])
def test_shapes_and_sums(settings):
    found = small_head(**settings)(*some_input())
    assert found.text.shape == (2, 3)
    assert found.words.shape == (2, 3, 5)
    assert found.attention.shape == found.gates.shape == (2, 3, 5, 9)
    assert found.numbers.shape == (2, 3, 5, COUNTS)
    torch.testing.assert_close(found.attention.sum(-1), torch.ones(2, 3, 5))


def test_padding_changes_nothing():
    head, (patches, words, real) = small_head(), some_input()
    found = head(patches, words, real)
    wide = torch.cat([words, torch.randn(2, 3, 4, WIDTH)], dim=2)
    mask = torch.cat([real, torch.zeros(2, 3, 4, dtype=torch.bool)], dim=2)
    padded = head(patches, wide, mask)
    torch.testing.assert_close(padded.text, found.text, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded.words[:, :, :5], found.words, atol=1e-5, rtol=0)


def test_slots_are_for_real_words_only():
    real = torch.tensor([[[1, 1, 0], [1, 0, 0]], [[1, 1, 1], [1, 1, 0]], [[0, 0, 0], [1, 0, 0]]]).bool()
    layout, words = Layout.of(real), torch.arange(18.0).view(3, 2, 3, 1) + 1
    assert layout.slots is not None and layout.slots.shape == (3, 5)
    packed = layout.pack(words)
    assert packed.shape == (3, 5, 1)
    assert packed[0, :3, 0].tolist() == [1, 2, 4] and packed[1, :, 0].tolist() == [7, 8, 9, 10, 11]
    torch.testing.assert_close(layout.unpack(packed)[real], words[real])
    assert layout.unpack(packed)[0, 1, 2] == 0, "the last padding has no slot"


def test_without_slots_nothing_moves():
    _, words, real = some_input()
    layout = Layout(real, None)
    assert torch.equal(layout.unpack(layout.pack(words)), words)


def test_slots_change_no_answer_and_no_gradient(monkeypatch):
    patches, words, real = some_input(3, 4, 6)
    real = torch.arange(6) < torch.tensor([[2, 6, 1, 3], [1, 1, 1, 1], [5, 0, 4, 6]]).unsqueeze(-1)
    answers = []
    for make in (Layout.of, lambda real: Layout(real, None)):
        monkeypatch.setattr("common.matching.Layout.of", make)
        head, inputs = small_head(), [patches.clone().requires_grad_(), words.clone().requires_grad_()]
        found = head(*inputs, real)
        (
            found.text.sum() + found.words.square().sum() + (found.attention * found.gates).sum() + found.numbers.sum()
        ).backward()
        answers.append([*found, *(x.grad for x in inputs), *(weight.grad for weight in head.parameters())])
    for one, other in zip(*answers):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_pair_does_not_depend_on_the_others():
    head, (patches, words, real) = small_head(), some_input()
    together, alone = head(patches, words, real), head(patches[1:], words[1:, 2:], real[1:, 2:])
    torch.testing.assert_close(together.text[1:, 2:], alone.text, atol=1e-5, rtol=0)
    torch.testing.assert_close(together.attention[1:, 2:], alone.attention, atol=1e-5, rtol=0)


def test_a_text_without_words_has_the_logit_0():
    patches, words, _ = some_input()
    found = small_head()(patches, words, torch.zeros(2, 3, 5, dtype=torch.bool))
    assert found.text.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_one_word_that_does_not_fit_decides():
    """The soft minimum is at most the lowest word logit, and below it by at most the log of the number of words.

    It is no mean: true words beside a false one do not raise it.
    """
    head, inputs = small_head(), some_input()
    found = head(*inputs)  # the term of the whole text starts at 0, but for its bias
    worst = found.words.min(-1).values + head.whole.bias
    assert (found.text <= worst + 1e-5).all()
    assert (found.text >= worst - torch.tensor(5.0).log() - 1e-5).all()


def test_a_gate_opens_only_if_all_heads_agree():
    """One that sees nothing that fits keeps it closed, however well the others fit."""
    layer = MatchingLayer(WIDTH, heads=2, geometry=False, counting=True, dropout=0.0, evidence=False)
    with torch.no_grad():
        for part in (layer.gate_query, layer.gate_key):
            part.weight.copy_(torch.eye(WIDTH))
            part.bias.zero_()
    half = WIDTH // 2
    word, both, first = torch.full((WIDTH,), 4.0), torch.full((WIDTH,), 4.0), torch.full((WIDTH,), 16.0)
    first[half:] = -4.0
    patches = torch.stack([both, first, -both]).unsqueeze(0)
    layer.norm_cross = torch.nn.Identity()  # which would make a constant word 0
    words = word.view(1, 1, -1)
    _, _, gates, _ = layer(words, patches, Layout(torch.ones(1, 1, 1, dtype=torch.bool), None), torch.zeros(3, 2))
    opened = gates[0, 0].sigmoid()
    assert opened[0] > 0.9
    assert opened[1] < 0.1 and opened[2] < 0.1


def test_the_chances_of_numbers_are_highest_at_the_count():
    chance = of_counts(torch.tensor([[3.0], [2.5]]))
    assert chance.shape == (2, COUNTS)
    torch.testing.assert_close(chance.sum(1), torch.ones(2))
    assert chance[0].argmax() == 3 and 0.7 < chance[0, 3] < 0.9
    assert chance[1, 2] == chance[1, 3]


def learns(answer, steps=200):
    """Accuracy on new pictures of a head that was trained to answer from 16 patches, of which some are marked.

    answer: marks (n, 4, 4) -> (n,) bool. A mark is one vector, every other patch another; the text is the same.
    Here both answers are all right from step 150 on.
    """
    torch.manual_seed(0)
    head = MatchingHead(WIDTH, layers=1, heads=2)
    mark, ground, words = torch.randn(WIDTH), torch.randn(WIDTH), torch.randn(1, 1, 2, WIDTH)
    optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)
    for step in range(steps + 1):
        marks = torch.rand(128, 4, 4) < torch.rand(128, 1, 1) * 0.5
        patches = torch.where(marks.view(128, 16, 1), mark, ground)
        real = torch.ones(128, 1, 2, dtype=torch.bool)
        logits = head(patches, words.expand(128, 1, 2, WIDTH), real).text[:, 0]
        truth = answer(marks)
        if step == steps:
            return ((logits > 0) == truth).float().mean().item()
        torch.nn.functional.binary_cross_entropy_with_logits(logits, truth.float()).backward()
        optimizer.step()
        optimizer.zero_grad()


def test_the_head_learns_to_count():
    assert learns(lambda marks: marks.sum((1, 2)) == 3) > 0.9


def test_the_head_learns_where():
    assert learns(lambda marks: marks[:, :, :2].sum((1, 2)) > marks[:, :, 2:].sum((1, 2))) > 0.85
