"""Figures of a machine on which others work too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

from benchmarks.contenders import CONTENDERS

__all__ = ["Spread", "in_turn", "number", "typical"]


@dataclass(frozen=True)
class Spread:
    """The middle of several figures, and how far apart the half of them lies that is nearest to it."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """The quartiles."""
        if len(figures) == 1:
            return cls(*figures, *figures, *figures)
        return cls(*quantiles(figures, n=4, method="inclusive"))

    def as_json(self) -> list[float]:
        """The quartiles, in four significant digits."""
        return [float(f"{each:.4g}") for each in (self.low, self.middle, self.high)]

    def shown(self, mark: str = "") -> str:
        """In a table, behind the opening of a style."""
        return f"{number(self.middle)}{mark}[/] ({number(self.low)} to {number(self.high)})"


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
