"""Taper's workloads on PyTorch's CPU device. Reads lines `NAME SECONDS`, answers with the seconds repetitions took, or `-`."""

import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


def rand(*shape, grad=False):
    return (torch.rand(*shape) * 2 - 1).requires_grad_(grad)


def product(a, b):
    a, b = rand(*a), rand(*b)
    return lambda: a @ b


def conv(x, w, stride, groups):
    x, weight, b = rand(*x), rand(*w), rand(w[0])
    return lambda: F.conv2d(x, weight, b, stride, w[2] // 2, 1, groups)


def attention(length, causal, train):
    q, k, v = (rand(1, 8, length, 64, grad=train) for _ in range(3))
    g = rand(1, 8, length, 64)

    def run():
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        if train:
            torch.autograd.grad(y, (q, k, v), g)

    return run


def chain(step, x):
    def run():
        y = x
        for _ in range(1000):
            y = step(y)

    return run


def embedding(train):
    table, index, g = rand(50_000, 256, grad=train), torch.randint(50_000, (8192,)), rand(8192, 256)
    if train:
        return lambda: torch.autograd.grad(F.embedding(index, table), table, g)
    return lambda: F.embedding(index, table)


class LeNet(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )


class Residual(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(), nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        )
        self.shortcut = nn.Identity() if i == o else nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return F.relu(self.main(x) + self.shortcut(x))


class ResNet18(nn.Sequential):
    def __init__(self):
        widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        super().__init__(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
            *(Residual(*w) for w in widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
        )


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(256), nn.LayerNorm(256)
        self.qkv, self.out, self.up, self.down = nn.Linear(256, 768), nn.Linear(256, 256), nn.Linear(256, 1024), nn.Linear(1024, 256)

    def forward(self, x, cache=None):
        n, l, _ = x.shape
        q, k, v = (t.view(n, l, 8, 32).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        if cache:
            k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=l > 1)
        x = x + self.out(y.transpose(1, 2).reshape(n, l, 256))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")), (k, v)


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(256, 256, 2, batch_first=True), nn.Linear(256, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.characters, self.positions = nn.Embedding(256, 256), nn.Embedding(128, 256)
        self.blocks = nn.ModuleList(Block() for _ in range(4))
        self.norm, self.head = nn.LayerNorm(256), nn.Linear(256, 256)

    def forward(self, x, at=0, caches=None):
        y = self.characters(x) + self.positions(torch.arange(at, at + x.shape[1]))
        for i, block in enumerate(self.blocks):
            y, kept = block(y, caches[i] if caches else None)
            if caches is not None:
                caches[i] = kept
        return self.head(self.norm(y))


def train(net, x, y):
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)

    def run():
        loss = F.cross_entropy(net(x).flatten(0, -2), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run


def text():
    return torch.randint(256, (8, 128))


def forward():
    net, x = Gpt().eval(), text()

    def run():
        with torch.no_grad():
            net(x)

    return run


def decode():
    net = Gpt().eval()

    def run():
        with torch.no_grad():
            caches, token = [None] * 4, torch.tensor([[1]])
            for at in range(64):
                token = torch.tensor([[net(token, at, caches).argmax(-1).item()]])

    return run


def make(name):
    x = {
        "matmul_256": lambda: product((256, 256), (256, 256)),
        "matmul_512": lambda: product((512, 512), (512, 512)),
        "matmul_1024": lambda: product((1024, 1024), (1024, 1024)),
        "matmul_2048": lambda: product((2048, 2048), (2048, 2048)),
        "bmm_8x12x128x64x128": lambda: product((8, 12, 128, 64), (8, 12, 64, 128)),
        "gemv_2048": lambda: product((2048, 2048), (2048,)),
        "softmax_4096x1024": lambda: (lambda x: lambda: x.softmax(-1))(rand(4096, 1024)),
        "layernorm_4096x1024": lambda: (lambda x, w, b: lambda: F.layer_norm(x, (1024,), w, b))(rand(4096, 1024), rand(1024), rand(1024)),
        "sum_lastdim_4096x4096": lambda: (lambda x: lambda: x.sum(1))(rand(4096, 4096)),
        "sum_dim0_4096x4096": lambda: (lambda x: lambda: x.sum(0))(rand(4096, 4096)),
        "sum_all_4096x4096": lambda: (lambda x: lambda: x.sum())(rand(4096, 4096)),
        "fma_16M": lambda: (lambda a, b, c: lambda: a * b + c)(rand(1 << 24), rand(1 << 24), rand(1 << 24)),
        "conv3x3_8x64x56x56": lambda: conv((8, 64, 56, 56), (64, 64, 3, 3), 1, 1),
        "conv7x7s2_1x3x224x224": lambda: conv((1, 3, 224, 224), (64, 3, 7, 7), 2, 1),
        "depthwise3x3_8x128x56x56": lambda: conv((8, 128, 56, 56), (128, 1, 3, 3), 1, 128),
        "sdpa_1x8x1024x64": lambda: attention(1024, False, False),
        "sdpa_causal_1x8x4096x64": lambda: attention(4096, True, False),
        "sdpa_train_1x8x1024x64": lambda: attention(1024, False, True),
        "sdpa_train_causal_1x8x4096x64": lambda: attention(4096, True, True),
        "tiny_add_chain_1000": lambda: (lambda y: chain(lambda x: x + y, rand(16)))(rand(16)),
        "tiny_matmul_chain_1000": lambda: (lambda y: chain(lambda x: x @ y, rand(16, 16)))(rand(16, 16)),
        "tiny_add_readback": lambda: (lambda x, y: lambda: (x + y).tolist())(rand(16), rand(16)),
        "embedding_8192of50k_x256": lambda: embedding(False),
        "embedding_grad_8192of50k_x256": lambda: embedding(True),
        "scatter_add_1M_into_100k": lambda: (lambda x, i, s: lambda: x.scatter_add(0, i, s))(
            rand(100_000), torch.randint(100_000, (1 << 20,)), rand(1 << 20)
        ),
        "sort_1M": lambda: (lambda x: lambda: x.sort())(rand(1 << 20)),
        "topk_50_of_50k": lambda: (lambda x: lambda: x.topk(50))(rand(50_000)),
        "cumsum_1M": lambda: (lambda x: lambda: x.cumsum(0))(rand(1 << 20)),
        "train_mlp_b128": lambda: train(
            nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)),
            rand(128, 784),
            torch.randint(10, (128,)),
        ),
        "train_lenet_b128": lambda: train(LeNet(), rand(128, 1, 28, 28), torch.randint(10, (128,))),
        "train_resnet18_8x64x64": lambda: train(ResNet18(), rand(8, 3, 64, 64), torch.randint(10, (8,))),
        "train_gpt_d256_l4_s128_b8": lambda: train(Gpt(), text(), torch.randint(256, (1024,))),
        "train_lstm_2x256_s64_b32": lambda: train(Lstm(), rand(32, 64, 256), torch.randint(10, (32,))),
        "fwd_gpt_d256_l4_s128_b8": forward,
        "decode_gpt_64_tokens": decode,
    }.get(name)
    return x and x()


def sample(run, repeat):
    start = time.perf_counter()
    for _ in range(repeat):
        run()
    return (time.perf_counter() - start) / repeat


def main():
    name, run, repeat = None, None, 1
    for line in sys.stdin:
        wanted, seconds = line.split()
        if wanted != name:
            name, run, repeat = wanted, make(wanted), 1
            if run:
                start, times = time.perf_counter(), []
                while len(times) < 3 or time.perf_counter() - start < 0.2:
                    times.append(sample(run, 1))
                repeat = max(1, round(200e-6 / times[-1]))
        times, start = [], time.perf_counter()
        while run and (len(times) < 3 or time.perf_counter() - start < float(seconds)):
            times.append(sample(run, repeat))
        print(" ".join(f"{t:e}" for t in times) or "-", flush=True)


main()
