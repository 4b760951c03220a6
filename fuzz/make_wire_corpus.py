"""Writes the seed corpus of wire_fuzz, fuzz/corpus/wire: headers and handshakes as src/fabric/wire.h lays them out."""

import pathlib
import struct


def header(version=1, kind=3, epoch=0, tag=0, request=1, size=0):
    return struct.pack("<4sHHIIQQ", b"DSCO", version, kind, epoch, tag, request, size)


def hello(cluster=0x0123456789ABCDEF, rank=1, size=4, epoch=2):
    return struct.pack("<QIIII", cluster, rank, size, epoch, 0)


SEEDS = {
    "header_hello": header(kind=1, request=0, size=24),
    "header_refusal": header(kind=2, request=0, size=40),
    "header_data": header(epoch=7, tag=31, request=1000, size=802816),
    "header_newer": header(version=2),
    "header_unknown_kind": header(kind=9),
    "header_short": header()[:20],
    "hello": hello(),
    "hello_rank_beyond_size": hello(rank=4),
    "hello_short": hello()[:23],
    "refusal_text": b"node 2 speaks version 3\n\x1b[31mand tries to colour your terminal\xff",
}

folder = pathlib.Path(__file__).parent / "corpus" / "wire"
folder.mkdir(parents=True, exist_ok=True)
for name, content in SEEDS.items():
    (folder / name).write_bytes(content)
print(f"{len(SEEDS)} seeds in {folder}")
