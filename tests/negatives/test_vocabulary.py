import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from negatives import vocabulary as vocabulary_lib
from negatives.vocabulary import CATEGORIES, COLOURED, SIDED, WRITTEN, read

ROOT = Path(vocabulary_lib.__file__).parent.parent
TEXT = vocabulary_lib.FILE.read_text(encoding="utf-8")


def line_of(text, part):
    """The number of the only line that contains `part`."""
    (number,) = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    return number


# (old text of the file, new text, a part of the line that the error must name, a part of its message)
MISTAKES = {
    "unknown section": ("[fixed]", "[fixes]", "[fixes]", "unknown section 'fixes'; expected one of pools, near"),
    "missing section": ("[picture]\n", "", "# The vocabulary of hard", "the section [picture] is missing"),
    "invalid TOML": ('number.digit = ["2"', 'number.digit = ["2', "number.digit =", "Unclosed array"),
    "text without an end": ('shades = "light', "shades = light", "shades = light", "Invalid value"),
    "a pool twice": ("number.digit =", "number.word =", 'number.word = ["2"', "Cannot overwrite a value"),
    "wrong type of pool": (
        'gender.child = ["boy", "girl"]',
        "gender.child = 3",
        "gender.child = 3",
        "a list of texts",
    ),
    "wrong type of a group": ('["boy", "girl"]', '["boy", 3]', 'gender.child = ["boy", 3]', "list of texts"),
    "empty group": ('["boy", "girl"]', '["boy", ""]', 'gender.child = ["boy", ""]', "has an empty text"),
    "one group": ('["boy", "girl"]', '["boy girl"]', 'gender.child = ["boy girl"]', "needs two groups or more"),
    "no name of a pool": (
        "gender.child",
        "child",
        'child = ["boy", "girl"]',
        "must be like colour.any (category.pool), not 'child'",
    ),
    "word twice in a group": (
        '"green lime olive"',
        '"green lime green"',
        '"green lime green"',
        "'green' is in one text of colour.any twice",
    ),
    "a word in two groups": (
        '"green lime olive"',
        '"green lime -red"',
        '"green lime -red"',
        "'red' is in colour.any twice",
    ),
    "a mark alone": (
        '["boy", "girl"]',
        '["boy -", "girl"]',
        'gender.child = ["boy -"',
        "(+, - or =) without a word",
    ),
    "capital letter": ('["boy", "girl"]', '["boy", "Girl"]', 'gender.child = ["boy", "Girl"]', "must be lower case"),
    "unknown pool": ('object.tool = ["oar', 'object.tol = ["oar', 'object.tol = ["oar', "unknown pool 'object.tol'"),
    "unknown word of a pool": ('"oar shovel"', '"oar showel"', '"oar showel"', "'showel' is not a word of the pool"),
    "unknown pool in list": (
        "  object.tool object.table",
        "  object.tol object.table",
        "  object.tol ",
        "'object.tol'",
    ),
    "wrong type of a list": (
        'star = "star"',
        'star = ["star"]',
        'star = ["star"]',
        "must be a text in quotes, such as star = ",
    ),
    "a word twice in a list": (
        'star = "star"',
        'star = "star star"',
        'star = "star star"',
        "'star' is in one text of star twice",
    ),
    "unknown key": ('sided = "', 'sidded = "', 'sidded = "', "[picture] unknown key 'sidded'"),
    "missing key": ('shades = "', '# shades = "', "[exchange]", "[exchange] the key 'shades' is missing"),
    "unknown condition": ('has = "@jumping"', 'haz = "@jumping"', 'haz = "', "unknown condition 'haz'"),
    "unknown list": ('"@pouring"', '"@poring"', '"@poring"', "unknown list '@poring'"),
    "unknown category": ('{ near = "*animal" }', '{ near = "*animals" }', '{ near = "*animals" }', "unknown category"),
    "wrong type of a condition": ("{ human = false", '{ human = "no"', '{ human = "no"', "human must be true or false"),
    "wrong type of words": ('words = "bubble"', "words = 3", "words = 3", "words must be a text in quotes"),
    "no row": (
        'state.curly = { noun = "hair" }',
        'state.curly = "hair"',
        'state.curly = "hair"',
        "a row of conditions",
    ),
    "pool of a row": (
        "state.curly = {",
        "state.curled = {",
        "state.curled = {",
        "unknown pool 'state",
    ),
    "last resort": (
        '"on", last_resort = "always"',
        '"on", last_resort = "ever"',
        '"ever"',
        '"only" or "always"',
    ),
    "nothing to avoid": (', avoid = "@star"', "", 'pattern.mark = { has = "*animal" }', "[avoid] every row needs"),
    "avoid in fits": (
        'state.curly = { noun = "hair" }',
        'state.curly = { noun = "hair", avoid = "star" }',
        'avoid = "star" }',
        "[fits] unknown condition 'avoid' in state.curly",
    ),
    "unknown form": ("one_form =", "one_from =", "one_from =", "[forms] unknown key 'one_from'"),
}


