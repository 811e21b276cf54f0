import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import RequestTimedOutError

from pipeline.runtime.sending import Producer


@pytest.fixture
async def complaints():
    """What the event loop is told of futures that failed and were forgotten."""
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    return told


async def test_of_many_deliveries_that_failed_none_has_to_be_looked_at(monkeypatch, complaints):
    async def send(_self):
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(RequestTimedOutError())
        return failed

    monkeypatch.setattr(AIOKafkaProducer, "send", send)
    monkeypatch.setattr(AIOKafkaProducer, "__del__", lambda _: None)
    for _ in range(3):
        await Producer.send(object.__new__(Producer))
        await asyncio.sleep(0)
    assert complaints == []
