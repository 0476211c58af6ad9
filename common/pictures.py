"""Pictures: reading a raw file, the JPEG that a database stores, and the perceptual hash that finds duplicates.

Training and prediction both read pictures here, so that a model sees the same preprocessing in both.
"""

import base64
import contextlib
import hashlib
import io
import logging
import os
import re
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")  # Pillow reads more; EPS starts Ghostscript
MOST_BYTES = 200_000_000  # of a file; photographs of caption datasets have under 10 MB
MOST_PIXELS = 100_000_000  # photographs have under a tenth
MOST_MEMORY = (
    1_000_000_000  # bytes while a picture is decoded, by `memory_of`; 100 megapixels of an RGB PNG take 0.8 GB
)
MOST_STRETCHED = 10  # long side / short side; a square input of 224 pixels shrinks 256 x 2560 by 11 along one side
BAND = 1_000_000  # pixels that are converted to RGB at once, in up to 16 MB
SMALLEST_SIDE = 32  # pixels; smaller files are placeholders
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Pillow's log goes to stderr, beside our one line

ORIENTATION = 0x0112  # EXIF tag; 1 is upright, 2 to 8 are mirrored or rotated, 5 to 8 swap width and height
UNKNOWN_ORIENTATION = 0  # shown upright
TILE_WIDTH, TILE_HEIGHT = 322, 323  # tags of a TIFF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A progressive JPEG is decoded once for each of its scans, and an empty scan has 100 bytes: 2 MB with 22,000 scans took
# 100 s. Encoders write 10, MozJPEG up to 64 when it tries them all.
MOST_SCANS = 100
MOST_SCANNED = 1_000_000_000  # pixels times scans: 100 megapixels with 10 scans

# What is decoded of a PNG: besides its critical chunks (whose names have a capital) transparency, frames, orientation.
PNG_START, PNG_CHUNKS = b"\x89PNG\r\n\x1a\n", (b"tRNS", b"acTL", b"fcTL", b"fdAT")
PNG_ORIENTATION = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # texts that can have it, beside eXIf
MOST_TEXT = 2**20  # bytes of such a text; Pillow refuses the picture if it has more

# Two files show the same photograph if their hashes differ in at most MOST_BITS of 256 bits, and no cell of their 8 x 8
# colour thumbnails differs by more than MOST_COLOUR of 255. Measured on 7,700 photographs of COCO, Flickr and ADE20K:
# files that are recompressed (quality 10), reduced to 64 pixels, stretched, or cropped by 1 % stay within 32 bits and
# 18 colour levels (99 %: 26 and 16). The smallest distance in 29.6 million comparisons of different photographs is 78.
# The thumbnails separate a red and a blue shoe on the same white ground, which the grey hash cannot.
MOST_BITS = 31
MOST_COLOUR = 48
HASH_SIDE = 64  # pixels before the cosine transform
THUMBNAIL_SIDE = 8
LEAST_CONTRAST = 3.0  # standard deviation of grey levels; a plainer picture has no shape. Photographs have over 9.6


def stored_picture(path: Path, short_side: int, quality: int) -> tuple[bytes, Image.Image]:
    """The JPEG that the database stores for a picture, and the picture. Raises what `decode_picture` raises.

    An upright RGB JPEG that is small enough is stored byte for byte; it is decoded once to check that it is complete.
    """
    data = _read(path)
    with _open(data) as image:
        upright = orientation_of(image) == 1
        if image.format == "JPEG" and image.mode == "RGB" and upright and min(image.size) <= short_side:
            image.load()
            return data, image.copy()
    picture = decode_picture(data, short_side)
    return encode_jpeg(picture, quality), picture


def open_picture(path: Path, short_side: int) -> Image.Image:
    """Read a picture file with the preprocessing of the database, except the JPEG compression.

    OSError if the file cannot be read, ValueError with its path if it is not a usable picture.
    """
    try:
        return decode_picture(_read(path), short_side)
    except OSError as error:
        if error.errno is not None:  # from the operating system, with the path
            raise
        raise ValueError(f"{path}: {why_not_decoded(error)}") from error
    except Exception as error:  # decoders raise any exception on damaged files, without the path
        raise ValueError(f"{path}: {why_not_decoded(error)}") from error


