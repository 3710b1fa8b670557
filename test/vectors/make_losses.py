"""Golden vectors of losses: value and gradient by the output, by PyTorch in float64.

Run: python3 make_losses.py   (needs torch; writes losses.json beside this file)
"""

import json
import pathlib

import torch
import torch.nn.functional as F

from make_training_vectors import encoded, numbers

FOLDER = pathlib.Path(__file__).parent


def ints(*values):
    return torch.tensor(values, dtype=torch.int64)


def case(name, spec, output, targets, loss):
    output = output.clone().requires_grad_(True)
    value = loss(output)
    (gradient,) = torch.autograd.grad(value, [output])
    return {
        "name": name,
        "spec": spec,
        "output": encoded(output.detach()),
        "targets": {
            role: {"dtype": "int32" if target.dtype == torch.int64 else "float32", "shape": list(target.shape), "data": target.flatten().tolist()}
            for role, target in targets.items()
        },
        "loss": value.item(),
        "gradient": encoded(gradient),
    }


def probabilities(seed, *shape):
    return numbers(seed, *shape, scale=2).softmax(-1).float().double()


def focal(logits, labels, gamma, weights=None):
    """Lin et al. 2017, equation 5, over softmax."""
    logarithm = logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0]
    alpha = 1 if weights is None else weights[labels]
    return (-alpha * (1 - logarithm.exp()) ** gamma * logarithm).mean()


def divergence(logits, teacher, temperature):
    return temperature**2 * F.kl_div(
        (logits / temperature).log_softmax(-1).flatten(0, -2),
        (teacher / temperature).log_softmax(-1).flatten(0, -2),
        log_target=True,
        reduction="batchmean",
    )


def main():
    logits, labels = numbers(1, 6, 4, scale=4), ints(0, 3, 1, 1, 2, 0)
    weights = torch.tensor([0.5, 2.0, 1.0, 0.25], dtype=torch.float64)
    tokens, words = numbers(2, 3, 5, 7, scale=3), ints(0, 3, -100, 6, 2, 5, 1, 1, -100, -100, 4, 0, 6, 6, -100).reshape(3, 5)
    word_weights = (1.5 + numbers(3, 7)).float().double()
    flat = lambda value: value.flatten(0, 1)
    soft = probabilities(4, 6, 4)
    many, present = numbers(5, 5, 6, scale=6), (numbers(6, 5, 6) > 0.3).double()
    values, wanted = numbers(7, 5, 3, scale=3), numbers(8, 5, 3, scale=3)
    teacher = numbers(9, 6, 4, scale=5)
    kind = "softmax-cross-entropy"
    entropy = F.cross_entropy
    cases = [
        case("labels", {"kind": kind}, logits, {"labels": labels}, lambda z: entropy(z, labels)),
        case("large logits", {"kind": kind}, logits * 20, {"labels": labels}, lambda z: entropy(z, labels)),
        case("smoothing", {"kind": kind, "smoothing": 0.1}, logits, {"labels": labels}, lambda z: entropy(z, labels, label_smoothing=0.1)),
        case("class weights", {"kind": kind, "weighted": True}, logits, {"labels": labels, "class-weights": weights}, lambda z: entropy(z, labels, weight=weights)),
        case("class weights and smoothing", {"kind": kind, "weighted": True, "smoothing": 0.2}, logits, {"labels": labels, "class-weights": weights}, lambda z: entropy(z, labels, weight=weights, label_smoothing=0.2)),
        case("soft labels", {"kind": kind, "labels": "soft"}, logits, {"labels": soft}, lambda z: entropy(z, soft)),
        case("soft labels, class weights and smoothing", {"kind": kind, "labels": "soft", "weighted": True, "smoothing": 0.1}, logits, {"labels": soft, "class-weights": weights}, lambda z: entropy(z, soft, weight=weights, label_smoothing=0.1)),
        case("tokens", {"kind": kind}, tokens, {"labels": words.clamp(min=0)}, lambda z: entropy(flat(z), words.clamp(min=0).flatten())),
        case("tokens with padding", {"kind": kind, "ignoreIndex": -100}, tokens, {"labels": words}, lambda z: entropy(flat(z), words.flatten())),
        case("tokens with padding of a class", {"kind": kind, "ignoreIndex": 6}, tokens, {"labels": words.clamp(min=0)}, lambda z: entropy(flat(z), words.clamp(min=0).flatten(), ignore_index=6)),
        case("tokens with padding, class weights and smoothing", {"kind": kind, "ignoreIndex": -100, "weighted": True, "smoothing": 0.1}, tokens, {"labels": words, "class-weights": word_weights}, lambda z: entropy(flat(z), words.flatten(), weight=word_weights, label_smoothing=0.1)),
        case("several labels", {"kind": "sigmoid-cross-entropy"}, many, {"labels": present}, lambda z: F.binary_cross_entropy_with_logits(z, present)),
        case("several labels, large logits", {"kind": "sigmoid-cross-entropy"}, many * 20, {"labels": present}, lambda z: F.binary_cross_entropy_with_logits(z, present)),
        case("several labels, weights", {"kind": "sigmoid-cross-entropy", "weighted": True}, many, {"labels": present, "class-weights": word_weights[:6]}, lambda z: F.binary_cross_entropy_with_logits(z, present, pos_weight=word_weights[:6])),
        case("focal", {"kind": "focal"}, logits, {"labels": labels}, lambda z: focal(z, labels, 2)),
        case("focal, gamma 0.5", {"kind": "focal", "gamma": 0.5}, logits, {"labels": labels}, lambda z: focal(z, labels, 0.5)),
        case("focal, gamma 3 and class weights", {"kind": "focal", "gamma": 3, "weighted": True}, logits, {"labels": labels, "class-weights": weights}, lambda z: focal(z, labels, 3, weights)),
        case("squared error", {"kind": "mse"}, values, {"values": wanted}, lambda y: F.mse_loss(y, wanted)),
        case("Huber", {"kind": "huber"}, values, {"values": wanted}, lambda y: F.huber_loss(y, wanted)),
        case("Huber, delta 2.5", {"kind": "huber", "delta": 2.5}, values, {"values": wanted}, lambda y: F.huber_loss(y, wanted, delta=2.5)),
        case("distillation", {"kind": "distillation"}, logits, {"teacher": teacher, "labels": labels}, lambda z: 0.5 * divergence(z, teacher, 2) + 0.5 * entropy(z, labels)),
        case("distillation without labels", {"kind": "distillation", "hard": 0, "temperature": 4}, logits, {"teacher": teacher}, lambda z: divergence(z, teacher, 4)),
        case("distillation of tokens", {"kind": "distillation", "hard": 0.25, "temperature": 1}, tokens, {"teacher": tokens.flip(0).contiguous(), "labels": words.clamp(min=0)}, lambda z: 0.75 * divergence(z, tokens.flip(0), 1) + 0.25 * entropy(flat(z), words.clamp(min=0).flatten())),
    ]
    text = json.dumps({"source": f"PyTorch {torch.__version__.split('+')[0]}, float64", "cases": cases})
    (FOLDER / "losses.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
