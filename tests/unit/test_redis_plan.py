"""What a batch comes to in Redis, without Redis."""

from __future__ import annotations

import json

import msgspec
import pytest
from output_records import T0, positioning, record, regime, signal, velocity, volatility

from pipeline import contract
from pipeline.sinks import scripts
from pipeline.sinks.plan import Call, Plan, Rules


def planned(*records, now=T0, rules=None):
    plan = Plan(rules or Rules(), now)
    for each in records:
        plan.add(each)
    return plan


def call_on(plan, key) -> Call:
    [found] = [call for call in plan.calls if call.key == key]
    return found


def keys(plan):
    return {call.key for call in plan.calls}


def test_signals_of_one_symbol_are_one_call_in_order():
    plan = planned(*(record(signal(sequence, level="WATCH")) for sequence in (1, 2, 3)))
    [call] = plan.calls
    assert call.key == "cascade:probability:BTCUSDT"
    assert call.updates == 3
    assert call.arguments[:3] == ["cascade:signals", "cascade:alerts", "cascade:critical"]
    assert call.arguments[4::6] == [1, 2, 3]


@pytest.mark.parametrize(
    ("level", "channels"), [("NONE", 1), ("WATCH", 1), ("ALERT", 2), ("CRITICAL", 3), ("EXTREME", 3)]
)
def test_a_level_decides_on_the_channels(level, channels):
    call = call_on(planned(record(signal(level=level))), "cascade:probability:BTCUSDT")
    assert call.arguments[7] == channels


@pytest.mark.parametrize(("age", "late"), [(0, 0), (10, 0), (10.001, 1), (59, 1)])
def test_a_signal_is_late_when_its_record_is_older_than_ten_seconds(age, late):
    plan = planned(record(signal(level="EXTREME")), now=T0 + age)
    assert plan.late == late
    call = call_on(plan, "cascade:probability:BTCUSDT")
    assert call.arguments[7] == (0 if late else 3)
    assert (call.arguments[8] == b"") is bool(late)


@pytest.mark.parametrize(("age", "life_ms"), [(-5, 60_000), (0, 60_000), (15.5, 44_500), (59.999, 1)])
def test_a_key_lives_as_long_as_its_record_is_not_old(age, life_ms):
    plan = planned(record(signal(level="NONE")), now=T0 + age)
    assert call_on(plan, "cascade:probability:BTCUSDT").arguments[5] == life_ms


def test_a_signal_older_than_its_key_lives_is_left_out_but_enters_the_history():
    plan = planned(record(signal()), now=T0 + 60)
    assert keys(plan) == {"cascade:signals:history:BTCUSDT"}
    assert (plan.late, plan.expired) == (1, 1)


def test_a_signal_older_than_the_history_lives_is_left_out_altogether():
    plan = planned(record(signal()), now=T0 + 7 * 86_400)
    assert plan.calls == []
    assert (plan.late, plan.expired) == (1, 2)


def test_the_history_has_alerts_and_above():
    plan = planned(*(record(signal(number, level=level)) for number, level in enumerate(("WATCH", "ALERT"))))
    call = call_on(plan, "cascade:signals:history:BTCUSDT")
    assert call.arguments[:2] == [1_000, 604_800]
    assert [json.loads(member)["signal"] for member in call.arguments[4::3]] == ["ALERT"]
    assert call.updates == 0


def test_the_history_level_is_a_rule():
    plan = planned(record(signal(level="NONE")), rules=Rules(history_level="NONE"))
    assert "cascade:signals:history:BTCUSDT" in keys(plan)


def test_of_several_updates_of_a_key_the_newest_is_kept_and_all_are_counted():
    batch = [velocity(2, timestamp=T0 + 1), velocity(3, timestamp=T0 + 1), velocity(9, timestamp=T0)]
    [call] = planned(*map(record, batch)).calls
    assert call.script is scripts.FIELDS
    assert call.arguments[:3] == [T0 + 1, 3, 600_000]
    assert call.updates == 3


def test_a_velocity_without_a_price_has_no_such_fields():
    [call] = planned(record(velocity(btc_price=None, leading_exchange=None))).calls
    fields = call.arguments[3::2]
    assert "symbol" in fields
    assert not {"btc_price", "leading_exchange"} & set(fields)
    assert None not in call.arguments


def test_an_old_velocity_is_left_out():
    plan = planned(record(velocity()), now=T0 + 600)
    assert plan.calls == []
    assert plan.expired == 1


def test_open_interest_and_funding_have_keys_and_lives_of_their_own():
    plan = planned(record(positioning(rate=None)), now=T0 + 1)
    change = call_on(plan, "oi:BTCUSDT:change")
    rate = call_on(plan, "funding:BTCUSDT:current")
    assert (change.arguments[2], rate.arguments[2]) == (359_000, 32_399_000)
    assert json.loads(change.arguments[3])["change_5m"] == -0.0431
    assert json.loads(rate.arguments[3]) == {
        "symbol": "BTCUSDT",
        "timestamp": T0,
        "rate": None,
        "sequence": 1,
    }


def test_only_the_reference_symbol_makes_the_market():
    others = record(volatility(symbol="ETHUSDT")), record(regime(symbol="ETHUSDT"))
    assert planned(*others).calls == []
    market = {"btc:price:current", "volatility:btc:current", "regime:current", "regime:history"}
    assert keys(planned(*others, rules=Rules(reference="ETHUSDT"))) == market


def test_only_changes_enter_the_history_of_the_regime():
    assert keys(planned(record(regime(changed=False)))) == {contract.KEY_REGIME}
    assert call_on(planned(record(regime())), contract.KEY_REGIME_HISTORY).arguments[:2] == [100, 0]


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"\xff", b'{"symbol": "BTCUSDT"}', b'{"a":' * 5_000 + b"1" + b"}" * 5_000],
)
@pytest.mark.parametrize("topic", contract.PROJECTED)
def test_what_is_no_message_is_noted_and_left_out(topic, value):
    plan = planned((topic, b"BTCUSDT", value, 0), record(signal(level="NONE")))
    assert [where for where, _ in plan.unreadable] == [topic]
    assert keys(plan) == {"cascade:probability:BTCUSDT"}


@pytest.mark.parametrize("seconds", [0, -1, 60.1])
def test_signals_are_not_published_for_longer_than_their_key_lives(seconds):
    with pytest.raises(ValueError, match="fresh_seconds: expected more than 0 and at most 60"):
        Rules(fresh_seconds=seconds)


def test_unknown_rules_are_refused():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"fresh": 1}, Rules)


@pytest.mark.parametrize("script", scripts.ALL)
def test_a_script_is_known_by_its_digest(script):
    assert len(script.sha) == 40
    assert script.text.startswith("-- Put in front of every script.")