def open_bytes(data: bytes, short_side: int) -> Image.Image:
    """`open_picture` of the bytes of a picture file. ValueError if they are not a usable picture."""
    require_size(len(data))
    try:
        return decode_picture(data, short_side)
    except Exception as error:  # decoders raise any exception on damaged files
        raise ValueError(why_not_decoded(error)) from error


def read_stream(file: BinaryIO) -> bytes:
    """The bytes of a file object from its current position to its end; it stays open.

    ValueError if there are more than MOST_BYTES, or if the file object gives text.
    """
    data = bytearray()
    while part := file.read(MOST_BYTES + 1 - len(data)):  # an unbuffered stream may give less than was asked for
        if not isinstance(part, bytes):
            raise ValueError('the file object gives text instead of bytes; open the file with mode "rb"')
        data += part
        if len(data) > MOST_BYTES:  # a device or a pipe, which has no size
            raise ValueError(f"it does not end; at most {MOST_BYTES / 1e6:,.0f} MB are read")
    return bytes(data)


def require_size(size: int) -> None:
    """ValueError above MOST_BYTES."""
    if size > MOST_BYTES:
        raise ValueError(f"the file has {size / 1e6:,.0f} MB; at most {MOST_BYTES / 1e6:,.0f} are read")


def _read(path: Path) -> bytes:
    """The bytes of a file. ValueError above MOST_BYTES."""
    require_size(path.stat().st_size)
    with path.open("rb") as file:
        return read_stream(file)


def decode_picture(data: bytes, short_side: int) -> Image.Image:
    """The bytes of a picture file as an upright 8-bit RGB picture, its short side reduced to at most `short_side`.

    ValueError from `check_size`; any exception of the decoder if it is not a picture or is cut off.
    """
    with _open(data) as image:
        return reduce_picture(image, short_side, ours=True)


