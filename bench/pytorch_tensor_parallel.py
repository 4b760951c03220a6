#!/usr/bin/python3
"""A ResNet under PyTorch's own tensor parallelism, as a user would write it: every convolution's output channels are
split over the ranks, and torch.distributed (gloo) gathers what the next one reads.

One process a rank. It answers each line on standard input with a line of JSON on standard output: how long one
inference took, from the input on rank 0 to the logits on rank 0. With one rank it is plain PyTorch.

  one core:   ./pytorch_tensor_parallel.py
  two ranks:  GLOO_SOCKET_IFNAME=eth0 ./pytorch_tensor_parallel.py --rank 0 --world 2 --master 10.0.0.7 --port 29500
              and with --rank 1 on the other machine

Needs Debian's python3-torch (any PyTorch from 1.12 on will do); torchvision is not needed, weights are random with a
fixed seed. Batch norms are folded into the convolutions, the additions of residuals are computed on the ranks' own
channels, and so only what a convolution reads is gathered. A worker first checks its answer against the unsplit
network, and fails where they differ by more than 1e-4 of the largest output.
"""

import argparse
import datetime
import json
import resource
import sys
import time

import torch
import torch.distributed as dist
import torch.nn.functional as F

MODELS = {"resnet18": (False, (2, 2, 2, 2)), "resnet34": (False, (3, 4, 6, 3)),
          "resnet50": (True, (3, 4, 6, 3)), "resnet101": (True, (3, 4, 23, 3))}
TOLERANCE = 1e-4


