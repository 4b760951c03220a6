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
  const start = bytes.indexOf('{', key);
  if (start < 0 || start > key + 64) return null;
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

// The files to measure: [{id, label, file, wire, keep}], dense first; made ones lie in `folder`.
function prepare(options, tools, folder, wanted, say) {
  const {model, name, nodes, shapes, keep, wires, artifacts, calibrate} = options;
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
    say(`making an artifact that keeps ${keep}, ${wire} wire`);
    if (calibrate) {
      execFileSync(tools.disco, ['sparsify', model, '--nodes', String(nodes), '--communication', String(keep), '--wire', wire,
                                 '--calibrate', calibrate, ...options.preset, '-o', file], {stdio: ['ignore', 'ignore', 'inherit']});
    } else {
      const words = Object.entries(shapes).flatMap(([input, dims]) => ['--shape', input, ...dims.map(String), '.']);
      execFileSync(tools.keep, [model, String(nodes), String(keep), wire, file, ...words], {stdio: ['ignore', 'ignore', 'inherit']});
    }
    list.push({id, label: `DISCO, ${nodes} nodes, keep ${keep}, ${wire}`, file, wire, method: calibrate ? 'sparsify' : 'uniform'});
  }
  return list;
}

module.exports = {partitionOf, prepare, inspect};
