"""Writes the seed corpora of wire_fuzz and control_fuzz: what src/fabric/wire.h and src/cluster/control.h lay out."""

import json
import pathlib
import struct


def header(version=2, kind=3, epoch=0, tag=0, request=1, size=0):
    return struct.pack("<4sHHIIQQ", b"DSCO", version, kind, epoch, tag, request, size)


def hello(cluster=0x0123456789ABCDEF, rank=1, size=4, epoch=2):
    return struct.pack("<QIIII", cluster, rank, size, epoch, 0)


def control(*parts, **head):
    text = json.dumps({"disco": 1, "id": 7} | head).encode()
    return text + b"\0" + b"".join(bytes([len(part)]) + part for part in parts)


def tensor(name, shape, size, type=1, chunks=1):
    return {"name": name, "type": type, "shape": shape, "bytes": size, "chunks": chunks}


STATISTICS = {"compute_ms": 1.5, "pack_ms": 0.1, "wait_ms": 2, "total_ms": 4.0, "bytes_sent": 8, "messages_sent": 1,
              "bytes_received": 8, "messages_received": 1, "peak_rss_bytes": 1 << 26}

WIRE = {
    "header_hello": header(kind=1, request=0, size=24),
    "header_refusal": header(kind=2, request=0, size=40),
    "header_data": header(epoch=7, tag=31, request=1000, size=802816),
    "header_newer": header(version=3),
    "header_unknown_kind": header(kind=9),
    "header_short": header()[:20],
    "stream": header(kind=1, request=0, size=24) + hello() + header(size=3) + b"abc" + header(kind=4) + header(tag=1, size=70) + bytes(70),
    "stream_cut": header(size=3) + b"abc" + header(size=1 << 40) + b"never so much",
    "hello": hello(),
    "hello_rank_beyond_size": hello(rank=4),
    "hello_short": hello()[:23],
    "refusal_text": b"node 2 speaks version 3\n\x1b[31mand tries to colour your terminal\xff",
}

CONTROL = {
    "hello": control(op="hello"),
    "load": control(b"a shard, or what", b"is called one", op="load", threads=2, optimise=1, shard={"bytes": 29, "chunks": 2}),
    "join": control(op="join", addresses=["10.0.0.7:7001", "10.0.0.8:7001"], labels=["a", "b"], rank=1, cluster=99, epoch=3,
                    deadline_ms=10000),
    "run": control(bytes(8), bytes(3), op="run", request=12, trace=1, deadline_ms=30000,
                   inputs=[tensor("x", [1, 2], 8), tensor("flags", [3], 3, type=9)]),
    "run_chunks": control(bytes(4), bytes(4), inputs=[tensor("x", [2], 8, chunks=2)]),
    "answer": control(bytes(8), ok=True, outputs=[tensor("y", [2, 1], 8)], statistics=STATISTICS,
                      trace=[["conv1", "Conv", 0, 5, 9, 0, -1], ["x", "Recv", 2, 9, 11, 64, 1]]),
    "port": control(ok=True, port=40001),
    "failure": control(ok=False, code="PeerLost", message="node 1 (b) went away\n"),
    "overflow": control(bytes(8), inputs=[tensor("x", [1 << 40, 1 << 40], 8), tensor("y", [-1], 4)]),
    "newer": control(disco=2),
    "no_object": b"[1, 2]",
    "deep": b"[" * 200,
}

for name, seeds in {"wire": WIRE, "control": CONTROL}.items():
    folder = pathlib.Path(__file__).parent / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed, content in seeds.items():
        (folder / seed).write_bytes(content)
    print(f"{len(seeds)} seeds in {folder}")
