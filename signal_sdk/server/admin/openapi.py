"""The OpenAPI document, made from the table of operations and their forms.

Owns: how these are spelled there. Must not know any single operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from signal_sdk.server.admin.idempotency import HEADER, KEPT_SECONDS
from signal_sdk.server.admin.operations import Operation
from signal_sdk.server.admin.problems import MEDIA_TYPE, Problem
from signal_sdk.server.admin.served import program_version
from signal_sdk.server.admin.stream import EVENTS

__all__ = ["document"]

REFERENCE: Final = "#/components/schemas/{name}"
JSON: Final = "application/json"
_PARTS: Final = re.compile(r"\{(\w+)\}")
EACH: Final = (400, 401, 403, 405, 408, 409, 422, 429, 500, 503, 504)
"""What any request may hear; those with a body 413 and 415, too, those about something 404."""


def document(operations: Iterable[Operation]) -> bytes:
    """The document, as JSON."""
    operations = list(operations)
    forms: list[Any] = [Problem]
    for it in operations:
        answer = None if it.streams else it.answer
        forms += [form for form in (it.query, it.body, answer) if form is not None]
    refs, components = msgspec.json.schema_components(forms, ref_template=REFERENCE)
    schemas = dict(zip(map(repr, forms), refs, strict=True))
    for form, ref in zip(forms, refs, strict=True):
        if fields := getattr(form, "ONE_OF", ()):
            described = components[ref["$ref"].rpartition("/")[2]]
            described["oneOf"] = [{"required": [field]} for field in fields]
    paths: dict[str, dict[str, Any]] = {}
    for it in operations:
        place = paths.setdefault(it.path, {})
        place[it.method.lower()] = _operation(it, schemas, components)
    queries = {schemas[repr(it.query)]["$ref"].rpartition("/")[2] for it in operations}
    found = {
        "openapi": "3.1.0",
        "info": {
            "title": "signal-sdk admin API",
            "version": program_version(),
            "description": "What whoever runs a server asks of it. Each part of a path is escaped "
            "by itself. Lists come in pages: ask for the next with the cursor of the one before.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: it for name, it in components.items() if name not in queries},
        },
    }
    return msgspec.json.encode(found)


def _operation(
    it: Operation, schemas: Mapping[str, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": it.name,
        "summary": it.summary,
        "description": f"Needs the right `{it.right}`." if it.right else "Needs any key.",
        "parameters": [
            *_parts(it),
            *_query(components[schemas[repr(it.query)]["$ref"].rpartition("/")[2]]),
            *([IDEMPOTENCY] if it.sends else []),
        ],
        "responses": _answers(it, schemas),
    }
    if it.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": schemas[repr(it.body)]}},
        }
    return described


def _parts(it: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PARTS.findall(it.path)
    ]


def _query(form: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in form.get("properties", {}).items()
    ]


IDEMPOTENCY: Final[dict[str, Any]] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "What comes again with the same key is answered as before and not done again: "
    f"this node remembers it for {KEPT_SECONDS:g} s, and whoever receives the message passes over "
    "it by its id.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def _answers(it: Operation, schemas: Mapping[str, Any]) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": schemas[repr(Problem)]}}
    statuses = [*EACH]
    if it.body is not None:
        statuses += [413, 415]
    if it.is_of_app:
        statuses.append(404)
    answers: dict[str, Any] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": problem}
        for status in sorted(statuses)
    }
    if it.answer is None:
        return {"204": {"description": "It is done."}, **answers}
    if it.streams:
        content: dict[str, Any] = {EVENTS: {"schema": {"type": "string"}}}
    else:
        content = {JSON: {"schema": schemas[repr(it.answer)]}}
    return {"200": {"description": it.summary, "content": content}, **answers}
