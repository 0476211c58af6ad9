"""Architectures: shapes, padding and batch invariance, backbones and their weights."""

import subprocess
import sys
import urllib.error

import pytest
import torch
from scripts import ROOT
from torch import nn

import Architectures
from Architectures import (
    GroupedBackbone,
    GroupedBlock,
    ResNet50Backbone,
    SiameseModel,
    SmallBackbone,
    encode_by_length,
    settle_backbone,
)
from common.matching import EVIDENCE, evidence_of
from common.patch_word import best_cosines, patch_word_matrix, patch_word_score, real_words
from common.vision import import_torchvision
from Config import BackboneConfig, Config, ModelConfig

SCORES = ("pooled", "patch_word", "both")
HEADS = (("patch_word", "attention"), ("both", "attention"), ("both", "evidence"))
MODELS = (*((score, "none") for score in SCORES), *HEADS)  # score, head


def small_model(score="patch_word", dropout=0.0, head="none", **settings):
    """A model of drawn scenes. head: none, attention, or evidence (attention that reads what the branches know)."""
    torch.manual_seed(0)
    if head == "evidence":
        head, settings = "attention", {**settings, "evidence": True}
    model = ModelConfig(width=32, word_width=16, dropout=dropout, score=score, head=head, **settings)
    return SiameseModel(50, BackboneConfig(channels=8), model)


def some_words(lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(2, 50, (len(lengths), max(lengths)), generator=generator)
    for line, length in zip(words, lengths):
        line[length:] = 0
    return words


def some_pictures(count, side=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def test_vectors_have_unit_length_and_padding_is_zero():
    model = small_model().eval()
    patches, words = model.encode_pictures(some_pictures(2)), model.encode_texts(some_words([3, 5]))
    assert patches.shape == (2, 16, 32)
    assert words.shape == (2, 5, 32)
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(2, 16))
    lengths = torch.tensor([[1 / 3, 1 / 3, 1 / 3, 0, 0], [0.2] * 5])  # how much each word counts
    torch.testing.assert_close(words.norm(dim=-1), lengths)
    assert real_words(words).tolist() == [[True] * 3 + [False] * 2, [True] * 5]


@pytest.mark.parametrize(("score", "head"), MODELS)
def test_padding_changes_nothing(score, head):
    model = small_model(score, head=head).eval()
    patches = model.encode_pictures(some_pictures(3))
    words = some_words([4, 7, 1])
    wide = torch.cat([words, torch.zeros(3, 20, dtype=torch.long)], dim=1)
    alone = [model.encode_texts(line[line != 0].unsqueeze(0)) for line in words]
    for padded in (model.encode_texts(words), model.encode_texts(wide)):
        for i, expected in enumerate(alone):
            torch.testing.assert_close(padded[i, : expected.shape[1]], expected[0], atol=1e-6, rtol=0)
        torch.testing.assert_close(
            model.all_scores(patches, padded),
            torch.cat([model.all_scores(patches, text) for text in alone], dim=1),
            atol=1e-5,
            rtol=0,
        )


def test_learned_weights_of_words_add_up_to_1():
    model = small_model("both", weigh_words=True).eval()
    torch.nn.init.normal_(model.text.weigh.weight)
    vectors = model.encode_texts(some_words([3, 5, 0]))
    whole, words = model.text_parts(vectors)
    torch.testing.assert_close(whole.norm(dim=-1), torch.tensor([1.0, 1.0, 0.0]))
    weights = words.norm(dim=-1)
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 1.0, 0.0]))
    assert weights[0, :3].max() > 1.1 * weights[0, :3].min()
    # The score is the mean of the cosines with these weights.
    patches = torch.nn.functional.normalize(torch.randn(3, 4, 32), dim=-1)
    cosines = best_cosines(patches, words)
    torch.testing.assert_close(patch_word_score(patches, words), (weights * cosines).sum(1))


