"""Which versions of Faust and aiokafka the runtime was written for: it leans on their insides."""

from importlib.metadata import version
from typing import Final

KNOWN: Final = {"faust-streaming": "0.15", "aiokafka": "0.14"}


class UnknownVersionError(Exception):
    """A library has a version that the runtime was not tested with."""


def check_versions(*, allow_unknown: bool) -> None:
    """Refuse versions that the runtime was not tested with.

    Raises
    ------
    UnknownVersionError
        Unless unknown versions are allowed.
    """
    for name, known in KNOWN.items():
        found = version(name)
        if not allow_unknown and not found.startswith(f"{known}."):
            raise UnknownVersionError(
                f"{name} {found} is installed, and the pipeline was tested with {known}: install "
                f"'{name}=={known}.*', or set PIPELINE_ALLOW_UNKNOWN_VERSIONS=true at your own risk"
            )
