import asyncio

import faust
import pytest

from pipeline.runtime.recovery import Recovery, RecoveryStuckError


@pytest.fixture
def recovery():
    app = faust.App("app", broker="kafka://localhost:1", web_enabled=False)
    return Recovery(app, app.tables)


async def test_a_step_that_takes_too_long_is_an_error_that_says_what_to_look_at(recovery):
    with pytest.raises(RecoveryStuckError, match=r"^no answer from the broker for 0 s .* coordinator"):
        await recovery._wait(asyncio.Event().wait(), timeout=0.01)


async def test_a_step_in_time_is_none(recovery):
    await recovery._wait(asyncio.sleep(0), timeout=60)
    await recovery._wait(asyncio.sleep(0))