def test_with_both_scores_the_verdict_and_the_ranking_are_mixtures():
    model = small_model("both", whole_width=64, lstm_width=24).eval()  # a whole takes two rows of 32
    pictures, texts = model.encode_pictures(some_pictures(2)), model.encode_texts(some_words([4, 6, 3]))
    parts = model.all_parts(pictures, texts)
    torch.testing.assert_close(parts.pooled, pictures[:, :2].flatten(1) @ texts[:, :2].flatten(1).T)
    torch.testing.assert_close(parts.patch_word, patch_word_matrix(pictures[:, 2:], texts[:, 2:], model.sharpness))
    for blend, share in ((-100.0, 0.0), (0.0, 0.5), (100.0, 1.0)):
        with torch.no_grad():
            model.ranking_blend.fill_(blend)
        expected = share * parts.pooled + (1 - share) * parts.patch_word
        torch.testing.assert_close(model.ranking(parts), expected)
        torch.testing.assert_close(model.verdict(parts), 0.1 * parts.pooled + 0.9 * parts.patch_word)
        torch.testing.assert_close(model.all_scores(pictures, texts), model.verdict(parts))


@pytest.mark.parametrize("score", ["pooled", "patch_word"])
def test_one_score_ranks_and_decides(score):
    model = small_model(score).eval()
    parts = model.all_parts(model.encode_pictures(some_pictures(2)), model.encode_texts(some_words([4, 6, 3])))
    assert [part is None for part in parts] == [score != "pooled", score != "patch_word"]
    assert torch.equal(model.ranking(parts), model.verdict(parts))
    assert torch.equal(model.verdict(parts), getattr(parts, score))


def test_the_order_of_words_matters_in_both_directions():
    model = small_model().eval()
    vectors = model.encode_texts(torch.tensor([[5, 6, 7], [5, 6, 8], [9, 6, 7]]))
    assert (vectors[0, 0] - vectors[1, 0]).abs().max() > 1e-3  # the first word feels a change of the last
    assert (vectors[0, 2] - vectors[2, 2]).abs().max() > 1e-3  # and the last a change of the first


def test_a_picture_does_not_depend_on_its_batch():
    model = small_model().eval()
    pictures = some_pictures(4)
    together, alone = model.encode_pictures(pictures), model.encode_pictures(pictures[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("score", "head"), MODELS)
@pytest.mark.parametrize("sharpness", [0.0, 10.0])
def test_matrix_of_scores_equals_scores_of_pairs(score, head, sharpness, monkeypatch):
    monkeypatch.setattr("common.scores.PAIRS_AT_ONCE", 8)  # two pictures in a block of the head, then one
    model = small_model(score, head=head, sharpness=sharpness).eval()
    patches, words = model.encode_pictures(some_pictures(3)), model.encode_texts(some_words([2, 6, 4, 5]))
    matrix = model.all_scores(patches, words)
    assert matrix.shape == (3, 4)
    assert matrix.abs().max() <= 1 + 1e-5
    ranking = model.all_ranking(patches, words)
    for n in range(3):
        mine = patches[n].expand(4, -1, -1)
        torch.testing.assert_close(matrix[n], model.pair_scores(mine, words), atol=1e-5, rtol=0)
        torch.testing.assert_close(ranking[n], model.pair_ranking(mine, words), atol=1e-5, rtol=0)
        if model.scores_words:
            torch.testing.assert_close(matrix[n], model.evidence(mine, words).scores, atol=1e-5, rtol=0)


def test_the_head_gives_the_verdict_and_the_cosines_the_ranking():
    """The vectors of words and patches for the patch-word score stay apart from those that the head reads."""
    model = small_model("both", head="attention").eval()
    pictures, texts = model.encode_pictures(some_pictures(3)), model.encode_texts(some_words([4, 6, 3]))
    (whole, patches), (_, words) = model.picture_parts(pictures), model.text_parts(texts)
    assert (whole.shape, patches.shape, words.shape) == ((3, 32), (3, 16, 32), (3, 6, 32))
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(3, 16))
    assert real_words(words).sum(1).tolist() == [4, 6, 3]
    scores, ranking = model.pair_scores(pictures, texts), model.pair_ranking(pictures, texts)
    with torch.no_grad():
        model.head.whole.bias.add_(1)
    torch.testing.assert_close(torch.atanh(model.pair_scores(pictures, texts)), torch.atanh(scores) + 0.25)
    torch.testing.assert_close(model.pair_ranking(pictures, texts), ranking)


