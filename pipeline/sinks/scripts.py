"""The Lua scripts that run inside Redis, one key a call, so that they work on a cluster too."""

from hashlib import sha1
from importlib.resources import files
from typing import Final, NamedTuple


class Script(NamedTuple):
    """A Lua script and the name by which Redis knows it once it is loaded."""

    text: str
    sha: str


def _read(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def _script(name: str) -> Script:
    text = f"{_read('order')}\n{_read(name)}"
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


SIGNALS: Final = _script("signals")
LATEST: Final = _script("latest")
FIELDS: Final = _script("fields")
HISTORY: Final = _script("history")
ALL: Final = (SIGNALS, LATEST, FIELDS, HISTORY)
