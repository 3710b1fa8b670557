"""
Exports small transformers by torch.onnx.export with symbolic batch and sequence, and writes the gradients that PyTorch finds.
Run: python test/vectors/make_exported_transformers.py   (torch, onnx, onnxscript)
Writes test/vectors/exported-transformers/NAME.onnx by the exporter that traces and NAME-program.onnx by the one that exports
programs, and exported-transformers.json: for each of two sizes the inputs, and for the
sum of the first output times fixed numbers the output and the gradient by every parameter, in float64.
"""
import copy
import json
import math
import pathlib
import warnings

import onnx
import torch
from torch import nn

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).parent
folder = here / "exported-transformers"
folder.mkdir(exist_ok=True)
WIDTH, HEADS, WORDS = 8, 2, 11


class Attention(nn.Module):
    """As Hugging Face's BERT: views by sizes, an additive mask."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def split(self, x):
        return x.view(x.size()[:-1] + (HEADS, WIDTH // HEADS)).permute(0, 2, 1, 3)

    def forward(self, x, mask):
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        p = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS) + mask, -1)
        y = (p @ v).permute(0, 2, 1, 3).contiguous()
        return self.o(y.view(y.size()[:-2] + (WIDTH,)))


class Encoder(nn.Module):
    """As Hugging Face's BERT: embeddings cut to the length of the input, the first token pooled."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(16, WIDTH)
        self.register_buffer("ids", torch.arange(16).expand((1, -1)))
        self.norm, self.norm2, self.attention = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), Attention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
        self.pool, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 3)

    def forward(self, input_ids, attention_mask):
        x = self.norm(self.words(input_ids) + self.places(self.ids[:, : input_ids.size()[1]]))
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        x = self.norm2(x + self.attention(x, mask))
        x = x + self.mlp(x)
        return self.head(torch.tanh(self.pool(x[:, 0])))


class MeanPooled(Encoder):
    """As sentence-transformers: the mean of the tokens that count, normalised."""

    def forward(self, input_ids, attention_mask):
        x = self.words(input_ids) + self.places(self.ids[:, : input_ids.size()[1]])
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        x = x + self.attention(x, mask)
        w = attention_mask.unsqueeze(-1).expand(x.size()).to(x.dtype)
        e = torch.sum(x * w, 1) / torch.clamp(w.sum(1), min=1e-9)
        return nn.functional.normalize(e, p=2, dim=1)


class Decoder(nn.Module):
    """As GPT-2 with a cache of keys and values: the causal mask is cut by sizes."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(16, WIDTH)
        self.qkv, self.o = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.register_buffer("causal", torch.tril(torch.ones(16, 16, dtype=torch.bool)).view(1, 1, 16, 16))

    def forward(self, input_ids, past_key, past_value):
        past, length = past_key.shape[-2], input_ids.shape[-1]
        ids = torch.arange(past, past + length, dtype=torch.long).unsqueeze(0)
        x = self.words(input_ids) + self.places(ids)
        parts = self.qkv(x).split(WIDTH, dim=2)
        q, k, v = (t.view(t.size()[:-1] + (HEADS, -1)).transpose(1, 2) for t in parts)
        k, v = torch.cat((past_key, k), -2), torch.cat((past_value, v), -2)
        s = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
        rows, columns = q.size(-2), k.size(-2)
        s = torch.where(self.causal[:, :, columns - rows : columns, :columns], s, torch.full([], -10000.0, dtype=s.dtype))
        y = (torch.softmax(s, -1) @ v).transpose(1, 2)
        return self.o(y.reshape(*y.size()[:-2], WIDTH)) @ self.words.weight.t(), k, v


class Layer(nn.Module):
    """torch's own encoder layer and scaled_dot_product_attention."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.0, batch_first=True)

    def forward(self, input_ids):
        x = self.layer(self.words(input_ids))
        q = x.reshape(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)
        y = nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
        return y.transpose(1, 2).reshape(x.shape)


