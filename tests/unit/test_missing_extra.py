"""Without the extra `calibrate` its commands say what to install, before they read anything."""

import subprocess
import sys

import pytest

WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from pipeline.__main__ import main; main()"


@pytest.mark.parametrize("missing", ["scipy", "tomli_w"])
@pytest.mark.parametrize("command", ["calibrate", "optimise"])
def test_a_missing_extra_is_one_line(command, missing, tmp_path):
    arguments = [missing, command, "--liquidations", "nowhere.csv", "--out", str(tmp_path / "mine.toml")]
    program = [sys.executable, "-c", WITHOUT, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "fitting a profile needs more: pip install 'cascade-pipeline[calibrate]'\n"