@pytest.mark.parametrize(("old", "new", "place", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_the_error_names_the_line_and_the_mistake(tmp_path, old, new, place, expected):
    assert TEXT.count(old) >= 1
    text = TEXT.replace(old, new, 1)
    file = tmp_path / "words.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError) as error:
        read(file)
    name, line, message = str(error.value).split(":", 2)
    assert (name, int(line)) == ("words.toml", line_of(text, place)), message
    assert expected in message


def test_the_line_of_a_word_in_a_long_text(tmp_path):
    """The second mention, lines below the first and the key."""
    (tmp_path / "words.toml").write_text(TEXT.replace("\n  cello\n", "\n  guitar\n"), encoding="utf-8")
    with pytest.raises(ValueError, match="'guitar' is in one text of instrument twice") as error:
        read(tmp_path / "words.toml")
    assert int(str(error.value).split(":")[1]) == line_of(TEXT, "  cello")


ADDED = """
import sys
from negatives import slots
from negatives.text import Parse
from negatives.vocabulary import CATEGORIES, FILE, pools, words_of
assert str(FILE).startswith(sys.argv[1]), FILE
assert "quokkas" in words_of("animal") and any("quokka" in group for group in CATEGORIES["animal"])
found = Parse("Two quokkas run", (0, 4, 12), (3, 11, 15), ("two", "quokka", "run"), ("CD", "NNS", "VBP"), (1, 2, 2),
              ("nummod", "nsubj", "ROOT"))
(slot,) = [slot for slot in slots.find_slots(found) if slot.category == "animal"]
assert (slot.word, slot.form, slot.pool) == ("quokka", "NNS", "animal.any")
assert "cat" in {word for group in pools()[slot.pool] for word in group.targets}
"""


def test_a_word_is_added_by_editing_only_the_file(tmp_path):
    """A word that is added to a group is read, inflected, found in a caption, and can be drawn."""
    shutil.copytree(ROOT / "negatives", tmp_path / "negatives")
    assert TEXT.count('"kangaroo",') == 1
    file = tmp_path / "negatives" / "vocabulary.toml"
    file.write_text(TEXT.replace('"kangaroo",', '"kangaroo",\n  "quokka",'), encoding="utf-8")
    subprocess.run([sys.executable, "-c", ADDED, str(tmp_path)], cwd=tmp_path, check=True, env=os.environ)


def test_a_category_without_a_rule_is_an_error(tmp_path):
    """New words need only the file; a new category also needs a rule, and the error says so."""
    shutil.copytree(ROOT / "negatives", tmp_path / "negatives")
    file = tmp_path / "negatives" / "vocabulary.toml"
    file.write_text(TEXT.replace("\nnumber.word =", '\nsound.any = ["bark", "meow"]\nnumber.word ='), encoding="utf-8")
    code = "from negatives.slots import find_slots; from negatives.text import Parse; find_slots(Parse('', *[()] * 6))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1 and "has the category 'sound', for which negatives/slots.py has no rule" in done.stderr


def test_groups_do_not_overlap_within_a_pool():
    """Also not in their inflected forms; the reader checks only the words as they are written."""
    for pool, groups in vocabulary_lib.pools().items():
        seen = Counter(word for group in groups for word in group.words)
        assert [word for word, count in seen.items() if count > 1] == [], pool


@pytest.mark.parametrize(
    ("pool", "word", "other"),
    [
        ("colour.any", "red", "orange"),
        ("colour.any", "grey", "black"),
        ("vehicle.large", "ambulance", "truck"),
        ("animal.any", "dog", "wolf"),
        ("clothing.one", "uniform", "jacket"),
        ("food.dish", "hot dog", "sandwich"),
    ],
)
def test_words_that_can_be_true_together_never_replace_each_other(pool, word, other):
    near = {
        entry.word: entry.near
        for found in vocabulary_lib.entries().values()
        for entry in found
        if entry.pool == pool and entry.word in (word, other)
    }
    assert other in near[word] and word in near[other]


def test_words_after_an_arrow_can_replace_each_other():
    near = {entry.word: entry.near for found in vocabulary_lib.entries().values() for entry in found}
    rows = vocabulary_lib.VOCABULARY.near["food.mass"]
    assert ({"cheese"}, {"pizza", "pasta", "bread"}) in rows and ({"pizza", "pasta", "bread"}, {"cheese"}) in rows
    assert "pasta" not in near["pizza"] and "cheese" in near["pasta"]


def test_required_categories_and_scene_words():
    required = """colour object number gender person animal clothing food vehicle place material pattern shape size
        relation state action weather"""
    assert set(required.split()) == set(CATEGORIES)
    every = {word for groups in CATEGORIES.values() for group in groups for word in group}
    scenes = """red green blue yellow orange purple pink brown black white small little tiny medium large big huge
        plain striped dotted apple ball balloon bird boat book butterfly car cat cup fish flower hat heart house kite
        lamp mushroom shirt star tree umbrella cube clock key beach desert meadow mountain room stage snow
        left right above below one two three four"""
    assert set(scenes.split()) <= every


def test_words_that_a_changed_picture_makes_false():
    assert {"left", "rightmost"} <= SIDED and {"sign", "lettering"} <= WRITTEN
    assert {"red", "reds", "greenish", "rainbow", "brighter"} <= COLOURED
    assert "dog" not in SIDED | WRITTEN | COLOURED


def test_phrases_and_irregular_forms():
    assert "in front of" in vocabulary_lib.pools()["relation.depth"][0].words
    assert vocabulary_lib.inflect("fish", "NNS") == "fish" and vocabulary_lib.inflect("cafe", "NNS") == "cafes"
    assert vocabulary_lib.inflect("fire truck", "NNS") == "fire trucks"
    assert "no one" in vocabulary_lib.VOCABULARY.fixed


def test_every_list_is_used():
    """A list that nothing uses is left over, or its name in a rule is misspelled."""
    code = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "negatives").glob("*.py")))
    lists = [*vocabulary_lib.LIST, *vocabulary_lib.VOCABULARY.exchange.lists, *vocabulary_lib.VOCABULARY.add.lists]
    assert [name for name in lists if f'"{name}"' not in code and f"@{name}" not in TEXT] == []
