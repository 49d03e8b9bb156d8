#!/usr/bin/env python3
"""Whether a document is as its schema says, as far as the schemas of results/ go.

    schema_check.py SCHEMA DOCUMENT [LINES DEFINITION]

LINES is a file of documents, a line each, as that definition of the schema says.
"""
import json
import sys

KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "null": type(None)}


def is_of(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind]) and (kind != "number" or not isinstance(value, bool))


def check(value, schema, place):
    wanted = schema.get("type", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    assert not wanted or any(is_of(value, kind) for kind in wanted), f"{place} is no {wanted}"
    assert "const" not in schema or value == schema["const"], f"{place} is {value}"
    assert "enum" not in schema or value in schema["enum"], f"{place} is {value}"
    for name in schema.get("required", []):
        assert name in value, f"{place}: no {name}"
    for name, part in (value.items() if isinstance(value, dict) else []):
        assert name in schema.get("properties", {}) or "properties" not in schema, f"{place}: {name} is not in the schema"
        check(part, schema.get("properties", {}).get(name, schema.get("additionalProperties", {})), f"{place}.{name}")
    for index, part in enumerate(value if isinstance(value, list) else []):
        check(part, schema.get("items", {}), f"{place}[{index}]")


def main():
    schema = json.load(open(sys.argv[1]))
    check(json.load(open(sys.argv[2])), schema, "document")
    for number, line in enumerate(open(sys.argv[3]) if len(sys.argv) > 3 else [], 1):
        check(json.loads(line), schema["definitions"][sys.argv[4]], f"line {number}")


main()
