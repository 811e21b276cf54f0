"""How levels look: a letter, a shape and a colour each, so that colour alone never tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pipeline.messages import Level


class Mark(NamedTuple):
    """A level's letter, shape and colour (of Okabe and Ito, told apart by the colour-blind)."""

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
