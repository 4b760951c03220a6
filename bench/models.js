// The models that the benchmarks run, and what they are fed: the same for ONNX Runtime and for disco.
'use strict';
const {execFileSync} = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const ZOO = ['resnet18', 'resnet50', 'mobilenetv2', 'deit-tiny', 'deit-small'];
// Those of the other families, which take longer.
const FAMILIES = ['deit-base', 'deit-tiny-distilled', 'ssd300-resnet50', 'ssd300-mobilenetv2', 'deeplabv3plus-resnet50',
                  'deeplabv3plus-mobilenetv2', 'esrgan', 'esrgan-small'];

// Extents for inputs that a model leaves open beyond the batch: [for speed, for results (odd ones)].
const OPEN = {
  sr_imdn_x4: [[1, 3, 64, 64], [1, 3, 37, 53]],
  sr_fsrcnn_x4: [[1, 1, 64, 64], [1, 1, 37, 53]],
  esrgan: [[1, 3, 64, 64], [1, 3, 19, 23]],
  'esrgan-small': [[1, 3, 64, 64], [1, 3, 37, 53]],
  imagenet_squeezenet1_1: [[1, 3, 224, 224], [1, 3, 227, 227]],
};

const root = path.join(__dirname, '..');
const defaults = {
  disco: path.join(root, 'build/release/apps/disco/disco'),
  single: path.join(root, 'build/release/bench/bench_single'),
  shared: process.env.DISCO_SHARED || path.join(root, '../shared'),
};

// "--name value" flags and the rest of a command line.
function commandLine(known) {
  const flags = {...known};
  const rest = [];
  for (let i = 2; i < process.argv.length; ++i) {
    const name = process.argv[i].replace(/^--/, '');
    if (!process.argv[i].startsWith('--')) {
      rest.push(process.argv[i]);
    } else if (name in known && i + 1 < process.argv.length) {
      flags[name] = typeof known[name] === 'number' ? Number(process.argv[++i]) : process.argv[++i];
    } else {
      console.error(`unknown flag ${process.argv[i]}; there are: --${Object.keys(known).join(', --')}`);
      process.exit(2);
    }
  }
  return {flags, rest};
}

// [{name, file}] of the given names and files; of the zoo (with `families`: all of it) and all pretrained models where none
// is given.
function find(disco, shared, wanted, families = false) {
  const pretrained = path.join(shared, 'data/models');
  let names = wanted;
  if (names.length === 0) {
    names = families ? [...ZOO, ...FAMILIES] : [...ZOO];
    if (fs.existsSync(pretrained)) {
      names.push(...fs.readdirSync(pretrained).filter((f) => f.endsWith('.onnx')).sort().map((f) => path.join(pretrained, f)));
    } else {
      console.error(`no pretrained models at ${pretrained}; set DISCO_SHARED`);
    }
  }
  const folder = path.join(os.tmpdir(), `disco-zoo-${process.getuid()}`);
  fs.mkdirSync(folder, {recursive: true});
  return names.map((name) => {
    if (!ZOO.includes(name) && !FAMILIES.includes(name)) return {name: path.basename(name, '.onnx'), file: name};
    const file = path.join(folder, `${name}.onnx`);
    execFileSync(disco, ['zoo', name, '-o', file], {stdio: 'ignore'});
    return {name, file};
  });
}

// splitmix32 and Box-Muller.
function gaussian(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

// {input name: {data, dims}} with normal values. OPEN fills extents that the model leaves open, `batch` the first; `shapes`
// ({input name: extents}) wins.
function inputs(session, name, {odd = false, batch = 1, seed = 1, shapes = {}} = {}) {
  const feeds = {};
  for (const info of session.inputMetadata) {
    const open = name in OPEN ? OPEN[name][odd ? 1 : 0] : [];
    const dims = shapes[info.name] || info.shape.map((d, axis) => (typeof d === 'number' && d > 0 ? d : axis === 0 ? batch : open[axis]));
    if (dims.some((d) => !(d > 0))) throw new Error(`${name}: input '${info.name}' leaves extents open: ${info.shape}`);
    const normal = gaussian(seed);
    feeds[info.name] = {dims, data: Float32Array.from({length: dims.reduce((a, b) => a * b, 1)}, normal)};
  }
  return feeds;
}

// Whether the first extent of every input is open.
const openBatch = (session) => session.inputMetadata.every((info) => typeof info.shape[0] !== 'number');

module.exports = {defaults, commandLine, find, inputs, openBatch};
