"""From records on a real broker to signals on it: what the engine makes, whatever happens on the way."""

from workers import Worker, differing, expected_signals, produce, read_signals, until_caught_up

from pipeline.cli.simulation import simulate


async def test_a_worker_sends_what_the_engine_sends(settings):
    ticks = list(simulate(30, seed=3))
    await produce(settings, ticks)
    with Worker(settings) as worker:
        await until_caught_up(settings, workers=[worker])
        assert worker.stop() == 0
    assert differing(await read_signals(settings), expected_signals(ticks)) == []
