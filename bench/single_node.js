// One node beside ONNX Runtime: interleaved runs, medians and their ratio, a line a model.
//
//   npm install --ignore-scripts --prefix bench
//   node bench/single_node.js [--runs 40] [--threads 1] [--pause MS] [--single BINARY] [NAME or MODEL.onnx …]
//
// Without names: the zoo and the pretrained models.
'use strict';
const {spawn} = require('child_process');
const readline = require('readline');
const ort = require('onnxruntime-node');
const {defaults, commandLine, find, inputs} = require('./models');

// Idle worker threads of either side spin a while: with more than one thread the other side's run waits for that to end.
const {flags, rest} = commandLine({...defaults, runs: 40, threads: 1, pause: -1});
const pause = flags.pause >= 0 ? flags.pause : flags.threads > 1 ? 20 : 0;
const WARMUP = 5;

const quantile = (list, q) => {
  const sorted = [...list].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function compare({name, file}) {
  const session = await ort.InferenceSession.create(
      file, {intraOpNumThreads: flags.threads, interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 3, extra: {session: {force_spinning_stop: '1'}}});
  const feeds = {};
  const shapes = [];
  for (const [input, {dims, data}] of Object.entries(inputs(session, name))) {
    feeds[input] = new ort.Tensor('float32', data, dims);
    shapes.push('--shape', input, ...dims.map(String), '.');
  }
  const child = spawn(flags.single, [file, String(flags.threads), ...shapes], {stdio: ['pipe', 'pipe', 'inherit']});
  const lines = readline.createInterface({input: child.stdout})[Symbol.asyncIterator]();
  if ((await lines.next()).done) throw new Error(`${flags.single} ended`);  // its "ready"
  const ours = [];
  const theirs = [];
  for (let i = -WARMUP; i < flags.runs; ++i) {
    await sleep(pause);
    child.stdin.write('run\n');
    const a = Number((await lines.next()).value);
    await sleep(pause);
    const start = process.hrtime.bigint();
    await session.run(feeds);
    const b = Number(process.hrtime.bigint() - start) / 1e6;
    if (i < 0) continue;
    ours.push(a);
    theirs.push(b);
  }
  child.stdin.end();
  await session.release();
  const ms = (value) => value.toFixed(3).padStart(9);
  const [a, b] = [quantile(ours, 0.5), quantile(theirs, 0.5)];
  const paired = quantile(ours.map((t, i) => t / theirs[i]), 0.5);
  console.log(`${name.padEnd(28)} ${ms(a)} ${ms(Math.min(...ours))} ${ms(b)} ${ms(Math.min(...theirs))}   ` +
              `${(a / b).toFixed(3)}   ${(Math.min(...ours) / Math.min(...theirs)).toFixed(3)}   ${paired.toFixed(3)}`);
}

(async () => {
  console.log(`batch 1, ${flags.threads} thread(s), ${flags.runs} interleaved runs of each; ms`);
  console.log(`${'model'.padEnd(28)}     disco       min       ORT       min   ratio     min  paired`);
  for (const model of find(flags.disco, flags.shared, rest)) await compare(model);
})();
