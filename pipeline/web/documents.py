"""The OpenAPI document of the JSON API and the AsyncAPI document of the topics, made from the types."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline import codec, contract
from pipeline.messages import (
    Context,
    Control,
    DeadLetter,
    FeedStatus,
    PositioningUpdate,
    RegimeUpdate,
    Signal,
    VelocityUpdate,
    VolatilityUpdate,
)
from pipeline.runtime.control import WEIGHTS
from pipeline.web.answers import Problem
from pipeline.web.routes import ROUTES, STREAM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.web.query import Parameter
    from pipeline.web.routes import Route

SENT: Final[dict[str, tuple[type, str]]] = {
    contract.SIGNALS: (Signal, "Every signal."),
    contract.ALERTS: (Signal, "Signals of ALERT and above."),
    contract.CRITICAL: (Signal, "Signals of CRITICAL and above."),
    contract.VELOCITY: (VelocityUpdate, "Liquidations of a symbol by window."),
    contract.POSITIONING: (PositioningUpdate, "Open interest and funding of a symbol."),
    contract.VOLATILITY: (VolatilityUpdate, "Volatility of a symbol."),
    contract.REGIME: (RegimeUpdate, "The market regime."),
    contract.DEAD_LETTERS: (DeadLetter, "What could not be used, and why."),
    contract.FEED_STATUS: (FeedStatus, "Told by collectors: when a venue's feed falls silent, and is back."),
    contract.CONTEXT: (Context, "The market's context, a copy for each partition; internal."),
}
"""What is sent on each topic."""
_KEYS: Final[dict[type, str]] = {
    FeedStatus: "The exchange.",
    Control: f"`{WEIGHTS.decode()}`: the name of the setting.",
    DeadLetter: "The key of the record that could not be used.",
}
"""What the key is where it is no symbol."""
_REFUSALS: Final = {
    400: "The request cannot be understood.",
    401: "The token is missing or wrong.",
    403: "Changes over HTTP are off.",
    404: "There is nothing of that name.",
    413: "The body is too large.",
    503: "Not now: the reason says why.",
}
_EVENTS: Final = {
    "description": "Events as they come: `signal` and `regime`.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_REFERENCE: Final = "#/components/schemas/{name}"


def openapi() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of everything under `/api`."""
    kinds = [route.answer for route in ROUTES] + [Problem]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    refused = schemas[-1]
    paths: dict[str, dict[str, Any]] = {}
    for route, schema in zip(ROUTES, schemas, strict=False):
        paths.setdefault(route.path, {})[route.method] = _operation(
            route, _response("The answer.", schema), refused
        )
    paths[STREAM.path] = {STREAM.method: _operation(STREAM, _EVENTS, refused)}
    return {
        "openapi": "3.1.0",
        "info": _info("Cascade signals over HTTP", "For the whole fleet, whichever worker is asked."),
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, answer: Any, refused: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.handler,
        "summary": route.summary,
        "parameters": [_parameter(each) for each in route.parameters],
        "responses": {
            "200": answer,
            **{str(code): _response(_REFUSALS[code], refused) for code in route.refusals},
        },
    }
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": _json(msgspec.json.schema(route.body))}
    if route.method != "get":
        found["security"] = [{"token": []}]
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.text,
        "schema": parameter.schema,
    }


def _response(text: str, schema: Any) -> dict[str, Any]:
    return {"description": text, "content": _json(schema)}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of every topic: what is read and what is sent."""
    read = {topic: kind for topic, kind in codec.TYPES.items() if topic not in SENT}
    sent = {topic: kind for topic, (kind, _) in SENT.items()}
    kinds = list(dict.fromkeys((*read.values(), *sent.values())))
    _, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    reads = {topic: _channel(topic, f"Read: {kind.__doc__}", kind) for topic, kind in read.items()}
    sends = {topic: _channel(topic, text, kind) for topic, (kind, text) in SENT.items()}
    return {
        "asyncapi": "3.0.0",
        "info": _info(
            "Cascade signals on Kafka",
            "Where the key is a symbol it is placed by murmur2, but for what has a copy on each partition.",
        ),
        "defaultContentType": "application/json",
        "channels": reads | sends,
        "operations": _operations(reads, "receive") | _operations(sends, "send"),
        "components": {
            "schemas": components,
            "messages": {kind.__name__: _message(kind, several=kind in read.values()) for kind in kinds},
        },
    }


def _channel(topic: str, text: str, kind: type) -> dict[str, Any]:
    return {
        "address": topic,
        "description": text,
        "messages": {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"}},
    }


def _operations(topics: Iterable[str], action: str) -> dict[str, Any]:
    return {
        f"{action}-{topic}": {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}
        for topic in topics
    }


def _message(kind: type, *, several: bool) -> dict[str, Any]:
    """Return a message; of what is read a value may also be an array of them, all of one symbol."""
    one = {"$ref": _REFERENCE.format(name=kind.__name__)}
    return {
        "name": kind.__name__,
        "summary": (kind.__doc__ or "").strip().splitlines()[0],
        "payload": {"oneOf": [one, {"type": "array", "items": one}]} if several else one,
        "bindings": {"kafka": {"key": {"type": "string", "description": _KEYS.get(kind, "The symbol.")}}},
    }


def _info(title: str, text: str) -> dict[str, str]:
    return {"title": title, "version": version("cascade-pipeline"), "description": text}
