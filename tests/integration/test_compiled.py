"""The compiled package says byte for byte what the plain one says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import COMPILED, TOP, compile_package

pytestmark = pytest.mark.compiler


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return compile_package(tmp_path_factory.mktemp("compiled"))


def run(package, *arguments):
    command = [sys.executable, "-P", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(package)}
    done = subprocess.run(command, cwd=TOP, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_pyproject_names_is_compiled(package):
    assert COMPILED
    for name in COMPILED:
        assert (TOP / name).is_file()
        assert list((package / name).parent.glob(f"{Path(name).stem}.*.so"))


@pytest.mark.parametrize("profile", ["seed", "adaptive"])
def test_a_compiled_engine_says_what_a_plain_one_says(package, profile):
    program = TOP / "tests" / "engine_digest.py"
    plain_file, plain = run(TOP, program, profile).split()
    compiled_file, compiled = run(package, program, profile).split()
    assert plain_file == str(TOP / "pipeline" / "features" / "windows.py")
    assert compiled_file.startswith(f"{package}/")
    assert compiled_file.endswith(".so")
    assert compiled == plain


def test_the_unit_tests_of_what_is_compiled_pass(package):
    names = [TOP / "tests" / "unit" / f"test_{Path(name).stem}.py" for name in COMPILED]
    tests = [name for name in names if name.exists()] + [TOP / "tests" / "unit" / "test_velocity.py"]
    found = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests)
    assert " passed" in found
