"""Scores in blocks of any size equal the score of each pair that is encoded alone."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from Architectures import SiameseModel
from common.augment import prepare
from common.scores import Scorer
from Config import BackboneConfig, Config, DataConfig, ModelConfig
from DataBase_functions import Database
from evaluation import scoring
from evaluation.splits import encode_rows
from Tokenizer_lib import Tokenizer
from training import checkpoints
from training.checkpoints import LoadedModel, Threshold
from training.features import FeatureCache

CPU = torch.device("cpu")
ALONE = {}  # model, pictures and texts -> their scores; see `scores_alone`
PICTURES, MAX_WORDS = 7, 12
THRESHOLD = Threshold(0.4, "balanced-accuracy", "validation", 0.9, 0.9, 0.9, 1.0, 0.0, epoch=1)
SETTINGS = {
    "pooled": ModelConfig(width=32, word_width=16, score="pooled", head="none", whole_width=64),
    "patch_word": ModelConfig(width=32, word_width=16, score="patch_word", head="none"),
    "head": ModelConfig(width=32, word_width=16, score="patch_word", head="attention"),
    "weighed": ModelConfig(width=32, word_width=16, score="patch_word", head="none", weigh_words=True, sharpness=0.0),
    "both": ModelConfig(width=32, word_width=16, score="both", head="none", whole_width=64, lstm_width=24),
    "both head": ModelConfig(
        width=32, word_width=16, score="both", whole_width=64, lstm_width=24, head="attention", head_width=16
    ),
}


def stir_head(model):
    """Make the head depend on the picture, which it hardly does before training."""
    if model.head is None:
        return
    torch.manual_seed(1)
    nn.init.normal_(model.head.whole.weight)
    for layer in model.head.layers:
        nn.init.normal_(layer.value.weight)
        nn.init.normal_(layer.key.weight)
        nn.init.normal_(layer.cross[-1].weight)


def random_model(settings):
    """An untrained model; weights that start at zero are drawn at random too."""
    torch.manual_seed(0)
    tokenizer = Tokenizer([f"word{i}" for i in range(40)])
    data = DataConfig(side=64, max_words=MAX_WORDS)
    config = Config(precision="float32", device="cpu", data=data, model=settings)
    model = SiameseModel(len(tokenizer), BackboneConfig(channels=8), settings)
    nn.init.normal_(model.text.embed.weight[1:])
    if settings.weigh_words:
        nn.init.normal_(model.text.weigh.weight)
    if settings.score == "both":
        nn.init.constant_(model.ranking_blend, 0.7)
    stir_head(model)
    return LoadedModel(model.eval(), tokenizer, config, THRESHOLD)


@pytest.fixture(scope="module")
def models(trained):
    found = {name: random_model(settings) for name, settings in SETTINGS.items()}
    found["trained"] = checkpoints.load_model(trained / "Models" / "small", CPU)
    stir_head(found["trained"].model)
    return found


@pytest.fixture(params=[*SETTINGS, "trained"])
def loaded(request, models):
    return models[request.param]


def some_pictures(count=PICTURES, seed=0):
    """Pictures of coarse patches of colour; to a convolution, pictures of noise would all look the same."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator)
    return (255 * F.interpolate(coarse, (64, 64))).to(torch.uint8)


def some_texts(loaded, count, seed=0):
    """Texts of 1 to 11 known words; then a text without words, one of unknown words, and one that is cut off."""
    rng = np.random.default_rng(seed)
    known = loaded.tokenizer.words[2:]
    texts = [" ".join(rng.choice(known, rng.integers(1, MAX_WORDS))) for _ in range(count - 3)]
    return [*texts, "?!", "Qwrtz xyzzy!", " ".join(rng.choice(known, 100))]


def picture_alone(loaded, picture):
    with torch.no_grad():
        return loaded.model.encode_pictures(picture.unsqueeze(0))


