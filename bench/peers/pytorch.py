"""PyTorch, eager, in f32: a peer on the CPU or on CUDA. Answers the requests of compare.ts (library.ts) on Node's channel, a line each."""

import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

ROWS, COLUMNS, EPS = 4096, 1024, 1e-6
VOCABULARY, HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 128, 128, 344, 4, 4, 2, 32
SEQUENCES, LENGTH, CHECKED_STEPS = 16, 128, 3

device = sys.argv[1] if len(sys.argv) > 1 else "cpu"


def uniform(seed, count, scale):
    """As in cases.ts."""
    with np.errstate(over="ignore"):
        x = np.uint32(seed) * np.uint32(0x9E3779B9) + np.arange(count, dtype=np.uint32)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x735A2D97)
        x = x ^ (x >> np.uint32(15))
    return (scale * (x.astype(np.float64) / 2**31 - 1)).astype(np.float32)


def tensor(values, *shape):
    return torch.from_numpy(values).reshape(shape).to(device)


def digest(result):
    values = result.double().flatten().cpu().numpy()
    return float((values * (1 + np.arange(values.size) % 97 / 97)).sum())


def finish():
    if device == "cuda":
        torch.cuda.synchronize()


class Pure:
    def __init__(self, f):
        self.f = f

    @torch.no_grad()
    def run(self, repeats):
        for _ in range(repeats):
            self.f()
        finish()

    @torch.no_grad()
    def check(self):
        return digest(self.f())


def matmul(size):
    a = tensor(uniform(1, size * size, 1), size, size)
    b = tensor(uniform(2, size * size, 1 / np.sqrt(size)), size, size)
    return Pure(lambda: a @ b)


def rows():
    return tensor(uniform(3, ROWS * COLUMNS, 4), ROWS, COLUMNS)


def softmax():
    x = rows()
    return Pure(lambda: torch.softmax(x, -1))


def rmsnorm():
    x, weight = rows(), tensor(uniform(4, COLUMNS, 1), COLUMNS)
    return Pure(lambda: F.rms_norm(x, (COLUMNS,), weight, EPS))


def parameters():
    shapes = {"embed": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        shapes[f"{layer}.norm1"] = (HIDDEN,)
        for name, heads in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            shapes[f"{layer}.{name}"] = (heads * HEAD_DIM, HIDDEN)
            shapes[f"{layer}.{name}.bias"] = (heads * HEAD_DIM,)
        shapes[f"{layer}.o"] = (HIDDEN, HEADS * HEAD_DIM)
        shapes[f"{layer}.norm2"] = (HIDDEN,)
        shapes[f"{layer}.gate"] = (INTERMEDIATE, HIDDEN)
        shapes[f"{layer}.up"] = (INTERMEDIATE, HIDDEN)
        shapes[f"{layer}.down"] = (HIDDEN, INTERMEDIATE)
    shapes["norm"] = (HIDDEN,)
    shapes["head"] = (VOCABULARY, HIDDEN)
    params = {}
    for i, (name, shape) in enumerate(shapes.items()):
        count = int(np.prod(shape))
        if "norm" in name:
            values = np.ones(count, np.float32)
        elif name.endswith("bias"):
            values = np.zeros(count, np.float32)
        else:
            values = uniform(101 + i, count, 0.02 * np.sqrt(3))
        params[name] = tensor(values, *shape).requires_grad_()
    return params


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def loss(p, ids, cos, sin):
    x = F.embedding(ids, p["embed"])
    for i in range(LAYERS):
        y = F.rms_norm(x, (HIDDEN,), p[f"{i}.norm1"], EPS)
        q, k, v = (
            F.linear(y, p[f"{i}.{name}"], p[f"{i}.{name}.bias"]).view(SEQUENCES, LENGTH, -1, HEAD_DIM).transpose(1, 2)
            for name in "qkv"
        )
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + F.linear(attended.transpose(1, 2).reshape(SEQUENCES, LENGTH, -1), p[f"{i}.o"])
        y = F.rms_norm(x, (HIDDEN,), p[f"{i}.norm2"], EPS)
        x = x + F.linear(F.silu(F.linear(y, p[f"{i}.gate"])) * F.linear(y, p[f"{i}.up"]), p[f"{i}.down"])
    logits = F.linear(F.rms_norm(x, (HIDDEN,), p["norm"], EPS), p["head"])
    return F.cross_entropy(logits[:, :-1].reshape(-1, VOCABULARY), ids[:, 1:].reshape(-1))


class TrainStep:
    def __init__(self):
        ids = np.floor((uniform(7, SEQUENCES * LENGTH, 0.5) + 0.5) * VOCABULARY).astype(np.int64)
        self.ids = tensor(np.minimum(ids, VOCABULARY - 1), SEQUENCES, LENGTH)
        half = HEAD_DIM // 2
        angles = np.arange(LENGTH)[:, None] * 10000.0 ** (-np.arange(half) / half)
        self.cos = tensor(np.cos(angles).astype(np.float32), LENGTH, half)
        self.sin = tensor(np.sin(angles).astype(np.float32), LENGTH, half)
        self.params = None

    def fresh(self):
        self.params = parameters()
        self.optimizer = torch.optim.AdamW(self.params.values(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)

    def step(self):
        value = loss(self.params, self.ids, self.cos, self.sin)
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        return value.item()

    def run(self, repeats):
        if self.params is None:
            self.fresh()
        for _ in range(repeats):
            self.step()
        finish()

    def check(self):
        self.fresh()
        return [self.step() for _ in range(CHECKED_STEPS)][-1]


def main():
    if device == "cuda":
        if not torch.cuda.is_available():
            raise RuntimeError("PyTorch sees no CUDA device")
        # f32 throughout, as the others.
        torch.backends.cuda.matmul.allow_tf32 = False
    cases = {f"matmul-{size}": matmul(size) for size in (512, 1024)}
    cases |= {"softmax": softmax(), "rmsnorm": rmsnorm(), "train-step": TrainStep()}
    channel = os.fdopen(int(os.environ["NODE_CHANNEL_FD"]), "r+b", buffering=0)
    for line in iter(channel.readline, b""):
        request = json.loads(line)
        try:
            if "work" not in request:
                reply = {"version": torch.__version__, "cases": list(cases)}
            elif "repeats" not in request:
                reply = {"value": cases[request["work"]].check()}
            else:
                start = time.perf_counter()
                cases[request["work"]].run(request["repeats"])
                reply = {"ms": 1000 * (time.perf_counter() - start) / request["repeats"]}
        except Exception as error:  # what goes wrong is for the reader of the table
            reply = {"error": str(error)}
        channel.write(json.dumps(reply).encode() + b"\n")


main()
