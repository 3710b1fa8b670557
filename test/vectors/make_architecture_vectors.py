"""Golden vectors of whole networks: gradients of small versions of models/src/architectures by PyTorch in float64.

Run: python3 make_architecture_vectors.py   (needs torch; writes architectures.json beside this file)

Weights and inputs are pseudo-random float32 numbers that architectures.golden.spec.ts makes again by the same rule, so the
file holds results only: of each gradient its norm and up to 16 of its elements.
"""

import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER / "../../bench/support"))
from torch_nets import net_of  # noqa: E402

torch.set_num_threads(1)
SAMPLES = 16

TRANSFORMER = {"width": 8, "heads": 2, "layers": 2, "positions": 5, "classes": 3}
CASES = [
    {"net": "dense head", "options": {"inputs": 6, "hidden": 5, "classes": 3}, "example": [6]},
    {
        "net": "small cnn",
        "options": {"channels": 2, "size": 8, "widths": [4, 6], "hidden": 7, "classes": 3},
        "example": [2, 8, 8],
    },
    {
        "net": "mobilenet-v2",
        "options": {
            "size": 20,
            "width": 0.5,
            "classes": 3,
            "stages": [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 1]],
            "lastChannels": 24,
        },
        "example": [3, 20, 20],
    },
    {"net": "resnet18", "options": {"size": 32, "classes": 3, "width": 4}, "example": [3, 32, 32]},
    {
        "net": "mobilenet-v2",
        "options": {
            "size": 16,
            "width": 0.5,
            "classes": 3,
            "stages": [[1, 16, 1, 1], [6, 24, 2, 2]],
            "lastChannels": 24,
        },
        "example": [3, 16, 16],
        "batchNorm": "local",
    },
    {
        "net": "resnet18",
        "options": {"size": 64, "classes": 3, "width": 4},
        "example": [3, 64, 64],
        "batchNorm": "local",
    },
    {
        "net": "transformer",
        "options": {**TRANSFORMER, "input": {"vector": 4}, "norm": "after"},
        "example": [5, 4],
    },
    {
        "net": "transformer",
        "options": {**TRANSFORMER, "input": {"vocabulary": 11}, "norm": "before", "hidden": 12},
        "example": [5],
    },
]


def uniform(seed, count):
    """Numbers in +-1 from a generator that is the same everywhere (Park and Miller, 1988)."""
    state = seed * 7919 + 17
    values = []
    for _ in range(count):
        state = state * 48271 % 2147483647
        values.append(state / 2147483647 * 2 - 1)
    return values


def start_of(name, shape, seed):
    """Statistics and scales near their usual values, kernels by their fan-in."""
    values = uniform(seed, math.prod(shape))
    if name.endswith("running_var"):
        values = [1 + 0.5 * value for value in values]
    elif len(shape) == 1:
        offset = 1 if name.endswith(".weight") else 0
        values = [offset + 0.2 * value for value in values]
    else:
        scale = math.sqrt(6 / math.prod(shape[1:]))
        values = [scale * value for value in values]
    return torch.tensor(values, dtype=torch.float32).double().reshape(shape)


def inputs_of(case, batch):
    shape = [batch, *case["example"]]
    values = uniform(1, math.prod(shape))
    vocabulary = case["options"].get("input", {}).get("vocabulary")
    if vocabulary is None:
        return torch.tensor(values, dtype=torch.float32).double().reshape(shape)
    return torch.tensor([math.floor((value + 1) / 2 * vocabulary) for value in values]).reshape(shape)


def sampled(gradient):
    flat = gradient.flatten()
    places = [index * len(flat) // min(SAMPLES, len(flat)) for index in range(min(SAMPLES, len(flat)))]
    return {"norm": float(f"{flat.norm().item():.9g}"), "samples": [float(f"{flat[i].item():.9g}") for i in places]}


def result_of(case, batch=4):
    net = net_of(case["net"], case["options"]).double()
    state = {name: value for name, value in net.state_dict().items() if value.is_floating_point()}
    names = sorted(state)
    net.load_state_dict({name: start_of(name, state[name].shape, i + 2) for i, name in enumerate(names)}, strict=False)
    # Normalization by the running statistics, as fine-tuning does it by default, or by those of the batch.
    net.train(case.get("batchNorm") == "local")
    labels = torch.tensor([index % case["options"]["classes"] for index in range(batch)])
    loss = F.cross_entropy(net(inputs_of(case, batch)), labels)
    loss.backward()
    gradients = {name: sampled(value.grad) for name, value in net.named_parameters()}
    return {**case, "labels": labels.tolist(), "weights": names, "loss": loss.item(), "gradients": gradients}


content = {"source": f"PyTorch {torch.__version__.split('+')[0]}, float64", "cases": [result_of(case) for case in CASES]}
(FOLDER / "architectures.json").write_text(json.dumps(content) + "\n")