def text_alone(loaded, words):
    with torch.no_grad():
        return loaded.model.encode_texts(torch.tensor([words]))


def scores_alone(loaded, pictures, texts):
    """Scores (N, T) of pairs that are each encoded alone.

    Many tests compare with the same ones: without the memory they would take three quarters of the time.
    """
    key = loaded.model, pictures.numpy().tobytes(), tuple(texts)
    if key not in ALONE:
        ALONE[key] = compute_alone(loaded, pictures, texts)
    return ALONE[key]


def compute_alone(loaded, pictures, texts):
    pictures = [picture_alone(loaded, picture) for picture in pictures]
    texts = [text_alone(loaded, loaded.tokenizer.encode(text, loaded.config.data.max_words)) for text in texts]
    with torch.no_grad():
        return np.array([[loaded.model.pair_scores(p, t).item() for t in texts] for p in pictures])


def in_small_blocks(monkeypatch):
    for name, size in {"PICTURES": 3, "TEXTS": 4, "PAIRS": 5}.items():
        monkeypatch.setattr(scoring, name, size)


@pytest.fixture(params=["as it is", "in small blocks"])
def blocks(request, monkeypatch):
    if request.param == "in small blocks":
        in_small_blocks(monkeypatch)


def encode(loaded, pictures):
    return scoring.encode_pictures(loaded, iter(pictures), len(pictures))


def count_texts(monkeypatch, loaded):
    """A list that receives, call by call, the words of every text that is encoded."""
    calls, encode_texts = [], loaded.model.encode_texts

    def counting(words):
        calls.append([tuple(line[line != 0].tolist()) for line in words])
        return encode_texts(words)

    monkeypatch.setattr(loaded.model, "encode_texts", counting)
    return calls


@pytest.mark.parametrize("count", [1, 6, 7])
def test_pictures_in_blocks_have_the_vectors_of_each_alone(loaded, blocks, count):
    pictures = some_pictures(count)
    expected = torch.cat([picture_alone(loaded, picture) for picture in pictures])
    torch.testing.assert_close(encode(loaded, pictures), expected, atol=1e-5, rtol=0)


def test_each_picture_is_encoded_once_in_blocks(monkeypatch, models):
    in_small_blocks(monkeypatch)
    sizes, encode_pictures = [], models["both"].model.encode_pictures
    monkeypatch.setattr(
        models["both"].model, "encode_pictures", lambda batch: (sizes.append(len(batch)), encode_pictures(batch))[1]
    )
    encode(models["both"], some_pictures(7))
    assert sizes == [3, 3, 1]


def test_texts_in_blocks_have_the_vectors_of_each_alone(loaded, blocks):
    texts = some_texts(loaded, 14)
    found = list(scoring.encode_texts(loaded, texts))
    numbers = np.concatenate([block.numbers for block in found])
    assert sorted(numbers) == list(range(14))
    lengths = [len(scoring.words_of(loaded, texts[i])) for i in numbers]
    assert lengths == sorted(lengths)
    for block in found:
        assert len(block.numbers) == len(block.vectors) <= scoring.TEXTS
        for i, vectors in zip(block.numbers, block.vectors):
            alone = text_alone(loaded, scoring.words_of(loaded, texts[i]))[0]
            torch.testing.assert_close(vectors[: len(alone)], alone, atol=1e-5, rtol=0)
            assert not vectors[len(alone) :].any()


def test_a_text_is_cut_to_the_words_that_the_model_reads(models):
    loaded = models["both"]
    assert scoring.words_of(loaded, "Word3 WORD0, and word1." + " word2" * 50) == [5, 2, 1, 3] + [4] * 8
    assert scoring.words_of(loaded, "?!") == [1]


