"""Mixing: patches attend to each other, before words see them.

N pictures, P patches, C channels of the backbone's features, D width, H attention heads.
"""

from torch import Tensor, nn

from common.grounding import grid_places, grid_side, waves


class PatchLayer(nn.Module):
    """Patches attend to each other, then each has an MLP: (N, P, D) -> (N, P, D). Source: Dosovitskiy et al. 2021."""

    def __init__(self, width: int, dropout: float, heads: int = 8):
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), self.dropout, nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        split = self.query_key_value(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind()  # each (N, H, P, D / H)
        attention = (query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)).float().softmax(-1)
        seen = (attention.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(seen))
        return x + self.dropout(self.mlp(self.norm_mlp(x)))


class PatchMixer(nn.Module):
    """A small transformer over the patches of a picture: features (N, P, C) -> (N, P, D).

    A frozen backbone has learned the classes of ImageNet, but neither men and women nor clothes. Patches learn them
    here from the boxes of captions, each with the help of the others. After 4 epochs of the tag loss on Flickr30k
    Entities, a validation box of "man" or "woman" got the right word in .78 of the cases without these layers, and in
    .82 with two.
    """

    def __init__(self, channels: int, width: int, layers: int, dropout: float):
        super().__init__()
        self.reduce, self.place = nn.Linear(channels, width), nn.Linear(12, width)
        nn.init.zeros_(self.place.weight)
        self.layers = nn.Sequential(*(PatchLayer(width, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, patches: Tensor) -> Tensor:
        places = waves(grid_places(grid_side(patches.shape[1]), patches.device))
        return self.norm(self.layers(self.reduce(patches) + self.place(places)))
