"""`GraphBuilder`: an ONNX graph, one call a node. It makes up the names, so that the graph reads like the formula.

Weights are not in the graph: it says in which file of the bundle they lie and where, so that a graph is made in
milliseconds and no weight is stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from automoe.export.weight_file import WeightFile

OPSET, CONTRIB = 21, "com.microsoft"
IR_VERSION = 10
_CONTRIB_OPS = frozenset(
    {"DynamicQuantizeMatMul", "FusedGemm", "FusedMatMul", "MultiHeadAttention"}
)  # operators of ONNX Runtime itself, on every CPU that it supports

Axis = str | int
"""Size of an axis, or its name if it varies."""


class GraphBuilder:
    """Collects nodes, inputs, outputs and the weights that they use.

    Args:
        name: name of the graph.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[NodeProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._output_names: dict[str, str] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[TensorProto] = []
        self._weights: dict[str, None] = {}

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the weights that were asked for, in the order of their first use."""
        return tuple(self._weights)

    def input(self, name: str, dtype: npt.DTypeLike, shape: Sequence[Axis]) -> str:
        """Declares an input; returns its name."""
        self._inputs.append(_value(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: npt.DTypeLike, shape: Sequence[Axis]) -> None:
        """Declares a node's output an output of the graph and names it so: a node `Identity` would copy it."""
        self._output_names[value] = name
        self._outputs.append(_value(name, dtype, shape))

    def constant(self, values: Any, dtype: npt.DTypeLike = np.int64) -> str:
        """A small array within the graph; equal ones are stored once."""
        array = np.asarray(values, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants)}"
            self._initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def weight(self, name: str) -> str:
        """A tensor of the weight file."""
        self._weights[name] = None
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output; an empty name leaves an optional input out.

        Returns:
            The name of its output.
        """
        return self.nodes(op, *inputs, outputs=1, **attributes)[0]

    def nodes(self, op: str, *inputs: str, outputs: int, skip: Sequence[int] = (), **attributes: Any) -> list[str]:
        """Adds a node with several outputs.

        Args:
            op: operator, of ONNX or of ONNX Runtime.
            inputs: names; an empty one leaves an optional input out.
            outputs: how many outputs.
            skip: indices of optional outputs that are not wanted.
            attributes: of the operator.

        Returns:
            The names of its outputs; empty for those that are skipped.
        """
        stem = f"{op}_{len(self._nodes)}"
        names = ["" if i in skip else f"{stem}_{i}" if outputs > 1 else stem for i in range(outputs)]
        domain = CONTRIB if op in _CONTRIB_OPS else None
        self._nodes.append(helper.make_node(op, list(inputs), names, domain=domain, **attributes))
        return names

    def model(self, file: WeightFile, metadata: Mapping[str, str] | None = None) -> bytes:
        """The content of the ONNX file, whose weights lie in `file`; `metadata` is kept in it."""
        initializers = [*self._initializers, *(_external(name, file) for name in self._weights)]
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [self._output_names.get(name, name) for name in names]
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="AutoMoE")
        helper.set_model_props(model, dict(metadata or {}))
        content: bytes = model.SerializeToString()
        return content


def _value(name: str, dtype: npt.DTypeLike, shape: Sequence[Axis]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(shape))


def _external(name: str, file: WeightFile) -> TensorProto:
    """A tensor that stays in the weight file."""
    place = file.place(name)
    tensor = TensorProto(
        name=name,
        dims=place.shape,
        data_type=helper.np_dtype_to_tensor_dtype(place.dtype),
        data_location=TensorProto.EXTERNAL,
    )
    for key, value in (("location", file.name), ("offset", place.offset), ("length", place.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
