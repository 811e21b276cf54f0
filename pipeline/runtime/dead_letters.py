"""Dead letters: reading them, and sending what they hold to where it came from."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from pipeline import codec, contract
from pipeline.messages import DeadLetter
from pipeline.runtime.reading import read_topic
from pipeline.runtime.sending import producer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from pipeline.runtime.sending import Producer
    from pipeline.settings import Settings

log = structlog.get_logger(__name__)

_decode: Final = codec.decoder(DeadLetter)


class Letter(NamedTuple):
    """A dead letter, and when it was written (Unix seconds)."""

    timestamp: float
    letter: DeadLetter


async def read_letters(
    settings: Settings, topic: str | None = None, since: float = 0.0
) -> AsyncIterator[Letter]:
    """Yield the dead letters of a source topic (or of all) that were written since a time."""
    async for record in read_topic(settings, contract.DEAD_LETTERS, since=since):
        try:
            found = Letter(record.timestamp / 1_000, _decode(record.value or b""))
        except codec.UNREADABLE as error:
            place = f"{record.topic}/{record.partition}/{record.offset}"
            log.warning("a record is no dead letter, and left out", record=place, error=str(error))
            continue
        if found.timestamp >= since and topic in {None, found.letter.topic}:
            yield found


def can_be_sent(letter: DeadLetter) -> bool:
    """Tell whether a letter holds a whole record, of which aiokafka (0.14) wants a key or a value."""
    return not letter.truncated and (letter.key, letter.value) != (None, None)


async def replay_letters(settings: Settings, letters: Iterable[DeadLetter]) -> int:
    """Send what dead letters hold to their topics again, under their keys; return how many were sent.

    Those that cannot be sent are left out.
    """
    async with producer(settings) as sending:
        sent = [await _send(sending, letter) for letter in letters if can_be_sent(letter)]
        await asyncio.gather(*sent)
    return len(sent)


async def _send(sending: Producer, letter: DeadLetter) -> asyncio.Future[Any]:
    # Feeds' keys are placed anew; copies for every partition stay on theirs.
    partition = None if letter.topic in contract.FEEDS else letter.partition
    return await sending.send(
        letter.topic,
        codec.original(letter.value, letter.encoding),
        key=codec.original(letter.key, letter.key_encoding),
        partition=partition,
        headers=[
            (name, codec.original(text, encoding))
            for (name, text), encoding in zip(letter.headers, letter.header_encodings, strict=True)
        ],
    )
