"""Waiting until something is so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(condition: Callable[[], Any], otherwise: str = "not in time", patience: float = 20.0) -> None:
    """Wait until something is so, whatever brings it about; fail when that takes too long."""
    deadline = asyncio.get_running_loop().time() + patience
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, otherwise
        await asyncio.sleep(0.005)
