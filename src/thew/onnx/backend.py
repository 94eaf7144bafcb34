"""The interface of `onnx.backend`: what ONNX's own test suite calls.

from thew.onnx import backend
outputs = backend.run_model(model, [x])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from thew.errors import InputError, UnsupportedError
from thew.onnx.reader import read


class ThewRep(BackendRep):
    """A model that is ready to run."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """Runs the model on a list of inputs in its order, a mapping by name, or the one input."""
        names = [value.name for value in self._session.get_inputs()]
        if isinstance(inputs, Mapping):
            feeds = dict(inputs)
        else:
            given = inputs if isinstance(inputs, list | tuple) else [inputs]
            if len(given) != len(names):
                raise InputError(f"model: takes {len(names)} inputs ({', '.join(names)}), got {len(given)}")
            feeds = dict(zip(names, given, strict=True))
        outputs = self._session.run(None, feeds)
        fields = [value.name for value in self._session.get_outputs()]
        if len(set(fields)) != len(fields):
            return tuple(outputs)
        named: tuple[Any, ...] = namedtupledict("Outputs", fields)(*outputs)
        return named


class ThewBackend(Backend):
    """Thew as an ONNX backend, on the CPU."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **options: Any) -> ThewRep:
        """Reads a model and makes a session; options go to `thew.InferenceSession`."""
        if not cls.supports_device(device):
            raise UnsupportedError(f"device {device!r}: Thew runs on CPU")
        from thew.runtime import InferenceSession

        return ThewRep(InferenceSession(read(model), **options))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **options: Any) -> tuple[Any, ...]:
        """Prepares and runs a model once."""
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **options: Any,
    ) -> tuple[Any, ...]:
        """Runs one node, as a model of that node."""
        import numpy as np
        from onnx import helper

        opset = int(options.pop("opset_version", onnx.defs.onnx_opset_version()))
        names = [name for name in dict.fromkeys(node.input) if name]
        values = list(inputs.values()) if isinstance(inputs, Mapping) else list(inputs)
        arrays = [np.asarray(value) for value in values]
        declared = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, arrays, strict=True)
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "node", declared, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
        return cls.run_model(model, arrays, device, **options)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether a device is a CPU."""
        return device.split(":")[0] == "CPU"


is_compatible = ThewBackend.is_compatible
prepare = ThewBackend.prepare
run_model = ThewBackend.run_model
run_node = ThewBackend.run_node
supports_device = ThewBackend.supports_device
