"""The documents are valid, and say what the types say."""

import json
import re

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from pipeline import Engine, codec, contract
from pipeline.cli.simulated.simulation import simulate
from pipeline.runtime.control import WEIGHTS
from pipeline.web.documents import asyncapi, openapi


def references(document):
    return set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)))


def resolve(document, path):
    for part in path.split("/"):
        document = document[part]
    return document


def test_the_openapi_document_is_valid():
    validate(openapi())


def test_every_reference_leads_somewhere():
    for document in (openapi(), asyncapi()):
        assert references(document)
        for path in references(document):
            assert resolve(document, path)


def test_every_topic_has_a_channel_and_an_operation():
    document = asyncapi()
    topics = {*contract.INPUTS, contract.FEED_STATUS, *contract.OUTPUTS}
    assert {channel["address"] for channel in document["channels"].values()} == topics
    assert {
        each["channel"]["$ref"].removeprefix("#/channels/") for each in document["operations"].values()
    } == topics


def test_a_key_that_is_no_symbol_is_told():
    keys = {
        name: message["bindings"]["kafka"]["key"]["description"]
        for name, message in asyncapi()["components"]["messages"].items()
    }
    assert {name for name, text in keys.items() if text != "The symbol."} == {
        "Control",
        "DeadLetter",
        "FeedStatus",
    }
    assert WEIGHTS.decode() in keys["Control"]


def test_what_the_engine_takes_and_makes_is_as_the_asyncapi_document_says():
    document, engine, checked = asyncapi(), Engine(), set()
    validators = {
        topic: Draft202012Validator(
            {
                "$ref": f"#/components/schemas/{next(iter(channel['messages']))}",
                "components": document["components"],
            }
        )
        for topic, channel in document["channels"].items()
    }
    for tick in simulate(30, seed=5):
        validators[tick.topic].validate(tick.message)
        for output in engine.process(tick.topic, [tick.message]):
            if output.topic not in checked or output.topic == contract.SIGNALS:
                validators[output.topic].validate(output.message)
            checked.add(output.topic)
    letter = engine.process(contract.PRICES, b"{}")[0]
    validators[letter.topic].validate(json.loads(codec.encode(letter.body)))
    assert checked >= {
        contract.SIGNALS,
        contract.CRITICAL,
        contract.VELOCITY,
        contract.REGIME,
        contract.CONTEXT,
    }
