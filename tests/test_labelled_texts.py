"""Labelled false and neutral texts, from the database into a batch and its losses."""

import math
import random
from dataclasses import replace

import pytest
import torch
from batches import MIXED, changed_rows, labelled, make_dataset
from test_Architectures import small_model, some_pictures
from test_DataBase_functions import same
from test_Functions import a_batch

import Functions
from Config import AugmentConfig, LossConfig, NegativesConfig
from DataBase_functions import Key, divide
from evaluation.texts import collect_texts
from Functions import Share, WholeBatch
from sources.items import ENTAILED, NEUTRAL

FALSE, MAYBE = ("a green sea", "contradicted"), ("two tall cars", NEUTRAL)
ALWAYS, NEVER = replace(MIXED, labelled=1.0), replace(MIXED, labelled=0.0)


def negatives_of(dataset, batch):
    """(words, caption, neutral) of each hard negative."""
    lines = batch.words[len(batch.owner) :].tolist()
    words = [[word for word in line if word] for line in lines]
    return list(zip(words, batch.negative_of.tolist(), batch.neutral.tolist()))


def is_one_of(dataset, words, *texts):
    return words in [dataset.tokenizer.encode(text) for text, _ in texts]


def test_a_labelled_false_text_is_a_hard_negative_of_its_photograph(tiny):
    dataset = make_dataset(labelled(tiny, FALSE), negatives=ALWAYS)
    batch = dataset.__getitems__([Key(0, row) for row in range(6)])
    found = [i for i, (words, _, _) in enumerate(negatives_of(dataset, batch)) if is_one_of(dataset, words, FALSE)]
    of = batch.owner[batch.negative_of[found]].tolist()
    assert of == list(range(6)), "once a photograph, though each has two captions"
    assert not batch.neutral.any() and not batch.changed[found].any(), "which words are false is not known"
    assert batch.negative_of.tolist() == sorted(batch.negative_of.tolist())
    assert batch.neutral.shape == batch.negative_of.shape and batch.neutral.dtype == torch.bool


def test_each_caption_gets_another_text_and_neutral_ones_are_marked(tiny):
    dataset = make_dataset(labelled(tiny, FALSE, MAYBE), negatives=ALWAYS)
    batch = dataset.__getitems__([Key(0, row) for row in range(6)])
    added = [each for each in negatives_of(dataset, batch) if is_one_of(dataset, each[0], FALSE, MAYBE)]
    assert [caption for _, caption, _ in added] == list(range(12))
    for words, _, neutral in added:
        assert neutral == is_one_of(dataset, words, MAYBE)
    assert batch.neutral.sum() == 6


@pytest.mark.parametrize("chance", [0.0, 0.3])
def test_the_chance_of_a_labelled_text(tiny, chance):
    dataset = make_dataset(labelled(tiny, FALSE, MAYBE), negatives=replace(MIXED, labelled=chance))
    keys = [Key(epoch, row) for epoch in range(10) for row in tiny.rows("train")]
    batch = dataset.__getitems__(keys)
    added = sum(is_one_of(dataset, words, FALSE, MAYBE) for words, _, _ in negatives_of(dataset, batch))
    n = len(batch.owner)
    assert abs(added - chance * n) <= 4 * math.sqrt(chance * (1 - chance) * n)


def test_labelled_texts_change_no_other_draw(tiny):
    """Captions, other hard negatives and augmentation are those of a database without labelled texts."""
    augmentation, keys = AugmentConfig(shift=0.1, crop=0.5, flip=0.5), [Key(2, row) for row in range(8)]
    plain = make_dataset(tiny, augmentation, ALWAYS).__getitems__(keys)
    assert same(plain, make_dataset(tiny, augmentation, NEVER).__getitems__(keys))
    assert same(plain, make_dataset(labelled(tiny, FALSE, MAYBE), augmentation, NEVER).__getitems__(keys))
    dataset = make_dataset(labelled(tiny, FALSE, MAYBE), augmentation, ALWAYS)
    batch = dataset.__getitems__(keys)
    assert torch.equal(batch.pictures, plain.pictures)
    drawn = [each for each in negatives_of(dataset, batch) if not is_one_of(dataset, each[0], FALSE, MAYBE)]
    assert drawn == negatives_of(dataset, plain)
    assert same(batch, make_dataset(labelled(tiny, FALSE, MAYBE), augmentation, ALWAYS).__getitems__(keys))
    other = [key._replace(epoch=3) for key in keys]
    assert not torch.equal(dataset.__getitems__(other).neutral, batch.neutral)