@pytest.mark.parametrize("head", ["none", "attention"])
def test_evidence_of_words(head):
    model = small_model(head=head).eval()
    pictures, texts = model.encode_pictures(some_pictures(2)), model.encode_texts(some_words([4, 6]))
    _, words, heat = model.evidence(pictures, texts)
    assert (words.shape, heat.shape) == ((2, 6), (2, 6, 16))
    assert words.abs().max() <= 1
    if head == "none":
        torch.testing.assert_close(words, heat.amax(-1))
    else:
        real = torch.arange(6) < torch.tensor([[4], [6]])
        torch.testing.assert_close(heat.amax(-1), real.float())


@pytest.mark.parametrize(("score", "head"), MODELS)
def test_texts_in_groups_of_like_length_are_encoded_as_at_once(score, head):
    model = small_model(score, head=head).eval()
    words = some_words([1, 9, 3, 3, 8, 2, 5, 7, 9, 4])
    vectors = encode_by_length(model.text, words, size=3)
    torch.testing.assert_close(vectors, model.text(words), atol=1e-6, rtol=0)


def test_torchvision_imports_beside_any_torch():
    vision = import_torchvision()
    from torchvision.transforms.v2 import functional

    assert vision.models.resnet50
    assert functional.adjust_brightness
    assert import_torchvision() is vision


