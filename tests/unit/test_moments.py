import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.moments import iso, moment_ms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-10-09T08:53:20", 1_760_000_000_000),
        ("2025-10-09T08:53:20Z", 1_760_000_000_000),
        ("2025-10-09T10:53:20+02:00", 1_760_000_000_000),
        ("2025-10-09", 1_759_968_000_000),
        ("20251009", 1_759_968_000_000),
        ("1760000000000", 1_760_000_000_000),
    ],
)
def test_a_moment_is_iso_8601_in_utc_unless_it_says_otherwise_or_milliseconds(text, expected):
    assert moment_ms("--since", text, default=0.0) == expected


@pytest.mark.parametrize("text", ["1760000000", "20251009085320", "1760000000000000", "9" * 400])
def test_seconds_dates_and_what_no_broker_knows_are_not_taken_for_milliseconds(text):
    with pytest.raises(typer.Exit):
        moment_ms("--since", text, default=0.0)


def test_no_moment_is_the_default():
    assert moment_ms("--since", None, default=7.0) == 7.0


@given(st.integers(1_000_000_000_000, 4_000_000_000_000))
def test_what_is_told_is_read_to_the_millisecond(moment):
    assert moment_ms("--from", iso(moment), default=0.0) == moment