class Conv:
    """A convolution (or, with size 0, a product) with its batch norm folded in."""

    def __init__(self, inputs, outputs, size, stride, generator, gain=1.0):
        shape = (outputs, inputs, size, size) if size else (outputs, inputs)
        deviation = gain * (2.0 / (inputs * max(size, 1) ** 2)) ** 0.5
        self.weight = torch.randn(shape, generator=generator) * deviation
        self.bias = torch.randn(outputs, generator=generator) * 0.01
        self.size, self.stride, self.outputs = size, stride, outputs

    def split(self, rank, world):
        """This rank's output channels; what the last ranks lack is padded, since gather wants equal parts."""
        part = -(-self.outputs // world)
        first, last = min(rank * part, self.outputs), min((rank + 1) * part, self.outputs)
        pad = part - (last - first)
        self.weight = torch.cat([self.weight[first:last], self.weight.new_zeros((pad, *self.weight.shape[1:]))])
        self.bias = torch.cat([self.bias[first:last], self.bias.new_zeros(pad)])

    def __call__(self, x):
        if not self.size:
            return F.linear(x, self.weight, self.bias)
        if self.weight.is_mkldnn:
            return torch.mkldnn_convolution(x, self.weight, self.bias, *self.geometry())
        return F.conv2d(x, self.weight, self.bias, self.stride, self.size // 2)

    def geometry(self):
        """Padding, strides, dilations, groups."""
        return [self.size // 2] * 2, [self.stride] * 2, [1, 1], 1

    def pack(self):
        if self.size:
            self.weight = torch._C._nn.mkldnn_reorder_conv2d_weight(self.weight.to_mkldnn(), *self.geometry())


class ResNet:
    def __init__(self, name, seed=1):
        generator = torch.Generator().manual_seed(seed)
        bottleneck, depths = MODELS[name]
        self.rank, self.world = 0, 1
        self.comm_s, self.sent, self.messages = 0.0, 0, 0
        self.stem = Conv(3, 64, 7, 2, generator)
        self.blocks = []
        channels = 64
        for stage, depth in enumerate(depths):
            width = 64 << stage
            out = width * 4 if bottleneck else width
            for index in range(depth):
                stride = 2 if stage and not index else 1
                convs = ([Conv(channels, width, 1, 1, generator), Conv(width, width, 3, stride, generator),
                          Conv(width, out, 1, 1, generator, 0.3)] if bottleneck else
                         [Conv(channels, width, 3, stride, generator), Conv(width, out, 3, 1, generator, 0.3)])
                shortcut = Conv(channels, out, 1, stride, generator) if stride > 1 or channels != out else None
                self.blocks.append((convs, shortcut))
                channels = out
        self.head = Conv(channels, 1000, 0, 1, generator)

    def layers(self):
        yield self.stem
        for convs, shortcut in self.blocks:
            yield from convs
            if shortcut:
                yield shortcut
        yield self.head

    def split(self, rank, world):
        self.rank, self.world = rank, world
        for layer in self.layers():
            layer.split(rank, world)

    def pack(self):
        for layer in self.layers():
            layer.pack()

    def gather(self, part, channels):
        """All channels of what every rank holds a part of."""
        if self.world == 1:
            return part
        start = time.perf_counter()
        part = part.contiguous()
        parts = [torch.empty_like(part) for _ in range(self.world)]
        dist.all_gather(parts, part)
        whole = torch.cat(parts, 1)[:, :channels]
        self.comm_s += time.perf_counter() - start
        self.sent += part.numel() * part.element_size() * (self.world - 1)
        self.messages += self.world - 1
        return whole

    def __call__(self, x):
        own = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        whole = self.gather(own, self.stem.outputs)
        for convs, shortcut in self.blocks:
            y = whole
            for conv in convs[:-1]:
                y = self.gather(F.relu(conv(y)), conv.outputs)
            own = F.relu(convs[-1](y) + (shortcut(whole) if shortcut else own))
            if (convs, shortcut) != self.blocks[-1]:
                whole = self.gather(own, convs[-1].outputs)
        pooled = self.gather(own.mean((2, 3)), self.blocks[-1][0][-1].outputs)
        return self.gather(self.head(pooled), self.head.outputs)


def blas():
    """The file of the BLAS in use, such as libopenblasp-r0.3.21.so; Debian's first choice is a slow one."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        files = {line.split()[-1].rsplit("/", 1)[-1] for line in maps if "blas" in line.rsplit("/", 1)[-1].lower()}
    return ", ".join(sorted(files))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(MODELS), default="resnet50")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=224, help="pixels of a side of the input")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--world", type=int, default=1)
    parser.add_argument("--master", default="127.0.0.1", help="address of rank 0")
    parser.add_argument("--port", type=int, default=29500)
    parser.add_argument("--convolution", choices=("plain", "onednn"), default="plain",
                        help="plain: F.conv2d, which computes 1x1 kernels by BLAS where there is one thread; onednn: "
                             "oneDNN for all, with weights packed beforehand (default: plain)")
    flags = parser.parse_args()

    torch.set_num_threads(flags.threads)
    torch.set_num_interop_threads(1)
    torch.set_grad_enabled(False)
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(flags.batch, 3, flags.size, flags.size, generator=generator)
    network = ResNet(flags.model)
    want = network(x)
    network.split(flags.rank, flags.world)
    if flags.convolution == "onednn":
        network.pack()
    if flags.world > 1:
        # Ranks wait for lines on standard input, so that a quiet hour is no fault.
        dist.init_process_group("gloo", init_method=f"tcp://{flags.master}:{flags.port}", rank=flags.rank,
                                world_size=flags.world, timeout=datetime.timedelta(hours=2))
    given = x if flags.rank == 0 else torch.empty_like(x)

    def infer():
        start = time.perf_counter()
        network.comm_s, network.sent, network.messages = 0.0, 0, 0
        if flags.world > 1:
            dist.broadcast(given, 0)
            network.comm_s += time.perf_counter() - start
            if flags.rank == 0:
                network.sent += given.numel() * given.element_size() * (flags.world - 1)
                network.messages += flags.world - 1
        y = network(given)
        return y, time.perf_counter() - start

    got, _ = infer()
    error = ((got - want).abs().max() / want.abs().max()).item()
    if not error <= TOLERANCE:
        sys.exit(f"pytorch_tensor_parallel: rank {flags.rank}: differs from the unsplit network by {error:.1e}")
    print(json.dumps({"ready": True, "torch": torch.__version__, "difference": error, "blas": blas()}), flush=True)
    for _ in sys.stdin:
        _, seconds = infer()
        print(json.dumps({"ms": seconds * 1e3,
                          "compute_ms": (seconds - network.comm_s) * 1e3,
                          "wait_ms": network.comm_s * 1e3,
                          "bytes_sent": network.sent,
                          "messages": network.messages,
                          "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


if __name__ == "__main__":
    main()
