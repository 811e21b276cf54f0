import pytest

from pipeline.features.ranking import Ranking


def ranking(values):
    ranks = Ranking(12)
    for value in values:
        ranks.keep(value)
    return ranks


def test_nothing_is_said_before_12_values():
    assert ranking(range(11)).percentile(5) is None
    assert ranking(range(11)).z_score(5) is None
    assert ranking(range(12)).percentile(5) is not None


def test_percentile_counts_equal_values_half():
    ranks = ranking([1.0, 1.0, *range(2, 20)])
    assert ranks.percentile(0.5) == 0
    assert ranks.percentile(1.0) == 5
    assert ranks.percentile(10.5) == 55
    assert ranks.percentile(100) == 100


def test_a_dead_market_is_in_the_middle_of_its_history():
    assert ranking([0.0] * 50).percentile(0.0) == 50


def test_z_score_is_in_population_standard_deviations():
    ranks = ranking([1.0, 3.0] * 6)
    assert ranks.z_score(2.0) == 0
    assert ranks.z_score(5.0) == pytest.approx(3.0)


@pytest.mark.parametrize("values", [[0.0] * 12, [0.1 + 0.2, 0.3] * 6])
def test_without_deviation_there_is_no_z_score(values):
    assert ranking(values).z_score(7.0) is None


def test_the_newest_288_values_are_kept():
    ranks = ranking([1e9] * 5 + [1.0] * 288)
    assert ranks.percentile(2.0) == 100


def test_a_value_is_due_once_in_five_minutes():
    ranks = Ranking(12)
    assert ranks.due(600)
    assert not ranks.due(899)
    assert ranks.due(900)
    assert ranks.due(5_000)
