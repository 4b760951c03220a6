// The models and artifacts that are measured: what they are, and how they are made where none is given.
'use strict';
const {execFileSync, spawnSync} = require('child_process');
const fs = require('fs');
const path = require('path');

// The partition that an artifact carries in its metadata, or null for a plain model.
function partitionOf(file) {
  const bytes = fs.readFileSync(file);
  const key = bytes.lastIndexOf('disco.partition');
  if (key < 0) return null;
  // Behind the key stand the value's tag and its length, seven bits a byte, one of which may look like a brace.
  let start = key + 'disco.partition'.length + 1;
  while (bytes[start] & 0x80) ++start;
  ++start;
  if (bytes[start] !== 0x7b) return null;
  let depth = 0;
  let quoted = false;
  for (let i = start; i < bytes.length; ++i) {
    const c = bytes[i];
    if (quoted) {
      if (c === 0x5c) ++i;
      else if (c === 0x22) quoted = false;
    } else if (c === 0x22) {
      quoted = true;
    } else if (c === 0x7b) {
      ++depth;
    } else if (c === 0x7d && --depth === 0) {
      return JSON.parse(bytes.toString('utf8', start, i + 1));
    }
  }
  return null;
}

// 'fp32', 'u8', … or 'fp32 and u8'.
function wireOf(partition) {
  const types = new Set(Object.values(partition.wire || {}).map((format) => format.type));
  return types.size ? [...types].sort().join(' and ') : 'fp32';
}

// What `disco inspect` counts: {inputs, unsplit, totals: [{macs, weight_bytes, bytes_sent, messages_sent}], by node}.
function inspect(disco, file, nodes, shapes) {
  const words = ['inspect', file, '--json'];
  if (nodes) words.push('--nodes', String(nodes));
  for (const [name, dims] of Object.entries(shapes)) words.push('--shape', `${name}:${dims.join(',')}`);
  const run = spawnSync(disco, words, {encoding: 'utf8', maxBuffer: 1 << 28});
  if (run.status !== 0) throw new Error((run.stderr || String(run.error)).trim());
  const {inputs, unsplit, totals} = JSON.parse(run.stdout);
  return {inputs, unsplit, totals};
}

// Rendered pictures of the input's size, where it is a picture's.
function renderedFor(shapes) {
  const [dims, ...others] = Object.values(shapes);
  if (others.length || !dims || dims.length !== 4 || dims[1] !== 3) return '';
  return Math.min(dims[2], dims[3]) >= 48 && Math.max(dims[2], dims[3]) <= 1024 ? `scenes:${dims[2]}x${dims[3]}` : '';
}

// Makes an artifact as `disco plan` would have it made: nodes hold what they would if every layer kept the same share, and a
// message is worth some microseconds. Where that cannot be, the same share of every layer is kept at random.
function make(options, tools, wire, file, say) {
  const {model, nodes, shapes, keep, calibrate} = options;
  say(`making an artifact that keeps ${keep}, ${wire} wire`);
  const samples = calibrate ? [calibrate, ...options.preset] : [renderedFor(shapes), '--samples', '24', '--no-refit'];
  if (samples[0] && calibrate !== 'none') {
    const own = 1 / nodes;
    const holds = Math.ceil((own * (own + keep * (1 - own)) + 5e-4) * 1000) / 1000;
    const run = spawnSync(tools.disco, ['sparsify', model, '--nodes', String(nodes), '--communication', String(keep), '--wire', wire, '--weights', String(holds),
                                        '--message-bytes', '4500', '--calibrate', ...samples, '-o', file], {encoding: 'utf8'});
    if (run.status === 0) return;
    const why = (run.stderr || String(run.error)).trim();
    if (calibrate) throw new Error(why);
    say(`${why}; the same share of every layer is kept at random instead`);
  }
  const words = Object.entries(shapes).flatMap(([input, dims]) => ['--shape', input, ...dims.map(String), '.']);
  execFileSync(tools.keep, [model, String(nodes), String(keep), wire, file, ...words], {stdio: ['ignore', 'ignore', 'inherit']});
}

// The files to measure: [{id, label, file, wire, keep}], dense first; made ones lie in `folder`.
function prepare(options, tools, folder, wanted, say) {
  const {model, nodes, keep, wires, artifacts} = options;
  const list = [{id: 'dense', label: `DISCO, ${nodes} nodes, dense, fp32`, file: model, wire: 'fp32', keep: 1}];
  for (const file of artifacts) {
    const partition = partitionOf(file);
    if (!partition) throw new Error(`--artifact ${file}: holds no partition; \`disco sparsify\`, \`disco partition\` and \`disco plan\` make artifacts`);
    if (partition.nodes !== nodes) throw new Error(`--artifact ${file}: is for ${partition.nodes} nodes; say --nodes ${partition.nodes}`);
    const base = path.basename(file, '.onnx');
    list.push({id: base, label: `DISCO, ${nodes} nodes, ${base}, ${wireOf(partition)}`, file, wire: wireOf(partition), method: partition.method});
  }
  if (artifacts.length) return list;
  for (const wire of wires) {
    const id = `keep-${wire}`;
    if (!wanted(id) && !wanted(`${id}-encrypted`)) continue;
    const file = path.join(folder, `${id}.onnx`);
    if (!fs.existsSync(file)) make(options, tools, wire, file, say);
    list.push({id, label: `DISCO, ${nodes} nodes, keep ${keep}, ${wire}`, file, wire, method: partitionOf(file).method});
  }
  return list;
}

module.exports = {partitionOf, prepare, inspect};
