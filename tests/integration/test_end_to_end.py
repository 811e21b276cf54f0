"""From records on a real broker to signals on it: what the engine makes, whatever happens on the way."""

from interruptions import ALL, market
from workers import Worker, differing, expected_signals, produce, read_signals, until_caught_up


async def test_a_worker_sends_what_the_engine_sends(settings):
    ticks = market(30, seed=3)
    await produce(settings, ticks)
    with Worker(settings) as worker:
        await until_caught_up(settings, ALL, workers=[worker])
        assert worker.stop() == 0
    expected = expected_signals(ticks)
    assert differing(await read_signals(settings), expected) == []
    assert {"feeds" in signal["context"] for signal in expected.values()} == {False, True}
