"""The peer of `npm run bench -- train`: trains the same tail by PyTorch, eager, on one thread.

Reads JSON lines: first {nodes, values, features, trainable, optimizer, ...}, then one {"batches": [[row, ...], ...]} for each
block of steps; answers each with {"ms", "cpuMs", "losses"}. Hard-swish, which the model writes as five operators, is given
to PyTorch as its one fused function.
"""

import base64
import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
TYPES = {"float32": torch.float32, "int64": torch.int64, "int32": torch.int32}


def decoded(value):
    raw = bytearray(base64.b64decode(value["data"]))
    if not raw:
        return torch.zeros(value["shape"], dtype=TYPES[value["dtype"]])
    return torch.frombuffer(raw, dtype=TYPES[value["dtype"]]).reshape(value["shape"])


def ints(value):
    return [int(each) for each in value.flatten().tolist()]


def conv(a):
    height, width = a.get("kernel_shape", [0, 0])
    pads = a.get("pads", [0, 0, 0, 0])
    assert pads[:2] == pads[2:], "even padding only"
    options = {"stride": a.get("strides", [1, 1]), "padding": pads[:2], "groups": a.get("group", 1)}
    return lambda x, w, b=None: F.conv2d(x, w, b, **options)


def sliced(x, starts, ends, axes):
    for start, end, axis in zip(ints(starts), ints(ends), ints(axes)):
        size = x.shape[axis]
        x = x.narrow(axis, start, min(end, size) - start)
    return x


def reshaped(x, shape):
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(ints(shape))])


OPERATORS = {
    "Conv": conv,
    "HardSwish": lambda a: F.hardswish,
    "Add": lambda a: torch.add,
    "Sub": lambda a: torch.sub,
    "Mul": lambda a: torch.mul,
    "Div": lambda a: torch.div,
    "Pow": lambda a: torch.pow,
    "Sqrt": lambda a: torch.sqrt,
    "Sigmoid": lambda a: torch.sigmoid,
    "Relu": lambda a: F.relu,
    "HardSigmoid": lambda a: F.hardsigmoid,
    "Clip": lambda a: lambda x, low, high: torch.clamp(x, low.item(), high.item()),
    "MatMul": lambda a: torch.matmul,
    "Gemm": lambda a: lambda x, w, b: F.linear(x, w, b),
    "Flatten": lambda a: lambda x: x.flatten(1),
    "Softmax": lambda a: lambda x: x.softmax(a.get("axis", -1)),
    "Transpose": lambda a: lambda x: x.permute(a["perm"]),
    "Concat": lambda a: lambda *parts: torch.cat(parts, a["axis"]),
    "Squeeze": lambda a: lambda x, axes: x.squeeze(ints(axes)),
    "Reshape": lambda a: reshaped,
    "Slice": lambda a: sliced,
    "Shape": lambda a: lambda x: torch.tensor(x.shape),
    "Cast": lambda a: lambda x: x.to({1: torch.float32, 6: torch.int32, 7: torch.int64}[a["to"]]),
    "ReduceMean": lambda a: lambda x, axes: x.mean(ints(axes), keepdim=True),
    "GlobalAveragePool": lambda a: lambda x: F.adaptive_avg_pool2d(x, 1),
    "AveragePool": lambda a: lambda x: F.avg_pool2d(x, a["kernel_shape"], a["strides"]),
    "BatchNormalization": lambda a: lambda x, s, b, m, v: F.batch_norm(x, m, v, s, b, False, 0.0, a["epsilon"]),
}


def with_hard_swish(nodes, values):
    """x * clip(x + 3, 0, 6) / 6 as one node."""
    made = {node["outputs"][0]: node for node in nodes}
    uses = {}
    for node in nodes:
        for name in node["inputs"]:
            uses[name] = uses.get(name, 0) + 1
    gone, result = set(), []
    for node in nodes:
        if node["op"] == "Div":
            product = made.get(node["inputs"][0])
            clip = made.get(product["inputs"][1]) if product and product["op"] == "Mul" else None
            add = made.get(clip["inputs"][0]) if clip and clip["op"] == "Clip" else None
            if add and add["op"] == "Add" and add["inputs"][0] == product["inputs"][0]:
                gone |= {id(product), id(clip), id(add)}
                node = {**node, "op": "HardSwish", "inputs": [add["inputs"][0]]}
        result.append(node)
    return [node for node in result if id(node) not in gone]


def main():
    job = json.loads(sys.stdin.readline())
    values = {name: decoded(value) for name, value in job["values"].items()}
    features, labels = decoded(job["features"]), torch.tensor(job["labels"])
    nodes = with_hard_swish(job["nodes"], values)
    program = [(OPERATORS[node["op"]](node["attributes"]), node["inputs"], node["outputs"][0]) for node in nodes]

    def forward(x, weights):
        known = {**values, **weights, job["input"]: x}
        for function, inputs, output in program:
            known[output] = function(*[known[name] for name in inputs])
        return known["logits"]

    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        weights = {name: values[name].clone().requires_grad_(True) for name in job["trainable"]}
        optimizer = (
            torch.optim.Adam(weights.values(), lr=job["learningRate"])
            if job["optimizer"] == "adam"
            else torch.optim.SGD(weights.values(), lr=job["learningRate"], momentum=job["momentum"])
        )
        losses = []
        begin, cpu = time.perf_counter(), time.process_time()
        for rows in json.loads(line)["batches"]:
            index = torch.tensor(rows)
            optimizer.zero_grad()
            loss = F.cross_entropy(forward(features[index], weights), labels[index])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        ms, cpu_ms = (time.perf_counter() - begin) * 1000, (time.process_time() - cpu) * 1000
        print(json.dumps({"ms": ms, "cpuMs": cpu_ms, "losses": losses}), flush=True)


main()
