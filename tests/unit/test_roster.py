from pipeline import Engine, contract
from pipeline.features.roster import Roster
from pipeline.messages import Price

START = 1_760_000_000.0


def liquidation(symbol, number=0):
    return {
        "symbol": symbol,
        "exchange": "binance",
        "side": "long",
        "price": 10.0,
        "quantity": 1.0,
        "timestamp": START + number / 1_000,
    }


def test_symbols_are_admitted_until_there_are_as_many_as_are_allowed():
    roster = Roster(2, "BTCUSDT")
    assert [roster.admits(symbol) for symbol in ("A", "B", "C", "A")] == [True, True, False, True]


def test_the_reference_symbol_and_what_belongs_to_no_symbol_always_have_a_place():
    roster = Roster(1, "BTCUSDT", ["A", "B", "C"])
    assert [roster.admits(symbol) for symbol in ("BTCUSDT", "", "C", "D")] == [True, True, True, False]


def test_a_symbol_that_is_forgotten_makes_room():
    roster = Roster(1, "BTCUSDT", ["A"])
    assert not roster.admits("B")
    roster.forget(["A"])
    assert roster.admits("B")
    assert not roster.admits("A")


def test_beyond_the_limit_an_engine_answers_with_dead_letters_that_say_what_to_do():
    engine = Engine(max_symbols=2)
    for symbol in ("A", "B", "BTCUSDT"):
        assert engine.process(contract.LIQUIDATIONS, liquidation(symbol))
    [letter] = engine.process(contract.LIQUIDATIONS, liquidation("C"))
    assert letter.topic == contract.DEAD_LETTERS
    assert "PIPELINE_MAX_SYMBOLS" in letter.message["reason"]
    assert "2 symbols are known" in letter.message["reason"]
    assert '"C"' in letter.message["value"]
    again = Engine.restore(engine.snapshot(), max_symbols=2)
    assert [found.topic for found in again.process(contract.PRICES, price("C"))] == [contract.DEAD_LETTERS]
    assert contract.DEAD_LETTERS not in {found.topic for found in again.process(contract.PRICES, price("A"))}


def price(symbol):
    return {"symbol": symbol, "price": 10.0, "timestamp": START + 1}


def test_a_message_that_was_validated_is_refused_as_well():
    engine = Engine(max_symbols=1)
    message = Price("B", 10.0, START)
    engine.process(contract.LIQUIDATIONS, liquidation("A"))
    [letter] = engine.feed(contract.PRICES, message)
    assert letter.topic == contract.DEAD_LETTERS
    assert '"B"' in letter.message["value"]


def test_a_hundred_thousand_symbols_take_no_more_room_than_the_limit():
    engine = Engine(max_symbols=50)
    letters = 0
    for number in range(100_000):
        outputs = engine.process(contract.PRICES, price(f"X{number}"))
        letters += outputs[0].topic == contract.DEAD_LETTERS
    assert letters == 100_000 - 50
    assert len(engine.snapshot()) < 50 * 4_096
