"""Published OpenAPI documents, and values held against their schemas."""

import jsonschema


def convert(schema, *, strict):
    """Turn an OpenAPI 3.0 schema into JSON schema: `nullable` becomes a type; strict: fields not named are errors."""
    if isinstance(schema, list):
        return [convert(entry, strict=strict) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: convert(value, strict=strict) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        result["type"] = [result["type"], "null"]
        if "enum" in result:
            result["enum"] = [*result["enum"], None]
    if strict and isinstance(result.get("properties"), dict) and "additionalProperties" not in result:
        result["additionalProperties"] = False
    return result


class Published:
    """The published description of one side."""

    def __init__(self, document, *, strict):
        self.document, self.strict = document, strict

    def errors(self, path, value, status="200", method="get"):
        """Return where a value breaks the schema of that operation's answer; empty when it keeps it."""
        content = self.resolve(self.document["paths"][path][method]["responses"][status])["content"]
        validator = self.validator(next(iter(content.values()))["schema"])
        return ["/".join(map(str, error.absolute_path)) + ": " + error.message for error in validator.iter_errors(value)]

    def validator(self, schema):
        components = convert(self.document.get("components", {}), strict=self.strict)
        return jsonschema.Draft202012Validator({**convert(schema, strict=self.strict), "components": components})

    def resolve(self, value):
        while "$ref" in value:
            place = self.document
            for step in value["$ref"].removeprefix("#/").split("/"):
                place = place[step]
            value = place
        return value