@pytest.mark.parametrize("order", [1, -1, "shuffled"])
def test_scores_of_pairs_are_those_of_each_pair_alone(loaded, blocks, order):
    """More pairs than a block holds, with texts of every length, most of them several times."""
    rng = np.random.default_rng(1)
    pictures, texts = some_pictures(), some_texts(loaded, 11)
    expected = scores_alone(loaded, pictures, texts)
    # The scores differ so much that a wrong picture or text would be noticed.
    assert np.ptp(expected, axis=0).max() > 1e-2
    assert np.ptp(expected, axis=1).min() > 1e-2
    which = np.r_[np.arange(11), rng.integers(11, size=18), [2] * 12]
    of = rng.integers(PICTURES, size=len(which))
    pairs = rng.permutation(len(which)) if order == "shuffled" else np.arange(len(which))[::order]
    which, of = which[pairs], of[pairs]
    found = scoring.score_pairs(loaded, encode(loaded, pictures), [texts[i] for i in which], of)
    assert found.shape == which.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected[of, which], atol=1e-5)


def test_no_pairs_have_no_scores(models):
    found = scoring.score_pairs(
        models["both"], encode(models["both"], some_pictures(1)), [], np.zeros(0, dtype=np.int64)
    )
    assert found.shape == (0,)


def test_equal_texts_are_encoded_once(monkeypatch, loaded):
    in_small_blocks(monkeypatch)
    texts = some_texts(loaded, 10)
    pictures = encode(loaded, some_pictures())
    calls = count_texts(monkeypatch, loaded)
    which = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 4))
    scoring.score_pairs(loaded, pictures, [texts[i] for i in which], which % PICTURES)
    encoded = [line for call in calls for line in call]
    assert sorted(encoded) == sorted(tuple(scoring.words_of(loaded, text)) for text in texts)
    assert [len(call) for call in calls] == [4, 4, 2]


@pytest.mark.parametrize("cosines", [1, 1500, 2**25])
def test_blocks_of_all_scores_are_those_of_each_pair_alone(monkeypatch, loaded, blocks, cosines):
    """Columns are in the order of the texts, although texts are encoded in the order of their length."""
    monkeypatch.setattr(scoring, "COSINES", cosines)
    pictures, texts = some_pictures(), some_texts(loaded, 14, seed=2)
    vectors, encoded = encode(loaded, pictures), list(scoring.encode_texts(loaded, texts))
    assert np.concatenate([block.numbers for block in encoded]).tolist() != list(range(14))
    found = list(scoring.score_blocks(loaded, vectors, encoded, "test"))
    covered = [row for place, _ in found for row in range(PICTURES)[place]]
    assert covered == list(range(PICTURES))
    widest = max(block.vectors.shape[0] * block.vectors.shape[1] for block in encoded) * vectors.shape[1]
    for place, scores in found:
        assert scores.shape == (place.stop - place.start, 14)
        assert len(scores) == 1 or len(scores) * widest <= cosines
    assert len(found) == {1: PICTURES, 2**25: 1}.get(cosines, len(found))
    scores = np.concatenate([scores for _, scores in found])
    np.testing.assert_allclose(scores, scores_alone(loaded, pictures, texts), atol=1e-5)
    for block in encoded:
        expected = loaded.model.all_scores(vectors, block.vectors).detach().numpy()
        np.testing.assert_allclose(scores[:, block.numbers], expected, atol=1e-5)


def test_the_ranking_score_and_the_verdict_score_differ(models):
    loaded = models["both"]
    pictures, texts = some_pictures(), some_texts(loaded, 7)
    vectors, of = encode(loaded, pictures), np.arange(7) % PICTURES
    encoded = list(scoring.encode_texts(loaded, texts))
    for use, of_all, of_pairs in (
        (Scorer.verdict, Scorer.all_scores, Scorer.pair_scores),
        (Scorer.ranking, Scorer.all_ranking, Scorer.pair_ranking),
    ):
        found = np.concatenate([part for _, part in scoring.score_blocks(loaded, vectors, encoded, "test", of_all)])
        for block in encoded:
            expected = use(loaded.model, loaded.model.all_parts(vectors, block.vectors)).detach().numpy()
            np.testing.assert_allclose(found[:, block.numbers], expected, atol=1e-5)
        pairs = scoring.score_pairs(loaded, vectors, texts, of, use=of_pairs)
        np.testing.assert_allclose(pairs, found[of, np.arange(7)], atol=1e-5)
    verdicts = scoring.score_pairs(loaded, vectors, texts, of)
    assert np.abs(verdicts - pairs).max() > 0.01


