"""JSON that may be damaged: its size, its text, its nesting and the types of its values are checked before use.

For the files of models, bundles and databases. No torch: the program in a bundle reads with this too.
"""

import hashlib
import json
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

from Tokenizer_lib import Tokenizer

MOST_BYTES = 2**24  # a vocabulary of a million words has 15 MB; 16 MB of brackets take 340 MB
FIX = "train the model again, or copy it again"
BUNDLE = {  # what bundle.json holds; a bundle of an earlier version has no `trained_on` and no `vocabulary`
    **dict.fromkeys(("format", "side", "short_side", "max_words"), int),
    **dict.fromkeys(("name", "score"), str),
    "blend": float | None,
}
NAMES = {str: "a string", int: "a whole number", float: "a finite number", bool: "true or false", type(None): "null"}


def read_bytes(path: Path, fix: str = FIX, most: int | None = None) -> bytes:
    """The bytes of a JSON file. ValueError if it is larger than one can be; OSError if it cannot be read.

    fix: the end of the message. most: bytes; None is MOST_BYTES.
    """
    most = MOST_BYTES if most is None else most
    if (size := path.stat().st_size) > most:
        raise ValueError(f"{path} has {size:,} bytes; at most {most:,} are read; {fix}")
    return path.read_bytes()


def read_json(path: Path, fix: str = FIX, most: int | None = None) -> Any:
    """The value in a JSON file. ValueError names the file; OSError if it cannot be read. See `read_bytes`."""
    return parse_json(read_bytes(path, fix, most), str(path), fix)


def parse_json(data: bytes, name: str, fix: str = FIX) -> Any:
    """The value of JSON in UTF-8. name: of the file, for the message of a ValueError; fix: its end."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except RecursionError as error:  # json's scanner counts its own depth, so the stack is safe
        raise ValueError(f"{name} is damaged: its brackets are nested too deep; {fix}") from error
    except ValueError as error:  # also that of a text which is not UTF-8
        raise ValueError(f"{name} is damaged: {error}; {fix}") from error


def check(
    values: Any, kinds: Mapping[str, Any] | type, name: str, needed: bool = False, fix: str = FIX
) -> dict[str, Any]:
    """The values, if each has the type that `kinds` (a mapping, or a dataclass with its annotations) has for its key.

    JSON knows no tuples: a list serves for a tuple. A number is finite, and true is not a number. Other keys are not
    looked at; absent ones are refused only if they are `needed`. ValueError names the file and the value, and `fix` is
    its end.
    """
    kinds = typing.get_type_hints(kinds) if isinstance(kinds, type) else kinds
    if not isinstance(values, dict):
        raise ValueError(f"{name} holds {described(values)}, not an object; {fix}")
    if needed and (absent := [key for key in kinds if key not in values]):
        raise ValueError(f"{name} has no {', '.join(absent)}; {fix}")
    for key in kinds:
        if key in values and (wrong := mismatch(values[key], kinds[key], key)):
            raise ValueError(f"{name}: {wrong}; {fix}")
    return values


def mismatch(value: Any, kind: Any, where: str) -> str:
    """What is wrong with a value, for example 'model.width is "96", not a whole number'; "" if it has this type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return ""
    if origin in (Union, types.UnionType):
        found = [mismatch(value, one, where) for one in inner]
        return "" if "" in found else found[0]
    if origin is Literal:
        return "" if value in inner else f"{where} is {described(value)}, not one of {', '.join(map(str, inner))}"
    if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
        return of_object(value, typing.get_type_hints(kind), where)
    if origin and issubclass(origin, Mapping):
        return of_object(value, dict.fromkeys(value, inner[1]) if isinstance(value, dict) else {}, where)
    if origin and issubclass(origin, Sequence):
        if not isinstance(value, list):
            return f"{where} is {described(value)}, not a list"
        return next(filter(None, (mismatch(one, inner[0], f"{where}[{i}]") for i, one in enumerate(value))), "")
    if hasattr(kind, "_fields"):  # a NamedTuple
        fields = typing.get_type_hints(kind)
        if not isinstance(value, list) or len(value) != len(fields):
            return f"{where} is {described(value)}, not a list of {len(fields)}"
        return of_object(dict(zip(fields, value)), fields, where)
    return "" if is_of(value, kind) else f"{where} is {described(value)}, not {NAMES.get(kind, kind)}"


def of_object(value: Any, kinds: Mapping[str, Any], where: str) -> str:
    """What is wrong with the values of an object."""
    if not isinstance(value, dict):
        return f"{where} is {described(value)}, not an object"
    found = (mismatch(value[key], kinds[key], f"{where}.{key}") for key in kinds if key in value)
    return next(filter(None, found), "")


def is_of(value: Any, kind: type) -> bool:
    if kind is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max  # false for NaN
    return type(value) is kind


def described(value: Any) -> str:
    """A value as JSON, in at most 40 characters; lists and objects by their kind, since they can be deep."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = (
        json.dumps(value, ensure_ascii=False) if isinstance(value, str | int | float | None) else type(value).__name__
    )
    return text if len(text) <= 40 else f"{text[:39]}…"


# The vocabulary


def parse_vocabulary(data: bytes, name: str) -> Tokenizer:
    """What `Tokenizer.to_json` wrote. ValueError names the file."""
    stored = parse_json(data, name)
    if isinstance(stored, dict):  # of all else the tokenizer says that it is not a vocabulary
        check(stored, {"words": Sequence[str]}, name)
    try:
        return Tokenizer.from_json(data, name)
    except ValueError as error:
        raise ValueError(str(error) if name in str(error) else f"{name}: {error}; {FIX}") from error


def hash_of_words(tokenizer: Tokenizer) -> str:
    """32 hexadecimal digits that change if a word changes, is exchanged with another one, or is missing."""
    return hashlib.sha256("\n".join(tokenizer.words).encode(errors="surrogatepass")).hexdigest()[:32]


def check_words(tokenizer: Tokenizer, stored: Any, name: str) -> None:
    """ValueError if these are not the words that a model was trained with.

    stored: their hash, beside the weights; None in models of earlier versions, which have none. name: of the file.
    """
    if stored is not None and stored != hash_of_words(tokenizer):
        raise ValueError(f"{name} has other words than the model was trained with; {FIX}")
