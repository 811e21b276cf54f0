"""A decoded message on its way through the stages, and what it leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from pipeline import codec, contract

if TYPE_CHECKING:
    from pipeline.features.measurements import Measurement, PositioningReading, VolatilityReading
    from pipeline.messages import Context, Incoming, Outgoing

TOLD: Final = frozenset((*contract.OUTPUTS, contract.CONTEXT))
"""Every topic that a stage sends to."""


class Output(Struct, gc=False):
    """A message to be sent: its topic, its key (a symbol) and its body."""

    topic: str
    key: str
    body: Outgoing

    @property
    def message(self) -> dict[str, Any]:
        """The body as a consumer sees it on Kafka."""
        return codec.to_dict(self.body)


class Event(Struct, gc=False, eq=False):
    """One decoded message on its way through the stages.

    Attributes
    ----------
    topic, symbol, message
        Where it came from, whose it is, and the decoded message.
    time
        The message's timestamp in whole microseconds.
    offset, last
        Its record's offset, and whether it is the last message of that record.
    positioning, volatility, context, measurements
        What the stages of those names found, for the stages after them.
    outputs
        What is to be sent, in order.
    told
        The topics that somebody listens to: what is sent to others is left out.

    """

    topic: str
    symbol: str
    message: Incoming
    time: int
    offset: int
    last: bool = True
    positioning: PositioningReading | None = None
    volatility: VolatilityReading | None = None
    context: Context | None = None
    measurements: list[Measurement] = []
    outputs: list[Output] = []
    told: frozenset[str] = TOLD

    def send(self, topic: str, key: str, body: Outgoing) -> None:
        """Add a message to be sent."""
        if topic in self.told:
            self.outputs.append(Output(topic, key, body))