def test_torchvision_is_imported_without_torch_s_compiler_and_compiling_works_afterwards():
    code = """
import sys, torch
from common.vision import import_torchvision
import_torchvision()
assert not any(name.startswith("torch._dynamo") for name in sys.modules), "1.3 s"
import torch._dynamo.utils
assert torch._dynamo.utils.is_compile_supported and torch._dynamo.utils.__file__
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_resnet50_strides_and_frozen_statistics():
    v1, v1_5 = ((2, 2), (1, 1)), ((1, 1), (2, 2))
    for weights, in_1x1, strides in (("a.pth", False, v1_5), ("a.pth", True, v1), ("shipped", False, v1)):
        backbone = ResNet50Backbone(BackboneConfig("resnet50", weights, stride_in_1x1=in_1x1))
        for stage in (backbone.network.layer2, backbone.network.layer3, backbone.network.layer4):
            assert (stage[0].conv1.stride, stage[0].conv2.stride) == strides
    backbone.train()
    before = backbone.network.bn1.running_mean.clone()
    features = backbone(torch.randn(2, 3, 64, 64))
    assert features.shape == (2, 2048, 2, 2)
    assert torch.equal(backbone.network.bn1.running_mean, before)
    assert backbone.training


@pytest.mark.parametrize(("kind", "field"), [(SmallBackbone, 193), (GroupedBackbone, 156)])
def test_backbones_from_scratch_have_the_features_and_the_receptive_field_that_they_say(kind, field):
    """The pixels that have a gradient from one cell, if the blocks are not skipped and no ReLU closes."""
    torch.manual_seed(0)
    backbone = kind(BackboneConfig(kind.__name__, channels=4)).double().eval()
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    pictures = torch.ones(1, 3, 512, 512, dtype=torch.double, requires_grad=True)
    features = backbone(pictures)
    assert features.shape == (1, backbone.channels, 32, 32) and backbone.channels == 32 and backbone.reduction == 16
    features[0, 0, 16, 16].backward()
    seen = pictures.grad.abs().sum((0, 1)) > 0
    assert seen.any(0).sum() == seen.any(1).sum() == field


def test_a_new_grouped_block_changes_nothing_but_signs():
    x = torch.randn(2, 64, 5, 5)
    block = GroupedBlock(64)
    assert block.conv1.groups == 2
    torch.testing.assert_close(block(x), x.relu())


def test_the_tag_loss_trains_the_embeddings_that_the_text_branch_reads():
    model = small_model(head="attention")
    logits = model.tags(model.head_patches(model.encode_pictures(some_pictures(2))))
    assert logits.shape == (2, 16, 50)
    logits[0, 0, 7].backward()
    assert model.text.embed.weight.grad[7].abs().sum() > 0
    assert model.text.embed.weight.grad.abs().sum(1).nonzero().flatten().tolist() == [7]


def test_backbone_weights_of_a_v1_file_in_half_precision(tmp_path):
    model = SiameseModel(10, BackboneConfig("resnet50", unfreeze_epoch=None), ModelConfig(width=32))
    state = {name: value.half() for name, value in model.backbone.network.state_dict().items()}
    state["conv1.weight"] = torch.full_like(state["conv1.weight"], 0.5)
    state["fc.weight"] = torch.zeros(1000, 2048)
    torch.save(state, tmp_path / "weights.pth")
    model.backbone.load(str(tmp_path / "weights.pth"))
    assert model.backbone.network.conv1.weight.unique().tolist() == [0.5]
    assert model.backbone.network.conv1.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no backbone weights at"),
        (b"not a checkpoint", "cannot read weights"),
        ({"layer9.weight": torch.zeros(2)}, "is not a ResNet-50 as in torchvision"),
        ({"state_dict": {"conv1.weight": torch.zeros(2)}, "epoch": 3}, "does not hold a plain state dict"),
    ],
)
def test_wrong_backbone_weights_are_refused_with_both_ways_to_get_them(tmp_path, content, message):
    model = SiameseModel(10, BackboneConfig("resnet50", unfreeze_epoch=None), ModelConfig(width=32))
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        model.backbone.load(str(path))


def test_without_a_network_both_ways_to_get_weights_are_named(monkeypatch):
    def unreachable(*_, **__):
        raise urllib.error.URLError("no network")

    model = SiameseModel(10, BackboneConfig("resnet50", unfreeze_epoch=None), ModelConfig(width=32))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    ways = (
        r"--backbone\.weights shipped.*--backbone\.weights IMAGENET1K_V2.* "
        r"of https://\S+/resnet50-11ad3fa6\.pth: --backbone\.weights FILE\.pth"
    )
    with pytest.raises(FileNotFoundError, match=ways):
        model.backbone.load("IMAGENET1K_V2")


def test_features_are_averaged_to_a_grid():
    torch.manual_seed(0)
    plain, reduced = (ResNet50Backbone(BackboneConfig("resnet50", grid=grid)).eval() for grid in (0, 2))
    reduced.load_state_dict(plain.state_dict())
    pictures = torch.randn(1, 3, 128, 128)
    features = plain(pictures)
    assert features.shape == (1, 2048, 4, 4)
    expected = features.view(1, 2048, 2, 2, 2, 2).mean((3, 5))
    torch.testing.assert_close(reduced(pictures), expected)
    assert repr(reduced) != repr(plain)  # a feature cache is named after it


@pytest.mark.parametrize("side", [64, 100])
def test_features_of_layer_3_are_beside_those_of_layer_4(side):
    """Each cell has the mean of the four cells of layer 3 that it covers; at an odd size the last has fewer."""
    torch.manual_seed(0)
    plain, both = (ResNet50Backbone(BackboneConfig("resnet50", layer3=layer3)).eval() for layer3 in (False, True))
    both.load_state_dict(plain.state_dict())
    pictures = torch.randn(2, 3, side, side)
    with torch.no_grad():
        last, features = plain(pictures), both(pictures)
        net = plain.network
        third = net.layer3(net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(pictures)))))))
    assert features.shape == (2, both.channels, *last.shape[2:]) and both.channels == 3072
    torch.testing.assert_close(features[:, :2048], last)
    torch.testing.assert_close(features[:, 2048:, 0, 0], third[:, :, :2, :2].mean((2, 3)))
    end = 2 * (last.shape[2] - 1)
    torch.testing.assert_close(features[:, 2048:, -1, -1], third[:, :, end:, end:].mean((2, 3)))
    assert repr(plain) != repr(both), "they must not share a cache"


def test_mixed_patches_depend_on_the_patches_around_them():
    features = torch.randn(1, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    changed = features.clone()
    changed[:, :, 3, 3] += 1
    for layers in (0, 2):
        model = small_model("both", head="attention", patch_layers=layers, patch_width=16).eval()
        before, after = (model.picture_parts(model.encode_pictures(each))[1] for each in (features, changed))
        assert before.shape == (1, 16, 32)
        same = [torch.equal(one, other) for one, other in zip(before[0], after[0])]
        assert same == ([False] * 16 if layers else [True] * 15 + [False])


def test_mixing_knows_the_places_of_patches():
    model = small_model(head="attention", patch_layers=1, patch_width=16).eval()
    torch.nn.init.normal_(model.neck.mix.place.weight)
    patches = model.picture_parts(model.encode_pictures(torch.ones(1, 64, 4, 4)))[1][0]
    assert len({tuple(patch.tolist()) for patch in patches}) == 16


def test_with_evidence_a_new_head_answers_as_the_best_patch_of_each_word():
    model = small_model("both", head="evidence").eval()
    pictures, texts = model.encode_pictures(some_pictures(3)), model.encode_texts(some_words([5, 2, 7]))
    found = model.match(pictures, texts.unsqueeze(1))
    patches, words = model.picture_parts(pictures)[1], model.text_parts(texts)[1]
    logits = model.log_scale.exp() * (best_cosines(patches, words) - model.match_at)
    expected = logits.masked_fill(~real_words(words), 0.0)
    torch.testing.assert_close(found.words.squeeze(1), expected, atol=1e-5, rtol=0)


def test_the_evidence_of_a_word_is_its_probability_by_the_tag_loss(monkeypatch):
    """Among the common words; a word that is not among them is compared with them too."""
    monkeypatch.setattr(Architectures, "COMMON", 20)
    model = small_model("both", head="evidence").eval()
    pictures, words = model.encode_pictures(some_pictures(2)), some_words([4, 4])
    units, _, names = model.encode_texts(words)[:, None, model.whole_rows :].unflatten(2, (-1, 3)).unbind(3)
    known = model.known(pictures, units, names)
    patches = model.head_patches(pictures)
    attention = torch.rand(2, 4, patches.shape[1]).softmax(-1)
    slots = known._replace(cosines=known.cosines.squeeze(1), names=known.names.squeeze(1))
    found = evidence_of(slots, attention)
    assert found.shape == (2, 4, EVIDENCE)
    for i, line in enumerate(words):
        for k, word in enumerate(line):
            there, mean = (model.tags(each) for each in (attention[i, k] @ patches[i], patches[i].mean(0)))
            chances = [each[word] - each[2:22].logsumexp(-1) for each in (there, mean)]
            cells = model.tags(patches[i])  # (P, vocabulary)
            chances.insert(1, (cells[:, word] - cells[:, 2:22].logsumexp(-1)).max())
            expected = torch.stack([known.cosines[i, 0, k].max() * 4, *(each / 4 for each in chances)])
            torch.testing.assert_close(found[i, k], expected, atol=1e-5, rtol=0)


def test_patches_know_their_place():
    model = small_model().eval()
    with torch.no_grad():
        model.neck.place.weight.normal_()
    grey = torch.full((1, 64, 4, 4), 0.5)
    patches = model.neck(grey)[0]
    assert torch.cdist(patches, patches).fill_diagonal_(9).min() > 1e-3


def test_cached_features_take_the_place_of_pictures():
    model = small_model().eval()
    pictures = some_pictures(2)
    torch.testing.assert_close(model.encode_pictures(model.features(pictures)), model.encode_pictures(pictures))


def test_the_strides_of_torchvision_s_weights_cannot_be_changed():
    settle = Config(backbone=BackboneConfig("resnet50", "IMAGENET1K_V1", stride_in_1x1=True, unfreeze_epoch=None))
    with pytest.raises(ValueError, match=r"--backbone.stride-in-1x1: IMAGENET1K_V1 has the stride in the 3x3"):
        settle_backbone(settle)


def test_layer_3_is_of_resnet50():
    with pytest.raises(ValueError, match=r"for grouped add --backbone\.no-layer3"):
        settle_backbone(Config(backbone=BackboneConfig("grouped", layer3=True)))
