"""How many examples hypothesis tries: a fifth on the machine of a developer, all where CI is set."""

import os

from hypothesis import settings

IN_CI = bool(os.environ.get("CI"))


def examples(in_ci: int) -> int:
    return in_ci if IN_CI else max(10, in_ci // 5)


# For tests that name no number. conftest.py imports this before any test is made.
settings.register_profile("this project", max_examples=examples(100))
settings.load_profile("this project")
