#!/usr/bin/env python3
"""Writes the seeds of onnx_fuzz: small models that together use every kind of field. Needs python3-onnx (1.12 or newer).

usage: make_onnx_corpus.py FOLDER
"""
import pathlib
import sys

from onnx import AttributeProto, NodeProto, TensorProto, helper


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def model(nodes, inputs, outputs, initializers=(), opset=17, **others):
    graph = helper.make_graph(nodes, "seed", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset), *others.pop("imports", [])]
    made = helper.make_model(graph, opset_imports=imports, **others)
    made.ir_version = 8
    return made


def convolution(opset):
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 1, 1, 1], [0.5, 2.0])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Softmax", ["f"], ["y"], axis=1),
    ]
    return model(nodes, [floats("x", ["N", 1, 4, 4])], [floats("y", ["N", 2])], [weight], opset)


def shapes():
    zero = helper.make_tensor("zero", TensorProto.INT64, [], [0])
    rest = helper.make_tensor("rest", TensorProto.INT64, [1], [-1])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [0])
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["t"], axis=0),
        helper.make_node("Reshape", ["x", "t"], ["y"]),
    ]
    return model(nodes, [floats("x", ["N", 2, 3])], [floats("y", None)], [zero, rest, axes])


def branches():
    body = [helper.make_graph([helper.make_node(op, ["x"], [op])], op, [], [floats(op, [2])]) for op in ("Neg", "Abs")]
    condition = helper.make_tensor_value_info("p", TensorProto.BOOL, [])
    node = helper.make_node("If", ["p"], ["y"], then_branch=body[0], else_branch=body[1])
    return model([node], [floats("x", [2]), condition], [floats("y", [2])])


def call():
    inner = NodeProto(op_type="LeakyRelu", input=["a"], output=["b"])
    inner.attribute.append(AttributeProto(name="alpha", ref_attr_name="slope", type=AttributeProto.FLOAT))
    function = helper.make_function("own", "Leaky", ["a"], ["b"], [inner], [helper.make_opsetid("", 17)], ["slope"])
    node = helper.make_node("Leaky", ["x"], ["y"], domain="own", slope=0.25)
    return model([node], [floats("x", [2])], [floats("y", [2])], functions=[function],
                 imports=[helper.make_opsetid("own", 1)])


def newer():
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["m"]),
        helper.make_node("Gelu", ["m"], ["g"]),
        helper.make_node("Split", ["g"], ["a", "b"], num_outputs=2, axis=0),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    return model(nodes, [floats("x", [2, 3])], [floats("y", [1, 1])], [axes], 20)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    seeds = {f"convolution{opset}": convolution(opset) for opset in (6, 11, 17, 21)}
    seeds |= {"shapes": shapes(), "branches": branches(), "call": call(), "newer": newer()}
    for name, seed in seeds.items():
        (folder / f"{name}.onnx").write_bytes(seed.SerializeToString())


if __name__ == "__main__":
    main()
