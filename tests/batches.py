"""Batches of the database `tiny`, for the tests that follow pictures and words into them."""

from Config import DataConfig, NegativesConfig
from DataBase_functions import PairDataset
from Tokenizer_lib import Tokenizer, split_words

MIXED, SWAPS_ALONE = NegativesConfig(), NegativesConfig(exchange=0, mined=0)


def make_dataset(database, augmentation=None, negatives=MIXED, part=(0, 1), **data):
    settings = DataConfig(name="tiny", side=64, batch_pictures=8, **data)
    tokenizer = Tokenizer.build(database.word_counts)
    return PairDataset(database, tokenizer, settings, negatives, augmentation, seed=5, part=part)


def words_of(text):
    return {word.text for word in split_words(text)}