class Vision(nn.Module):
    """Patches, a class token and MultiheadAttention, as in ViT."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, 4, 4)
        self.cls, self.pos = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Parameter(torch.randn(1, 5, WIDTH))
        self.attention, self.norm = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), nn.LayerNorm(WIDTH)

    def forward(self, image):
        x = self.patch(image).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(image.shape[0], -1, -1), x], 1) + self.pos
        y = self.norm(x)
        return (x + self.attention(y, y, y)[0])[:, 0]


def tokens(batch, length):
    return torch.randint(0, WORDS, (batch, length))


def mask(batch, length):
    return (torch.arange(length)[None, :] < torch.randint(1, length + 1, (batch, 1))).long()


def past(batch, length):
    return torch.randn(batch, HEADS, length, WIDTH // HEADS)


text = {0: "batch_size", 1: "sequence_length"}
cache = {0: "batch_size", 2: "past_sequence_length"}
masked = ({"input_ids": text, "attention_mask": text}, lambda b, n: (tokens(b, n), mask(b, n)))
cases = {
    "encoder": (Encoder, *masked),
    "mean-pooled": (MeanPooled, *masked),
    "decoder": (
        Decoder,
        {"input_ids": text, "past_key": cache, "past_value": cache},
        lambda b, n: (tokens(b, n), past(b, n + 1), past(b, n + 1)),
    ),
    # torch's own layer is exported for one length.
    "layer": (Layer, {"input_ids": {0: "batch_size"}}, lambda b, n: (tokens(b, 3),)),
    "vision": (Vision, {"image": {0: "batch_size"}}, lambda b, n: (torch.randn(b, 3, 8, 8),)),
}


def rounded(value):
    return [float(f"{each:.9g}") for each in value.flatten().tolist()]


def array(value):
    kind = "int64" if value.dtype == torch.int64 else "float32"
    return {"dtype": kind, "shape": list(value.shape), "data": value.flatten().tolist() if kind == "int64" else rounded(value)}


def run(model, names, inputs):
    """In float64, of float32 inputs."""
    exact = copy.deepcopy(model).double()
    for parameter in exact.parameters():
        parameter.requires_grad_(True)
    output = exact(*(each.double() if each.is_floating_point() else each for each in inputs))
    output = output[0] if isinstance(output, tuple) else output
    onto = torch.sin(torch.arange(output.numel(), dtype=torch.float64)).reshape(output.shape)
    (output * onto).sum().backward()
    return {
        "inputs": dict(zip(names, map(array, inputs))),
        "output": array(output.detach()),
        "gradients": {name: rounded(p.grad) for name, p in exact.named_parameters() if p.grad is not None},
    }


def bare(model):
    """Without where in the source each node and value comes from."""
    del model.metadata_props[:]
    graph = model.graph
    for each in [graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
        del each.metadata_props[:]
        each.doc_string = ""
    return model


results = {}
for name, (make, axes, feed) in cases.items():
    torch.manual_seed(7)
    model = make().train()
    torch.onnx.export(
        model,
        feed(2, 3),
        str(folder / f"{name}.onnx"),
        input_names=list(axes),
        output_names=["output", "key", "value"][: 3 if name == "decoder" else 1],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    program = torch.onnx.export(
        model,
        feed(3, 5),
        input_names=list(axes),
        output_names=["output", "key", "value"][: 3 if name == "decoder" else 1],
        dynamic_shapes=tuple(axes.values()),
        opset_version=18,
        dynamo=True,
        # Optimized, matrices are stored turned around under other names; not optimized, a split is a sequence.
        optimize=name == "decoder",
        verbose=False,
    )
    onnx.save(bare(program.model_proto), folder / f"{name}-program.onnx")
    results[name] = [run(model, list(axes), feed(b, n)) for b, n in ((3, 5), (1, 2))]
(here / "exported-transformers.json").write_text(json.dumps(results) + "\n")
