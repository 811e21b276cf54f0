"""The package with the modules compiled that pyproject.toml names, apart from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from zipfile import ZipFile

from workers import Worker

if TYPE_CHECKING:
    from pipeline.settings import Settings

TOP = Path(__file__).parents[1]
_BUILD = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
COMPILED: list[str] = _BUILD["targets"]["wheel"]["hooks"]["mypyc"]["include"]
"""The files that are compiled, seen from the checkout."""


def has_compiler() -> bool:
    """Tell whether there is what compiling takes: uv, a C compiler, and Python's headers."""
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return bool(shutil.which("uv") and shutil.which("cc") and headers.is_file())


def compile_package(directory: Path) -> Path:
    """Build a compiled wheel from a copy of the sources, and return where it was unpacked."""
    source, unpacked = directory / "source", directory / "unpacked"
    shutil.copytree(TOP / "pipeline", source / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(TOP / name, source)
    built = subprocess.run(
        ["uv", "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", directory],
        env=os.environ | {"HATCH_BUILD_HOOK_ENABLE_MYPYC": "1"},
        cwd=source,
        check=False,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = directory.glob("*.whl")
    with ZipFile(wheel) as packed:
        packed.extractall(unpacked)
    return unpacked


class CompiledWorker(Worker):
    """`cascade worker` of a package that was compiled."""

    program: ClassVar[tuple[str, ...]] = ("-P", *Worker.program)

    def __init__(self, settings: Settings, package: Path) -> None:
        self._package = package
        super().__init__(settings)

    def start(self) -> None:
        self._environment["PYTHONPATH"] = str(self._package)
        super().start()
