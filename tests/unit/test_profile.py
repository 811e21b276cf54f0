import msgspec
import pytest

from pipeline.runtime.profiles import load_profile
from pipeline.signals.profile import SEED, Profile, ProfileError, read_profile


def test_the_seed_profile_is_the_default_of_every_constant():
    assert Profile(name="seed") == SEED
    assert (SEED.reference, SEED.score.full_velocity, SEED.velocity.grace_s) == ("BTCUSDT", 50.0, 3.0)


def test_what_a_profile_does_not_name_is_the_seeds():
    profile = read_profile(b'name = "lazy"\n[score.levels]\nwatch = 0.4\n', "toml")
    assert profile.score.levels.watch == 0.4
    levels = msgspec.structs.replace(SEED.score.levels, watch=0.4)
    score = msgspec.structs.replace(SEED.score, levels=levels)
    assert profile == msgspec.structs.replace(SEED, name="lazy", score=score)


def test_toml_and_json_say_the_same():
    toml = b'name = "eth"\nreference = "ETHUSDT"\n[velocity]\ngrace_s = 2\n[score]\nfull_velocity = 25\n'
    json = (
        b'{"name": "eth", "reference": "ETHUSDT", "velocity": {"grace_s": 2}, "score": {"full_velocity": 25}}'
    )
    assert read_profile(toml, "toml") == read_profile(json, "json")
    assert read_profile(json, "json").velocity.grace_s == 2.0


def test_a_profile_survives_being_written_and_read():
    profile = msgspec.structs.replace(SEED, name="copy")
    assert read_profile(msgspec.json.encode(profile), "json") == profile


@pytest.mark.parametrize("section", ["velocity", "volatility", "positioning", "regime", "score"])
def test_every_section_refuses_unknown_fields(section):
    with pytest.raises(ProfileError, match=f"^{section}: Object contains unknown field `surprise`"):
        read_profile(f'name = "x"\n[{section}]\nsurprise = 1\n'.encode(), "toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[score]\nfull_velocity = 1.0", "^Object missing required field `name`"),
        ('name = "Two words"', "^name: "),
        ('name = "x"\nreference = "btcusdt"', "^reference: expected BTCUSDT"),
        ('name = "x"\nreference = "BTC USDT"', "^reference: no spaces"),
        ('name = "x"\nsurprise = 1', "^Object contains unknown field `surprise`"),
        ('name = "x"\n[score]\nfull_velocity = 0', "^score.full_velocity: Expected `float` > 0.0"),
        ('name = "x"\n[score]\nfull_velocity = nan', "^score.full_velocity: Expected `float`"),
        ('name = "x"\n[score]\nfull_velocity = inf', "^score.full_velocity: Expected `float`"),
        ('name = "x"\n[score]\nfull_velocity = "50"', "^score.full_velocity: Expected `float`, got `str`"),
        ('name = "x"\n[score.levels]\nwatch = 0.6', "^score.levels: alert: expected more than watch"),
        (
            'name = "x"\n[score.levels]\nwatch = 0.2',
            "^score: quiet_probability: expected at most levels.watch",
        ),
        ('name = "x"\n[score]\nemit_interval_s = 1e18', "^score.emit_interval_s: Expected `float` <= 10.0"),
        ('name = "x"\n[score]\nnone_interval_s = 61', "^score.none_interval_s: Expected `float` <= 60.0"),
        ('name = "x"\n[score]\nmemory_s = 0.001', "^score.memory_s: Expected `float` >= 60.0"),
        ('name = "x"\n[score]\nfunding_lifetime_s = 1e9', "^score.funding_lifetime_s: Expected `float` <="),
        (
            'name = "x"\n[volatility.sampling]\nvenue = "BINANCE"',
            "^volatility.sampling: venue: expected binance",
        ),
        ('name = "x"\n[score.weights]\nvelocity = 1', "^score: weights.acceleration: missing"),
        ('name = "x"\n[velocity]\nwindows_s = [0.1, 0.5, 2, 11, 30, 60, 300]', "^velocity: windows_s"),
        ('name = "x"\n[velocity]\nwindows_s = [0.1, 0.333, 2, 10, 30, 60, 300]', "^velocity: windows_s"),
        (
            'name = "x"\n[velocity]\nwindows_s = [1e-7, 0.5, 2, 10, 30, 60, 300]',
            r"^velocity.windows_s\[0\]: ",
        ),
        ('name = "seed"\n[score]\nfull_velocity = 25', "^name: `seed` is the name of the default"),
        ("name = ", "^Invalid value"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(text, reason):
    with pytest.raises(ProfileError, match=reason):
        read_profile(text.encode(), "toml")


@pytest.mark.parametrize("syntax", ["toml", "json"])
@pytest.mark.parametrize("data", [b"\xff\xfe", b"{"])
def test_what_is_no_text_of_that_syntax_is_refused(data, syntax):
    with pytest.raises(ProfileError):
        read_profile(data, syntax)


@pytest.mark.parametrize("name", ["", "nowhere.toml", "/"])
def test_what_is_neither_a_name_nor_a_file_is_refused(name):
    with pytest.raises(ProfileError, match=f"^'{name}': neither a profile's name .* nor a file$"):
        load_profile(name)


def test_the_seed_profile_may_be_written_out():
    assert read_profile(b'name = "seed"', "toml") == SEED
