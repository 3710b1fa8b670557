"""Golden vectors of training: gradients and steps of small nets by PyTorch in float64.

Run: python3 make_training_vectors.py   (needs torch; writes training-*.json beside this file)

All values that go in are float32 numbers, so that both sides start from the same; what PyTorch computes from them is
float64, so that differences are those of the side under test. The graphs are written again in training-vectors.spec.ts.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
FOLDER = pathlib.Path(__file__).parent


def numbers(seed, *shape, scale=1.0):
    """Float32 numbers from a generator that does not change with the version of PyTorch (Park and Miller, 1988)."""
    state = seed * 7919 + 17
    values = []
    for _ in range(math.prod(shape)):
        state = state * 48271 % 2147483647
        values.append((state / 2147483647 * 2 - 1) * scale)
    return torch.tensor(values, dtype=torch.float32).double().reshape(shape)


def encoded(value):
    return {"shape": list(value.shape), "data": [float(f"{each:.9g}") for each in value.flatten().tolist()]}


def write(name, content):
    text = json.dumps({"source": f"PyTorch {torch.__version__.split('+')[0]}, float64", **content})
    (FOLDER / f"training-{name}.json").write_text(text + "\n")


def gradients(net, features, labels, weights):
    """The loss and its gradient by every weight that is trained."""
    for value in weights.values():
        value.requires_grad_(True)
    loss = F.cross_entropy(net(features, weights), labels)
    found = torch.autograd.grad(loss, list(weights.values()))
    for value in weights.values():
        value.requires_grad_(False)
    return loss.item(), dict(zip(weights, found))


def gradient_case(name, net, features, labels, weights, frozen=None):
    frozen = frozen or {}
    loss, found = gradients(lambda x, w: net(x, {**frozen, **w}), features, labels, weights)
    write(
        name,
        {
            "features": encoded(features),
            "labels": labels.tolist(),
            "weights": {key: encoded(value) for key, value in weights.items()},
            "frozen": {key: encoded(value) for key, value in frozen.items()},
            "loss": loss,
            "gradients": {key: encoded(value) for key, value in found.items()},
        },
    )


def head(x, w):
    return F.linear(x, w["head.weight"], w["head.bias"])


def steps(make_optimizer, features, labels, initial, count, batch):
    """`count` steps over batches in order; the last batch of an epoch is smaller."""
    weights = {key: value.clone().requires_grad_(True) for key, value in initial.items()}
    optimizer = make_optimizer(list(weights.values()))
    losses = []
    begin = 0
    for _ in range(count):
        rows = slice(begin, begin + batch)
        begin = 0 if begin + batch >= len(labels) else begin + batch
        optimizer.zero_grad()
        loss = F.cross_entropy(head(features[rows], weights), labels[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "weights": {key: encoded(value.detach()) for key, value in weights.items()}}


def head_case():
    features, labels = numbers(1, 10, 7), torch.tensor([0, 1, 2, 1, 0, 2, 2, 1, 0, 1])
    weights = {"head.weight": numbers(2, 3, 7, scale=0.4), "head.bias": numbers(3, 3, scale=0.1)}
    run = lambda make: steps(make, features, labels, weights, count=20, batch=4)
    loss, found = gradients(head, features, labels, {key: value.clone() for key, value in weights.items()})
    write(
        "head",
        {
            "features": encoded(features),
            "labels": labels.tolist(),
            "batch": 4,
            "weights": {key: encoded(value) for key, value in weights.items()},
            "loss": loss,
            "gradients": {key: encoded(value) for key, value in found.items()},
            "runs": {
                "sgd": {
                    "optimizer": {"kind": "sgd", "momentum": 0.9, "weightDecay": 0.001},
                    "learningRate": 0.1,
                    **run(lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.001)),
                },
                "adam": {
                    "optimizer": {"kind": "adam"},
                    "learningRate": 0.01,
                    **run(lambda w: torch.optim.Adam(w, lr=0.01)),
                },
            },
        },
    )


def convolutions(x, w):
    """Strided convolution, frozen batch norm, hard-swish, depthwise 5x5, squeeze-and-excitation, groups, pool, 1x3."""
    x = F.conv2d(x, w["conv.w"], stride=(2, 1), padding=1)
    x = F.batch_norm(x, w["bn.mean"], w["bn.var"], w["bn.scale"], w["bn.bias"], training=False, eps=1e-5)
    x = F.hardswish(x)
    x = F.conv2d(x, w["depthwise.w"], w["depthwise.b"], padding=2, groups=6)
    squeezed = F.relu(F.conv2d(F.adaptive_avg_pool2d(x, 1), w["squeeze.w"], w["squeeze.b"]))
    x = x * F.hardsigmoid(F.conv2d(squeezed, w["excite.w"], w["excite.b"]))
    x = F.conv2d(x, w["pointwise.w"], w["pointwise.b"]) * w["scale"] + w["shift"]
    x = F.hardswish(x)
    x = F.conv2d(x, w["down.w"], stride=(2, 1), padding=2, groups=6)
    x = F.conv2d(x, w["grouped.w"], padding=1, groups=2)
    x = F.avg_pool2d(x, (2, 2))
    x = F.silu(F.conv2d(x, w["row.w"], padding=(0, 1)))
    return F.linear(x.flatten(1), w["head.weight"], w["head.bias"])


def convolution_case():
    weights = {
        "conv.w": numbers(11, 6, 4, 3, 3, scale=0.5),
        "bn.scale": 1 + numbers(12, 6, scale=0.3),
        "bn.bias": numbers(13, 6, scale=0.5),
        "depthwise.w": numbers(14, 6, 1, 5, 5, scale=0.4),
        "depthwise.b": numbers(15, 6, scale=0.2),
        "squeeze.w": numbers(16, 3, 6, 1, 1),
        "squeeze.b": 0.5 + numbers(17, 3, scale=0.2),
        "excite.w": numbers(18, 6, 3, 1, 1),
        "excite.b": numbers(19, 6, scale=0.2),
        "pointwise.w": numbers(20, 6, 6, 1, 1, scale=0.7),
        "pointwise.b": numbers(21, 6, scale=0.2),
        "scale": 1.5 + numbers(22, 1, scale=0.2),
        "shift": numbers(23, 1, scale=0.2),
        "down.w": numbers(24, 6, 1, 5, 5, scale=0.4),
        "grouped.w": numbers(25, 4, 3, 3, 3, scale=0.5),
        "row.w": numbers(26, 3, 4, 1, 3, scale=0.6),
        "head.weight": numbers(27, 3, 12, scale=0.5),
        "head.bias": numbers(28, 3, scale=0.1),
    }
    frozen = {"bn.mean": numbers(29, 6, scale=0.3), "bn.var": 1 + numbers(30, 6, scale=0.5)}
    weights = {key: value.float().double() for key, value in weights.items()}
    frozen = {key: value.float().double() for key, value in frozen.items()}
    gradient_case("convolutions", convolutions, numbers(10, 3, 4, 8, 8), torch.tensor([0, 2, 1]), weights, frozen)


def attention(x, w):
    """Two heads over five tokens of eight numbers; softmax(q k^T / 2) v, a residual, the mean over the tokens."""
    count, tokens, width = x.shape
    qkv = (x @ w["qkv.w"] + w["qkv.b"]).reshape(count, tokens, 3, 2, 4).permute(2, 0, 3, 1, 4)
    query, key, value = qkv[0] * 0.5, qkv[1], qkv[2]
    mixed = (query @ key.transpose(-1, -2)).softmax(-1) @ value
    x = x + mixed.transpose(1, 2).reshape(count, tokens, width) @ w["out.w"] + w["out.b"]
    return F.linear(x.mean(1), w["head.weight"], w["head.bias"])


def attention_case():
    weights = {
        "qkv.w": numbers(41, 8, 24, scale=0.7),
        "qkv.b": numbers(42, 24, scale=0.2),
        "out.w": numbers(43, 8, 8, scale=0.6),
        "out.b": numbers(44, 8, scale=0.2),
        "head.weight": numbers(45, 4, 8),
        "head.bias": numbers(46, 4, scale=0.1),
    }
    gradient_case("attention", attention, numbers(40, 3, 5, 8), torch.tensor([3, 0, 2]), weights)


def layer_norm(x, w):
    """Layer norm, a wide layer with swish, layer norm again; the spec writes the first by primitives."""
    x = F.layer_norm(x, (6,), w["ln1.scale"], w["ln1.bias"], 1e-5)
    x = x + F.silu(x @ w["up.w"] + w["up.b"]) @ w["down.w"]
    x = F.layer_norm(x, (6,), w["ln2.scale"], w["ln2.bias"], 1e-5)
    return F.linear(x.mean(1), w["head.weight"], w["head.bias"])


def layer_norm_case():
    weights = {
        "ln1.scale": (1 + numbers(51, 6, scale=0.3)).float().double(),
        "ln1.bias": numbers(52, 6, scale=0.3),
        "up.w": numbers(53, 6, 10, scale=0.7),
        "up.b": numbers(54, 10, scale=0.2),
        "down.w": numbers(55, 10, 6, scale=0.5),
        "ln2.scale": (1 + numbers(56, 6, scale=0.3)).float().double(),
        "ln2.bias": numbers(57, 6, scale=0.3),
        "head.weight": numbers(58, 3, 6),
        "head.bias": numbers(59, 3, scale=0.1),
    }
    gradient_case("layer-norm", layer_norm, numbers(50, 2, 4, 6), torch.tensor([1, 2]), weights)


if __name__ == "__main__":
    head_case()
    convolution_case()
    attention_case()
    layer_norm_case()
