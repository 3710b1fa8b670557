"""State dicts as PyTorch writes them, in both of its containers, and the values that must come out.

Run: python3 test/vectors/make_state_dicts.py   (needs torch; writes state-dicts.json beside itself)
"""
import base64
import io
import json
import os

import torch

torch.manual_seed(5)
shared = torch.arange(24, dtype=torch.float32).reshape(4, 6)
tensors = {
    "plain": torch.randn(3, 2),
    "scalar": torch.tensor(7, dtype=torch.int64),
    "transposed": shared.t(),
    "row of the same storage": shared[2],
    "every second column": shared[:, ::2],
    "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
    "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "double": torch.tensor([0.1], dtype=torch.float64),
    "bytes": torch.tensor([0, 255], dtype=torch.uint8),
    "truth": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(torch.ones(2)),
}


def saved(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def raw(value):
    value = value.detach().contiguous()
    return base64.b64encode(bytes(value.reshape(-1).view(torch.uint8).tolist()) if value.numel() else b"").decode()


net = torch.nn.Linear(2, 1)
content = {
    "torch": torch.__version__,
    "expected": {
        name: {
            "dtype": str(value.dtype).replace("torch.", ""),
            "shape": list(value.shape),
            "data": raw(value.reshape(1) if value.dim() == 0 else value),
        }
        for name, value in tensors.items()
    },
    "files": {
        "zip archive": saved(tensors),
        "row of pickles": saved(tensors, _use_new_zipfile_serialization=False),
        "checkpoint": saved({"epoch": 3, "state_dict": tensors, "optimizer": {"lr": 0.1}}),
    },
    "module": saved(net),
}
with open(os.path.join(os.path.dirname(__file__), "state-dicts.json"), "w") as file:
    json.dump(content, file, indent=1)
    file.write("\n")
