"""Golden vectors of single layers: results and gradients by PyTorch in float64, weights in the order of ONNX.

Run: python3 make_layer_vectors.py   (needs torch; writes layers.json beside this file)

A case is an ONNX node, its inputs by place, its results, numbers `onto`, and the gradients of the sum of results times `onto`.
All values that go in are float32 numbers, so that both sides start from the same.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
FILE = pathlib.Path(__file__).parent / "layers.json"
seed = 0


def numbers(*shape, scale=1.0):
    """Float32 numbers from a generator that does not change with the version of PyTorch (Park and Miller, 1988)."""
    global seed
    seed += 1
    state = seed * 7919 + 17
    values = []
    for _ in range(math.prod(shape)):
        state = state * 48271 % 2147483647
        values.append((state / 2147483647 * 2 - 1) * scale)
    return torch.tensor(values, dtype=torch.float32).double().reshape(shape)


def encoded(value):
    return {"shape": list(value.shape), "data": [float(f"{each:.9g}") for each in value.flatten().tolist()]}


def integer(value):
    return {"kind": "int", "value": value}


def real(value):
    return {"kind": "float", "value": value}


def text(value):
    return {"kind": "string", "value": value}


def integers(*values):
    return {"kind": "ints", "value": list(values)}


cases = []


def case(name, op, attributes, inputs, results, outputs=None, constants=None):
    """`inputs` by place take gradients; `constants` by place are (dtype, tensor)."""
    results = results if isinstance(results, (list, tuple)) else [results]
    onto = [numbers(*result.shape) for result in results]
    loss = sum((result * weight).sum() for result, weight in zip(results, onto))
    gradients = torch.autograd.grad(loss, list(inputs.values()))
    cases.append(
        {
            "name": name,
            "op": op,
            "attributes": attributes,
            "inputs": {place: encoded(value.detach()) for place, value in inputs.items()},
            "constants": {
                place: {"dtype": dtype, **encoded(value)} for place, (dtype, value) in (constants or {}).items()
            },
            "outputs": outputs or len(results),
            "results": [encoded(result.detach()) for result in results],
            "onto": [encoded(weight) for weight in onto],
            "gradients": {place: encoded(value) for place, value in zip(inputs, gradients)},
        }
    )


def leaf(value):
    return value.requires_grad_(True)


def reordered(weight, order):
    """Blocks of the first axis in another order."""
    blocks = weight.chunk(len(order), 0)
    return torch.cat([blocks[place] for place in order], 0)


def recurrent(name, kind, order, attributes, bidirectional=False, states=True):
    """PyTorch keeps the gates of LSTM as ifgo and of GRU as rzn; ONNX as iofc and zrh. The leaves are in ONNX's order."""
    steps, batch, width, hidden, gates = 5, 3, 4, 3, len(order)
    directions = 2 if bidirectional else 1
    x = leaf(numbers(steps, batch, width))
    w = leaf(numbers(directions, gates * hidden, width, scale=0.6))
    r = leaf(numbers(directions, gates * hidden, hidden, scale=0.6))
    b = leaf(numbers(directions, 2 * gates * hidden, scale=0.4))
    inputs = {0: x, 1: w, 2: r, 3: b}
    given = []
    for place in [5, 6] if kind == "LSTM" else [5]:
        if states:
            inputs[place] = leaf(numbers(directions, batch, hidden))
        given.append(inputs.get(place, torch.zeros(directions, batch, hidden, dtype=torch.float64)))
    flat = []
    for direction in range(directions):
        wb, rb = b[direction].chunk(2, 0)
        flat += [reordered(value, order) for value in (w[direction], r[direction], wb, rb)]
    run = {"LSTM": torch.lstm, "GRU": torch.gru, "tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[kind]
    state = given if kind == "LSTM" else given[0]
    out, *lasts = run(x, state, flat, True, 1, 0.0, True, bidirectional, False)
    y = out.reshape(steps, batch, directions, hidden).permute(0, 2, 1, 3)
    direction = text("bidirectional" if bidirectional else "forward")
    op = kind if kind in ("LSTM", "GRU") else "RNN"
    case(name, op, {"hidden_size": integer(hidden), "direction": direction, **attributes}, inputs, [y, *lasts])


# PyTorch's block of each of ONNX's blocks, inverted: block k of PyTorch is block order[k] of ONNX.
recurrent("LSTM", "LSTM", [0, 2, 3, 1], {})
recurrent("LSTM of both directions", "LSTM", [0, 2, 3, 1], {}, bidirectional=True)
recurrent("LSTM without states", "LSTM", [0, 2, 3, 1], {}, states=False)
recurrent("GRU", "GRU", [1, 0, 2], {"linear_before_reset": integer(1)})
recurrent("GRU of both directions", "GRU", [1, 0, 2], {"linear_before_reset": integer(1)}, bidirectional=True)
recurrent("RNN", "tanh", [0], {}, bidirectional=True)
recurrent("RNN with relu", "relu", [0], {"activations": {"kind": "strings", "value": ["Relu"]}})

x, scale, bias = leaf(numbers(4, 3, 4, 5) + 0.5), leaf(numbers(3) + 1), leaf(numbers(3))
zeros, ones = torch.zeros(3).double(), torch.ones(3).double()
case(
    "BatchNormalization in training",
    "BatchNormalization",
    {"training_mode": integer(1), "momentum": real(0)},
    {0: x, 1: scale, 2: bias},
    F.batch_norm(x, zeros.clone(), ones.clone(), scale, bias, True, 0, 1e-5),
    outputs=3,
    constants={3: ("float32", zeros), 4: ("float32", ones)},
)
x, scale, bias = leaf(numbers(2, 6, 3, 4)), leaf(numbers(6) + 1), leaf(numbers(6))
attributes = {"num_groups": integer(3), "epsilon": real(1e-5)}
case("GroupNorm", "GroupNormalization", attributes, {0: x, 1: scale, 2: bias}, F.group_norm(x, 3, scale, bias, 1e-5))
x, scale, bias = leaf(numbers(2, 3, 7)), leaf(numbers(3) + 1), leaf(numbers(3))
case("InstanceNorm", "InstanceNormalization", {}, {0: x, 1: scale, 2: bias}, F.instance_norm(x, None, None, scale, bias))
x, scale, bias = leaf(numbers(3, 4, 5)), leaf(numbers(4, 5) + 1), leaf(numbers(4, 5))
attributes = {"axis": integer(-2)}
case("LayerNorm", "LayerNormalization", attributes, {0: x, 1: scale, 2: bias}, F.layer_norm(x, (4, 5), scale, bias))
x = leaf(numbers(2, 5, 3, 3, scale=2))
attributes = {"size": integer(3), "alpha": real(0.25), "beta": real(0.75), "bias": real(1.5)}
case("LocalResponseNorm", "LRN", attributes, {0: x}, F.local_response_norm(x, 3, 0.25, 0.75, 1.5))


def resize(name, size, attributes, **options):
    x = leaf(numbers(2, 2, 4, 5))
    sizes = torch.tensor([2, 2, *size])
    case(name, "Resize", attributes, {0: x}, F.interpolate(x, size=size, **options), constants={3: ("int64", sizes)})


half, corners = text("pytorch_half_pixel"), text("align_corners")
for size in [(7, 9), (3, 2)]:
    resize("bilinear", size, {"mode": text("linear"), "coordinate_transformation_mode": half}, mode="bilinear")
    resize(
        "bilinear with aligned corners",
        size,
        {"mode": text("linear"), "coordinate_transformation_mode": corners},
        mode="bilinear",
        align_corners=True,
    )
    cubic = {"mode": text("cubic"), "coordinate_transformation_mode": half, "cubic_coeff_a": real(-0.75)}
    resize("bicubic", size, cubic, mode="bicubic")
pixels = {
    "mode": text("nearest"),
    "coordinate_transformation_mode": text("asymmetric"),
    "nearest_mode": text("floor"),
}
for size in [(8, 10), (7, 3)]:
    resize("nearest", size, pixels, mode="nearest")

for padding in ["zeros", "border"]:
    x, grid = leaf(numbers(2, 3, 4, 5)), leaf(numbers(2, 3, 3, 2, scale=1.3))
    result = F.grid_sample(x, grid, "bilinear", padding, False)
    case(f"grid_sample with {padding}", "GridSample", {"padding_mode": text(padding)}, {0: x, 1: grid}, result)

# Of equal elements PyTorch gives the gradient to the first.
for kernel, stride, pads in [(2, 2, 0), (3, 2, 1)]:
    x = leaf((numbers(2, 2, 6, 8) * 2).round())
    attributes = {
        "kernel_shape": integers(kernel, kernel),
        "strides": integers(stride, stride),
        "pads": integers(*[pads] * 4),
    }
    case(f"max_pool of {kernel}", "MaxPool", attributes, {0: x}, F.max_pool2d(x, kernel, stride, pads))

x, labels, weights = leaf(numbers(5, 4, 3)), torch.tensor([[0, 3, 1], [2, -100, 1], [0, 0, 3], [1, 2, 2], [3, 3, -100]]), numbers(4) + 1.5
case(
    "cross_entropy",
    "SoftmaxCrossEntropyLoss",
    {"ignore_index": integer(-100), "reduction": text("mean")},
    {0: x},
    F.cross_entropy(x, labels, weights),
    constants={1: ("int64", labels), 2: ("float32", weights)},
)

content = {"source": f"PyTorch {torch.__version__.split('+')[0]}, float64", "cases": cases}
FILE.write_text(json.dumps(content) + "\n")
