"""Garbage in cycles: looked for among few objects, and not among many that are in use."""

import asyncio
import gc
import weakref

import pytest
from waiting import until

from pipeline.runtime import memory


class Node:
    """What refers to itself."""

    def __init__(self):
        self.itself = self


@pytest.fixture
async def collecting():
    """Let nothing but the task look for garbage."""
    gc.collect()
    gc.disable()
    task = asyncio.create_task(memory.collect_briefly())
    yield
    task.cancel()
    gc.enable()


@pytest.mark.usefixtures("collecting")
async def test_garbage_goes_while_little_is_done():
    garbage = weakref.ref(Node())
    young = [[] for _ in range(memory._WORTH_IT)]
    await until(lambda: garbage() is None)
    assert gc.get_count()[0] < len(young)


@pytest.mark.usefixtures("collecting")
async def test_garbage_that_was_in_use_for_some_rounds_goes_too():
    node = Node()
    garbage = weakref.ref(node)
    kept = []
    for _ in range(3):
        kept += [[] for _ in range(memory._WORTH_IT)]
        await until(lambda: gc.get_count()[0] < memory._WORTH_IT)
    del node

    def gone():
        kept.extend([] for _ in range(memory._WORTH_IT // 4))
        return garbage() is None

    await until(gone)


def test_giving_back_finds_old_garbage_too():
    gc.collect()
    gc.disable()
    try:
        node = Node()
        garbage = weakref.ref(node)
        gc.collect(1)  # now it is old
        del node
        gc.collect(1)
        assert garbage() is not None
        memory.give_back()
        assert garbage() is None
    finally:
        gc.enable()


async def test_many_objects_are_not_looked_through(monkeypatch):
    monkeypatch.setattr(memory, "_EVERY", 0)
    gc.collect()
    gc.disable()
    try:
        many = [[] for _ in range(memory._BRIEF + 1_000)]
        task = asyncio.create_task(memory.collect_briefly())
        for _ in range(10):
            await asyncio.sleep(0)
        assert gc.get_count()[0] >= len(many)
        task.cancel()
    finally:
        gc.enable()
