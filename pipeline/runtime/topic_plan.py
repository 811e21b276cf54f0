"""The topics that the pipeline needs, and how those of a broker differ from them.

State is kept by partition, so inputs, context, control and changelogs must all have the same number of
partitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pipeline import contract
from pipeline.settings import FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.settings import Settings

APPLY: Final = "run `cascade topics apply`"
STATE_LOST: Final = (
    f"its state is lost: set another PIPELINE_APP_ID and {APPLY}; state is then made again "
    "from what the input topics still hold, and its signals are sent again"
)
_BINDING: Final = {"cleanup.policy", "min.compaction.lag.ms"}
"""Settings without which state or weights would be lost."""

COMPACTED: Final = {
    # What was in force when a backlog was written has to be there until it is worked off.
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": "86400000",
}
CHANGELOG: Final = {
    # On recovery the snapshot that has read further wins, so superseded ones stay for a while: a worker that
    # stood still may write an old one after a newer one.
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": "600000",
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
}


class Topic(NamedTuple):
    """A topic as it should be."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


class Found(NamedTuple):
    """A topic as the broker has it; `overrides` are the settings made for the topic itself."""

    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    overrides: Mapping[str, str]


class Problem(NamedTuple):
    """What is wrong with a topic and what to do; with a `blocking` one a worker must not start."""

    topic: str
    text: str
    remedy: str
    blocking: bool

    def __str__(self) -> str:
        return f"{self.topic}: {self.text}: {self.remedy}"


def changelog_topic(app_id: str, table: str) -> str:
    """Return the name of a table's changelog topic."""
    return f"{app_id}-{table}-changelog"


def wanted_topics(settings: Settings) -> list[Topic]:
    """Return every topic of the pipeline as the settings want it."""
    inputs = _retained(settings.input_retention_hours)
    outputs = _retained(settings.output_retention_hours)
    configs: dict[str, Mapping[str, str]] = {
        **dict.fromkeys((*contract.FEEDS, contract.FEED_STATUS), inputs),
        **dict.fromkeys((contract.CONTROL, contract.CONTEXT), COMPACTED),
        **dict.fromkeys(contract.OUTPUTS, outputs),
        **{changelog_topic(settings.app_id, table): CHANGELOG for table in contract.TABLES},
    }
    replicas = settings.replication_factor
    durable = {"min.insync.replicas": "2"} if replicas >= 3 else {}  # noqa: PLR2004
    return [
        Topic(name, settings.partitions, replicas, {**config, **durable}) for name, config in configs.items()
    ]


def _retained(hours: int) -> dict[str, str]:
    milliseconds = FOREVER if hours == FOREVER else hours * 3_600_000
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds)}


def find_problems(
    wanted: Iterable[Topic], found: Mapping[str, Found], *, begun: bool = False
) -> list[Problem]:
    """Compare topics as they should be with those that the broker has.

    Parameters
    ----------
    begun
        Whether the group has committed: a changelog that is missing then was there, with state in it.
    """
    return [problem for topic in wanted for problem in _compare(topic, found.get(topic.name), begun=begun)]


def _compare(wanted: Topic, found: Found | None, *, begun: bool) -> list[Problem]:
    if found is None:
        remedy = STATE_LOST if begun and wanted.config.items() >= CHANGELOG.items() else APPLY
        return [Problem(wanted.name, "missing", remedy, blocking=True)]
    problems = [
        Problem(
            wanted.name, f"{key} is {found.config.get(key)}, not {value}", APPLY, blocking=key in _BINDING
        )
        for key, value in differences(wanted, found).items()
    ]
    if is_repartitioned(wanted, found):
        problems.append(partitions_problem(wanted, found))
    if found.replication_factor < wanted.replication_factor:
        text = f"{found.replication_factor} of {wanted.replication_factor} replicas"
        problems.append(
            Problem(wanted.name, text, "reassign its partitions with Kafka's tools", blocking=False)
        )
    return problems


def is_repartitioned(wanted: Topic, found: Found) -> bool:
    """Tell whether a topic has another number of partitions than it must have."""
    return found.partitions != wanted.partitions and wanted.name != contract.DEAD_LETTERS


def partitions_problem(wanted: Topic, found: Found) -> Problem:
    """Say what to do about a topic's number of partitions: it cannot be changed in place, keys would move."""
    remedy = (
        f"set PIPELINE_PARTITIONS={found.partitions} if all topics have that many; otherwise delete the topic"
        f" and {APPLY}"
    )
    text = f"the number of partitions is {found.partitions}, not {wanted.partitions}"
    return Problem(wanted.name, text, remedy, blocking=True)


def differences(wanted: Topic, found: Found) -> dict[str, str]:
    """Return the settings that a topic should have and has not."""
    return {key: value for key, value in wanted.config.items() if found.config.get(key) != value}
