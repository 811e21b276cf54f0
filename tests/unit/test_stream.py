"""Who listens gets what he wants, and is let go when he is too slow."""

import asyncio

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from waiting import until

from pipeline import contract
from pipeline.settings import Settings
from pipeline.web import stream
from pipeline.web.stream import MOST_WAITING, Glance, Listener, Topic


def waiting(listener):
    return [listener.queue.get_nowait() for _ in range(listener.queue.qsize())]


@pytest.mark.parametrize(
    ("least", "symbol", "heard"),
    [(0, None, [b"a", b"b", b"c"]), (2, None, [b"b", b"c"]), (2, "ETHUSDT", [b"c"]), (4, None, [])],
)
def test_a_listener_hears_a_symbol_from_a_level_up(least, symbol, heard):
    listener = Listener(least, symbol)
    for event, level, name in ((b"a", 1, "BTCUSDT"), (b"b", 2, "BTCUSDT"), (b"c", 3, "ETHUSDT")):
        listener.take(event, Glance(name, level, "id"))
    listener.take(b"regime", None)
    assert waiting(listener) == [*heard, b"regime"]


def test_who_is_too_slow_is_let_go_and_nothing_is_kept_for_him():
    listener = Listener(0, None)
    for number in range(MOST_WAITING):
        listener.take(str(number).encode(), None)
    assert listener.queue.qsize() == MOST_WAITING
    listener.take(b"one too many", None)
    assert waiting(listener) == [None]


def test_who_wants_changes_hears_of_the_first_level_above_none_of_no_repeat_and_of_each_fall():
    topic, listener = Topic(Settings(), contract.SIGNALS, "signal"), Listener(0, None, changes=True)
    topic._listeners.add(listener)
    for number, (symbol, level) in enumerate([("A", 0), ("B", 2), ("A", 0), ("A", 1), ("B", 2), ("A", 0)]):
        topic._tell(b'{"symbol": "%s", "signal_level": %d, "id": "%d"}' % (symbol.encode(), level, number))
    assert [event.splitlines()[1] for event in waiting(listener)] == [b"id: 1", b"id: 3", b"id: 5"]


async def test_who_comes_while_the_last_one_leaves_knows_the_levels_that_were_told_since(monkeypatch):
    """Else the next signal of each symbol would count as a change."""
    leaving, gone = asyncio.Event(), asyncio.Event()

    async def read(_topic):
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await gone.wait()  # as a consumer takes its time to stop

    monkeypatch.setattr(Topic, "_read", read)
    topic = Topic(Settings(), contract.SIGNALS, "signal")
    first, second = Listener(0, None), Listener(0, None, changes=True)
    topic.add(first)
    await asyncio.sleep(0)
    removing = asyncio.create_task(topic.remove(first))
    await leaving.wait()
    topic.add(second)
    topic._tell(b'{"symbol": "A", "signal_level": 2, "id": "1"}')
    gone.set()
    await removing
    topic._tell(b'{"symbol": "A", "signal_level": 2, "id": "2"}')
    assert [event.splitlines()[1] for event in waiting(second)] == [b"id: 1"]
    await topic.remove(second)


async def test_a_topic_is_read_on_after_an_error_that_nobody_foresaw(monkeypatch):
    """A stream that has ended would still tell its listeners that it is there."""
    tries = iter([LookupError("nobody foresaw it"), None])

    async def read_on(topic):
        if (error := next(tries)) is not None:
            raise error
        topic._tell(b"{}")
        await asyncio.Event().wait()

    monkeypatch.setattr(Topic, "_read_on", read_on)
    monkeypatch.setattr(stream, "_AGAIN", 0.0)
    topic, listener = Topic(Settings(), contract.REGIME, "regime"), Listener(0, None)
    topic.add(listener)
    with capture_logs() as logs:
        assert await asyncio.wait_for(listener.queue.get(), 5) == b"event: regime\ndata: {}\n\n"
    assert [entry["topic"] for entry in logs] == [contract.REGIME]
    await topic.remove(listener)


@pytest.mark.parametrize("value", [b'{"symbol": "\xff"}', b"[" * 100_000, b"{}", None])
def test_what_is_no_signal_is_told_to_nobody(value):
    topic, listener = Topic(Settings(), contract.SIGNALS, "signal"), Listener(0, None)
    topic._listeners.add(listener)
    topic._tell(value)
    assert waiting(listener) == []


@pytest.mark.parametrize("then", ["is let go", "is told more"])
async def test_who_takes_nothing_is_cut_off(monkeypatch, then):
    monkeypatch.setattr(stream, "HEARTBEAT", 0.2)
    listener = Listener(0, None)

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        request.transport.write(bytes(20 << 20))  # more than lies between the two
        listener.queue.put_nowait(None if then == "is let go" else bytes(1 << 20))
        await stream._send(request, response, listener)
        return response

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        _, writer = await asyncio.open_connection(*runner.addresses[0], limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await until(lambda: runner.server.connections)
        await until(lambda: not runner.server.connections)
        writer.close()
    finally:
        await runner.cleanup()
