"""The log: structlog's and the standard library's, in one form, on standard error."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Final, Literal

import structlog
from rich.console import Console

_CHATTY: Final = ("faust", "mode", "aiokafka")
"""Libraries that log every step at INFO."""
_REPEATING: Final = ("aiokafka", "mode.timers")
"""Those that say the same again and again while a broker is away or slow."""
_FOLD_S: Final = 10.0


class _Expected(logging.Filter):
    """Drops what Faust says at every start: that topics are made by `cascade topics` is meant to be.

    Its classes that the runtime extends log their steps under the runtime's names; what they say begins as
    no line of the pipeline's own does.
    """

    def __init__(self, *, steps: bool) -> None:
        super().__init__()
        self._steps = steps

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        step = record.levelno <= logging.INFO and text.startswith("[^")
        return "Topic creation disabled" not in text and (self._steps or not step)


class _Folded(logging.Filter):
    """Lets a client library say the same once in a while: without a broker it says so many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_REPEATING):
            return True
        now, what = time.monotonic(), (record.name, str(record.msg))
        since, left_out = self._said.get(what, (-_FOLD_S, 0))
        if now - since < _FOLD_S:
            self._said[what] = since, left_out + 1
            return False
        self._said[what] = now, 0
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more like it)"
            record.args = ()
        return True


def configure_log(form: Literal["console", "json"], level: str) -> None:
    """Send all logging to standard error, one line an event.

    Parameters
    ----------
    form
        For people or for machines.
    level
        The least that is logged; Faust and aiokafka are held to WARNING unless it is DEBUG.

    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=_renderers(form), foreign_pre_chain=shared)
    )
    handler.addFilter(_Expected(steps=level == "DEBUG"))
    if level != "DEBUG":
        handler.addFilter(_Folded())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else "WARNING")
    # At DEBUG it writes every request, and one of them holds the password.
    logging.getLogger("aiokafka.conn").setLevel("INFO" if level == "DEBUG" else "WARNING")


def log_to_stderr() -> None:
    """Send what commands log to standard error, for people: what was asked for goes to stdout."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_for_people(),
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _renderers(form: Literal["console", "json"]) -> list[Any]:
    as_json = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    rendering = as_json if form == "json" else _for_people()
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering]


def _for_people() -> list[Any]:
    screen = Console(stderr=True)
    # The default shows the local variables of a traceback, and among them may be a secret.
    console = structlog.dev.ConsoleRenderer(
        colors=screen.color_system is not None and not screen.no_color,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [structlog.processors.format_exc_info, _write_out, console]


def _write_out(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    """Write out control characters but line ends: what a record holds may come from anybody."""
    return {
        name: "\n".join(map(visible, value.split("\n"))) if isinstance(value, str) else value
        for name, value in event.items()
    }


def visible(text: str) -> str:
    """Return a text with its control characters, line ends too, written out."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
