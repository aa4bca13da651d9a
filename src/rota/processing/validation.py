"""Items against the type that their task declares. An item that does not fit names the field."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import msgspec


class InvalidItemError(Exception):
    """The item does not fit the schema. field: a path such as `$.price`; cause: the library's own error."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.transient = False


def validator(schema: type | None, *, text: bool) -> Callable[[object], object] | None:
    """What turns an item into a value of `schema` (msgspec, dataclass, TypedDict or pydantic). text: values arrive as
    text,
    as from CSV, so that "5" is an integer."""
    if schema is None:
        return None
    if hasattr(schema, "__pydantic_core_schema__") or hasattr(schema, "model_validate"):
        return _pydantic(schema)

    def convert(item: object) -> object:
        try:
            return msgspec.convert(item, schema, strict=not text)
        except msgspec.ValidationError as error:
            said, _, path = str(error).rpartition(" - at `")
            said, path = (said, path.rstrip("`")) if said else (str(error), "$")
            missing = said.partition("missing required field `")[2].rstrip("`")
            raise InvalidItemError(f"{path}.{missing}" if missing else path, str(error)) from None

    return convert


def _pydantic(schema: type) -> Callable[[object], object]:
    pydantic = importlib.import_module("pydantic")
    validate = pydantic.TypeAdapter(schema).validate_python

    def convert(item: object) -> object:
        try:
            return validate(item)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            field = ".".join(["$", *map(str, first["loc"])])
            raise InvalidItemError(field, f"{first['msg']} - at `{field}`") from None

    return convert
