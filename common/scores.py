"""Scores from the vectors of pictures and texts: for pairs, and for all pictures with all texts.

N pictures, T texts, B pairs of a picture and a text; P patches of a picture, L words of the longest text, V vectors of
a picture or a text, D their width. `Architectures.SiameseModel` and exported models are subclasses of `Scorer`.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from common.patch_word import patch_word_matrix, patch_word_score, word_cosines
from common.world import World
from Config import ModelConfig

# Weight of the pooled score in the verdict score. The pooled score finds a picture's own caption among thousands, but
# does not detect one false word among twelve. On 491 photographs, with weights 0, 0.1, 0.2 and 0.5, balanced accuracy
# was .720, .716, .713 and .681 on hard negatives, and .898, .910, .922 and .938 on captions of other photographs. The
# weight is not learned: a single number changes by at most the learning rate in a step and stays near its initial
# value, and the pooled score has memorised the captions of the training photographs.
VERDICT_BLEND = 0.1
# The scores of the head are tanh(logit / LOGITS_PER_SCORE): even for a logit of 8 the score is .96 and not 1, so that
# sure texts can be compared, and a logistic function of the score is nearly one of the logit.
LOGITS_PER_SCORE = 4.0
PAIRS_AT_ONCE = 1024  # for the head: 200 MB with 16 words, 64 patches and width 128


class ScoreParts(NamedTuple):
    """The pooled and the patch-word score in [-1, 1]: (B,) of pairs, or (N, T) of all pictures with all texts.

    A score that the model does not have is None.
    """

    pooled: Tensor | None
    patch_word: Tensor | None

    @property
    def decisive(self) -> Tensor:
        """patch_word, which detects a single false word, or pooled if the model has no patch_word."""
        score = self.pooled if self.patch_word is None else self.patch_word
        assert score is not None
        return score


class Evidence(NamedTuple):
    """Verdict scores of B pairs, and what each word contributes."""

    scores: Tensor  # (B,) verdict scores
    words: Tensor  # (B, L) how well each word fits, in [-1, 1]
    heat: Tensor  # (B, L, P) with the head: where each word looks, 1 at most; else the cosine with each patch


class Scorer(nn.Module, ABC):
    """Scores from the vectors of pictures and texts. Subclasses make the vectors: `SiameseModel`, or an exported model.

    The threshold is compared with the verdict score. The ranking score orders the texts of a picture, and the pictures
    of a text.
    """

    def __init__(self, model: ModelConfig):
        super().__init__()
        self.scores_words = model.score in ("patch_word", "both")
        whole = (model.whole_width or model.width) if model.score in ("pooled", "both") else 0
        self.whole_rows, self.sharpness = whole // model.width, model.sharpness
        self.has_head = model.head == "attention"
        # Rows of a patch or word: the one of the cosines; with a head, what it reads; with evidence, a word's name.
        self.rows_per_patch = 1 + self.has_head
        self.rows_per_word = 1 + self.has_head * (1 + model.evidence)
        # Weight of the pooled score in the ranking score, before a sigmoid.
        self.ranking_blend = nn.Parameter(torch.zeros(())) if model.score == "both" else None
        self.world: World | None = None  # what it has seen; None if that is not known

    @property
    def trained_on(self) -> str:
        """Number and kind of the training pictures, for example "6,036 drawn scenes"; "" if that is not known."""
        return "" if self.world is None else self.world.trained_on

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device where pictures and texts must be."""

    @abstractmethod
    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) of bytes -> unit vectors (N, V, D)."""

    @abstractmethod
    def encode_and_measure(self, pictures: Tensor) -> tuple[Tensor, Tensor | None]:
        """The vectors of `encode_pictures`, and how unlike the training pictures each picture is (N,), see World.

        The second is None if that is not known.
        """

    @abstractmethod
    def encode_texts(self, words: Tensor) -> Tensor:
        """Word indices (T, L) -> vectors (T, V, D), see TextEncoder."""

    def picture_parts(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Split vectors (N, V, D) of pictures into whole pictures (N, whole width) and patches (N, P, D).

        A part that the model does not use is empty.
        """
        return vectors[:, : self.whole_rows].flatten(1), vectors[:, self.whole_rows :: self.rows_per_patch]

    def text_parts(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The same of texts: whole texts (T, whole width) and words (T, L, D)."""
        return vectors[:, : self.whole_rows].flatten(1), vectors[:, self.whole_rows :: self.rows_per_word]

    def head_patches(self, vectors: Tensor) -> Tensor:
        """The patches (N, P, D) that the head reads, of vectors (N, V, D) of pictures."""
        return vectors[:, self.whole_rows + 1 :: self.rows_per_patch]

    def pair_scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Verdict scores (B,) of picture i with text i, from their vectors (B, V, D)."""
        if self.has_head:
            return self.evidence(pictures, texts).scores
        return self.verdict(self.pair_parts(pictures, texts))

    def all_scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Verdict scores (N, T) of every picture with every text, from their vectors (N, V, D) and (T, V, D)."""
        if self.has_head:
            blocks = pictures.split(max(1, PAIRS_AT_ONCE // len(texts)))
            return torch.cat([self.head_scores(some, texts) for some in blocks])
        return self.verdict(self.all_parts(pictures, texts))

    def head_scores(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """The same for a model with a head, all pairs at once."""
        mine, theirs = pictures.repeat_interleave(len(texts), 0), texts.repeat(len(pictures), 1, 1)
        return self.evidence(mine, theirs).scores.view(len(pictures), len(texts))

    def evidence(self, pictures: Tensor, texts: Tensor) -> Evidence:
        """Verdict scores and word evidence of picture i with text i, from their vectors (B, V, D)."""
        (_, patches), (_, words) = self.picture_parts(pictures), self.text_parts(texts)
        cosines = word_cosines(patches, words).float()
        return Evidence(self.pair_scores(pictures, texts), cosines.amax(-1), cosines)

    def pair_ranking(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Ranking scores (B,) of picture i with text i, from their vectors (B, V, D)."""
        return self.ranking(self.pair_parts(pictures, texts))

    def all_ranking(self, pictures: Tensor, texts: Tensor) -> Tensor:
        """Ranking scores (N, T) of every picture with every text, from their vectors (N, V, D) and (T, V, D)."""
        return self.ranking(self.all_parts(pictures, texts))

    def pair_parts(self, pictures: Tensor, texts: Tensor) -> ScoreParts:
        """Both scores (B,) of picture i with text i, from their vectors (B, V, D)."""
        (picture, patches), (text, words) = self.picture_parts(pictures), self.text_parts(texts)
        return ScoreParts(
            (picture * text).sum(-1).float() if self.whole_rows else None,
            patch_word_score(patches, words, self.sharpness) if self.scores_words else None,
        )

    def all_parts(self, pictures: Tensor, texts: Tensor) -> ScoreParts:
        """Both scores (N, T) of every picture with every text, from their vectors (N, V, D) and (T, V, D)."""
        (picture, patches), (text, words) = self.picture_parts(pictures), self.text_parts(texts)
        return ScoreParts(
            (picture @ text.T).float() if self.whole_rows else None,
            patch_word_matrix(patches, words, self.sharpness) if self.scores_words else None,
        )

    def verdict(self, scores: ScoreParts) -> Tensor:
        """The verdict score: patch_word with some of pooled if the model has both, see VERDICT_BLEND."""
        if scores.pooled is None or scores.patch_word is None:
            return scores.decisive
        return torch.lerp(scores.patch_word, scores.pooled, VERDICT_BLEND)

    def ranking(self, scores: ScoreParts) -> Tensor:
        """The ranking score: a learned weighted mean if the model has both scores."""
        if scores.pooled is None or scores.patch_word is None or self.ranking_blend is None:
            return scores.decisive
        return torch.lerp(scores.patch_word, scores.pooled, self.ranking_blend.sigmoid())


def to_score(logits: Tensor) -> Tensor:
    """Logits of the head as scores in [-1, 1]."""
    return torch.tanh(logits / LOGITS_PER_SCORE)
