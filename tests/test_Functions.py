"""Functions: losses against values worked out by hand, and exact gradients in chunks."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_Architectures import MODELS, small_model, some_pictures, some_words

import Functions
from Architectures import SiameseModel
from common.grounding import Grounding, Tags, spread
from common.matching import of_counts
from Config import BackboneConfig, LossConfig, ModelConfig
from Functions import TextBatch, contrastive_loss, match_loss, triplet_loss, word_loss

NONE = torch.zeros(0)
NOBODY = torch.zeros(0, dtype=torch.long)


def log_sum(*logits):
    return math.log(sum(math.exp(x) for x in logits))


def test_contrastive_loss_of_two_pairs():
    scores = torch.tensor([[2.0, 0.5], [-1.0, 1.0]])
    to_text = (log_sum(2, 0.5) - 2 + log_sum(-1, 1) - 1) / 2
    to_picture = (log_sum(2, -1) - 2 + log_sum(0.5, 1) - 1) / 2
    loss = contrastive_loss(scores, torch.tensor([0, 1]), torch.tensor([0, 1]), NONE, NOBODY)
    assert loss.item() == pytest.approx((to_text + to_picture) / 2)


def test_hard_negatives_are_extra_columns_of_their_own_picture_only():
    scores = torch.tensor([[2.0, 0.5], [-1.0, 1.0]])
    to_text = (log_sum(2, 0.5, 1.5, 0.2) - 2 + log_sum(-1, 1) - 1) / 2
    to_picture = (log_sum(2, -1) - 2 + log_sum(0.5, 1) - 1) / 2
    owner = torch.tensor([0, 1])
    loss = contrastive_loss(scores, owner, owner, torch.tensor([1.5, 0.2]), torch.tensor([0, 0]))
    assert loss.item() == pytest.approx((to_text + to_picture) / 2)


@pytest.mark.parametrize("in_batch", [0, 0.5, 1, 3])
def test_the_weight_of_the_batch_s_other_texts(in_batch):
    """It multiplies e^score of the other captions of the batch; hard negatives and the caption have weight 1."""
    scores = torch.tensor([[2.0, 0.5, -0.3], [-1.0, 1.0, 0.8]], requires_grad=True)
    e = math.exp
    to_text = [
        math.log(e(2) + e(1.5) + in_batch * (e(0.5) + e(-0.3))) - 2,
        math.log(e(1) + e(0.2) + in_batch * e(-1)) - 1,
        math.log(e(0.8) + e(0.2) + in_batch * e(-1)) - 0.8,
    ]
    to_picture = [
        math.log(e(2) + in_batch * e(-1)) - 2,
        math.log(e(1) + in_batch * e(0.5)) - 1,
        math.log(e(0.8) + in_batch * e(-0.3)) - 0.8,
    ]
    owner, groups = torch.tensor([0, 1, 1]), torch.tensor([0, 1])
    hard = torch.tensor([1.5, 0.2], requires_grad=True)
    loss = contrastive_loss(scores, owner, groups, hard, torch.tensor([0, 1]), in_batch)
    assert loss.item() == pytest.approx((np.mean(to_text) + np.mean(to_picture)) / 2, rel=1e-5)
    loss.backward()
    assert torch.isfinite(scores.grad).all() and (hard.grad > 0).all()
    others = scores.grad[[0, 0, 1], [1, 2, 0]]
    assert (others > 0).all() if in_batch else (others == 0).all()


def test_without_hard_negatives_and_the_batch_nothing_is_left():
    scores = torch.tensor([[2.0, 0.5], [-1.0, 1.0]], requires_grad=True)
    owner = torch.tensor([0, 1])
    loss = contrastive_loss(scores, owner, owner, NONE, NOBODY, in_batch=0)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(scores.grad).all()


def test_captions_of_the_same_photograph_are_never_negatives():
    # Pictures 0 and 1 are one photograph from two sources; picture 0 has two captions.
    scores = torch.tensor([[2.0, 1.8, 1.9, 0.5], [1.7, 1.6, 2.1, 0.4], [-1.0, 0.3, 0.1, 1.0]])
    owner, groups = torch.tensor([0, 0, 1, 2]), torch.tensor([7, 7, 9])
    to_text = [log_sum(2, 0.5) - 2, log_sum(1.8, 0.5) - 1.8, log_sum(2.1, 0.4) - 2.1, log_sum(1, -1, 0.3, 0.1) - 1]
    to_picture = [log_sum(2, -1) - 2, log_sum(1.8, 0.3) - 1.8, log_sum(2.1, 0.1) - 2.1, log_sum(1, 0.5, 0.4) - 1]
    loss = contrastive_loss(scores, owner, groups, NONE, NOBODY)
    assert loss.item() == pytest.approx((np.mean(to_text) + np.mean(to_picture)) / 2)


def test_contrastive_loss_of_one_photograph_alone_is_0_and_has_a_gradient():
    scores = torch.tensor([[0.3, 0.4]], requires_grad=True)
    loss = contrastive_loss(scores, torch.tensor([0, 0]), torch.tensor([0]), NONE, NOBODY)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(scores.grad).all()


def test_triplet_and_match_loss():
    positive, negative = torch.tensor([0.9, 0.5]), torch.tensor([0.8, 0.1])
    assert triplet_loss(positive, negative, 0.2).item() == pytest.approx((0.1 + 0) / 2)
    assert triplet_loss(NONE, NONE, 0.2).item() == 0
    expected = (
        np.mean([math.log1p(math.exp(-10 * (p - 0.5))) for p in (0.9, 0.5)])
        + np.mean([math.log1p(math.exp(10 * (n - 0.5))) for n in (0.8, 0.1)])
    ) / 2
    loss = match_loss(positive, negative, torch.tensor(10.0), torch.tensor(0.5))
    assert loss.item() == pytest.approx(expected)


def test_word_loss_by_hand():
    true, real = torch.tensor([[0.9, 0.4, 0.0]]), torch.tensor([[True, True, False]])
    false, changed = torch.tensor([[0.8, 0.7, 0.1]]), torch.tensor([[False, True, False]])
    fits = np.mean([math.log1p(math.exp(-10 * (x - 0.5))) for x in (0.9, 0.4)])
    fails = math.log1p(math.exp(10 * (0.7 - 0.5)))
    loss = word_loss(true, real, false, changed, torch.tensor(10.0), torch.tensor(0.5))
    assert loss.item() == pytest.approx((fits + fails) / 2)


def test_the_total_loss_passes_in_batch_to_the_contrastive_loss():
    model = small_model("pooled").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    contrastive = LossConfig(contrastive=1, triplet=0, match=0, word=0)
    with torch.no_grad():
        vectors = model.encode_pictures(pictures), model.encode_texts(words)
        losses = [Functions.total_loss(model, *vectors, batch, contrastive, weight).item() for weight in (0, 0.5, 1)]
        assert Functions.total_loss(model, *vectors, batch, contrastive).item() == losses[2]
    assert 0 < losses[0] < losses[1] < losses[2]


def test_the_loss_whole_is_contrastive_of_the_pooled_score_without_hard_negatives():
    model = small_model("both").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    with torch.no_grad():
        vectors = model.encode_pictures(pictures), model.encode_texts(words)
        without, with_it = (
            Functions.total_loss(model, *vectors, batch, LossConfig(whole=weight)) for weight in (0, 0.5)
        )
        scores = model.log_scale.exp() * model.all_parts(vectors[0], vectors[1][: len(batch.owner)]).pooled
        none = torch.zeros(0)
        expected = contrastive_loss(scores, batch.owner, batch.groups, none, none.long())
    torch.testing.assert_close(with_it - without, 0.5 * expected)


def test_verdict_losses_train_only_patches_and_words():
    model = small_model("both")
    (pictures, words), batch = a_batch(some_pictures(8))
    judging = LossConfig(contrastive=0, whole=0, ground=0)
    Functions.total_loss(model, model.encode_pictures(pictures), model.encode_texts(words), batch, judging).backward()
    assert model.neck.project.weight.grad.abs().max() > 0
    for layer in (model.neck.project_whole, model.text.project_whole):
        assert layer.weight.grad is None or not layer.weight.grad.any()
    assert not model.ranking_blend.grad.any()


def test_the_ground_loss_is_the_share_of_attention_inside_the_region():
    """A word without a region, and one whose boxes a crop has lost, only count in the mean."""
    inside = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.5, 1.0, 0.0]])
    attention = torch.tensor([[0.1, 0.3, 0.4, 0.2], [0.2, 0.2, 0.5, 0.1]])
    grounded = Functions.GroundedWords(NOBODY, NOBODY, inside, inside, torch.zeros(2, 4), torch.tensor(3))
    expected = -(math.log(0.4) + math.log(0.2 * 0.5 + 0.5)) / 3
    assert Functions.ground_loss(attention, grounded).item() == pytest.approx(expected)


def test_the_spread_loss_is_lowest_for_attention_on_all_boxes():
    target = torch.tensor([[0.5, 0.5, 0.0]])
    grounded = Functions.GroundedWords(NOBODY, NOBODY, target, target, target, torch.tensor(2))
    both, one, other = (
        Functions.spread_loss(torch.tensor([attention]), grounded).item()
        for attention in ([0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [0.3, 0.3, 0.4])
    )
    assert both == pytest.approx(math.log(2) / 2)
    assert one == pytest.approx(-(math.log(0.9) + math.log(0.1)) / 4)
    assert other > both


def test_the_count_loss_opens_gates_at_centres():
    centres = torch.tensor([[0.0, 2.0, 0.0]])  # two boxes with their centre in one cell are one gate
    gates = torch.tensor([[-1.0, 0.5, 2.0]])
    grounded = Functions.GroundedWords(NOBODY, NOBODY, centres, centres, centres, torch.tensor(2))
    where = math.log1p(math.exp(-1)) + math.log1p(math.exp(-0.5)) + math.log1p(math.exp(2))
    number = -of_counts(gates.sigmoid().sum(1, keepdim=True))[0, 2].log().item()
    assert Functions.count_loss(gates, grounded).item() == pytest.approx((where + number) / 2)


def test_one_thing_between_two_cells_counts_as_one():
    """Between gates that let the same binary cross-entropy, the one with the right sum is better."""
    centres = torch.tensor([[1.0, 0.0]])
    grounded = Functions.GroundedWords(NOBODY, NOBODY, centres, centres, centres, torch.tensor(1))
    half, both = torch.tensor([[0.5, 0.5]]).logit(), torch.tensor([[0.75, 2 / 3]]).logit()
    where = [F.binary_cross_entropy_with_logits(gates, centres, reduction="sum").item() for gates in (half, both)]
    assert where == pytest.approx([-math.log(0.25)] * 2)
    assert Functions.count_loss(half, grounded) < Functions.count_loss(both, grounded) - 0.3


def test_the_number_loss_is_about_the_number_of_boxes():
    """A number above those that the head knows counts as the largest one."""
    centres = torch.tensor([[0.0, 2.0, 1.0], [1.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    grounded = Functions.GroundedWords(NOBODY, NOBODY, centres, centres, centres, torch.tensor(4))
    numbers = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    expected = -sum(numbers.log_softmax(-1)[row, boxes].item() for row, boxes in enumerate((3, 1, 7))) / 4
    assert Functions.number_loss(numbers, grounded).item() == pytest.approx(expected)


def test_grounded_words_of_a_batch():
    model = small_model(head="attention").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    encoded = Functions.Encoded.of(model, model.encode_pictures(pictures), model.encode_texts(words), batch, None)
    grounded = Functions.GroundedWords.of(encoded)
    assert list(zip(grounded.caption.tolist(), grounded.word.tolist())) == [(0, 1), (0, 2), (4, 0), (10, 4)]
    assert grounded.inside.amax(1).tolist() == [1, 1, 1, 1]
    assert grounded.centres.sum(1).tolist() == [1, 1, 2, 1]
    assert grounded.total == 5
    torch.testing.assert_close(grounded.target.sum(1), torch.ones(4))


def test_the_tag_loss_predicts_words_from_the_patches_of_their_boxes():
    model = small_model(head="attention").eval()
    (pictures, _), batch = a_batch(some_pictures(8))
    vectors = model.encode_pictures(pictures)
    tags = batch.tags
    where = spread(tags.boxes, 16)
    expected = 0.0
    for word, region in zip(tags.word, tags.region):
        mean = where[region] @ model.head_patches(vectors)[tags.picture[region]]
        expected -= model.tags(mean).log_softmax(-1)[word].item() / 6
    assert Functions.tag_loss(model, vectors, tags).item() == pytest.approx(expected)
    # Region 2 is the right half of picture 7; the grid is 4 x 4.
    patches = model.head_patches(vectors)[7].view(4, 4, -1)[:, 2:].mean((0, 1))
    last = Tags(tags.word[-1:], torch.tensor([0]), tags.picture[2:], tags.boxes[2:, :1], torch.tensor(1))
    expected = -model.tags(patches).log_softmax(-1)[tags.word[-1]]
    torch.testing.assert_close(Functions.tag_loss(model, vectors, last), expected)


def test_without_regions_ground_and_count_are_0():
    model = small_model(head="attention").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    none = Grounding(torch.zeros(11, 7, dtype=torch.long), torch.zeros(0, 1, 4), torch.tensor(0))
    nobody = torch.zeros(0, dtype=torch.long)
    nothing = Tags(nobody, nobody, nobody, torch.zeros(0, 1, 4), torch.tensor(0))
    vectors = model.encode_pictures(pictures), model.encode_texts(words)
    losses = [
        Functions.total_loss(
            model,
            *vectors,
            batch._replace(grounding=none, tags=nothing),
            LossConfig(ground=weight, count=weight, tag=weight),
        )
        for weight in (0.0, 2.0)
    ]
    assert losses[0] == losses[1] and losses[0].isfinite()


def test_pairs_are_laid_out_by_picture():
    """The head's answers do not depend on how the pairs are grouped."""
    model = small_model(head="attention").eval()
    pictures, texts = model.encode_pictures(some_pictures(4)), model.encode_texts(some_words([5, 3, 4, 2, 5, 1, 5]))
    picture_of = torch.tensor([2, 0, 2, 3, 0, 2, 3])  # picture 1 has no text
    assert Functions.number_within(picture_of, 4).tolist() == [0, 0, 1, 0, 1, 2, 1]
    found = Functions.match_pairs(model, pictures, texts, picture_of)
    for i, picture in enumerate(picture_of):
        alone = model.match(pictures[picture].unsqueeze(0), texts[i].view(1, 1, *texts.shape[1:]))
        for one, other in zip(found, alone):
            torch.testing.assert_close(one[i], other[0, 0], atol=1e-5, rtol=0)


