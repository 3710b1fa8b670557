"""Golden vectors of batch normalization in training: five steps of a small convolutional net, by PyTorch in float64.

Run: python3 make_batch_norm.py   (needs torch; writes batch-norm.json beside this file)
"""

import json
import pathlib

import torch
import torch.nn.functional as F

from make_training_vectors import encoded, numbers

FOLDER = pathlib.Path(__file__).parent
MOMENTUM, RATE, STEPS = 0.1, 0.1, 5


def net(x, w, statistics):
    x = F.conv2d(x, w["conv.w"], padding=1)
    x = F.batch_norm(x, statistics["bn1.mean"], statistics["bn1.var"], w["bn1.scale"], w["bn1.bias"], training=True, momentum=MOMENTUM, eps=1e-5)
    x = F.relu(x).mean((2, 3))
    x = F.batch_norm(x, statistics["bn2.mean"], statistics["bn2.var"], w["bn2.scale"], w["bn2.bias"], training=True, momentum=MOMENTUM, eps=1e-3)
    return F.linear(x, w["head.weight"], w["head.bias"])


def main():
    features, labels = numbers(1, 6, 3, 5, 5), torch.tensor([0, 2, 1, 1, 0, 2])
    single = lambda value: value.float().double()
    weights = {
        "conv.w": numbers(2, 4, 3, 3, 3, scale=0.5),
        "bn1.scale": single(1 + numbers(3, 4, scale=0.3)),
        "bn1.bias": numbers(4, 4, scale=0.5),
        "bn2.scale": single(1 + numbers(5, 4, scale=0.3)),
        "bn2.bias": numbers(6, 4, scale=0.5),
        "head.weight": numbers(7, 3, 4),
        "head.bias": numbers(8, 3, scale=0.1),
    }
    statistics = {
        "bn1.mean": numbers(9, 4, scale=0.3),
        "bn1.var": single(1 + numbers(10, 4, scale=0.5)),
        "bn2.mean": numbers(11, 4, scale=0.3),
        "bn2.var": single(1 + numbers(12, 4, scale=0.5)),
    }
    trained = {key: value.clone().requires_grad_(True) for key, value in weights.items()}
    running = {key: value.clone() for key, value in statistics.items()}
    optimizer = torch.optim.SGD(list(trained.values()), lr=RATE)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(features, trained, running), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    all_encoded = lambda values: {key: encoded(value.detach()) for key, value in values.items()}
    content = {
        "source": f"PyTorch {torch.__version__.split('+')[0]}, float64",
        "momentum": MOMENTUM,
        "learningRate": RATE,
        "features": encoded(features),
        "labels": labels.tolist(),
        "batch": len(labels),
        "weights": all_encoded(weights),
        "statistics": all_encoded(statistics),
        "losses": losses,
        "trained": all_encoded(trained),
        "running": all_encoded(running),
    }
    (FOLDER / "batch-norm.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
