"""Golden vectors of optimizers and schedules: twenty steps of a linear head, by PyTorch in float64.

Run: python3 make_optimizers.py   (needs torch; writes optimizers.json beside this file)

PyTorch has no LARS and no LAMB; theirs are written here after the papers, in float64.
"""

import json
import pathlib

import torch
import torch.nn.functional as F

from make_training_vectors import encoded, head, numbers

FOLDER = pathlib.Path(__file__).parent
STEPS, BATCH = 20, 4


class Lars:
    """You et al. 2017, https://arxiv.org/abs/1708.03888, algorithm 1; biases take the plain step."""

    def __init__(self, weights, lr, momentum=0.9, decay=0.0, trust=0.001):
        self.weights, self.lr, self.momentum, self.decay, self.trust = weights, lr, momentum, decay, trust
        self.velocity = [torch.zeros_like(weight) for weight in weights]

    def zero_grad(self):
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self):
        for i, weight in enumerate(self.weights):
            gradient, local = weight.grad, 1.0
            if weight.dim() > 1:
                local = self.trust * weight.norm() / (gradient.norm() + self.decay * weight.norm())
                gradient = gradient + self.decay * weight
            self.velocity[i] = self.momentum * self.velocity[i] + self.lr * local * gradient
            weight -= self.velocity[i]


class Lamb(Lars):
    """You et al. 2020, https://arxiv.org/abs/1904.00962, algorithm 2; biases take Adam's step."""

    def __init__(self, weights, lr, decay):
        super().__init__(weights, lr, decay=decay)
        self.first, self.second, self.count = list(self.velocity), list(self.velocity), 0

    @torch.no_grad()
    def step(self):
        self.count += 1
        for i, weight in enumerate(self.weights):
            self.first[i] = 0.9 * self.first[i] + 0.1 * weight.grad
            self.second[i] = 0.999 * self.second[i] + 0.001 * weight.grad**2
            corrected = self.second[i] / (1 - 0.999**self.count)
            direction = self.first[i] / (1 - 0.9**self.count) / (corrected.sqrt() + 1e-6)
            ratio = 1.0
            if weight.dim() > 1:
                direction = direction + self.decay * weight
                ratio = weight.norm() / direction.norm()
            weight -= self.lr * ratio * direction


def train(make, features, labels, initial, clip_norm=None):
    weights = {key: value.clone().requires_grad_(True) for key, value in initial.items()}
    optimizer = make(list(weights.values()))
    losses, begin = [], 0
    for _ in range(STEPS):
        rows = slice(begin, begin + BATCH)
        begin = 0 if begin + BATCH >= len(labels) else begin + BATCH
        optimizer.zero_grad()
        loss = F.cross_entropy(head(features[rows], weights), labels[rows])
        loss.backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(list(weights.values()), clip_norm)
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "weights": {key: encoded(value.detach()) for key, value in weights.items()}}


def rates(make, base, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=base)
    schedule, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def schedules():
    scheduler = torch.optim.lr_scheduler
    cases = [
        ({"kind": "constant"}, 0.1, 5, lambda o: scheduler.ConstantLR(o, factor=1)),
        ({"kind": "step", "every": 3, "factor": 0.5}, 0.2, 10, lambda o: scheduler.StepLR(o, 3, 0.5)),
        ({"kind": "cosine"}, 0.1, 12, lambda o: scheduler.CosineAnnealingLR(o, 12)),
        ({"kind": "cosine", "floor": 0.1}, 0.1, 12, lambda o: scheduler.CosineAnnealingLR(o, 12, eta_min=0.01)),
        ({"kind": "one-cycle"}, 0.4, 20, lambda o: scheduler.OneCycleLR(o, 0.4, total_steps=20)),
        ({"kind": "one-cycle", "rising": 0.5}, 0.4, 9, lambda o: scheduler.OneCycleLR(o, 0.4, total_steps=9, pct_start=0.5)),
        ({"kind": "constant", "warmupSteps": 4}, 0.1, 8, lambda o: scheduler.LinearLR(o, start_factor=0.25, total_iters=3)),
        (
            {"kind": "cosine", "warmupSteps": 4},
            0.1,
            16,
            lambda o: scheduler.SequentialLR(o, [scheduler.LinearLR(o, start_factor=0.25, total_iters=3), scheduler.CosineAnnealingLR(o, 12)], [4]),
        ),
    ]
    return [{"schedule": schedule, "base": base, "rates": rates(make, base, steps)} for schedule, base, steps, make in cases]


