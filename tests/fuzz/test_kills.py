"""One kill of each kind of worker; `python -m tests.fuzz.kills` makes many."""

import pytest

from tests.fuzz.kills import KINDS, kills

pytestmark = pytest.mark.system


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_interrupted_by_a_kill_ends_with_one_line_and_then_with_the_same_bytes(kind, tmp_path):
    found = list(kills(kind, 1, range(1), tmp_path))
    assert len(found) == 1 and not [how for _, how in found if how.startswith("FAULT")], found
