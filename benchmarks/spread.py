"""Figures of a machine on which others work too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.contenders import CONTENDERS

__all__ = ["Spread", "in_turn", "number", "typical"]


@dataclass(frozen=True)
class Spread:
    """The middle of several figures, and how far they lie apart."""

    least: float
    middle: float
    greatest: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """Median, least and greatest."""
        return cls(min(figures), median(figures), max(figures))

    def as_json(self) -> list[float]:
        """Least, median, greatest, in four significant digits."""
        return [float(f"{each:.4g}") for each in (self.least, self.middle, self.greatest)]

    def shown(self, mark: str = "") -> str:
        """In a table."""
        return f"{number(self.middle)}{mark}[/] ({number(self.least)} to {number(self.greatest)})"


def number(figure: float) -> str:
    """With as many digits as say something."""
    return f"{figure:.0f}" if figure >= 99.5 else f"{figure:.2g}" if figure < 0.1 else f"{figure:.2f}"


def typical(seconds: Sequence[float]) -> float:
    """What a turn takes that nobody interrupts: the lower quartile, for a shared machine interrupts many."""
    return quantiles(seconds, n=4)[0] if len(seconds) > 3 else min(seconds)


def in_turn(number: int, names: Sequence[str] = CONTENDERS) -> list[str]:
    """The contenders in the order of this round: nobody always comes after the same neighbour, nor always first."""
    start = number % len(names)
    return [*names[start:], *names[:start]]
