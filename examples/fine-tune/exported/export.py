"""Networks as PyTorch exports them, without their weights: every parameter is an input of the graph, so that the files are small.

Run: python3 examples/fine-tune/exported/export.py   (needs torch, onnx and onnxscript; writes *.onnx beside itself)
ResNet-18: https://arxiv.org/abs/1512.03385. ViT-Tiny: https://arxiv.org/abs/2012.12877 (dim 192, depth 12, 3 heads).
"""
import os

import onnx
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.down(x))


def resnet18(classes):
    blocks, inputs = [], 64
    for stage, outputs in enumerate([64, 128, 256, 512]):
        blocks += [BasicBlock(inputs, outputs, 2 if stage else 1), BasicBlock(outputs, outputs, 1)]
        inputs = outputs
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(b, n, d))


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, eps=1e-6), Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, size, patch, dim, depth, heads, classes):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, dim))
        self.blocks = nn.Sequential(*[Block(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


def write(name, net, size):
    path = os.path.join(HERE, f"{name}.onnx")
    batch = torch.export.Dim("batch", min=2, max=4096)
    torch.onnx.export(
        net.eval(),
        (torch.randn(2, 3, size, size),),
        path,
        input_names=["input"],
        output_names=["logits"],
        dynamic_shapes=({0: batch},),
        external_data=False,
        verbose=False,
    )
    model = onnx.load(path)
    graph = model.graph
    # The exporter folds and turns weights, so they are told by what they are: arrays of real numbers.
    is_weight = lambda each: each.data_type == onnx.TensorProto.FLOAT and len(each.dims) > 0 and max(each.dims) > 8
    parameters = [each for each in graph.initializer if is_weight(each)]
    for each in parameters:
        graph.input.append(onnx.helper.make_tensor_value_info(each.name, each.data_type, list(each.dims)))
        graph.initializer.remove(each)
    # What the exporter says of the source code is of no use here.
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.value_info[:]
    del model.metadata_props[:]
    del graph.metadata_props[:]
    onnx.save(model, path)
    print(name, len(graph.node), "nodes,", len(parameters), "parameters,", os.path.getsize(path), "bytes")


torch.manual_seed(1)
write("resnet18", resnet18(10), 64)
write("vit-tiny", ViT(64, 16, 192, 12, 3, 10), 64)
