"""`cascade simulate` on a real broker: what comes to lie in the topics, and how it ends."""

import asyncio
import itertools
import signal

import pytest
from commands import start
from workers import PATIENCE, delete_topics, read_all, until_fed

from pipeline import contract
from pipeline.cli.simulated.simulation import ROUND_S, Market


async def until_it_plays(settings, process, past):
    """Wait until the past is sent, and something of what comes after it."""
    await until_fed(settings, process, more_than=past + 100)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_market_without_an_end_is_sent_as_it_happens_until_it_is_to_stop(settings, number):
    market = Market(ROUND_S, 5)
    past = list(market.warm_up(1e9))
    with start(settings, "simulate", "--seed", "5") as process:
        try:
            await until_it_plays(settings, process, len(past))
            process.send_signal(number)
            assert await asyncio.to_thread(process.communicate, timeout=PATIENCE) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 0
    found = {topic: await read_all(settings, topic) for topic in contract.FEEDS}
    sent = sum(map(len, found.values()))
    assert sent > len(past)
    for topic, messages in found.items():
        played = itertools.islice(market.repeat(1e9), 2 * sent)
        expected = by_symbol(each.message for each in [*past, *played] if each.topic == topic)
        for symbol, those in by_symbol(messages).items():
            assert those == expected[symbol][: len(those)], (topic, symbol)


def by_symbol(messages):
    """Return each symbol's messages in their order, without the times, which depend on the start."""
    found = {}
    for message in messages:
        kept = {name: value for name, value in message.items() if name not in {"timestamp", "id"}}
        found.setdefault(message["symbol"], []).append(kept)
    return found


async def test_a_market_that_is_stopped_before_its_end_ends_with_130(settings):
    with start(settings, "simulate", "--seconds", "3600") as process:
        try:
            await until_it_plays(settings, process, past=0)
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.communicate, timeout=PATIENCE) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 130


async def test_without_topics_it_says_how_to_make_them(settings):
    await delete_topics(settings)
    with start(settings, "simulate") as process:
        told, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    assert (process.returncode, told) == (1, "")
    assert "cascade topics apply" in errors
