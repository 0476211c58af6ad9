"""Changes of bytes, of JSON values and of texts, each a pure function of its random generator."""

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

DEEP = "\0deep\0"  # in a JSON value: stands for 100,000 brackets, which `json.dumps` cannot write


def mutate_bytes(rng: Random, data: bytes, other: bytes = b"") -> bytes:
    """The data with one to three changes of their bytes. other: data of the same kind, from which parts are taken."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(BYTES)(rng, data, other or data)
    return data


def _truncated(rng: Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.8 else data[: -rng.randint(1, 8)]


def _flipped(rng: Random, data: bytes, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16, 64)) if data else 0):
        # Headers are short, and decide more than what follows.
        place = rng.randrange(min(len(data), 64) if rng.random() < 0.3 else len(data))
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwritten(rng: Random, data: bytes, other: bytes) -> bytes:
    size = min(len(data), rng.choice((1, 2, 4, 4, 4, 8, 100)))
    place = rng.randrange(len(data) - size + 1)
    run = rng.choice((b"\xff" * size, b"\0" * size, rng.randbytes(size), b"\x7f" + b"\xff" * (size - 1)))
    return data[:place] + run[:size] + data[place + size :]


def _cut(rng: Random, data: bytes, other: bytes) -> bytes:
    start, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[min(end, start + rng.choice((1, 4, 64, 10_000))) :]


def _spliced(rng: Random, data: bytes, other: bytes) -> bytes:
    start, end = sorted(rng.randrange(len(other) + 1) for _ in range(2))
    place = rng.randrange(len(data) + 1)
    return data[:place] + other[start:end] + data[place:]


def _joined(rng: Random, data: bytes, other: bytes) -> bytes:
    return rng.choice(
        (data + other, other[: len(other) // 2] + data, data + rng.randbytes(100), rng.randbytes(8) + data)
    )


def _replaced(rng: Random, data: bytes, other: bytes) -> bytes:
    return rng.choice(
        (b"", b"\0" * len(data), rng.randbytes(rng.randrange(200)), b"\xff\xfe" + data, b"\xef\xbb\xbf" + data)
    )


Change = Callable[[Random, bytes, bytes], bytes]
BYTES: Sequence[Change] = (
    *(_truncated, _truncated, _flipped, _flipped, _flipped, _overwritten, _overwritten),
    *(_cut, _spliced, _joined, _replaced),
)


def odd_value(rng: Random) -> Any:
    """A JSON value that a reader may not expect."""
    numbers = (0, 1, -1, 5, 2**31, 2**63, -(2**63), 2**64, 10**30, 10**400, 1e308, 1e-320, 0.5, -0.0)
    strings = (
        "",
        " ",
        "a",
        "0",
        "-1",
        "1e5",
        "null",
        "NaN",
        "../../x",
        "/etc/passwd",
        "a\nb",
        "\0",
        "\ud83d",
        "é",
        "x" * 5000,
    )
    others = (None, True, False, [], {}, [[]], [None], {"": None}, {"a": {"b": [1]}}, [1, "a", None], DEEP)
    floats = (float("nan"), float("inf"), -float("inf"))
    return rng.choice(rng.choice((numbers, strings, others, floats)))


def mutate_json(rng: Random, value: Any) -> bytes:
    """The value as JSON, with one to three of its parts changed, lost, doubled or replaced."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _changed(rng, value)
    return as_json(rng, value)


def as_json(rng: Random, value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=rng.random() < 0.9)
    brackets = rng.choice(("[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000))
    return text.replace(json.dumps(DEEP), brackets).encode(errors="surrogatepass")


def _changed(rng: Random, value: Any) -> Any:
    if rng.random() < 0.03:
        return odd_value(rng)
    places = list(_places(value))
    if not places:
        return odd_value(rng)
    # A long list has most places; each level is as likely as another.
    depth = rng.choice(sorted({depth for depth, *_ in places}))
    _, holder, key = rng.choice([place for place in places if place[0] == depth])
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]) if rng.random() < 0.5 else odd_value(rng))
        case 1:
            holder[rng.choice(("", "extra", "é", str(key).upper()))] = odd_value(rng)
        case 2:  # the value of another place
            _, other, name = rng.choice(places)
            holder[key] = copy.deepcopy(other[name])
        case 3 if isinstance(holder[key], int | float):
            holder[key] = rng.choice((-1, 0, 10**6, 2**40, holder[key] + 1, -holder[key], str(holder[key]), 0.5))
        case 3 if isinstance(holder[key], str):
            holder[key] = rng.choice(
                (holder[key] * 3, holder[key][1:], holder[key].upper(), [holder[key]], odd_text(rng))
            )
        case _:
            holder[key] = odd_value(rng)
    return value


def _places(value: Any, depth: int = 0) -> Any:
    """(depth, list or object, index or key) of every part of a JSON value."""
    if isinstance(value, dict | list) and depth < 12:
        for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield depth, value, key
            yield from _places(inner, depth + 1)


# Texts

