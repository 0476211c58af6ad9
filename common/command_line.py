"""The command line of every script: flags are read into a dataclass, and errors are one line.

It imports no torch, so `--help` is fast.
"""

import contextlib
import dataclasses
import difflib
import functools
import io
import itertools
import os
import re
import shutil
import sys
import textwrap
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

Settings = TypeVar("Settings")
Presets = Mapping[str, tuple[str, Settings]]  # name -> (description, settings)
LONGEST = 900  # characters of an error


def fail(message: str, code: int = 2) -> NoReturn:
    """Print one line on stderr and exit: how every script reports an error that its user can fix.

    A code above 128 means that a signal stopped the script, for example 130 for Ctrl-C; that is not an error.
    The middle of a long message is left out: a library can quote a whole damaged file, and the fix is at the end.
    """
    line = " ".join(message.splitlines())  # names of files and messages of libraries can have several
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    _close_progress_bars()
    print(f"{script()}: {'' if code > 128 else 'error: '}{line}", file=sys.stderr)
    raise SystemExit(code)


def _close_progress_bars() -> None:
    """An error that came while a bar was opened or closed leaves it open; the message would stand behind it."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        for bar in list(getattr(tqdm, "_instances", ())):
            with contextlib.suppress(AttributeError):  # nothing of it is set or shown yet
                bar.clear()  # `close` leaves one on the screen whose opening was interrupted
            bar.close()


def counted(n: int, one: str, many: str = "") -> str:
    """A number with its noun: "1 row", "1,200 rows"; many: the plural, if it is not `one` with an s."""
    return f"{n:,} {one if n == 1 else many or f'{one}s'}"


def script() -> str:
    """File name of the script that runs."""
    return Path(sys.argv[0]).name


def read_command_line(
    settings: type[Settings] | Presets[Settings], description: str, args: Sequence[str] | None = None
) -> Settings:
    """Read sys.argv (or `args`) into a dataclass, or into one of several presets.

    The first preset is used when none is named. A wrong flag or value prints one line and exits with 2. Words after
    `--` are never read as flags.
    """
    args = list(sys.argv[1:] if args is None else args)
    presets = settings if isinstance(settings, Mapping) else {}
    kind: Any = type(next(iter(presets.values()))[1]) if presets else settings
    if presets:
        args = _with_preset(presets, args)
    _refuse_unknown_flags(args, _flags(kind), presets)
    parse = functools.partial(_parse, settings, description)
    try:
        return parse(args)
    except _Refused as error:
        with contextlib.suppress(_Refused):
            if "--" in args:  # tyro 1.0 loses a `--` that follows a positional argument, so try with two
                at = args.index("--")
                return parse([*args[:at], "--", *args[at:]])
        fail(str(error))


class _Refused(Exception):
    """The reason why a command line is refused, in one line."""


def _parse(settings: type[Settings] | Presets[Settings], description: str, args: list[str]) -> Settings:
    import tyro

    options: dict[str, Any] = {"description": description, "args": args, "return_unknown_args": True}
    kind: Any = settings
    presets = settings if isinstance(settings, Mapping) else {}
    if presets:
        defaults = {name: default for name, (_, default) in presets.items()}
        abouts = {name: about for name, (about, _) in presets.items()}
        kind = tyro.extras.subcommand_type_from_defaults(defaults, abouts)
        options["default"] = next(iter(defaults.values()))
    error, shown = io.StringIO(), _Help()
    try:
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(shown):
            found, rest = tyro.cli(kind, **options)
    except SystemExit as stop:
        if stop.code in (0, None):
            shown.show()
            raise
        raise _Refused(_one_line(error.getvalue())) from None
    if rest:
        has_words = not presets and any(map(_is_positional, _hints(kind).values()))
        raise _Refused(_about_rest(rest, presets, has_words))
    return found


def _with_preset(presets: Presets, args: list[str]) -> list[str]:
    """The arguments with the name of a preset in front: the first preset if none is named."""
    if args and args[0] in (*presets, "-h", "--help"):
        return args
    if args and not args[0].startswith("-"):
        near = difflib.get_close_matches(args[0], presets, 1)
        guess = f"; did you mean {near[0]}?" if near else ";"
        fail(f"there is no preset {args[0]!r}{guess} choose from: {', '.join(presets)}")
    return [next(iter(presets)), *args]


def _flags(kind: type, prefix: str = "") -> list[str]:
    """Every flag of a dataclass and of the dataclasses in its fields: --name, --no-name, --section.name."""
    found = []
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(hints[field.name]):
            found += _flags(hints[field.name], f"{prefix}{name}.")
        elif not _is_positional(hints[field.name]):
            found.append(f"--{prefix}{name}")
            if hints[field.name] is bool:
                found.append(f"--{prefix}no-{name}")
    return found


def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _is_positional(hint: Any) -> bool:
    import tyro

    marker = typing.get_args(tyro.conf.Positional[int])[1]
    return marker in getattr(hint, "__metadata__", ())


def _refuse_unknown_flags(args: Sequence[str], known: Sequence[str], presets: Presets) -> None:
    """Exit with a suggestion if an argument before `--` looks like a flag and is not one."""
    for given in itertools.takewhile(lambda given: given != "--", args):
        flag = given.partition("=")[0]
        if re.fullmatch(r"--\w[\w.-]*", flag) and flag.replace("_", "-") not in (*known, "--help"):
            near = " or ".join(_nearest(flag.replace("_", "-"), known))
            fail(f"{flag} is not a flag; " + (f"did you mean {near}?" if near else _see_help(presets)))


def _nearest(wrong: str, known: Sequence[str]) -> list[str]:
    """The flags most like a wrong one, as a whole or without their section (--lr: --optim.lr). At most 3."""

    def likeness(flag: str) -> float:
        whole = difflib.SequenceMatcher(None, wrong, flag).ratio()
        if "." not in flag:
            return whole
        last = difflib.SequenceMatcher(None, wrong.rpartition(".")[2].lstrip("-"), flag.rpartition(".")[2]).ratio()
        return max(whole, last)

    scored = {flag: likeness(flag) for flag in known}
    best = max(scored.values(), default=0.0)
    return [flag for flag, score in scored.items() if score == best][:3] if best >= 0.65 else []


def _about_rest(rest: Sequence[str], presets: Presets, has_words: bool) -> str:
    """Why arguments that belong to no flag are refused. has_words: the script takes arguments without a flag."""
    first = rest[0]
    if first in presets:
        return f"the preset comes first: python {script()} {first} --FLAG VALUE"
    if first.startswith("-"):
        hint = f'put -- before a text that begins with a dash: -- "{first}"' if has_words else _see_help(presets)
        return f"{first} is not a flag; {hint}"
    if has_words:
        return f'too many words: {" ".join(rest)}; put a text in quotes, for example "A red ball"'
    return f"{first} belongs to no flag; {_see_help(presets)}"


def _see_help(presets: Presets) -> str:
    return f"see python {script()} {''.join(f'{name} ' for name in list(presets)[:1])}--help"


PLAINER = {  # tyro's words -> ours
    r"Error parsing (?:__tyro-dummy-inner__\S*: |\w+: )?(.*)": r"\1",
    r"(.*): could not convert string to float: (.*)": r"\1 \2: not a number",
    r"(.*): invalid literal for int\(\) with base 10: (.*)": r"\1 \2: not a whole number",
    r"Missing value for argument '(.*)'\. Expected 1 values\.": r"\1 needs a value",
    r"invalid choice (.*) for argument '(.*)'\. Expected one of \((.*?),?\)\.": r"\2 \1: choose from \3",
}


def _is_rule(line: str) -> bool:
    return line.startswith(("\u2500", "---"))


def _one_line(box: str) -> str:
    """The first message of tyro's box."""
    lines = [line.strip(" \u2502") for line in box.splitlines()[1:]]  # the first is a title
    body = itertools.dropwhile(_is_rule, lines)  # a terminal without UTF-8 has a rule under the title
    message = " ".join(itertools.takewhile(lambda line: not _is_rule(line), body))
    for theirs, ours in PLAINER.items():
        message = re.sub(f"^{theirs}$", ours, message)
    return message


class _Help(io.StringIO):
    """Replaces stdout while tyro prints its help. tyro does not wrap the description of a script."""

    def __init__(self) -> None:
        super().__init__()
        self.real = sys.stdout

    # tyro asks stdout whether it can show colours and lines.
    isatty = property(lambda self: self.real.isatty)
    encoding = property(lambda self: self.real.encoding)

    def show(self) -> None:
        """Print it, no wider than the terminal."""
        width = min(100, shutil.get_terminal_size().columns)
        options: Any = {"break_on_hyphens": False, "break_long_words": False}
        text = []
        for line in self.getvalue().rstrip("\n").splitlines():
            visible = re.sub(r"\x1b\[[0-9;]*m", "", line)  # without colours
            text.append(textwrap.fill(line, width, **options) if len(visible) > width else line)
        try:
            print("\n".join(text), flush=True)
        except BrokenPipeError:  # of `--help | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
