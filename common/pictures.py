"""Pictures: the one way to read a raw file, what the database stores of it, and its perceptual hash.

Training and prediction both read pictures here, so a model never sees another kind of picture in use.
"""

import base64
import hashlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")  # Pillow reads more; EPS starts Ghostscript
MOST_BYTES = 200_000_000  # of a file; photographs of caption datasets have under 10 MB
MOST_PIXELS = 100_000_000  # up to 2 GB while a PNG with transparency is decoded; photographs have under a tenth
MOST_STRETCHED = 10  # long side / short side; squeezed into 224 x 224 the short side keeps 22 pixels
SMALLEST_SIDE = 32  # pixels; what is smaller is a place holder
ORIENTATION = 0x0112  # EXIF tag; 1 is upright, 2 to 8 are mirrored or turned, 5 to 8 lie on their side

# Two files show the same photograph if their hashes differ in at most MOST_BITS of 256 bits and no cell of their 8 x 8
# colour thumbnails by more than MOST_COLOUR of 255. Measured on 7,700 photographs of COCO, Flickr and ADE20K: copies
# that are recompressed (quality 10), reduced to 64 pixels, stretched, or cropped by 1 % stay within 32 bits and 18
# colour levels (99 %: 26 and 16); the nearest two of 29.6 million pairs of different photographs are 78 bits apart.
# The colour keeps a red and a blue shoe on the same white ground apart, which the grey hash alone would not.
MOST_BITS = 31
MOST_COLOUR = 48
HASH_SIDE = 64  # pixels before the cosine transform
THUMBNAIL_SIDE = 8
LEAST_CONTRAST = 3.0  # grey levels (standard deviation); plain areas have no shape to compare. Photographs: 9.6 and up


def stored_picture(path: Path, short_side: int, quality: int) -> tuple[bytes, Image.Image]:
    """The JPEG that the database stores for a picture, and its pixels; an exception says why there is none.

    A JPEG that fits comes back byte for byte, after a full decode has shown that it is whole.
    """
    data = _read(path)
    with _open(data) as image:
        upright = image.getexif().get(ORIENTATION, 1) == 1
        if image.format == "JPEG" and image.mode == "RGB" and upright and min(image.size) <= short_side:
            image.load()
            return data, image.copy()
    picture = decode_picture(data, short_side)
    return encode_jpeg(picture, quality), picture


def open_picture(path: Path, short_side: int) -> Image.Image:
    """A picture file as training saw pictures: as the database stores it, but for the JPEG.

    Raises OSError if the file cannot be read, and ValueError with its path if it is no usable picture.
    """
    try:
        return decode_picture(_read(path), short_side)
    except OSError as error:
        if error.errno is not None:  # the system's; it names the path
            raise
        raise ValueError(f"{path}: {error}") from error
    except Exception as error:  # decoders raise anything on damaged files, and then without the path
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"the file has {size / 1e6:,.0f} MB; at most {MOST_BYTES / 1e6:,.0f} are read")
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:  # a device or a pipe, which has no size
        raise ValueError(f"it has no end; at most {MOST_BYTES / 1e6:,.0f} MB are read")
    return data


def decode_picture(data: bytes, short_side: int) -> Image.Image:
    """A raw picture file as upright 8-bit RGB, its short side reduced to at most `short_side`.

    Raises whatever the decoder does for a file that is no picture, is not whole, or shows nothing.
    """
    with _open(data) as image:
        return reduce_picture(image, short_side, ours=True)


