"""Batches of the database `tiny`, for the tests that follow pictures and words into them."""

import pyarrow as pa

from Config import DataConfig, NegativesConfig
from DataBase_functions import Database, PairDataset
from Tokenizer_lib import Tokenizer, split_words

MIXED, SWAPS_ALONE = NegativesConfig(), NegativesConfig(exchange=0, mined=0)


def make_dataset(database, augmentation=None, negatives=MIXED, part=(0, 1), without=frozenset(), **data):
    settings = DataConfig(name="tiny", side=64, batch_pictures=8, **data)
    tokenizer = Tokenizer.build(database.word_counts)
    return PairDataset(database, tokenizer, settings, negatives, augmentation, seed=5, part=part, without=without)


def words_of(text):
    return {word.text for word in split_words(text)}


def changed_rows(database, column, change):
    """The same database, opened again, with another content of a column: change(row, old value) -> new value.

    Only in memory: a loader process does not see it.
    """
    changed = Database(database.folder)
    values = [change(row, value) for row, value in enumerate(changed.table.column(column).to_pylist())]
    place, field = changed.table.schema.get_field_index(column), changed.table.schema.field(column)
    changed.table = changed.table.set_column(place, field, pa.chunked_array([pa.array(values, field.type)]))
    return changed


def labelled(database, *texts):
    """`database`, in which every photograph has these mismatches: (text, kind)."""
    rows = [{"text": text, "kind": kind, "source": "snli_ve"} for text, kind in texts]
    return changed_rows(database, "mismatches", lambda row, _: rows)
