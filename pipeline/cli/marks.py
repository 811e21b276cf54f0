"""How figures look in a terminal: marked levels, spark lines, bars, US dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.messages import Level


class Mark(NamedTuple):
    """A level's letter, shape and colour (of Okabe and Ito): colour alone never tells."""

    letter: str
    shape: str
    colour: str


MARKS: Final[dict[Level, Mark]] = {
    "NONE": Mark("N", "·", "#999999"),
    "WATCH": Mark("W", "○", "#56B4E9"),
    "ALERT": Mark("A", "△", "#E69F00"),
    "CRITICAL": Mark("C", "▲", "#D55E00"),
    "EXTREME": Mark("E", "◆", "#CC79A7"),
}
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def marked(level: Level, text: str | None = None) -> Text:
    """Return a level's mark and name, or another text in its place, in the level's colour."""
    mark = MARKS[level]
    return Text(f"{mark.shape} {text if text is not None else f'{mark.letter} {level}'}", mark.colour)


def spark_line(shares: Iterable[float]) -> str:
    """Return shares of 0 to 1 as a line of blocks.

    >>> spark_line([0, 0.2, 0.5, 1])
    '▁▂▅█'
    """
    return "".join(_BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)] for share in shares)


def split_bar(long_usd: float, short_usd: float, width: int = 10) -> str:
    """Return what was liquidated of longs and shorts as a bar: longs full, shorts light.

    >>> split_bar(3, 1, 4), split_bar(0, 0, 4)
    ('███░', '    ')
    """
    total = long_usd + short_usd
    if not total:
        return " " * width
    full = round(width * long_usd / total)
    return "█" * full + "░" * (width - full)


def short_usd(value: float) -> str:
    """Return US dollars as a person says them.

    >>> short_usd(950), short_usd(1_234_000), short_usd(2_500_000_000)
    ('950', '1.2 M', '2.5 B')
    """
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.1f} {letter}"
    return f"{value:.0f}"
