"""How long a run takes, estimated from its own steps and epochs."""

WARM_UP = 3  # steps that are not measured: they compile, allocate memory and start loader processes
MEASURED = 3, 10.0  # steps and seconds, at least
WORTH_PRINTING = 60.0  # seconds; a shorter run needs no estimate


class Pace:
    """Measures the first steps, and estimates the seconds of all steps."""

    def __init__(self, steps: int):
        """steps: number of all steps, also of those before an interruption."""
        self.steps = steps
        self.restart()

    def restart(self) -> None:
        """Measure again: a backbone that is trained from now on makes steps slower."""
        self._seen, self._seconds, self._estimated = 0, 0.0, False

    def after_step(self, seconds: float, done: int) -> float | None:
        """Seconds of the steps that are left, once, as soon as enough are measured and if that is a minute or more.

        seconds: of this step; done: number of all completed steps, also of those before an interruption.
        """
        self._seen += 1
        if self._estimated or self._seen <= WARM_UP:
            return None
        self._seconds += seconds
        measured = self._seen - WARM_UP
        if measured < MEASURED[0] or self._seconds < MEASURED[1]:
            return None
        self._estimated = True
        left = (self.steps - done) * self._seconds / measured
        return left if left >= WORTH_PRINTING else None


class EpochPace:
    """Estimates in words for a training run: from its first steps, then from its first whole epoch."""

    def __init__(self, epochs: int, steps: int):
        """epochs: of the whole run; steps: of one epoch."""
        self.epochs, self.steps = epochs, steps
        self.pace, self._epoch_measured = Pace(epochs * steps), False

    def restart(self) -> None:
        """Measure again: a backbone that is trained from now on makes steps and epochs slower."""
        self.pace.restart()
        self._epoch_measured = False

    def after_step(self, seconds: float, epoch: int, step: int) -> str:
        """A line as soon as enough steps are measured, else "".

        seconds: of this step; epoch, step: completed epochs of the run, completed steps of the current epoch.
        """
        left = self.pace.after_step(seconds, epoch * self.steps + step)
        if left is None:
            return ""
        each = left * self.steps / max(1, (self.epochs - epoch) * self.steps - step)
        return self._line(left, self.epochs - epoch, each, "without validation")

    def after_epoch(self, seconds: float, epoch: int) -> str:
        """A better estimate after the first whole epoch, else "". seconds: of the epoch with its validation."""
        measured, self._epoch_measured = self._epoch_measured, True
        left = seconds * (self.epochs - epoch)
        if measured or left < WORTH_PRINTING:
            return ""
        return self._line(left, self.epochs - epoch, seconds, "with validation")

    def _line(self, left: float, epochs: int, each: float, how: str) -> str:
        if epochs == 1:
            return f"about {duration(left)} for the last epoch ({how})"
        which = f"{epochs} epochs" if epochs == self.epochs else f"the last {epochs} epochs"
        return f"about {duration(left)} for {which} ({duration(each)} each, {how})"


def duration(seconds: float) -> str:
    """40 s, 2.0 min, 24 min, 1.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.{1 if seconds < 600 else 0}f} min"
    return f"{seconds / 3600:.1f} h"
