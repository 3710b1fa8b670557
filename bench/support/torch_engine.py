"""The peer of the training measurements: the same job by PyTorch, as a module and an optimizer of torch.

Run: torch_engine.py FOLDER MODE    MODE: eager, fused, channels_last, compile
Answers one JSON line to each line of stdin: {"do": "steps", "together": K, "samples": S} with times of S runs of K steps,
{"do": "peak"} with the largest resident size so far, {"do": "check", "file": F, "steps": N} with the differences of the
gradients and weights in F from those that PyTorch computes in float64, and of PyTorch's float32 from them.
"""

import json
import os
import pathlib
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from torch_nets import net_of

FOLDER, MODE = pathlib.Path(sys.argv[1]), sys.argv[2]
JOB = json.loads((FOLDER / "job.json").read_text())
RAW = np.memmap(FOLDER / "job.bin", dtype=np.uint8, mode="r")
NUMPY = {"float32": np.float32, "int32": np.int32, "int64": np.int64}
torch.set_num_threads(JOB["threads"])


def read(name):
    entry = JOB["tensors"][name]
    dtype = np.dtype(NUMPY[entry["dtype"]])
    size = int(np.prod(entry["shape"], dtype=np.int64)) * dtype.itemsize
    return torch.from_numpy(RAW[entry["offset"] : entry["offset"] + size].view(dtype).reshape(entry["shape"]).copy())


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Training:
    """A net with the weights of the job, and what trains it."""

    def __init__(self, mode, dtype=torch.float32):
        self.mode, self.dtype = mode, dtype
        weights = {name: read(name).to(dtype) for name in JOB["tensors"] if not name.startswith("batch/")}
        self.net = net_of(JOB["torch"]["net"], JOB["torch"]["options"]).to(dtype)
        missing, unexpected = self.net.load_state_dict(weights, strict=False)
        assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
        self.freeze()
        if mode == "channels_last":
            self.net = self.net.to(memory_format=torch.channels_last)
        self.start = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.forward = torch.compile(self.net) if mode == "compile" else self.net
        batches = [(read(f"batch/{i}/features"), read(f"batch/{i}/labels").long()) for i in range(JOB["batches"])]
        layout = torch.channels_last if mode == "channels_last" else torch.contiguous_format
        self.batches = [(x.to(dtype).contiguous(memory_format=layout), y) for x, y in batches]
        self.reset()

    def freeze(self):
        """Modules without a trained weight do not train: no gradients, statistics of batch normalization as they are."""
        trainable = set(JOB["trainable"])
        for name, value in self.net.named_parameters():
            value.requires_grad_(name in trainable)
        for module in self.net.modules():
            own = list(module.parameters())
            module.train(any(value.requires_grad for value in own) if own else True)
        if JOB["batchNorm"] is None:
            for module in self.net.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()

    def reset(self):
        self.net.load_state_dict(self.start)
        spec = dict(JOB["optimizer"])
        kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[spec.pop("kind")]
        options = {"lr": spec.pop("learningRate"), **spec}
        if self.mode in ("fused", "channels_last", "compile"):
            options["fused"] = True
        self.trained = [value for value in self.net.parameters() if value.requires_grad]
        self.optimizer = kind(self.trained, **options)
        self.count = 0

    def step(self):
        x, y = self.batches[self.count % len(self.batches)]
        self.count += 1
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.forward(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def gradients(self):
        self.reset()
        self.optimizer.zero_grad()
        x, y = self.batches[0]
        F.cross_entropy(self.net(x), y).backward()
        return {name: value.grad.double() for name, value in self.net.named_parameters() if value.requires_grad}

    def weights_after(self, steps):
        self.reset()
        losses = [self.step() for _ in range(steps)]
        return losses, {name: value.detach().double() for name, value in self.net.named_parameters()}


def steps(training, together, samples):
    ms, cpu_ms = [], []
    training.reset()
    loss = 0.0
    for _ in range(samples):
        begin, cpu = time.perf_counter(), time.process_time()
        for _ in range(together):
            loss = training.step()
        cpu_ms.append((time.process_time() - cpu) * 1000 / together)
        ms.append((time.perf_counter() - begin) * 1000 / together)
    return {"ms": ms, "cpuMs": cpu_ms, "loss": loss}


def worst(values, reference):
    """Largest relative difference of a tensor, in the Euclidean norm.

    What is zero but for rounding, as the gradient of a bias whose sum is normalised away, is compared with the largest gradient.
    """
    norms = {name: wanted.norm().item() for name, wanted in reference.items()}
    largest = max(norms.values())
    scales = {name: largest if norm < 1e-9 * largest else norm for name, norm in norms.items()}
    return max((values[name] - wanted).norm().item() / scales[name] for name, wanted in reference.items())


def together(values, reference):
    """The relative difference of all tensors as one vector."""
    difference = sum((values[name] - wanted).square().sum() for name, wanted in reference.items())
    return (difference / sum(wanted.square().sum() for wanted in reference.values())).sqrt().item()


def check(file, count):
    """Compares what graft wrote, gradients and then weights of each trained tensor, with float64."""
    raw = torch.from_numpy(np.fromfile(file, dtype=np.float32)).double()
    exact = Training("eager", torch.float64)
    reference = exact.gradients()
    losses, weights = exact.weights_after(count)
    own = Training("eager")
    own_gradients = own.gradients()
    own_losses, own_weights = own.weights_after(count)
    theirs, offset = [{}, {}], 0
    for part in theirs:
        for name in JOB["trainable"]:
            size = reference[name].numel()
            part[name] = raw[offset : offset + size].reshape(reference[name].shape)
            offset += size
    trained = {name: weights[name] for name in JOB["trainable"]}
    return {
        "gradientErrorMax": worst(theirs[0], reference),
        "torchGradientErrorMax": worst(own_gradients, reference),
        "stepsError": together(theirs[1], trained),
        "torchStepsError": together(own_weights, trained),
        "stepsErrorToFloat32": together(theirs[1], own_weights),
        "stepsErrorMax": worst(theirs[1], trained),
        "torchStepsErrorMax": worst(own_weights, trained),
        "losses": losses,
        "torchLosses": own_losses,
    }


def main():
    bare = peak_bytes()
    training = Training(MODE)
    training.step()
    print(json.dumps({"torch": torch.__version__, "mode": MODE, "bareBytes": bare}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "steps":
            answer = steps(training, command["together"], command["samples"])
        elif command["do"] == "peak":
            answer = {"peakBytes": peak_bytes()}
        else:
            answer = check(command["file"], command["steps"])
        print(json.dumps(answer), flush=True)


main()
os._exit(0)