def main():
    features, labels = numbers(1, 10, 7), torch.tensor([0, 1, 2, 1, 0, 2, 2, 1, 0, 1])
    weights = {"head.weight": numbers(2, 3, 7, scale=0.4), "head.bias": numbers(3, 3, scale=0.1)}
    optim = torch.optim
    matrices = lambda w, decay: [{"params": w[:1], "weight_decay": decay}, {"params": w[1:], "weight_decay": 0}]
    runs = [
        ("SGD", {"kind": "sgd"}, 0.1, lambda w: optim.SGD(w, lr=0.1), None),
        ("SGD with Nesterov momentum", {"kind": "sgd", "momentum": 0.9, "nesterov": True, "weightDecay": 0.01}, 0.05, lambda w: optim.SGD(w, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01), None),
        ("Adam with decay of matrices", {"kind": "adam", "weightDecay": 0.1, "decayOn": "matrices"}, 0.01, lambda w: optim.Adam(matrices(w, 0.1), lr=0.01), None),
        ("AdamW", {"kind": "adamw"}, 0.01, lambda w: optim.AdamW(w, lr=0.01), None),
        ("AdamW with decay of matrices", {"kind": "adamw", "weightDecay": 0.5, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "decayOn": "matrices"}, 0.02, lambda w: optim.AdamW(matrices(w, 0.5), lr=0.02, betas=(0.8, 0.95), eps=1e-3), None),
        ("Adagrad", {"kind": "adagrad", "weightDecay": 0.01}, 0.1, lambda w: optim.Adagrad(w, lr=0.1, weight_decay=0.01), None),
        ("RMSprop", {"kind": "rmsprop"}, 0.01, lambda w: optim.RMSprop(w, lr=0.01), None),
        ("RMSprop with momentum", {"kind": "rmsprop", "alpha": 0.9, "momentum": 0.8, "epsilon": 1e-4, "weightDecay": 0.02}, 0.005, lambda w: optim.RMSprop(w, lr=0.005, alpha=0.9, momentum=0.8, eps=1e-4, weight_decay=0.02), None),
        ("LARS", {"kind": "lars", "weightDecay": 0.01, "trust": 0.02, "decayOn": "matrices"}, 1.0, lambda w: Lars(w, 1.0, decay=0.01, trust=0.02), None),
        ("LAMB", {"kind": "lamb", "weightDecay": 0.05, "decayOn": "matrices"}, 0.02, lambda w: Lamb(w, 0.02, 0.05), None),
        ("SGD with clipping", {"kind": "sgd", "momentum": 0.9}, 0.1, lambda w: optim.SGD(w, lr=0.1, momentum=0.9), 0.3),
        ("Adam with clipping", {"kind": "adam"}, 0.01, lambda w: optim.Adam(w, lr=0.01), 0.05),
    ]
    content = {
        "source": f"PyTorch {torch.__version__.split('+')[0]}, float64",
        "features": encoded(features),
        "labels": labels.tolist(),
        "batch": BATCH,
        "weights": {key: encoded(value) for key, value in weights.items()},
        "runs": [
            {"name": name, "optimizer": spec, "learningRate": rate, **({} if clip is None else {"clipNorm": clip}), **train(make, features, labels, weights, clip)}
            for name, spec, rate, make, clip in runs
        ],
        "schedules": schedules(),
    }
    (FOLDER / "optimizers.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
