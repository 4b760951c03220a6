#!/usr/bin/env python3
"""Writes the seeds of data_fuzz. Needs nothing but Python.

usage: make_data_corpus.py FOLDER
"""
import base64
import io
import pathlib
import struct
import sys
import zipfile
import zlib


def npy(dtype, shape, data, fortran=False, version=1):
    header = f"{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    length = 10 if version == 1 else 12
    header += b" " * (63 - (length + len(header)) % 64) + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


def npz(method, **arrays):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(name + ".npy"), array, method)
    return buffer.getvalue()


def png(width, height, colour, depth, lines):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(12))) if colour == 3 else b""
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + chunk(b"IDAT", zlib.compress(lines)) +
            chunk(b"IEND", b""))


# Of 4 by 3 pixels, by libjpeg.
JPEG_BASELINE_RGB = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8yb"
    "qmx5moq6T/2wBDARweHigjKE4rK06kbl1upKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKSkpKT/wAARCAAD"
    "AAQDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAaEAACAgMAAAAAAAAAAAAAAAAAAQIDBAUx/8QAFQEBAQAAAAAAAAAAAAAAAA"
    "AAAQX/xAAYEQEAAwEAAAAAAAAAAAAAAAABAAIDEf/aAAwDAQACEQMRAD8Av11NccOCUFwAEjfW5ohZiByf/9k=")
JPEG_PROGRESSIVE_GREY = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8yb"
    "qmx5moq6T/wgALCAADAAQBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//aAAgBAQAAAAE//8QAFhABAQEAAAAAAAAAAAAAAAAAAQIR/9oACAEB"
    "AAEFAiTP/8QAFRABAQAAAAAAAAAAAAAAAAAAADH/2gAIAQEABj8Cj//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAT8hQ//aAAgBAQAAAB"
    "D/AP/EABYQAAMAAAAAAAAAAAAAAAAAAAARIf/aAAgBAQABPxBVB//Z")

FLOATS = struct.pack("<6f", *range(6))
ARRAY = npy("<f4", (2, 3), FLOATS)
DATA = {
    "npy_float": b"\0" + ARRAY,
    "npy_fortran": b"\0" + npy("<f4", (2, 3), FLOATS, True),
    "npy_big_endian": b"\0" + npy(">i8", (1,), struct.pack(">q", -5)),
    "npy_bool_version_2": b"\0" + npy("|b1", (3,), b"\1\0\1", version=2),
    "npy_scalar": b"\0" + npy("<f8", (), struct.pack("<d", 1.5)),
    "npz_stored": b"\1" + npz(zipfile.ZIP_STORED, x=ARRAY, mask=npy("|u1", (2,), b"ab")),
    "npz_deflated": b"\1" + npz(zipfile.ZIP_DEFLATED, x=ARRAY),
    "png_rgb": b"\2" + png(2, 2, 2, 8, b"\0abcdef\0ghijkl"),
    "png_palette": b"\2" + png(3, 2, 3, 8, b"\0\0\1\2\0\2\1\0"),
    "png_grey_16": b"\2" + png(2, 1, 0, 16, b"\0\1\2\3\4"),
    "jpeg_baseline_rgb": b"\2" + base64.b64decode(JPEG_BASELINE_RGB),
    "jpeg_progressive_grey": b"\2" + base64.b64decode(JPEG_PROGRESSIVE_GREY),
    "labels_plain": b"\3" + "cat\ndog\nnaïve owl\n".encode(),
    "labels_by_file": b"\3" + b"a.jpg\t3\tgold fish\nb.jpg\t0\ttench\n",
    "preset": b"\4" + b'fit = "shorter"\nresize = 256\ncrop = [224, 224]\nmean = [0.485, 0.456, 0.406]\nscale = "1/255"\n',
}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, seed in DATA.items():
        (folder / name).write_bytes(seed)


if __name__ == "__main__":
    main()