BLOCKS = (  # first and last character of some scripts and of blocks with odd rules
    *((0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x530, 0x58F)),
    *((0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x900, 0x97F), (0x980, 0x9FF), (0xB80, 0xBFF), (0xE00, 0xE7F)),
    *((0xF00, 0xFFF), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137F), (0x13A0, 0x13FF)),
    *((0x1780, 0x17FF), (0x1800, 0x18AF), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0x2070, 0x209F), (0x20A0, 0x20CF)),
    *((0x2100, 0x214F), (0x2150, 0x218F), (0x2460, 0x24FF), (0x2600, 0x26FF), (0x3040, 0x30FF), (0x3130, 0x318F)),
    *((0x3200, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xA48F), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xF900, 0xFAFF)),
    *((0xFB00, 0xFDFF), (0xFE00, 0xFE0F), (0xFF00, 0xFFEF), (0xFFF0, 0xFFFF), (0x10000, 0x100FF), (0x12000, 0x120FF)),
    *((0x1D400, 0x1D7FF), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1F64F), (0x1F900, 0x1F9FF), (0x20000, 0x200FF)),
    *((0xE0000, 0xE007F), (0xE0100, 0xE01EF), (0x10FF00, 0x10FFFF)),
)
CAPTIONS = (
    "A red ball is on the left of a blue box.",
    "Two dogs run across the grass while a man in a black hat watches them.",
    "A child in a pink dress is climbing up a set of stairs in an entry way .",
    "There isn't a cat under the wooden table, is there?",
    "Three people, one of them a woman with an umbrella, are waiting for the bus at night.",
)
# fmt: off
PIECES = (
    "dog's", "men’s", "T-shirt", "well-dressed", "rock'n'roll", "o'clock", "can't", "1,000", "3.14", "½", "10th",
    "x²", "-LRB-", "-RRB-", "``", "''", "n't", "'s", "--", "...", "…", "—", "- -", "&", "#", "@user", "#tag", "50%",
    "$5", "№ 7", "<b>", "</b>", "<br/>", '<a href="x">', "<!-- x -->", "<", ">", "<<", "<PERSON>", "<unk>", "<pad>",
    "[UNK]", "<b", "b>", "&nbsp;", "&amp;", "&amp;amp;lt;", "&#65;", "&#x41;", "&#xD800;", "&#0;", "&#99999999;",
    "&bogus;", "&lt;b&gt;", "&", "http://x.y/z?a=b", "https://", "www.example.com", "www.", "ftp://a", "://", "a@b.c",
    "C:\\x", "/etc/passwd", "../..", '"', "'", "“", "”", "«", "‹", "`", '""', "'''", '"A dog"', "\\", "\\n", "%s",
    "{0}", "${x}", "$(x)", "\t", "\n", "\r\n", "\x00", "\x01", "\x07", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029",
    "\u200b", "\u200d", "\u202e", "\ufeff", "\xad", "\ud83d", "\udc00", "\ud800\udc00", "\ufffe",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "é", "e\u0301", "\ufb01", "ß", "İ", "ı",
    "ǅ", "Σ", "ς", "\ufdfa", "\u337f", "™", "℠", "\u0345", "ᾳ", "=1+1", "+1", "-1", "--help", "-", "null", "None",
    "nan", "True", "", " ", "\u3000", "A", "a", "I", "zebra", "no", "not",
    "a" + "\u0301" * 50,
)
# fmt: on


def odd_text(rng: Random) -> str:
    """A text as people, web pages, tokenizers, other programs and enemies write it."""
    match rng.randrange(8):
        case 0:  # letters of one or two scripts
            blocks = rng.sample(BLOCKS, rng.choice((1, 1, 2)))
            words = [_letters(rng, rng.choice(blocks), rng.randint(1, 12)) for _ in range(rng.randint(1, 12))]
            return rng.choice((" ", "", "  ", "-", "'")).join(words)
        case 1:  # a caption with odd pieces between its words
            words = rng.choice(CAPTIONS).split()
            for _ in range(rng.randint(1, 4)):
                words.insert(rng.randrange(len(words) + 1), rng.choice(PIECES))
            return rng.choice((" ", " ", "", "\n")).join(words)
        case 2:  # odd pieces only
            return rng.choice((" ", "")).join(rng.choices(PIECES, k=rng.randint(1, 20)))
        case 3:  # a caption with odd letters in it
            letters = list(rng.choice(CAPTIONS))
            for _ in range(rng.randint(1, 6)):
                letters.insert(rng.randrange(len(letters) + 1), _letters(rng, rng.choice(BLOCKS), 1))
            return "".join(letters)
        case 4:  # letters of the whole range
            return "".join(chr(rng.randrange(rng.choice((0x80, 0x800, 0x110000)))) for _ in range(rng.randint(1, 60)))
        case 5:  # something again and again
            piece = rng.choice((*PIECES, *CAPTIONS, "a", "a-", "a'", "a ", "<a ", "&amp;", "x" * 50, "dog and "))
            return piece * rng.choice((2, 10, 100, 1000, 3000))
        case 6:  # a caption in another case, doubled, reversed, cut or in a form of its own
            text = rng.choice(CAPTIONS)
            forms = (
                text.upper(),
                text.swapcase(),
                text[::-1],
                text * 2,
                text[: rng.randint(1, len(text))],
                f" {text}\n",
            )
            return rng.choice((*forms, f'"{text}"', text.replace(" ", "\xa0"), text.replace(" ", "_"), " ".join(text)))
        case _:  # a number or a list of them
            number = rng.choice(
                ("0", "1", "-5", "1e400", "0x41", "٣", "५", "½", "①", "Ⅷ", "1" * 400, "1,000,000", "3.5.7")
            )
            return rng.choice((number, f"{number} dogs", f"There are {number} of them.", f"{number} {number}"))


def _letters(rng: Random, block: tuple[int, int], count: int) -> str:
    return "".join(chr(rng.randint(*block)) for _ in range(count))