def reduce_picture(image: Image.Image, short_side: int, ours: bool = False) -> Image.Image:
    """A picture as upright 8-bit RGB, its short side reduced to at most `short_side`; see `check_size`.

    ours: nobody else holds the picture, so it may be told to decode itself smaller.
    """
    scale = min(1, short_side / min(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    lies_on_its_side = image.getexif().get(ORIENTATION) in (5, 6, 7, 8)
    # A JPEG decodes itself at 1/2, 1/4 or 1/8 for a fraction of the cost; LANCZOS does what is left.
    if ours:
        image.draft(None, (2 * width, 2 * height))
    picture = to_rgb(ImageOps.exif_transpose(image))
    size = (height, width) if lies_on_its_side else (width, height)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _open(data: bytes) -> Image.Image:
    """Open a picture and check its header: nothing is decoded that would exhaust memory or show nothing."""
    if not data:
        raise ValueError("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is firmer
        try:
            image = Image.open(io.BytesIO(data), formats=PICTURE_FORMATS)
        except Image.UnidentifiedImageError:
            known = f"{', '.join(PICTURE_FORMATS[:-1])} or {PICTURE_FORMATS[-1]}"
            raise ValueError(f"the file is no picture in {known} format") from None
        except Image.DecompressionBombError as error:  # above 179 megapixels Pillow refuses by itself
            raise ValueError(str(error)) from None
    check_size(image)
    return image


def check_size(image: Image.Image) -> None:
    """ValueError for a picture that would exhaust memory, or show nothing."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels: more than {MOST_PIXELS // 1_000_000} megapixels")
    if max(width, height) > MOST_STRETCHED * min(width, height):
        raise ValueError(f"{width} x {height} pixels: one side is over {MOST_STRETCHED} times the other")
    if min(width, height) < SMALLEST_SIDE:
        raise ValueError(f"{width} x {height} pixels: a side is under {SMALLEST_SIDE}")


def to_rgb(image: Image.Image) -> Image.Image:
    """The first frame as 8-bit RGB: 16 bits scaled, not clipped; transparency over white."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.mode.startswith("I"):  # convert("RGB") would clip: all above 255 of 65,535 would be white
        image = image.convert("I")
        darkest, brightest = image.getextrema()
        if darkest < 0 or brightest > 65535:  # type: ignore[operator]
            raise ValueError(f"32-bit pixels from {darkest} to {brightest}, whose range is unknown")
        return image.point(lambda value: value * (255 / 65535) + 0.5).convert("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def encode_jpeg(image: Image.Image, quality: int, full_colour: bool = False) -> bytes:
    """JPEG bytes; `full_colour` keeps colour at full resolution (4:4:4), which thin drawn lines need."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling="4:4:4" if full_colour else "4:2:0")
    return file.getvalue()


class Fingerprint(NamedTuple):
    """What tells whether two pictures are the same photograph, whatever their size and compression."""

    bits: bytes  # 32 bytes: signs of the 16 x 16 lowest frequencies against their median
    colours: bytes  # 8 x 8 x 3 bytes, the RGB thumbnail


def data_url(picture: Image.Image, quality: int, full_colour: bool = False) -> str:
    """The picture inside the text of a web page; see `encode_jpeg`."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(picture, quality, full_colour)).decode()}"


def fingerprint(picture: Image.Image) -> Fingerprint:
    """Perceptual hash of an RGB picture; of one that is too plain for that, a hash of its very pixels.

    Source: the DCT hash of Zauner 2010 (pHash), with 256 bits instead of 64: at 64 bits different photographs come
    as near as 8 bits.
    """
    thumbnail = picture.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX).tobytes()
    grey = np.asarray(picture.convert("L").resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX), dtype=np.float64)
    if grey.std() < LEAST_CONTRAST:
        return Fingerprint(hashlib.blake2b(picture.tobytes(), digest_size=32).digest(), thumbnail)
    # Frequencies 1 to 16; 0 is the brightness of a line or column as a whole, which exposure changes.
    frequencies = _COSINES @ grey @ _COSINES.T
    return Fingerprint(np.packbits(frequencies > np.median(frequencies)).tobytes(), thumbnail)


_COSINES = np.cos(np.pi / (2 * HASH_SIDE) * np.outer(np.arange(1, 17), 2 * np.arange(HASH_SIDE) + 1))


class Fingerprints:
    """Fingerprints of many pictures: bits (N, 32) and colours (N, 192) as bytes."""

    def __init__(self, bits: NDArray[np.uint8], colours: NDArray[np.uint8]):
        self.bits, self.colours = bits, colours

    def distance(self, i: int, j: int) -> int | None:
        """How many bits two pictures of the same photograph differ in; None if they show different ones."""
        apart = np.abs(self.colours[i].astype(np.int16) - self.colours[j]).max()
        bits = int(np.bitwise_count(self.bits[i] ^ self.bits[j]).sum())
        return bits if bits <= MOST_BITS and apart <= MOST_COLOUR else None

    def links(self) -> Iterator[tuple[int, int]]:
        """Pairs (i, j) with i < j of the same photograph, as few as connect all that are connected.

        All pairs would be 4.5 million for 3,000 frames of one camera. None is missed: 16 words of 16 bits that differ
        in at most 31 bits have a word with at most one differing bit (multi-index hashing, Norouzi et al. 2012).
        177,000 fingerprints, as many as COCO, Flickr30k and ADE20K have, take 20 s.
        """
        _, first, which = np.unique(
            np.hstack([self.bits, self.colours]), axis=0, return_index=True, return_inverse=True
        )
        which = which.ravel()
        for twin in np.flatnonzero(first[which] != np.arange(len(self.bits))):
            yield int(first[which[twin]]), int(twin)
        unique = self.bits[first]
        # Bits are dealt out to the words in turn: neighbouring frequencies are alike, and would fill few buckets.
        dealt = np.unpackbits(unique, axis=1).reshape(len(unique), 16, 16).transpose(0, 2, 1)
        words = np.packbits(dealt, axis=2).reshape(len(unique), 32).view(np.uint16)
        packed = unique.view(np.uint64)
        cluster = np.arange(len(unique))
        for column in words.T:
            order = np.argsort(column, kind="stable")
            ranked = column[order]
            for flip in (0, *(1 << bit for bit in range(16))):
                wanted = column ^ np.uint16(flip)
                begin, end = np.searchsorted(ranked, wanted, "left"), np.searchsorted(ranked, wanted, "right")
                for i, j in _candidates(order, begin, end):
                    open_yet = cluster[i] != cluster[j]
                    i, j = i[open_yet], j[open_yet]
                    near = np.bitwise_count(packed[i] ^ packed[j]).sum(axis=1) <= MOST_BITS
                    for a, b in zip(first[i[near]].tolist(), first[j[near]].tolist()):
                        u, v = which[a], which[b]
                        if cluster[u] != cluster[v] and self.distance(a, b) is not None:
                            cluster[cluster == cluster[v]] = cluster[u]
                            yield min(a, b), max(a, b)


def _candidates(
    order: NDArray[np.intp], begin: NDArray[np.intp], end: NDArray[np.intp], most: int = 1_000_000
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Pairs i < j with j among order[begin[i]:end[i]], about `most` at a time."""
    found = end - begin
    total = np.cumsum(found)
    start = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(total, most + (total[start - 1] if start else 0), "right")))
        some = slice(start, stop)
        count = found[some]
        i = np.repeat(np.arange(start, start + len(count)), count)
        j = order[np.arange(count.sum()) - np.repeat(np.cumsum(count) - count - begin[some], count)]
        yield i[i < j], j[i < j]
        start = stop
