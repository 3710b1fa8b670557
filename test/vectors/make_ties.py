"""
Gradients at ties, zeros and kinks, where central differences do not exist and PyTorch's choice is the reference.
Run: python test/vectors/make_ties.py > test/vectors/ties.json   (torch)
The loss is the sum of the output times 1, 2, 3, ...
"""
import json

import torch
from torch.nn import functional as F

zeros = [0.0, -1.0, 2.0, 0.0]
scatter_index = [[0, 0, 2], [1, 1, 1]]


def scatter(reduce):
    index = torch.tensor(scatter_index)
    return lambda x, u: x.scatter_reduce(1, index, u, reduce=reduce, include_self=True)


pair = [[[1.0, 2.0, 3.0], [0.0, -1.0, 5.0]], [[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]]]
rows = [[[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]]]
products = [[[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [2.0, -1.0, 3.0]]]
scattered = [[[1.0, 2.0, 3.0], [4.0, 0.0, -1.0]], [[1.0, 1.0, 3.0], [0.0, 5.0, 0.0]]]
index = {"1": {"dtype": "int64", "shape": [2, 3], "data": sum(scatter_index, [])}}
axis = {"1": {"dtype": "int64", "shape": [1], "data": [1]}}


# op, inputs, function, attributes, constants by place
cases = [
    ("Max", pair, torch.maximum, {}, {}),
    ("Min", pair, torch.minimum, {}, {}),
    ("Max", [*pair, pair[0]], lambda *x: torch.stack(x).amax(0), {}, {}),
    ("ReduceMax", rows, lambda x: x.amax(1), {"keepdims": 0}, axis),
    ("ReduceMin", rows, lambda x: x.amin(1), {"keepdims": 0}, axis),
    ("ReduceProd", products, lambda x: x.prod(1), {"keepdims": 0}, axis),
    ("ReduceL1", products, lambda x: torch.linalg.vector_norm(x, 1, 1), {"keepdims": 0}, axis),
    ("ReduceL2", [[[0.0, 0.0], [3.0, 4.0]]], lambda x: torch.linalg.vector_norm(x, 2, 1), {"keepdims": 0}, axis),
    ("ScatterElements", scattered, scatter("amax"), {"axis": 1, "reduction": "max"}, index),
    ("ScatterElements", scattered, scatter("amin"), {"axis": 1, "reduction": "min"}, index),
    ("ScatterElements", scattered, scatter("prod"), {"axis": 1, "reduction": "mul"}, index),
    ("Relu", [zeros], torch.relu, {}, {}),
    ("LeakyRelu", [zeros], F.leaky_relu, {}, {}),
    ("PRelu", [zeros, [0.25]], F.prelu, {}, {}),
    ("Elu", [zeros], F.elu, {}, {}),
    ("Celu", [zeros], F.celu, {}, {}),
    ("Selu", [zeros], F.selu, {}, {}),
    ("Gelu", [zeros], F.gelu, {}, {}),
    ("Mish", [zeros], F.mish, {}, {}),
    ("Abs", [zeros], torch.abs, {}, {}),
    ("Sqrt", [[4.0, 0.25]], torch.sqrt, {}, {}),
    ("HardSigmoid", [[-3.0, 0.0, 3.0]], F.hardsigmoid, {"alpha": {"float": 1 / 6}}, {}),
    ("Shrink", [[-0.5, 0.5, 0.6, 0.0]], lambda x: F.hardshrink(x, 0.5), {}, {}),
    ("Pow", [[0.0, 2.0, 0.0], [2.0, 3.0, 1.0]], torch.pow, {}, {}),
]

results = []
for op, inputs, function, attributes, constants in cases:
    given = [torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in inputs]
    output = function(*given)
    onto = torch.arange(1, output.numel() + 1, dtype=torch.float64).reshape(output.shape)
    (output * onto).sum().backward()
    results.append(
        {
            "op": op,
            "attributes": attributes,
            "constants": constants,
            "inputs": [{"shape": list(x.shape), "data": x.flatten().tolist()} for x in given],
            "gradients": [(x.grad if x.grad is not None else torch.zeros_like(x)).flatten().tolist() for x in given],
        }
    )
print(json.dumps(results))