def test_the_hardest_caption_of_another_picture_is_a_false_text_of_the_head():
    """If all captions are of one photograph, there is none."""
    model = small_model(head="attention").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    alone = batch._replace(groups=torch.zeros(8, dtype=torch.long))
    vectors = model.encode_pictures(pictures), model.encode_texts(words)
    settings = LossConfig(contrastive=0, triplet=0, match=0, word=0, ground=0, count=0, tag=0, head=1, others=1)
    no_others, with_others = (Functions.total_loss(model, *vectors, b, settings).item() for b in (alone, batch))
    logits = model.match(vectors[0], vectors[1][:11].expand(8, -1, -1, -1)).text
    own = batch.owner.unsqueeze(0) == torch.arange(8).unsqueeze(1)  # (8, 11)
    ranking = model.all_ranking(vectors[0], vectors[1][:11])
    expected = 0.0
    for n in range(8):
        hardest = ranking[n].masked_fill(own[n], -2).argmax()
        expected += torch.nn.functional.softplus(logits[n, hardest]).item()
    assert with_others - no_others == pytest.approx(expected / 8 / 2, rel=1e-4)


def whole_batch_gradient(model, inputs, batch, chunks):
    """The gradient that backward_in_chunks must give: all chunks in one graph, with the same draws of dropout."""
    torch.manual_seed(7)
    model.zero_grad()
    encoders = (model.encode_pictures, model.encode_texts)
    vectors = [torch.cat([encode(piece) for piece in x.chunk(chunks)]) for encode, x in zip(encoders, inputs)]
    loss = Functions.total_loss(model, *vectors, batch, LossConfig(whole=1))
    loss.backward()
    return loss.detach(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


def gradient_in_chunks(model, inputs, batch, chunks):
    torch.manual_seed(7)
    model.zero_grad()
    loss = Functions.backward_in_chunks(
        list(zip((model.encode_pictures, model.encode_texts), inputs)),
        lambda patches, vectors: Functions.total_loss(model, patches, vectors, batch, LossConfig(whole=1)),
        chunks,
    )
    return loss, [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]


def a_batch(pictures):
    """8 pictures, 11 captions and 5 hard negatives; some words of three captions have regions."""
    words = some_words([5] * 11 + [3, 7, 4, 6, 2])
    changed = torch.zeros(5, 7, dtype=torch.bool)
    changed[:, 1] = True
    owner = torch.tensor([0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 7])
    region_of = torch.zeros(11, 7, dtype=torch.long)
    region_of[0, 1:3], region_of[4, 0], region_of[10, 4] = 1, 2, 3
    corner, half = [0.0, 0.0, 0.4, 0.3], [0.5, 0.0, 1.0, 1.0]
    boxes = torch.tensor([[corner, [0.0] * 4], [half, corner], [half, [0.0] * 4]])
    grounding = Grounding(region_of, boxes, torch.tensor(5))  # a crop has lost the boxes of a fifth word
    said = torch.tensor([5, 6, 7, 3, 9]), torch.tensor([0, 0, 1, 1, 2])
    tags = Tags(*said, torch.tensor([0, 3, 7]), boxes, torch.tensor(6))
    nothing_neutral = torch.zeros(5, dtype=torch.bool)
    return (pictures, words), TextBatch(
        owner, torch.tensor([0, 1, 2, 2, 10]), changed, nothing_neutral, torch.arange(8), grounding, tags
    )


@pytest.mark.parametrize(("score", "head"), MODELS)
@pytest.mark.parametrize("chunks", [1, 2, 3, 8])
def test_gradient_in_chunks_is_that_of_the_whole_batch(score, head, chunks):
    """With dropout, hard negatives, both scores and the head, on cached features; 8 pictures in 3 chunks divide
    unevenly."""
    model = small_model(score, dropout=0.3, head=head).train()
    inputs, batch = a_batch(torch.randn(8, 64, 3, 3, generator=torch.Generator().manual_seed(0)))
    (loss, gradient), (expected_loss, expected) = (
        compute(model, inputs, batch, chunks) for compute in (gradient_in_chunks, whole_batch_gradient)
    )
    torch.testing.assert_close(loss, expected_loss)
    assert len(gradient) == len(expected) > 10
    for one, other in zip(gradient, expected):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_chunks_of_an_unfrozen_resnet_add_up_to_the_whole_batch():
    """Its batch norm keeps ImageNet's statistics, so a picture does not depend on its chunk."""
    torch.manual_seed(0)
    settings = BackboneConfig("resnet50", unfreeze_epoch=0)
    model = SiameseModel(50, settings, ModelConfig(width=32, word_width=16, dropout=0.0)).train()
    inputs, batch = a_batch(some_pictures(8, side=32))
    (loss, gradient), (whole_loss, whole) = (
        compute(model, inputs, batch, chunks)
        for compute, chunks in ((gradient_in_chunks, 4), (whole_batch_gradient, 1))
    )
    torch.testing.assert_close(loss, whole_loss)
    for one, other in zip(gradient, whole):
        assert (one - other).norm() <= 1e-4 * max(1e-3, other.norm())


def test_second_pass_sees_the_dropout_of_the_first():
    """Each chunk's dropout is replayed: the gradient is that of the loss which was returned."""
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.Dropout(0.5))
    inputs = torch.randn(6, 4)
    seen = []

    def encode(piece):
        vectors = layer(piece)
        seen.append(vectors.detach())
        return vectors

    Functions.backward_in_chunks([(encode, inputs)], lambda v: v.square().sum(), 3)
    for first, second in zip(seen[:3], seen[3:]):
        assert torch.equal(first, second)
    masks = torch.cat(seen[:3]) != 0
    assert 0 < masks.float().mean() < 1
    expected = (2 * 2 * torch.cat(seen[:3]) * masks).T @ inputs  # dropout scales what it keeps by 2
    torch.testing.assert_close(layer[0].weight.grad, expected)


def test_the_first_pass_leaves_the_statistics_of_batch_norm_alone():
    """Each chunk counts once, although it is encoded twice."""
    norm = torch.nn.Sequential(torch.nn.BatchNorm2d(2)).train()
    pictures = torch.randn(6, 2, 4, 4)

    def encode(piece):
        return norm(piece).mean((2, 3))

    Functions.backward_in_chunks(
        [(encode, pictures)], lambda v: v.square().sum(), 3, first_pass=lambda: Functions.statistics_kept(norm)
    )
    other = torch.nn.Sequential(torch.nn.BatchNorm2d(2)).train()
    for piece in pictures.chunk(3):
        other(piece)
    assert norm[0].num_batches_tracked == 3
    torch.testing.assert_close(norm[0].running_mean, other[0].running_mean)
    assert len(Functions.running_statistics(norm)) == 2
    assert Functions.running_statistics(norm.eval()) == []
