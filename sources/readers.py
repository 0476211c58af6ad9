"""Old names of what is now one file a source; import from those files."""

from sources.coco import coco_identity
from sources.files import find_file, parse_json, read_lines, stream_json
from sources.flickr import flickr_identity
from sources.items import LeftOut, Picture
from sources.pairs import NOTHING, path_below, read_pair
from sources.tables import PAIR_COLUMNS, read_table

__all__ = [
    "NOTHING",
    "PAIR_COLUMNS",
    "LeftOut",
    "Picture",
    "coco_identity",
    "find_file",
    "flickr_identity",
    "parse_json",
    "path_below",
    "read_lines",
    "read_pair",
    "read_table",
    "stream_json",
]
