// ResNet-50 (or any model) on one node beside ONNX Runtime: interleaved runs, medians and their ratio.
//
//   npm install --ignore-scripts --prefix bench
//   node bench/single_node.js build/release/bench/bench_single MODEL.onnx [--runs 40] [--threads 1]
'use strict';
const {spawn} = require('child_process');
const readline = require('readline');
const ort = require('onnxruntime-node');

const [, , binary, model, ...rest] = process.argv;
const flag = (name, fallback) => {
  const at = rest.indexOf(name);
  return at < 0 ? fallback : Number(rest[at + 1]);
};
if (!model) {
  console.error('usage: node single_node.js BENCH_SINGLE MODEL.onnx [--runs N] [--threads T]');
  process.exit(2);
}
const runs = flag('--runs', 40);
const threads = flag('--threads', 1);

const quantile = (list, q) => {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
};

(async () => {
  const session = await ort.InferenceSession.create(model, {intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all'});
  const feeds = {};
  for (const info of session.inputMetadata) {
    const dims = info.shape.map((d) => (typeof d === 'number' && d > 0 ? d : 1));
    feeds[info.name] = new ort.Tensor('float32', Float32Array.from({length: dims.reduce((a, b) => a * b, 1)}, () => Math.random()), dims);
  }
  const child = spawn(binary, [model, String(threads)], {stdio: ['pipe', 'pipe', 'inherit'], env: {...process.env, OMP_NUM_THREADS: String(threads)}});
  const lines = readline.createInterface({input: child.stdout})[Symbol.asyncIterator]();
  const ask = async () => {
    child.stdin.write('run\n');
    return Number((await lines.next()).value);
  };
  console.error((await lines.next()).value);
  const ours = [];
  const theirs = [];
  for (let i = 0; i < runs + 5; ++i) {
    const a = await ask();
    const start = process.hrtime.bigint();
    await session.run(feeds);
    const b = Number(process.hrtime.bigint() - start) / 1e6;
    if (i >= 5) {
      ours.push(a);
      theirs.push(b);
    }
  }
  child.stdin.end();
  const ratios = ours.map((a, i) => a / theirs[i]);
  console.log(JSON.stringify({
    model, threads, runs,
    disco_ms: {median: quantile(ours, 0.5), min: quantile(ours, 0)},
    onnxruntime_ms: {median: quantile(theirs, 0.5), min: quantile(theirs, 0)},
    ratio_of_medians: quantile(ours, 0.5) / quantile(theirs, 0.5),
    paired_ratio_median: quantile(ratios, 0.5),
  }, null, 1));
})();
