"""`cascade simulate` on a real broker: what comes to lie in the topics, and how it ends."""

import asyncio
import signal

import pytest
from commands import simulating
from workers import PATIENCE, delete_topics, ends, read_all

from pipeline import contract
from pipeline.cli.simulation import Market


async def until_it_plays(settings, process):
    """Wait until the past is sent, and something of what comes after it."""
    past = sum(1 for _ in Market().warm_up(0))
    while sum((await ends(settings, contract.FEEDS)).values()) <= past:
        assert process.poll() is None, process.communicate()
        await asyncio.sleep(0.2)


async def test_a_market_is_sent_whole_with_its_times_and_its_number_is_told(settings):
    with simulating(settings, "--seconds", "20", "--seed", "5") as process:
        told, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    assert (process.returncode, errors) == (0, "")
    market = Market(20, 5)
    expected = [*market.warm_up(1e9), *market.play(1e9)]
    assert told == f"{len(expected):,} events were sent\n"
    for topic in contract.FEEDS:
        found = await read_all(settings, topic)
        assert _by_symbol(found) == _by_symbol([each.message for each in expected if each.topic == topic])


def _by_symbol(messages):
    """Return each symbol's messages in their order, without the times, which depend on the start."""
    found = {}
    for message in messages:
        kept = {name: value for name, value in message.items() if name not in {"timestamp", "id"}}
        found.setdefault(message["symbol"], []).append(kept)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_one_without_an_end_plays_until_it_is_told_to_stop(settings, number):
    with simulating(settings) as process:
        try:
            await until_it_plays(settings, process)
            process.send_signal(number)
            assert await asyncio.to_thread(process.communicate, timeout=PATIENCE) == ("", "")
        finally:
            process.kill()
    assert process.returncode == 0


async def test_without_topics_it_says_how_to_make_them(settings):
    await delete_topics(settings)
    with simulating(settings) as process:
        told, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
    assert (process.returncode, told) == (1, "")
    assert "cascade topics apply" in errors
