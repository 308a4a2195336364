"""Progress reports and cancellation of long computations, by callbacks."""

from collections.abc import Callable
from dataclasses import dataclass, field

from models.core.errors import Cancelled


def _nobody(fraction: float) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Watch:
    """`progress(fraction)` is called with fractions in 0..1; `cancelled()` returns whether to stop."""

    progress: Callable[[float], None] = field(default=_nobody)
    cancelled: Callable[[], bool] = field(default=_never)

    def at(self, fraction: float) -> None:
        """Report a fraction done; raises `Cancelled` if `cancelled()` is true."""
        if self.cancelled():
            raise Cancelled("stopped at the caller's request")
        self.progress(min(max(fraction, 0.0), 1.0))

    def span(self, low: float, high: float) -> "Watch":
        """A watch for a part of the work: its 0..1 maps to low..high of this one.

        >>> reported = []
        >>> Watch(reported.append).span(0.5, 1.0).at(0.5)
        >>> reported
        [0.75]
        """
        return Watch(lambda f: self.progress(low + (high - low) * f), self.cancelled)


UNWATCHED = Watch()