def test_a_text_with_the_words_of_a_caption_is_never_a_negative(tiny):
    own = changed_rows(
        tiny,
        "mismatches",
        lambda row, _: [{"text": c.text.upper(), "kind": "caption", "source": "pairs"} for c in tiny.captions(row)],
    )
    keys = [Key(0, row) for row in range(6)]
    assert same(make_dataset(own, negatives=ALWAYS).__getitems__(keys), make_dataset(tiny).__getitems__(keys))


def test_kinds_that_are_not_wanted_are_not_drawn(tiny):
    dataset = make_dataset(labelled(tiny, FALSE, MAYBE), negatives=ALWAYS, without={NEUTRAL})
    batch = dataset.__getitems__([Key(0, row) for row in range(6)])
    assert not batch.neutral.any()
    assert sum(is_one_of(dataset, words, FALSE) for words, _, _ in negatives_of(dataset, batch)) == 6


@pytest.mark.parametrize("world", [2, 3])
def test_the_parts_of_a_batch_with_labelled_texts_are_the_batch(tiny, world):
    keys = [Key(1, row) for row in tiny.rows("train")[:7]]
    database = labelled(tiny, FALSE, MAYBE)
    whole = make_dataset(database, negatives=ALWAYS).__getitems__(keys)
    parts = [make_dataset(database, negatives=ALWAYS, part=(rank, world)).__getitems__(keys) for rank in range(world)]
    for part in parts:
        assert torch.equal(part.words, whole.words) and torch.equal(part.neutral, whole.neutral)
    negatives = [part.own_words[part.share.sizes[1] :] for part in parts]
    assert torch.equal(torch.cat(negatives), whole.words[len(whole.owner) :])


# Entailed texts


@pytest.fixture(scope="module")
def entailed(tiny):
    """Of each photograph the last caption is an entailed text; of the first photograph all are."""

    def change(row, captions):
        return [c | {"kind": ENTAILED} if row == 0 or c is captions[-1] else c for c in captions]

    return changed_rows(tiny, "captions", change)


def test_entailed_texts_are_captions_of_the_plan_and_of_training(entailed):
    dataset = make_dataset(entailed, captions_per_picture=5)
    drawn = dataset.texts(3, random.Random(0))
    last = dataset.plan.captions(3)[-1]
    (caption,) = [one for one in drawn if one.number == last]
    assert len(drawn) == 5 and caption.negatives


def test_the_quick_check_draws_no_entailed_text(entailed):
    dataset = make_dataset(entailed, captions_per_picture=5, without={ENTAILED})
    drawn = {row: dataset.texts(row, random.Random(0)) for row in (0, 3)}
    assert [len(texts) for texts in drawn.values()] == [5, 4], "all, if a photograph has no others"
    assert dataset.plan.captions(3)[-1] not in {one.number for one in drawn[3]}
    for one in drawn[3]:
        assert one.regions == tuple(entailed.regions(3)[one.number - dataset.plan.captions(3).start])