@pytest.mark.parametrize("name", ["patch_word", "weighed", "both"])
def test_the_score_of_a_word_is_its_cosine_with_its_best_patch(models, blocks, name):
    loaded = models[name]
    pictures, texts = some_pictures(), some_texts(loaded, 11)
    of = np.random.default_rng(0).integers(PICTURES, size=11)
    whole, found = scoring.score_words(loaded, encode(loaded, pictures), texts, of)
    np.testing.assert_allclose(whole, scores_alone(loaded, pictures, texts)[of, np.arange(11)], atol=1e-5)
    for text, picture, scores in zip(texts, of, found):
        words = scoring.words_of(loaded, text)
        assert scores.shape == (len(words),)
        rows = loaded.model.whole_rows
        patches = picture_alone(loaded, pictures[picture])[0, rows:]
        vectors = F.normalize(text_alone(loaded, words)[0, rows:], dim=-1)
        expected = [max((word @ patch).item() for patch in patches) for word in vectors]
        np.testing.assert_allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["head", "both head", "trained"])
def test_with_a_head_the_score_of_a_word_is_the_head_s(models, blocks, name):
    loaded = models[name]
    pictures, texts = some_pictures(), some_texts(loaded, 11)
    of = np.random.default_rng(0).integers(PICTURES, size=11)
    whole, found = scoring.score_words(loaded, encode(loaded, pictures), texts, of)
    np.testing.assert_allclose(whole, scores_alone(loaded, pictures, texts)[of, np.arange(11)], atol=1e-5)
    for text, picture, scores in zip(texts, of, found):
        words = text_alone(loaded, scoring.words_of(loaded, text))
        matched = loaded.model.match(picture_alone(loaded, pictures[picture]), words.unsqueeze(0))
        np.testing.assert_allclose(scores, torch.tanh(matched.words[0, 0] / 4).detach(), atol=1e-5)


def test_the_words_of_a_plain_average_have_its_score():
    plain = random_model(SETTINGS["patch_word"])
    plain.model.sharpness = 0.0
    texts, of = some_texts(plain, 9), np.arange(9) % PICTURES
    pictures = encode(plain, some_pictures())
    whole, words = scoring.score_words(plain, pictures, texts, of)
    np.testing.assert_allclose(whole, scoring.score_pairs(plain, pictures, texts, of), atol=1e-5)
    np.testing.assert_allclose([line.mean() for line in words], whole, atol=1e-5)


def test_without_word_vectors_the_score_of_a_word_is_the_drop_without_it(models, blocks):
    loaded = models["pooled"]
    pictures, texts = some_pictures(), [*some_texts(loaded, 8), "word3", "word3 word3"]
    of = np.random.default_rng(0).integers(PICTURES, size=10)
    whole, found = scoring.score_words(loaded, encode(loaded, pictures), texts, of)
    np.testing.assert_allclose(whole, scores_alone(loaded, pictures, texts)[of, np.arange(10)], atol=1e-5)
    for text, picture, scores in zip(texts, of, found):
        words, vectors = scoring.words_of(loaded, text), picture_alone(loaded, pictures[picture])
        assert scores.shape == (len(words),)

        def score(words, vectors=vectors):
            return loaded.model.pair_scores(vectors, text_alone(loaded, words)).item() if words else 0.0

        expected = [score(words) - score(words[:k] + words[k + 1 :]) for k in range(len(words))]
        np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert abs(found[8][0]) > 1e-3  # without its only word a text loses its whole score
    assert found[9][0] == pytest.approx(found[9][1], abs=1e-6)


