"""What venues call coins: a table that users add to, and what of it is refused."""

import pytest

from pipeline.collect.instruments import Instrument
from pipeline.collect.names import USUAL, UnknownUnitError, read_names
from pipeline.collect.venues import VENUES

MORE = """
[coins]
XDG = "DOGE"
[bundles]
10000NEW = { coin = "NEW", coins = 10_000 }
1000REAL = { coin = "1000REAL", coins = 1 }
1000XDG = { coin = "XDG", coins = 1_000 }
[quotes.gate]
USD1 = "USDT"
[quotes.kraken]
EUR = "USDT"
"""


def named(names, base, quote="USDT", venue="binance") -> Instrument:
    return names.instrument(venue, "x", base, quote)


def test_users_add_to_what_is_known():
    names = USUAL.with_more(read_names(MORE, VENUES))
    assert (named(names, "10000NEW").symbol, named(names, "10000NEW").multiplier) == ("NEWUSDT", 10_000)
    assert (named(names, "1000REAL").symbol, named(names, "1000REAL").multiplier) == ("1000REALUSDT", 1)
    assert named(names, "1000XDG").symbol == named(names, "XDG").symbol == "DOGEUSDT"
    assert (named(names, "1000PEPE").symbol, named(names, "XBT").symbol) == ("PEPEUSDT", "BTCUSDT")
    assert named(names, "BTC", "USD1", "gate").symbol == "BTCUSDT"
    assert named(names, "BTC", "USD1", "aster").symbol == "BTCUSD1"
    assert (
        named(names, "XBT", "EUR", "kraken").symbol
        == named(names, "XBT", "USD", "kraken").symbol
        == "BTCUSDT"
    )


def test_what_a_user_says_of_a_name_that_is_known_counts():
    names = USUAL.with_more(read_names('bundles.1000PEPE = { coin = "PEPE", coins = 100 }'))
    assert named(names, "1000PEPE").multiplier == 100


def test_without_a_user_s_word_nothing_is_guessed():
    with pytest.raises(UnknownUnitError, match="how many coins is a 10000NEW"):
        named(USUAL, "10000NEW")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("multipliers = 1", "multipliers: expected coins, bundles or quotes"),
        ("coins = 1", "coins: expected a table"),
        ("coins.XBT = 1", "coins.XBT: Expected `str`, got `int`"),
        ('coins.XBT = "B T"', "coins.XBT: Expected `str` matching regex"),
        ('coins."" = "BTC"', "coins.: Expected `str` matching regex"),
        ('bundles.kX = "X"', "bundles.kX: Expected `object`, got `str`"),
        ('bundles.kX = { coin = "X" }', "bundles.kX: Object missing required field `coins`"),
        ('bundles.kX = { coin = "X", coins = 0 }', "bundles.kX: Expected `int` >= 1 - at `$.coins`"),
        (
            'bundles.kX = { coin = "X", coins = 0.5 }',
            "bundles.kX: Expected `int`, got `float` - at `$.coins`",
        ),
        (
            'bundles.kX = { coin = "X", coins = 10, unit = 1 }',
            "bundles.kX: Object contains unknown field `unit`",
        ),
        ("quotes.okx = 1", "quotes.okx: Expected `object`, got `int`"),
        ('quotes.nowhere.USD = "USDT"', "quotes.nowhere: expected one of binance"),
        ('quotes.okx.USD = ""', "quotes.okx.USD: Expected `str` matching regex"),
        ("coins", "Expected '=' after a key"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(text, message):
    with pytest.raises(ValueError, match=r"\w") as caught:
        read_names(text, VENUES)
    assert str(caught.value).startswith(message)
