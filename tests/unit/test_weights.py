import math

import msgspec
import pytest

from pipeline import codec, contract
from pipeline.messages import COMPONENTS, Control, Scores
from pipeline.signals.weights import name_weights, read_weights

SEED_WEIGHTS = dict(zip(COMPONENTS, (0.25, 0.2, 0.2, 0.15, 0.1, 0.1), strict=True))


def test_components_are_the_scores_of_the_message_in_their_order():
    assert Scores.__struct_fields__ == COMPONENTS


def test_weights_are_read_in_the_order_of_the_components():
    backwards = dict(reversed(SEED_WEIGHTS.items()))
    assert read_weights(backwards) == (0.25, 0.2, 0.2, 0.15, 0.1, 0.1)


def test_weights_are_named_as_they_were_given():
    assert name_weights(read_weights(SEED_WEIGHTS)) == SEED_WEIGHTS


@pytest.mark.parametrize("velocity", [0.25 - 0.009, 0.25 + 0.009])
def test_weights_that_sum_to_one_within_a_hundredth_are_used_as_they_are(velocity):
    assert read_weights({**SEED_WEIGHTS, "velocity": velocity})[0] == velocity


def test_other_sums_are_renormalised():
    doubled = {name: 2 * weight for name, weight in SEED_WEIGHTS.items()}
    assert read_weights(doubled) == pytest.approx((0.25, 0.2, 0.2, 0.15, 0.1, 0.1))


def test_the_smallest_weight_can_be_renormalised():
    tiny = {**dict.fromkeys(COMPONENTS, 0.0), "funding": 5e-324}
    assert read_weights(tiny) == (0.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf, -math.inf, 1e7])
@pytest.mark.parametrize("name", COMPONENTS)
def test_a_weight_that_is_negative_or_not_finite_is_refused_by_name(name, weight):
    with pytest.raises(ValueError, match=rf"^weights\.{name}: expected 0 to 1e\+06"):
        read_weights({**SEED_WEIGHTS, name: weight})


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_missing_component_is_refused_by_name(name):
    rest = {other: weight for other, weight in SEED_WEIGHTS.items() if other != name}
    with pytest.raises(ValueError, match=rf"^weights\.{name}: missing"):
        read_weights(rest)


def test_an_unknown_component_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^weights\.momentum: unknown"):
        read_weights({**SEED_WEIGHTS, "momentum": 0.1})


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match=r"^weights: all are zero"):
        read_weights(dict.fromkeys(COMPONENTS, 0.0))


def test_a_control_message_with_weights_that_cannot_be_used_is_a_rejection_with_the_reason():
    value = msgspec.json.encode(
        {"setting": "weights", "version": 1, "timestamp": 1.76e9, "weights": {**SEED_WEIGHTS, "volume": -1}}
    )
    decoded = codec.decode(contract.CONTROL, value)
    assert [rejection.reason for rejection in decoded.rejections] == [
        "weights.volume: expected 0 to 1e+06, got -1.0"
    ]


def test_a_control_message_without_weights_goes_back_to_the_profile():
    value = b'{"setting": "weights", "version": 2, "timestamp": 1760000000, "weights": null}'
    assert list(codec.decode(contract.CONTROL, value).messages) == [Control("weights", 2, 1.76e9, None)]