def memory_of(image: Image.Image) -> int:
    """Bytes that decoding a picture takes at most: an estimate from its header, before anything is decoded.

    Measured with Pillow 12.3: the estimates are 1 to 1.6 times what is taken. The largest parts are the pixels as they
    are stored, a turned copy, and the RGB picture; JPEGs are decoded at a smaller size.
    """
    pixels = image.width * image.height
    if image.format in ("JPEG", "MPO"):  # a progressive one keeps its coefficients, 2 bytes each
        return 2 * len(image.getbands()) * pixels if image.info.get("progressive") else 0
    stored = pixels * (1 if image.mode in ("1", "L", "P") else 2 if image.mode.startswith("I;16") else 4)
    total = 2 * stored + (0 if image.mode == "RGB" else 4 * pixels)
    if image.format == "WEBP":  # two canvases of the animation, the frame as bytes, and the decoder's own copy
        total += 12 * pixels
    if image.format == "TIFF":  # a strip can be the whole picture, and a tile can be larger
        tags, depth = image.tag_v2, 8 * max(1, stored // max(1, pixels))  # type: ignore[attr-defined]
        width, height = (_number(tags.get(tag)) for tag in (TILE_WIDTH, TILE_HEIGHT))
        total += max(pixels, width * height) * depth // 8
    return total


def require_memory(image: Image.Image) -> None:
    """ValueError for a picture whose decoding would take more than MOST_MEMORY."""
    if (needed := memory_of(image)) > MOST_MEMORY:
        raise ValueError(
            f"{image.width} x {image.height} pixels ({image.format}, {image.mode}) take {needed / 1e9:.1f} GB of "
            f"memory to decode; at most {MOST_MEMORY / 1e9:g} GB are used: reduce the picture, or save it as JPEG"
        )


def _number(value: object) -> int:
    """The value of a tag that should be a number; 0 if it is absent or something else."""
    if isinstance(value, tuple):
        value = max((one for one in value if isinstance(one, int)), default=0)
    return value if isinstance(value, int) else 0


def reduce_picture(image: Image.Image, short_side: int, ours: bool = False) -> Image.Image:
    """The picture as upright 8-bit RGB, its short side reduced to at most `short_side`; check its size before.

    ours: the image is not used afterwards, so a JPEG can be decoded at a smaller size, which changes the image object.
    """
    scale = min(1, short_side / min(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    orientation = orientation_of(image)
    # Decoding a JPEG at 1/2, 1/4 or 1/8 of its size is several times faster; LANCZOS does the rest.
    if ours:
        image.draft(None, (2 * width, 2 * height))
    turn = TURNS.get(orientation)
    picture = image if turn is None else image.transpose(turn)
    size = (height, width) if orientation >= 5 else (width, height)
    if picture.mode != "RGB" or picture.size == size or picture.has_transparency_data:
        picture = to_rgb(picture)  # a copy, which a picture that is reduced does not need
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def orientation_of(image: Image.Image) -> int:
    """1 to 8, as a viewer shows the picture; UNKNOWN_ORIENTATION if its metadata cannot be read.

    Pillow itself turns a TIFF when it loads the pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged metadata
        if image.format in ("PNG", "TIFF"):
            with _without_messages() if image.format == "TIFF" else contextlib.nullcontext():
                image.load()  # `getexif` of a PNG does it too; an error of its pixels must not pass for one of metadata
        try:
            found = image.getexif().get(ORIENTATION, 1)
        except MemoryError:
            raise
        except Exception:  # Pillow raises any exception on damaged metadata
            return UNKNOWN_ORIENTATION
    return found if isinstance(found, int) and 1 <= found <= 8 else UNKNOWN_ORIENTATION


_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """libtiff writes its own messages to file descriptor 2, beside the one line that says what is wrong."""
    with _ONE_AT_A_TIME, contextlib.ExitStack() as files:
        with contextlib.suppress(OSError):  # a process can be without stderr
            kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            for end in ((os.close, nothing), (os.close, kept), (os.dup2, kept, 2)):  # the last is done first
                files.callback(*end)
            os.dup2(nothing, 2)
        yield


def why_not_decoded(error: Exception) -> str:
    """In one line, why a picture cannot be decoded. Decoders raise any exception, some without a message."""
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    return " ".join(str(error).split()) or type(error).__name__


def without_metadata(data: bytes) -> bytes:
    """A PNG without the chunks that change nothing in the picture; other data as they are.

    Pillow refuses a picture for one damaged or long chunk of metadata, such as the prompt of an image generator.
    """
    if not data.startswith(PNG_START):
        return data
    kept, place = [PNG_START], len(PNG_START)
    while place + 12 <= len(data):
        size, name = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        end = place + 12 + size
        if name[:1].isupper() or name in PNG_CHUNKS or _has_orientation(name, data[place + 4 : end]):
            kept.append(data[place:end])
        place = end
        if name == b"IEND":
            break
    kept.append(data[place:])
    return b"".join(kept)


def _has_orientation(name: bytes, chunk: bytes) -> bool:
    """Can Pillow read this chunk (its name, content and checksum), and can the orientation be in it?"""
    content, checksum = chunk[4:-4], int.from_bytes(chunk[-4:])
    is_text = name in (b"tEXt", b"zTXt", b"iTXt") and content.startswith(PNG_ORIENTATION)
    if not (name == b"eXIf" or is_text) or zlib.crc32(chunk[:-4]) != checksum:
        return False
    if name != b"zTXt" and not (name == b"iTXt" and content.partition(b"\0")[2].startswith(b"\1")):
        return len(content) <= MOST_TEXT
    packed = content.partition(b"\0")[2][1:] if name == b"zTXt" else content.split(b"\0", 4)[-1]
    unpack = zlib.decompressobj()
    try:
        unpack.decompress(packed, MOST_TEXT)
    except zlib.error:
        return False
    return not unpack.unconsumed_tail


def require_few_scans(data: bytes, pixels: int) -> None:
    """ValueError for a JPEG that takes too long, because its scans decode every pixel again and again."""
    scans = count_scans(data)
    if scans > MOST_SCANS or scans * pixels > MOST_SCANNED:
        most = min(MOST_SCANS, MOST_SCANNED // pixels)
        raise ValueError(f"a JPEG with {scans:,} scans; at most {most} are decoded at this size")


_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])")  # without those that have no length


def count_scans(data: bytes) -> int:
    """Number of scans of a JPEG."""
    scans = place = 0
    while (marker := _MARKER.search(data, place)) and marker[1] != b"\xd9":  # the end of the picture
        scans += marker[1] == b"\xda"
        place = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2]))
    return scans


def _open(data: bytes) -> Image.Image:
    """Open a picture and check its size from the header, before it is decoded."""
    if not data:
        raise ValueError("the file is empty")
    data = without_metadata(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damaged metadata, and of large pictures: `check_size` has a lower limit
        try:
            image = Image.open(io.BytesIO(data), formats=PICTURE_FORMATS)
        except Image.UnidentifiedImageError:
            known = f"{', '.join(PICTURE_FORMATS[:-1])} or {PICTURE_FORMATS[-1]}"
            raise ValueError(f"the file is not a picture in {known} format") from None
        except Image.DecompressionBombError as error:  # Pillow's own limit, 179 megapixels
            raise ValueError(str(error)) from None
    check_size(image)
    if image.format in ("JPEG", "MPO"):
        require_few_scans(data, image.width * image.height)
    require_memory(image)
    return image


def check_size(image: Image.Image) -> None:
    """ValueError for a picture that is too large for memory, too small, or too stretched."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels: more than {MOST_PIXELS // 1_000_000} megapixels")
    if max(width, height) > MOST_STRETCHED * min(width, height):
        raise ValueError(f"{width} x {height} pixels: one side is over {MOST_STRETCHED} times the other")
    if min(width, height) < SMALLEST_SIDE:
        raise ValueError(f"{width} x {height} pixels: a side is under {SMALLEST_SIDE}")


def to_rgb(image: Image.Image) -> Image.Image:
    """The first frame as 8-bit RGB. 16-bit pixels are scaled; transparent pixels are drawn on white.

    A large picture is converted in bands, so that only one copy of it is made. ValueError for floating-point or 32-bit
    pixels, whose range is unknown.
    """
    image.load()
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is unknown")
    if image.mode.startswith("I"):  # before the bands, so that the message has the range of the whole picture
        darkest, brightest = image.getextrema()
        if darkest < 0 or brightest > 65535:  # type: ignore[operator]
            raise ValueError(f"32-bit pixels from {darkest} to {brightest}, whose range is unknown")
    if image.width * image.height <= BAND:
        return _band_to_rgb(image)
    picture = Image.new("RGB", image.size)
    lines = max(1, BAND // image.width)
    for top in range(0, image.height, lines):
        box = (0, top, image.width, min(top + lines, image.height))
        band = image.crop(box)
        band.info = image.info  # `crop` keeps no transparency that is a colour
        picture.paste(_band_to_rgb(band), box)
    return picture


def _band_to_rgb(image: Image.Image) -> Image.Image:
    """`to_rgb` of some lines."""
    if image.mode.startswith("I"):  # convert("RGB") would clip: every value above 255 of 65,535 would be white
        image = image.convert("I")
        return image.point(lambda value: value * (255 / 65535) + 0.5).convert("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def encode_jpeg(image: Image.Image, quality: int, full_colour: bool = False) -> bytes:
    """JPEG bytes. full_colour: keep colour at full resolution (4:4:4), which thin drawn lines need."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling="4:4:4" if full_colour else "4:2:0")
    return file.getvalue()


class Fingerprint(NamedTuple):
    """A perceptual hash: it changes little if a picture is resized or compressed."""

    bits: bytes  # 32 bytes: signs of the 16 x 16 lowest frequencies against their median
    colours: bytes  # 8 x 8 x 3 bytes, the RGB thumbnail


def data_url(picture: Image.Image, quality: int, full_colour: bool = False) -> str:
    """The picture as a data URL, for a web page without other files; see `encode_jpeg`."""
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(picture, quality, full_colour)).decode()}"


def fingerprint(picture: Image.Image) -> Fingerprint:
    """Perceptual hash of an RGB picture. A picture that is too plain for one gets a hash of its exact pixels.

    Source: the DCT hash of Zauner 2010 (pHash), with 256 bits: with its 64 bits, some different photographs differ in
    only 8.
    """
    thumbnail = picture.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX).tobytes()
    grey = np.asarray(picture.convert("L").resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX), dtype=np.float64)
    if grey.std() < LEAST_CONTRAST:
        return Fingerprint(hashlib.blake2b(picture.tobytes(), digest_size=32).digest(), thumbnail)
    # Frequencies 1 to 16. Frequency 0 is the mean brightness of a row or column, which depends on the exposure.
    frequencies = _COSINES @ grey @ _COSINES.T
    return Fingerprint(np.packbits(frequencies > np.median(frequencies)).tobytes(), thumbnail)


_COSINES = np.cos(np.pi / (2 * HASH_SIDE) * np.outer(np.arange(1, 17), 2 * np.arange(HASH_SIDE) + 1))


class Fingerprints:
    """The fingerprints of N pictures: bits (N, 32) and colours (N, 192), both as bytes."""

    def __init__(self, bits: NDArray[np.uint8], colours: NDArray[np.uint8]):
        self.bits, self.colours = bits, colours

    def distance(self, i: int, j: int) -> int | None:
        """In how many bits pictures i and j differ, if they are copies of one photograph; None if they are not."""
        apart = np.abs(self.colours[i].astype(np.int16) - self.colours[j]).max()
        bits = int(np.bitwise_count(self.bits[i] ^ self.bits[j]).sum())
        return bits if bits <= MOST_BITS and apart <= MOST_COLOUR else None

    def links(self) -> Iterator[tuple[int, int]]:
        """Links (i, j) with i < j between copies of one photograph: only as many as connect each cluster of copies.

        All links of 3,000 frames of one camera would be 4.5 million. No cluster is missed: if 16 chunks of 16 bits
        differ in at most 31 bits, one chunk differs in at most one bit (multi-index hashing, Norouzi et al. 2012).
        177,000 fingerprints, as many as COCO, Flickr30k and ADE20K have, take 20 s.
        """
        _, first, which = np.unique(
            np.hstack([self.bits, self.colours]), axis=0, return_index=True, return_inverse=True
        )
        which = which.ravel()
        for twin in np.flatnonzero(first[which] != np.arange(len(self.bits))):
            yield int(first[which[twin]]), int(twin)
        unique = self.bits[first]
        # Neighbouring bits are correlated. Bit i goes to chunk i % 16, so that the values of a chunk vary more.
        dealt = np.unpackbits(unique, axis=1).reshape(len(unique), 16, 16).transpose(0, 2, 1)
        chunks = np.packbits(dealt, axis=2).reshape(len(unique), 32).view(np.uint16)
        packed = unique.view(np.uint64)
        cluster = np.arange(len(unique))
        for i, j in _near_in_a_chunk(chunks):
            apart = cluster[i] != cluster[j]
            i, j = i[apart], j[apart]
            near = np.bitwise_count(packed[i] ^ packed[j]).sum(axis=1) <= MOST_BITS
            for a, b in zip(first[i[near]].tolist(), first[j[near]].tolist()):
                u, v = which[a], which[b]
                if cluster[u] != cluster[v] and self.distance(a, b) is not None:
                    cluster[cluster == cluster[v]] = cluster[u]
                    yield min(a, b), max(a, b)


def _near_in_a_chunk(chunks: NDArray[np.uint16]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """All i < j that differ in at most one bit in at least one of their chunks (N, 16); some are yielded repeatedly."""
    for column in chunks.T:
        order = np.argsort(column, kind="stable")
        ranked = column[order]
        for flip in (0, *(1 << bit for bit in range(16))):
            wanted = column ^ np.uint16(flip)
            begin, end = np.searchsorted(ranked, wanted, "left"), np.searchsorted(ranked, wanted, "right")
            yield from _candidates(order, begin, end)


def _candidates(
    order: NDArray[np.intp], begin: NDArray[np.intp], end: NDArray[np.intp], most: int = 1_000_000
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """All i < j with j in order[begin[i]:end[i]], in batches of about `most`."""
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
