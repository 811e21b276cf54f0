"""The `cascade` command, also as `python -m pipeline`; nothing is imported before it can be stopped."""

from __future__ import annotations

import os
import signal
import sys

_ENDING = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130


def main() -> None:
    """Run the `cascade` command; SIGTERM ends it as Ctrl-C does: what it began is put away."""
    for number in _ENDING:
        signal.signal(number, lambda *_: os._exit(_INTERRUPTED))
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever starts it has closed it: what is said there is for nobody
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - to the end, without pathlib
    from pipeline.cli import app  # noqa: PLC0415 - takes half a second, and has begun nothing meanwhile

    try:
        for number in _ENDING:
            signal.signal(number, signal.default_int_handler)
        app()
    except KeyboardInterrupt:  # where Click does not look yet, or no more
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
