"""training.pace: estimates of a run's time, from measured steps and epochs."""

import pytest

from training.pace import EpochPace, Pace, duration


def lines(pace, seconds, epoch=0, first=0, count=30):
    """(step, line) of each line that is printed in `count` steps."""
    found = [pace.after_step(seconds, epoch, first + step + 1) for step in range(count)]
    return [(step + 1, line) for step, line in enumerate(found) if line]


def test_the_first_steps_are_not_measured_and_the_estimate_comes_once():
    pace = EpochPace(epochs=12, steps=60)
    assert lines(pace, 100.0, count=3) == []  # warm-up
    assert lines(pace, 4.0, first=3) == [(3, "about 48 min for 12 epochs (4.0 min each, without validation)")]


def test_short_steps_are_measured_for_ten_seconds():
    ((step, _),) = lines(EpochPace(epochs=100, steps=100), 0.5)
    assert step == 3 + 20


def test_a_run_of_less_than_a_minute_gets_no_estimate():
    pace = EpochPace(epochs=2, steps=10)
    assert lines(pace, 2.0) == []
    assert pace.after_epoch(20.0, epoch=1) == ""


def test_the_first_whole_epoch_gives_a_better_estimate_and_so_does_an_unfrozen_backbone():
    pace = EpochPace(epochs=12, steps=60)
    assert pace.after_epoch(150.0, epoch=1) == "about 28 min for the last 11 epochs (2.5 min each, with validation)"
    assert pace.after_epoch(150.0, epoch=2) == ""
    pace.restart()
    assert lines(pace, 6.0, epoch=3) == [(6, "about 53 min for the last 9 epochs (6.0 min each, without validation)")]
    assert pace.after_epoch(400.0, epoch=11) == "about 6.7 min for the last epoch (with validation)"


def test_a_resumed_run_counts_what_is_left():
    pace = EpochPace(epochs=3, steps=100)
    ((step, line),) = lines(pace, 4.0, epoch=1, first=50)
    assert (step, line) == (6, "about 9.6 min for the last 2 epochs (6.7 min each, without validation)")


def test_the_seconds_of_the_steps_that_are_left():
    pace = Pace(1000)
    assert [pace.after_step(5.0, done) for done in range(1, 8)] == [None] * 5 + [994 * 5.0, None]


@pytest.mark.parametrize(
    ("seconds", "words"), [(40, "40 s"), (89.4, "89 s"), (120, "2.0 min"), (1440, "24 min"), (5500, "1.5 h")]
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
