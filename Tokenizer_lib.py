"""Text to numbers and back: normalising, words, vocabulary, encode, decode.

Case, punctuation and spacing are dropped on purpose. In data sets with generated negatives they can reveal the false
text without the picture: on a published data set the rule "space before punctuation" reached a balanced accuracy of
0.82. A judge that reads them learns to recognise the generator.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

FORMAT = 1
PAD, UNKNOWN = "<pad>", "<unk>"
_WORD = re.compile(r"[\w\u0300-\u036f]+(?:[-'’][\w\u0300-\u036f]+)*")  # accents can be separate characters


class Word(NamedTuple):
    """A word of a text in normal form, and the positions of its characters in the original text."""

    text: str
    start: int
    end: int


@functools.lru_cache(2**16)  # words repeat: 12 microseconds a caption instead of 15
def normalise(word: str) -> str:
    """Lower case, compatibility forms unified (NFKC), one kind of apostrophe."""
    return unicodedata.normalize("NFKC", word).lower().replace("’", "'")


def split_words(text: str) -> list[Word]:
    """Words with their character offsets in `text`. Hyphens and apostrophes inside a word belong to it.

    A possessive 's is dropped ("dog's" -> "dog"), so that the word has the noun's embedding.
    """
    words = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        normal = normalise(match.group())
        if normal.endswith("'s"):
            normal, end = normal[:-2], end - 2
        words.append(Word(normal, start, end))
    return words


class Tokenizer:
    """A vocabulary of words, most frequent first. Index 0 is padding, index 1 every unknown word."""

    def __init__(self, words: Sequence[str]):
        self.words = [PAD, UNKNOWN, *words]
        self.index = {word: i for i, word in enumerate(self.words)}
        if len(self.index) != len(self.words):
            raise ValueError("a vocabulary must not hold a word twice")

    @classmethod
    def build(cls, counts: Mapping[str, int], min_count: int = 1) -> "Tokenizer":
        """Vocabulary of the words that occur at least `min_count` times. counts: of the train split only."""
        kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
        return cls(kept)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str, max_words: int | None = None) -> list[int]:
        """Indices of the first `max_words` words of a text; [1] (<unk>) for a text without words."""
        return self.encode_words(split_words(text)[:max_words])

    def encode_words(self, words: Sequence[Word]) -> list[int]:
        """Indices of the words of a text from `split_words`."""
        return [self.index.get(word.text, 1) for word in words] or [1]

    def decode(self, indices: Iterable[int]) -> str:
        """The words of these indices without padding, joined by spaces."""
        return " ".join(self.words[i] for i in indices if i != 0)

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, "words": self.words[2:]}, ensure_ascii=False, indent=0)

    def save(self, path: Path) -> None:
        path.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a vocabulary; ValueError if another version of the program wrote it."""
        if not path.is_file():
            raise FileNotFoundError(f"no vocabulary at {path}; train a model with: python Main_train.py")
        return cls.from_json(path.read_bytes(), str(path))

    @classmethod
    def from_json(cls, stored: bytes, name: str) -> "Tokenizer":
        """Read what `to_json` wrote, in UTF-8. name: of the file, for the message of a ValueError."""
        try:
            values = json.loads(stored)
            found, words = values["format"], values["words"]
        except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise ValueError(f"{name} is not a vocabulary of this program ({error}); train the model again") from error
        if found != FORMAT:
            raise ValueError(
                f"{name} has vocabulary format {found}, this version reads {FORMAT}; train the model again"
            )
        return cls(words)
