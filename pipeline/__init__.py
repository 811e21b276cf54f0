"""Liquidation-cascade signals from liquidations and prices on Kafka.

Records of liquidations, prices, open interest and funding pass through five pure stages (positioning,
volatility, regime, velocity, scoring) that keep state for each symbol and say how likely a liquidation
cascade is. Faust agents run the stages on as many workers as there are partitions, with exact state after
a crash; `Engine` runs the same stages in one process without any server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.engine import Engine, Output
    from pipeline.runtime.profiles import load_profile
    from pipeline.signals.profile import SEED, Profile, read_profile
    from pipeline.subscriber import SignalSubscriber

__all__ = ["SEED", "Engine", "Output", "Profile", "SignalSubscriber", "load_profile", "read_profile"]

_HOMES = {
    "Engine": "pipeline.engine",
    "Output": "pipeline.engine",
    "Profile": "pipeline.signals.profile",
    "SEED": "pipeline.signals.profile",
    "SignalSubscriber": "pipeline.subscriber",
    "load_profile": "pipeline.runtime.profiles",
    "read_profile": "pipeline.signals.profile",
}


def __getattr__(name: str) -> Any:
    """Import what is public when it is first asked for: each part of the package starts fast on its own."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return also what is public and not imported yet, for whoever looks around or completes a name."""
    return sorted({*globals(), *__all__})