def test_evaluations_leave_entailed_texts_out(tiny, entailed):
    rows = tiny.rows("train")[:8]
    before, found = (collect_texts(database, rows) for database in (tiny, entailed))
    kept = [i for i, row in enumerate(before.owner) if rows[row] == 0 or (i + 1) % 5]
    assert len(before.captions) == 40
    assert found.captions == [before.captions[i] for i in kept]
    assert len(found.kinds) == len(found.sources) == len(found.owner) == len(kept)
    pairs = [
        {texts.captions[i]: text for text, i in zip(texts.false["mixture"].texts, texts.false["mixture"].of)}
        for texts in (before, found)
    ]
    assert pairs[1] == {caption: text for caption, text in pairs[0].items() if caption in found.captions}


# Losses


def test_neutral_texts_enter_no_loss_but_that_of_the_head():
    model = small_model("both").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    keep = torch.tensor([0, 1, 4])
    marked = batch._replace(neutral=torch.tensor([False, False, True, True, False]))
    marked.changed[2:4] = False
    absent = marked._replace(
        negative_of=marked.negative_of[keep], changed=marked.changed[keep], neutral=marked.neutral[keep]
    )
    patches = model.encode_pictures(pictures)
    texts = model.encode_texts(words)
    settings = LossConfig(whole=1.0)
    without = Functions.total_loss(model, patches, texts[[*range(11), *(11 + keep).tolist()]], absent, settings)
    torch.testing.assert_close(Functions.total_loss(model, patches, texts, marked, settings), without)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_the_head_learns_the_target_of_neutral_texts(target):
    model = small_model(head="attention").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    neutral = torch.tensor([False, True, False, True, True])
    vectors = model.encode_pictures(pictures), model.encode_texts(words)
    others = dict.fromkeys(("contrastive", "triplet", "match", "word", "ground", "count", "tag", "others"), 0.0)
    plain, marked = (
        Functions.total_loss(model, *vectors, one, LossConfig(**others, neutral=target)).item()
        for one in (batch, batch._replace(neutral=neutral))
    )
    of = batch.owner[batch.negative_of]
    logits = Functions.match_pairs(model, vectors[0], vectors[1][11:], of).text
    truth = target * neutral.float()
    expected, before = (
        torch.nn.functional.binary_cross_entropy_with_logits(logits, y) for y in (truth, torch.zeros(5))
    )
    assert marked - plain == pytest.approx((expected - before).item() / 2, abs=1e-5)


@pytest.mark.parametrize("head", ["none", "attention"])
@pytest.mark.parametrize("world", [2, 3])
def test_the_losses_of_all_shares_add_up_with_neutral_texts(head, world):
    model = small_model("both", head=head).eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    batch = batch._replace(neutral=torch.tensor([False, True, False, True, True]))
    patches, texts = model.encode_pictures(pictures), model.encode_texts(words)
    settings, weights = LossConfig(whole=1.0, tag=0.0), list(model.parameters())
    loss = Functions.total_loss(model, patches, texts, batch, settings)
    gradient = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    parts = []
    for share in divide(8, batch.owner.tolist(), batch.negative_of.tolist(), world):
        assert isinstance(share, Share)
        own = torch.cat([texts[:11][share.captions], texts[11:][share.negatives]])
        whole = WholeBatch(patches, texts[:11], share)
        parts.append(Functions.total_loss(model, patches[share.pictures], own, batch, settings, whole=whole))
    torch.testing.assert_close(sum(parts), loss)
    for one, other in zip(gradient, torch.autograd.grad(sum(parts), weights, allow_unused=True)):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_a_batch_of_neutral_texts_alone_has_finite_losses():
    model = small_model(head="attention").eval()
    (pictures, words), batch = a_batch(some_pictures(8))
    batch = batch._replace(neutral=torch.ones(5, dtype=torch.bool))
    loss = Functions.total_loss(model, model.encode_pictures(pictures), model.encode_texts(words), batch, LossConfig())
    loss.backward()
    assert loss.isfinite()
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"--negatives\.labelled 1\.5: must be 0 to 1"):
        NegativesConfig(labelled=1.5)
    with pytest.raises(ValueError, match=r"--loss\.neutral -0\.1: must be 0 to 1"):
        LossConfig(neutral=-0.1)
