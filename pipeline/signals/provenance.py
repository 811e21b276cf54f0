"""Where a profile's numbers come from."""

from msgspec import Struct


class Provenance(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a profile was fitted to, and what its signals were worth there.

    Attributes
    ----------
    made_by, version
        The command that made it, and the version of the pipeline.
    feed
        The symbols, and the names of the files.
    begin, end
        The minutes that were judged: the first, and the end; ISO 8601, UTC.
    liquidations, episodes
        How many there were.
    figures
        On the same data, so rather too good: false alarms a day and symbol, and recall by level, and others.
    note
        What to bear in mind.

    """

    made_by: str
    version: str
    feed: str
    begin: str
    end: str
    liquidations: int
    episodes: int
    figures: dict[str, float] = {}
    note: str = ""
