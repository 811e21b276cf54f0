"""What a worker asks the others, over HTTP."""

from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from pipeline import contract
from pipeline.web.answers import Symbols
from pipeline.web.fleet import LARGEST, Fleet


@pytest.fixture
async def sent(unused_tcp_port):
    """Serve answers that never end in another worker's place; yield where, and what was sent of them."""
    sent = []

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(1 << 20))
            sent.append(1 << 20)

    server = web.Application()
    server.router.add_get("/api/symbols", endless)
    runner = web.AppRunner(server, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield f"http://127.0.0.1:{unused_tcp_port}", sent
    await runner.cleanup()


async def test_an_answer_that_is_too_large_is_not_read(sent):
    url, bytes_sent = sent
    router = SimpleNamespace(external_topics_metadata=lambda: {url: {contract.LIQUIDATIONS: [3]}})
    async with aiohttp.ClientSession() as session:
        app = SimpleNamespace(
            http_client=session, router=router, conf=SimpleNamespace(canonical_url="http://own")
        )
        answers, ((peer, reason),) = await Fleet(app, None).ask("/api/symbols", Symbols)
    assert (answers, peer.partitions, reason) == ([], (3,), f"no answer: more than {LARGEST} bytes")
    assert sum(bytes_sent) < 2 * LARGEST
