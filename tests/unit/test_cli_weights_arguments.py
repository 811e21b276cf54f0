import pytest
from commands import invoke

COMPLETE = [
    *("velocity=0.25", "acceleration=0.2", "volume=0.2"),
    *("oi_change=0.15", "funding=0.1", "volatility=0.1"),
]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (COMPLETE[1:], "weights.velocity: missing"),
        ([*COMPLETE, "luck=1"], "weights.luck: unknown"),
        (["velocity", *COMPLETE], "velocity: expected COMPONENT=WEIGHT"),
        (["velocity=much", *COMPLETE[1:]], "velocity=much: expected a number"),
        (["velocity=0.5", *COMPLETE], "weights.velocity: given more than once"),
        (["velocity=nan", *COMPLETE[1:]], "weights.velocity: expected 0 to"),
        ([word.partition("=")[0] + "=0" for word in COMPLETE], "weights: all are zero"),
        ([], "give six COMPONENT=WEIGHT, or --profile"),
        ([*COMPLETE, "--profile", "adaptive"], "give six COMPONENT=WEIGHT, or --profile"),
        (
            ["--profile", "nowhere.toml"],
            "--profile: 'nowhere.toml': neither a profile's name (seed, adaptive) nor a file",
        ),
    ],
)
def test_weights_that_cannot_be_used_are_refused_before_anything_is_sent(arguments, reason):
    result = invoke("weights", "set", *arguments, PIPELINE_BROKER="nowhere:1")
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_negative_weight_is_refused():
    result = invoke("weights", "set", "velocity=-1", *COMPLETE[1:])
    assert result.exit_code == 2
