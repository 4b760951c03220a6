// The answers of `disco run` beside ONNX Runtime's on the same seeded input, over many splits: a row a model, a column a
// split, each max |difference| over the outputs' max |output|. The last line says whether all are within the limit.
//
//   npm install --ignore-scripts --prefix bench
//   node bench/parity.js [--splits 1,2,3,4,5,8,3:1] [--transport processes] [--batch 1] [--seed 1] [NAME or MODEL.onnx …]
//
// `--splits own` runs an artifact over its own nodes, with what it sends. Without names: the zoo and the pretrained models. Extents that a model leaves open are odd ones.
'use strict';
const {spawnSync} = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const ort = require('onnxruntime-node');
const {defaults, commandLine, find, inputs, openBatch} = require('./models');
const {encodeNpy, decodeNpz} = require('./npy');

const LIMIT = 1e-4;
const {flags, rest} = commandLine({...defaults, splits: '1,2,3,4,5,8,3:1', transport: 'processes', batch: 1, seed: 1});
const splits = flags.splits.split(',');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'disco-parity-'));

// max |a - b| / max |b|; Infinity where they cannot be compared.
function difference(got, want) {
  if (!got || got.dims.join() !== want.dims.join()) return Infinity;
  let most = 0;
  let scale = 0;
  for (let i = 0; i < want.data.length; ++i) {
    const d = Math.abs(Number(got.data[i]) - Number(want.data[i]));
    if (Number.isNaN(d)) return Infinity;
    most = Math.max(most, d);
    scale = Math.max(scale, Math.abs(Number(want.data[i])));
  }
  return most / Math.max(scale, 1e-30);
}

async function compare({name, file}) {
  const session = await ort.InferenceSession.create(file, {intraOpNumThreads: 1, logSeverityLevel: 3});
  if (flags.batch > 1 && !openBatch(session)) return null;
  const feeds = {};
  const arguments_ = [];
  for (const [input, {dims, data}] of Object.entries(inputs(session, name, {odd: true, batch: flags.batch, seed: flags.seed}))) {
    feeds[input] = new ort.Tensor('float32', data, dims);
    const array = path.join(folder, `${Object.keys(feeds).length}.npy`);
    fs.writeFileSync(array, encodeNpy(dims, data));
    arguments_.push('--input', `${input}=${array}`);
  }
  const want = await session.run(feeds);
  await session.release();
  const ratios = [];
  for (const split of splits) {
    const out = path.join(folder, 'out.npz');
    fs.rmSync(out, {force: true});
    const how = split === 'own' ? [] : split.includes(':') ? ['--shares', split.replaceAll(':', ',')] : ['--nodes', split];
    const run = spawnSync(flags.disco, ['run', file, ...how, '--transport', flags.transport, '--batch', String(flags.batch),
                                        '--output', out, ...arguments_], {encoding: 'utf8'});
    if (run.status !== 0) {
      console.error(`${name}, ${split}: ${(run.stderr || String(run.error)).trim()}`);
      ratios.push(Infinity);
      continue;
    }
    const got = decodeNpz(fs.readFileSync(out));
    ratios.push(Math.max(...Object.entries(want).map(([output, tensor]) => difference(got[output], tensor))));
  }
  return ratios;
}

(async () => {
  console.log(`max |difference| / max |output| against ONNX Runtime; batch ${flags.batch}, ${flags.transport}, limit ${LIMIT}`);
  console.log(`${'model'.padEnd(28)}${splits.map((s) => s.padStart(9)).join('')}`);
  let misses = 0;
  let compared = 0;
  for (const model of find(flags.disco, flags.shared, rest, true)) {
    const ratios = await compare(model);
    if (ratios === null) continue;
    const bad = ratios.filter((r) => !(r <= LIMIT)).length;
    compared += ratios.length;
    misses += bad;
    console.log(`${model.name.padEnd(28)}${ratios.map((r) => r.toExponential(1).padStart(9)).join('')}   ${bad ? 'MISS' : 'ok'}`);
  }
  fs.rmSync(folder, {recursive: true});
  console.log(misses ? `${misses} of ${compared} runs are over the limit` : `all ${compared} runs are within the limit`);
  process.exitCode = misses ? 1 : 0;
})();
