"""What a collector did and met, by venue: counted, for the table, the metrics and the log."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pipeline.collect.clock import Clock


@dataclass
class Account:
    """Counts of one venue.

    Attributes
    ----------
    connections
        How many there should be.
    frames, rejected
        Frames that came, and those that nobody could read.
    messages
        Messages for Kafka by topic.
    dropped
        Records that were left out, by reason.
    refused
        What the venue refused, in its own words.
    reconnects, gaps
        Connections that were made again, and times without data.
    last
        When the newest record happened, in Unix seconds; 0 before any.
    received
        When a record came last, by this machine's clock; 0 before any.
    behind
        Seconds from its own time until then: on the way, and what the clocks differ.
    clock
        How far the venue's clock is ahead.

    """

    connections: int = 0
    frames: int = 0
    rejected: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    gaps: int = 0
    last: float = 0.0
    received: float = 0.0
    behind: float = 0.0
    clock: Clock = field(default_factory=Clock)
