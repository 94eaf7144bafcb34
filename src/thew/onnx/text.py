"""Text in a model must be UTF-8: protobuf hands out anything else as bytes, which no later check expects."""

from __future__ import annotations

from typing import Any

from thew.errors import ModelError
from thew.onnx.limits import check_depth

_STRING, _MESSAGE = 9, 11  # FieldDescriptor.Type


def check_text(message: Any, depth: int) -> None:
    """Raises ModelError where a text field of a message, or of one within it, is not UTF-8."""
    check_depth(depth // 4, "model")  # a subgraph lies four messages deeper: graph, node, attribute, graph
    for field, value in message.ListFields():
        if field.type == _STRING:
            for text in (value,) if isinstance(value, str | bytes) else value:
                if not isinstance(text, str):
                    raise ModelError(f"model: {field.full_name} must be UTF-8, got {text[:40]!r}")
        elif field.type == _MESSAGE:
            for inner in (value,) if hasattr(value, "ListFields") else value:
                check_text(inner, depth + 1)
