"""What the dashboard is made of: files that hang together, and colours that can be read."""

import itertools
import re

import pytest

from pipeline.web import dashboard, metrics

FILES = {path.name: path.read_text() for path in dashboard.PAGE.iterdir()}
COLOURS = {
    name: both
    for name, *both in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", FILES["style.css"])
}
WORDS = [
    *("text", "soft", "accent", "second", "good", "bad", "long", "short", "focus"),
    *(f"level-{level}" for level in range(5)),
]


def luminance(colour):
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("word", "ground"), list(itertools.product(WORDS, ["page", "panel", "raised"])))
def test_words_stand_out(word, ground, theme):
    assert contrast(COLOURS[word][theme], COLOURS[ground][theme]) >= 4.5


def test_every_colour_that_is_used_is_there():
    used = {name for text in FILES.values() for name in re.findall(r"var\(--([\w-]+)\)", text)}
    defined = set(re.findall(r"--([\w-]+):", FILES["style.css"]))
    assert used - {"own"} <= defined


def test_every_file_that_is_named_is_there():
    named = {name for text in FILES.values() for name in re.findall(r'(?:from "\./|/assets/)([\w.]+)', text)}
    assert named - {"plotly.min.js"} == FILES.keys() - {"index.html"}
    assert {name[name.rfind(".") :] for name in FILES} <= dashboard.TYPES.keys()


def test_every_element_that_is_looked_for_is_on_the_page():
    wanted = {name for text in FILES.values() for name in re.findall(r'byId\("([\w-]+)"\)', text)}
    there = re.findall(r' id="([\w-]+)"', FILES["index.html"])
    assert len(there) == len(set(there))
    assert wanted <= set(there)


def test_nothing_that_comes_in_can_become_html_or_code():
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert [name for name, text in FILES.items() if re.search(ways, text)] == []
    assert "style=" not in FILES["index.html"]
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=", FILES["index.html"])


def test_every_metric_that_a_figure_names_is_one():
    source = metrics.__loader__.get_data(metrics.__file__).decode()
    served = set(re.findall(r'"(cascade_\w+)"', source))
    named = set(re.findall(r"\bcascade_\w+", FILES["strip.js"]))
    assert named
    assert {re.sub("_total$", "", name) for name in named} <= served
