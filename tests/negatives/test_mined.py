"""negatives.mined: partners are similar captions that contradict each other's photographs, drawn symmetrically."""

import contextlib
import itertools
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from parses import album, by_hand, parked
from plans import drawn
from scipy import sparse

from DataBase_functions import Database
from Negative_map import Plan
from negatives import mined
from negatives.mined import ENOUGH, Photograph, contradiction, mine, read_facts, sinkhorn
from negatives.parsed_caption import read_captions
from Tokenizer_lib import split_words


def animal(name, verb="runs=run", place="grass"):
    return by_hand(
        f"A:DT:1:det {name}:NN:2:nsubj {verb}:VBZ:2:ROOT on:IN:2:prep the:DT:5:det {place}:NN:3:pobj .:.:2:punct"
    )


def dressed(person, colour, garment):
    return by_hand(
        f"A:DT:1:det {person}:NN:6:nsubj in:IN:1:prep a:DT:5:det {colour}:JJ:5:amod {garment}:NN:2:pobj "
        "smiles=smile:VBZ:6:ROOT .:.:6:punct"
    )


def photograph(*parses):
    """The claims of all captions of a photograph."""
    captions = read_captions(parses)
    facts = [read_facts(caption) for caption in captions]
    return Photograph(
        frozenset(question for fact in facts for question, _, _ in fact.claims),
        captions[0].named,
        frozenset().union(*(fact.content for fact in facts)),
    )


def falsity(caption, *others):
    """How surely a caption is false of a photograph with the captions `others`."""
    (read,) = read_captions([caption])
    return contradiction(read_facts(read), photograph(*others))


@pytest.mark.parametrize(
    ("caption", "others", "expected"),
    [
        # Another animal: 1, and 0.3 for a word that no caption of that photograph has.
        (animal("dog"), [animal("cat")], 1.3),
        (animal("dog"), [animal("dog")], 0),
        (animal("puppy"), [animal("dog")], 0),  # can be the same animal
        (animal("dog"), [animal("cat"), animal("dog", "sleeps=sleep")], 0),  # another caption names a dog too
        (animal("dog"), [parked("red")], 0),  # its captions name no animal
        # A colour contradicts only another colour of the same noun.
        (dressed("man", "red", "shirt"), [dressed("man", "blue", "shirt")], 1.3),
        (dressed("man", "red", "shirt"), [dressed("man", "blue", "shirt"), parked("red")], 0),
        (dressed("man", "red", "shirt"), [dressed("man", "red", "shirt")], 0),
        # A shirt can be in the picture beside the hat: garments weigh 0.5. "Red" and "shirt" are unnamed: 0.3 each.
        (dressed("man", "red", "shirt"), [dressed("man", "blue", "hat")], 0.5 + 0.6),
        (dressed("man", "red", "shirt"), [dressed("woman", "red", "shirt")], 1.3),
    ],
)
def test_contradiction_by_hand(caption, others, expected):
    assert falsity(caption, *others) == pytest.approx(expected)


PARSES = [
    [animal(name, verb, place), animal(name, "sleeps=sleep", place)]
    for name, (verb, place) in itertools.product(
        ("dog", "cat", "rabbit", "horse"), itertools.product(("runs=run", "jumps=jump"), ("grass", "sand"))
    )
]
PARSES += [
    [dressed(person, colour, garment), parked(colour)]
    for person, colour, garment in itertools.product(("man", "woman"), ("red", "blue", "green"), ("shirt", "hat"))
]
PARSES += [[animal("dog"), animal("cat")]]  # the photograph has both


@pytest.fixture(scope="module")
def partners():
    texts, owner = [], []
    for photo, parses in enumerate(PARSES):
        texts += read_captions(parses)
        owner += [photo] * len(parses)
    return texts, owner, mine(texts, owner).toarray()


def test_chances_are_symmetric_and_sum_to_1_at_most(partners):
    _, _, chances = partners
    np.testing.assert_allclose(chances, chances.T, atol=1e-12)
    assert (chances >= 0).all()
    assert chances.sum(1).max() < 1 + 1e-9
    assert np.median(chances.sum(1)) > 0.99


def test_partners_are_of_other_photographs_other_texts_and_false_of_each_other(partners):
    texts, owner, chances = partners
    found = np.argwhere(chances)
    assert len(found) > 100
    for i, j in found:
        assert owner[i] != owner[j]
        assert texts[i].parse.text != texts[j].parse.text
        assert falsity(texts[i].parse, *PARSES[owner[j]]) >= ENOUGH
        assert falsity(texts[j].parse, *PARSES[owner[i]]) >= ENOUGH


def test_captions_that_are_true_of_both_photographs_are_not_partners(partners):
    """The last photograph has a dog and a cat, so a caption about either is true of it."""
    texts, owner, chances = partners
    both = {parse.text for parse in PARSES[-1]}
    found = {texts[j].parse.text for i, j in np.argwhere(chances) if owner[i] == len(PARSES) - 1}
    assert found and not found & both
    alone = {texts[j].parse.text for i, j in np.argwhere(chances) if owner[i] == 0}
    assert "A cat runs on the grass." in alone, "it is false of a photograph with only a dog"


def test_partners_are_similar(partners):
    """Captions without a common word, such as one about a dog and one about a shirt, are never partners."""
    texts, _, chances = partners
    for i, j in np.argwhere(chances):
        assert read_facts(texts[i]).content & read_facts(texts[j]).content


