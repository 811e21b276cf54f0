"""Rules of the house that the import linter does not know."""

import ast
from pathlib import Path

import pytest

import pipeline

PACKAGE = Path(pipeline.__file__).parent
FILES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}


def names_read(path):
    """Return every dotted name that a file mentions, such as `os.environ`."""
    tree = ast.parse(path.read_text())
    return {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}


@pytest.mark.parametrize("file", [name for name in FILES if name != "settings.py"])
def test_only_settings_read_the_environment(file):
    assert not names_read(FILES[file]) & {"os.environ", "os.getenv", "environ", "getenv"}


@pytest.mark.parametrize(
    "file", [name for name in FILES if name.split("/")[0] in {"agents", "runtime", "sinks"}]
)
def test_only_commands_print(file):
    assert "print" not in names_read(FILES[file])


def test_what_is_public_is_shown_before_it_is_imported():
    assert set(pipeline.__all__) <= set(dir(pipeline))
    assert not set(pipeline.__all__) & vars(pipeline).keys()
    assert all(hasattr(pipeline, name) for name in pipeline.__all__)
