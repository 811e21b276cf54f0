import asyncio
from collections import Counter

import faust
import pytest
from faust.types import TP

from pipeline.runtime.recovery import Recovery, RecoveryStuckError
from pipeline.runtime.store import ChangelogLostError

CHANGELOG = TP("app-velocity-changelog", 2)


class Consumer:
    """Knows where partitions begin."""

    async def earliest_offsets(self, *tps):
        return dict.fromkeys(tps, 0)


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


@pytest.mark.parametrize("end", [-1, 0, 6])
async def test_a_changelog_that_ends_before_what_is_known_of_it_is_an_error_that_says_what_to_do(
    recovery, end
):
    recovery.active_highwaters[CHANGELOG] = end
    with pytest.raises(ChangelogLostError, match=r"^app-velocity-changelog-2: .* another PIPELINE_APP_ID"):
        await recovery._build_offsets(Consumer(), {CHANGELOG}, Counter({CHANGELOG: 7}), "active")


async def test_a_changelog_that_goes_on_where_it_is_known_is_none(recovery):
    recovery.active_highwaters[CHANGELOG] = 7
    await recovery._build_offsets(Consumer(), {CHANGELOG}, Counter({CHANGELOG: 7}), "active")
