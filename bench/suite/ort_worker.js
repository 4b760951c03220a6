// ONNX Runtime as a process that answers a line with how long one run took.
//   ort_worker.js MODEL.onnx NAME BATCH [{"input": extents}]
// Prints {"ready", "version", "inputs": {name: extents}} first: extents that the model leaves open are filled as models.js says.
'use strict';
const readline = require('readline');
let ort;
try {
  ort = require('onnxruntime-node');
} catch (error) {
  console.error(`onnxruntime-node cannot be loaded (${error.message.split('\n')[0]}); try: npm install --ignore-scripts --prefix bench`);
  process.exit(1);
}
const {inputs} = require('../models');

(async () => {
  const [file, name, batch, shapes] = process.argv.slice(2);
  const session = await ort.InferenceSession.create(
      file, {intraOpNumThreads: 1, interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 3});
  const feeds = {};
  const extents = {};
  for (const [input, {dims, data}] of Object.entries(inputs(session, name, {batch: Number(batch), shapes: JSON.parse(shapes || '{}')}))) {
    feeds[input] = new ort.Tensor('float32', data, dims);
    extents[input] = dims;
  }
  console.log(JSON.stringify({ready: true, version: require('onnxruntime-node/package.json').version, inputs: extents}));
  for await (const line of readline.createInterface({input: process.stdin})) {
    if (!line) continue;
    const start = process.hrtime.bigint();
    await session.run(feeds);
    console.log(JSON.stringify({ms: Number(process.hrtime.bigint() - start) / 1e6}));
  }
})().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
