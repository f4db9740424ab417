"""What PyTorch reaches on the same GPU for the figures of bench/gpu.sh: matrix product, attention, training step, generation.

Prints one JSON object. A part that fails leaves its reason and not its figures. `--small`: sizes for a CPU.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

parser = argparse.ArgumentParser()
parser.add_argument("--small", action="store_true")
small = parser.parse_args().small
device = "cuda" if torch.cuda.is_available() else "cpu"
bf16 = torch.bfloat16

# DeepSeek-R1-Distill-Qwen-1.5B, or the bundled reasoner's shape.
SHAPE = (
    {"vocabulary": 122, "hidden": 64, "intermediate": 192, "layers": 4, "heads": 4, "kv_heads": 2, "head_dim": 16}
    if small
    else {"vocabulary": 151936, "hidden": 1536, "intermediate": 8960, "layers": 28, "heads": 12, "kv_heads": 2, "head_dim": 128}
)
MATRIX = 256 if small else 4096
SEQUENCE = 128 if small else 8192
BATCH = (1, 64) if small else (2, 1024)
DECODED = 8 if small else 64


def synchronize():
    if device == "cuda":
        torch.cuda.synchronize()


def median_ms(f, count=9):
    f()
    f()
    synchronize()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        f()
        synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return sorted(times)[len(times) // 2]


def matmul():
    a, b = (torch.randn(MATRIX, MATRIX, device=device, dtype=bf16) for _ in range(2))
    ms = median_ms(lambda: a @ b)
    return {"size": MATRIX, "ms": ms, "tflops": 2 * MATRIX**3 / ms / 1e9}


def copy():
    size = 2**22 if small else 2**30
    source = torch.empty(size, device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    ms = median_ms(lambda: target.copy_(source))
    return {"bytes": size, "ms": ms, "gb_per_second": 2 * size / ms / 1e6}


def attention():
    heads, kv_heads, head_dim = SHAPE["heads"], SHAPE["kv_heads"], SHAPE["head_dim"]
    q = torch.randn(1, heads, SEQUENCE, head_dim, device=device, dtype=bf16, requires_grad=True)
    k, v = (torch.randn(1, kv_heads, SEQUENCE, head_dim, device=device, dtype=bf16, requires_grad=True) for _ in range(2))
    dout = torch.randn_like(q)

    def forward():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    def both():
        forward().backward(dout)

    flops = 4 * heads * head_dim * SEQUENCE * (SEQUENCE + 1) / 2
    with torch.no_grad():
        ms = median_ms(forward)
    with_backward = median_ms(both)
    return {
        "positions": SEQUENCE,
        "forward_ms": ms,
        "forward_tflops": flops / ms / 1e9,
        "forward_backward_ms": with_backward,
        "forward_backward_tflops": 3.5 * flops / with_backward / 1e9,
    }


def layer_parameters():
    hidden, intermediate = SHAPE["hidden"], SHAPE["intermediate"]
    queries, keys = SHAPE["heads"] * SHAPE["head_dim"], SHAPE["kv_heads"] * SHAPE["head_dim"]
    weight = lambda *shape: (0.02 * torch.randn(*shape, device=device)).to(bf16).requires_grad_()
    ones = lambda: torch.ones(hidden, device=device, dtype=bf16, requires_grad=True)
    products = {"q": (queries, hidden), "k": (keys, hidden), "v": (keys, hidden), "o": (hidden, queries)}
    products |= {"gate": (intermediate, hidden), "up": (intermediate, hidden), "down": (hidden, intermediate)}
    biases = {f"{name}_bias": weight(products[name][0]) for name in "qkv"}
    return {name: weight(*shape) for name, shape in products.items()} | biases | {"norm1": ones(), "norm2": ones()}


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def layer(x, p, cos, sin):
    rows, length, hidden = x.shape
    y = F.rms_norm(x, (hidden,), p["norm1"], 1e-6)
    q, k, v = (F.linear(y, p[n], p[f"{n}_bias"]).view(rows, length, -1, SHAPE["head_dim"]).transpose(1, 2) for n in "qkv")
    attended = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True, enable_gqa=True)
    x = x + F.linear(attended.transpose(1, 2).reshape(rows, length, -1), p["o"])
    y = F.rms_norm(x, (hidden,), p["norm2"], 1e-6)
    return x + F.linear(F.silu(F.linear(y, p["gate"])) * F.linear(y, p["up"]), p["down"])


def train_step():
    rows, length = BATCH
    layers = [layer_parameters() for _ in range(SHAPE["layers"])]
    embed, head = ((0.02 * torch.randn(SHAPE["vocabulary"], SHAPE["hidden"], device=device)).to(bf16).requires_grad_() for _ in range(2))
    ids = torch.randint(SHAPE["vocabulary"], (rows, length), device=device)
    half = SHAPE["head_dim"] // 2
    angles = torch.arange(length, device=device)[:, None] * 10000.0 ** (-torch.arange(half, device=device) / half)
    cos, sin = angles.cos().to(bf16), angles.sin().to(bf16)
    params = [embed, head, *(tensor for p in layers for tensor in p.values())]
    optimizer = torch.optim.AdamW(params, lr=1e-12, fused=device == "cuda")

    def step(one_layer, recompute):
        x = F.embedding(ids, embed)
        for p in layers:
            x = checkpoint(one_layer, x, p, cos, sin, use_reentrant=False) if recompute else one_layer(x, p, cos, sin)
        logits = F.linear(F.rms_norm(x, (SHAPE["hidden"],), None, 1e-6), head)
        loss = F.cross_entropy(logits[:, :-1].reshape(-1, SHAPE["vocabulary"]).float(), ids[:, 1:].reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    result = {"sequences": rows, "length": length}
    # As Pith trains a model of this size: each layer is run again in the backward pass.
    for name, make, recompute in (("eager", lambda: layer, True), ("eager, activations kept", lambda: layer, False), ("compiled", lambda: torch.compile(layer), True)):
        try:
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            one_layer = make()
            ms = median_ms(lambda: step(one_layer, recompute), 5)
            peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
            result[name] = {"ms": ms, "tokens_per_second": 1000 * rows * length / ms, "peak_bytes": peak}
        except Exception as error:
            result[name] = {"error": str(error)[:300]}
    return result


def generate():
    """transformers.generate, random weights, no stop token; the prompt's time is taken off."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        vocab_size=SHAPE["vocabulary"],
        hidden_size=SHAPE["hidden"],
        intermediate_size=SHAPE["intermediate"],
        num_hidden_layers=SHAPE["layers"],
        num_attention_heads=SHAPE["heads"],
        num_key_value_heads=SHAPE["kv_heads"],
        tie_word_embeddings=False,
    )
    torch.set_default_dtype(bf16)
    with torch.device(device):
        model = Qwen2ForCausalLM(config).eval()
    torch.set_default_dtype(torch.float32)
    results = []
    for batch in (1, 8) if small else (1, 8, 64, 256):
        ids = torch.randint(SHAPE["vocabulary"], (batch, 64), device=device)

        def run(count):
            with torch.no_grad():
                model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, min_new_tokens=count, do_sample=True, pad_token_id=0, eos_token_id=None)

        run(2)
        synchronize()
        times = {}
        for count in (2, DECODED + 2):
            start = time.perf_counter()
            run(count)
            synchronize()
            times[count] = time.perf_counter() - start
        seconds = (times[DECODED + 2] - times[2]) / DECODED
        results.append({"batch": batch, "ms_per_step": 1000 * seconds, "tokens_per_second": batch / seconds})
    return results


results = {"torch": torch.__version__, "device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "bfloat16": True}
for part in (matmul, copy, attention, train_step, generate):
    try:
        results[part.__name__] = part()
    except Exception as error:
        results[part.__name__] = {"error": f"{type(error).__name__}: {error}"[:300]}
    if device == "cuda":
        torch.cuda.empty_cache()
    # What was reached stays even if the next part is cut off.
    print(json.dumps(results), flush=True)