def test_the_most_similar_are_kept(monkeypatch):
    """Partners are the animals on the same ground. A dog on grass and a horse on sand have only "runs" in common."""
    parses = [animal("dog"), animal("cat"), animal("horse", place="sand"), animal("rabbit", place="sand")]
    texts = [text for parse in parses for text in read_captions([parse])]
    apart = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
    # Cosines by hand: 0.40 and 0.10. The rarities are 1 for "run", 1 + ln 2 for the places, 1 + ln 4 for the animals.
    assert mine(texts, range(4)).toarray() == pytest.approx(apart)
    monkeypatch.setattr(mined, "MIN_COSINE", 0.09)
    assert np.count_nonzero(mine(texts, range(4)).toarray()) == 12
    monkeypatch.setattr(mined, "PARTNERS", 1)
    assert mine(texts, range(4)).toarray() == pytest.approx(apart)
    monkeypatch.setattr(mined, "CANDIDATES", 0)
    assert mine(texts, range(4)).nnz == 0


def test_blocks_and_progress(partners, monkeypatch):
    texts, owner, whole = partners
    monkeypatch.setattr(mined, "BLOCK", 10)
    advanced = []
    bar = SimpleNamespace(update=advanced.append)
    monkeypatch.setattr(mined, "progress", lambda *_: contextlib.nullcontext(bar))
    chances = mine(texts, owner).toarray()
    assert sum(advanced) == len(texts)
    np.testing.assert_allclose(chances, chances.T, atol=1e-12)
    assert 0 < np.count_nonzero(chances) < np.count_nonzero(whole)


def test_the_result_is_deterministic(partners):
    texts, owner, chances = partners
    assert (mine(texts, owner).toarray() == chances).all()


@pytest.mark.parametrize("parses", [[animal("dog")], [by_hand("The:DT:0:ROOT"), by_hand("A:DT:0:ROOT")]])
def test_captions_without_a_partner(parses):
    texts = [text for parse in parses for text in read_captions([parse])]
    chances = mine(texts, range(len(texts)))
    assert chances.shape == (len(texts), len(texts))
    assert chances.nnz == 0


def test_sinkhorn_of_three_by_hand():
    """There is only one symmetric 3 x 3 matrix with zero diagonal whose rows sum to 1, whatever the weights are."""
    weights = sparse.csr_matrix(np.array([[0, 1, 5], [1, 0, 0.2], [5, 0.2, 0]]))
    np.testing.assert_allclose(sinkhorn(weights).toarray(), (1 - np.eye(3)) / 2, atol=1e-3)


def test_sinkhorn_keeps_symmetry_where_rows_cannot_reach_1():
    """Three captions have only the fourth as a partner. It is drawn once in all, so their sums are below 1."""
    star = np.zeros((5, 5))
    star[3, :3] = star[:3, 3] = (1, 2, 4)
    scaled = sinkhorn(sparse.csr_matrix(star)).toarray()
    np.testing.assert_allclose(scaled, scaled.T)
    sums = scaled.sum(1)
    assert sums[3] == pytest.approx(1, abs=1e-6) and sums[:3].sum() == pytest.approx(1, abs=1e-6)
    assert (sums[:3] > 0.05).all() and sums[4] == 0


def test_sinkhorn_of_a_random_matrix():
    rng = np.random.default_rng(0)
    weights = np.triu(rng.random((40, 40)) * (rng.random((40, 40)) < 0.3), 1)
    scaled = sinkhorn(sparse.csr_matrix(weights + weights.T)).toarray()
    np.testing.assert_allclose(scaled, scaled.T)
    np.testing.assert_allclose(scaled.sum(1), 1, atol=0.01)
    assert ((scaled > 0) == (weights + weights.T > 0)).all()
    early = sinkhorn(sparse.csr_matrix(weights + weights.T), rounds=1).toarray()
    np.testing.assert_allclose(early, early.T)
    assert early.sum(1).max() < 1 + 1e-9, "no row may sum to more than 1, also after few rounds"


# Drawing


@pytest.fixture(scope="module")
def tiny(databases):
    return Database(databases / "tiny")


def test_a_mined_negative_is_a_caption_of_another_photograph_of_the_split(tiny):
    plan, rows_with = tiny.plan, defaultdict(set)
    for caption in range(len(plan)):
        rows_with[plan.text(caption)].add(int(plan.row_of[caption]))
    for caption, negative in drawn(plan, "mined"):
        row = int(plan.row_of[caption])
        assert row not in rows_with[negative.text]
        assert any(tiny.split_of[other] == tiny.split_of[row] for other in rows_with[negative.text])
        before, after = ({word.text for word in split_words(text)} for text in (plan.text(caption), negative.text))
        marked = {word.text for word in split_words(" ".join(negative.text[a:b] for a, b in negative.changed))}
        assert marked == after - before


def test_two_rows_of_one_photograph_are_not_partners(tmp_path):
    """The same photograph can be stored twice, with different captions."""

    def caption(animal):
        return [by_hand(f"A:DT:1:det {animal}:NN:2:nsubj sleeps=sleep:VBZ:2:ROOT on:IN:2:prep grass:NN:3:pobj")]

    parses = [caption("dog"), caption("cat")]
    apart = Plan.open(album(tmp_path / "apart", parses))
    assert {negative.text for _, negative in drawn(apart, "mined")} == {parses[0][0].text, parses[1][0].text}
    together = Plan.open(album(tmp_path / "together", parses, groups=["same", "same"]))
    assert not list(drawn(together, "mined"))