# A feature cache


@pytest.fixture(scope="module")
def database(databases, tmp_path_factory):
    """A copy of `tiny`, in which a test can make a cache."""
    folder = tmp_path_factory.mktemp("cached") / "tiny"
    shutil.copytree(databases / "tiny", folder, ignore=shutil.ignore_patterns("features"))
    return Database(folder)


@pytest.fixture(scope="module")
def frozen(models):
    """A model with the settings of a frozen ResNet-50. It has the small backbone, which is 100 times as fast."""
    loaded = models["both"]
    backbone = BackboneConfig(name="resnet50", unfreeze_epoch=None, views=2)
    return loaded._replace(config=replace(loaded.config, backbone=backbone))


def test_rows_are_encoded_from_the_feature_cache_if_there_is_one(monkeypatch, database, frozen):
    rows = [5, 0, 31, 17]
    pictures = torch.stack([prepare(database.picture(row), 64) for row in rows])
    texts, of = some_texts(frozen, 12), np.arange(12) % len(rows)
    expected = scores_alone(frozen, pictures, texts)[of, np.arange(12)]
    without = encode_rows(frozen, database, rows, "rows").vectors
    np.testing.assert_allclose(scoring.score_pairs(frozen, without, texts, of), expected, atol=1e-5)
    assert not (database.folder / "features").exists()  # the search creates no folder

    with torch.no_grad():
        FeatureCache.open(database, frozen.model, 64, BackboneConfig(views=2), frozen.model.features, torch.float32)

    def unread(self, row):
        raise AssertionError(f"picture {row} was read")

    monkeypatch.setattr(Database, "picture", unread)
    found = encode_rows(frozen, database, rows, "rows").vectors
    assert found.shape == without.shape
    assert not torch.equal(found, without)  # the cache is in float16
    np.testing.assert_allclose(scoring.score_pairs(frozen, found, texts, of), expected, atol=1e-2)
    assert np.abs(np.subtract.outer(expected, expected)).max() > 2e-2  # so features of other rows would be noticed

    # A cache is only for its precision, side and number of views.
    other = frozen._replace(config=replace(frozen.config, precision="bfloat16"))
    with pytest.raises(AssertionError, match="picture 5 was read"):
        encode_rows(other, database, rows, "rows")


def test_a_backbone_that_was_trained_has_no_cache(monkeypatch, database, models):
    def unasked(*_):
        raise AssertionError("a cache was looked for")

    monkeypatch.setattr(FeatureCache, "find", unasked)
    for name in ("both", "trained"):
        loaded = models[name]
        found = encode_rows(loaded, database, [3, 1], "rows").vectors
        pictures = torch.stack([prepare(database.picture(row), loaded.config.data.side) for row in (3, 1)])
        torch.testing.assert_close(found, encode(loaded, pictures), atol=1e-6, rtol=0)


def test_scores_are_computed_in_the_precision_of_the_training(models):
    """The threshold was chosen in this precision."""
    loaded = models["both"]
    half = loaded._replace(config=replace(loaded.config, precision="bfloat16"))
    pictures, text = some_pictures(), "word1 word7 word3"
    words = torch.tensor([scoring.words_of(loaded, text)])
    # In bfloat16 another memory format changes scores by 8e-5 on some processors.
    as_encoded = pictures.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = loaded.model.encode_pictures(as_encoded), loaded.model.encode_texts(words)
    for one, same in ((half, True), (loaded, False)):
        (block,) = scoring.encode_texts(one, [text])
        for found, wanted in zip((encode(one, pictures), block.vectors), expected):
            assert found.dtype == torch.float32
            assert ((found - wanted).abs().max() < 1e-5) == same
