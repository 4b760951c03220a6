// NumPy's files, as far as `disco run` reads and writes them: fp32 and the integer types, row-major.
'use strict';
const zlib = require('zlib');

const TYPES = {'<f4': Float32Array, '<f8': Float64Array, '<i4': Int32Array, '<i8': BigInt64Array, '|i1': Int8Array, '|u1': Uint8Array, '|b1': Uint8Array};

function encodeNpy(dims, data) {
  let header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(', ')}${dims.length === 1 ? ',' : ''}), }`;
  header += ' '.repeat(63 - ((10 + header.length) % 64)) + '\n';
  const start = Buffer.alloc(10);
  start.write('\x93NUMPY\x01\x00', 'latin1');
  start.writeUInt16LE(header.length, 8);
  return Buffer.concat([start, Buffer.from(header, 'latin1'), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

function decodeNpy(bytes) {
  const wide = bytes[6] > 1;
  const length = wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8);
  const start = wide ? 12 : 10;
  const header = bytes.toString('latin1', start, start + length);
  const type = TYPES[/'descr':\s*'([^']+)'/.exec(header)[1]];
  const dims = /'shape':\s*\(([^)]*)\)/.exec(header)[1].split(',').filter((d) => d.trim()).map(Number);
  const body = bytes.subarray(start + length);
  // A copy: typed arrays want aligned memory.
  return {dims, data: new type(new Uint8Array(body).buffer, 0, dims.reduce((a, b) => a * b, 1))};
}

// {array name: {dims, data}}; no zip64.
function decodeNpz(bytes) {
  const arrays = {};
  let end = bytes.length - 22;
  while (end >= 0 && bytes.readUInt32LE(end) !== 0x06054b50) --end;
  let at = bytes.readUInt32LE(end + 16);
  for (let i = bytes.readUInt16LE(end + 10); i > 0; --i) {
    const method = bytes.readUInt16LE(at + 10);
    const size = bytes.readUInt32LE(at + 20);
    const nameLength = bytes.readUInt16LE(at + 28);
    const local = bytes.readUInt32LE(at + 42);
    const name = bytes.toString('utf8', at + 46, at + 46 + nameLength);
    const begin = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const stored = bytes.subarray(begin, begin + size);
    arrays[name.replace(/\.npy$/, '')] = decodeNpy(method === 8 ? zlib.inflateRawSync(stored) : stored);
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return arrays;
}

module.exports = {encodeNpy, decodeNpz};
