// The command line of bench/run.
'use strict';
const {defaults} = require('../models');

const HELP = `Measures DISCO over emulated links beside what people would use instead, and writes a page and its figures.

Usage: bench/run [FLAGS]

What is measured:
  --model NAME|FILE     a model of \`disco zoo\`, or an ONNX file (default: resnet50)
  --shape NAME:EXTENTS  extents of an input that the model leaves open, such as input:1,3,64,64; may be repeated
  --nodes N             nodes of a split (default: 2)
  --batch B             samples a run, where the model leaves axis 0 open (default: 1)
  --artifact FILE       an artifact to measure in place of those made here; may be repeated
  --keep SHARE          of the features that the artifacts made here send (default: 0.2)
  --wires LIST          an artifact each (default: fp32,u8)
  --calibrate DATA      the samples with which \`disco sparsify\` makes them (default: some rendered pictures, and weights as
                        they are, which answers nothing of use); none: the same share of every layer is kept at random
  --preset NAME         for images among them, see \`disco sparsify --help\`
  --contenders LIST     only these: ort, one, dense, keep-fp32, keep-u8 (or an artifact's file name without .onnx),
                        each split one also with -encrypted behind it,
                        pytorch-one, pytorch-gloo, pytorch-one-onednn, pytorch-gloo-onednn
  --pytorch NAME|none   the network that PyTorch runs: resnet18, 34, 50 or 101 (default: the model's, where it is one)

How:
  --links LIST          100mbit, 1gbit, any other rate of tc, or unshaped (default: 100mbit,1gbit,unshaped)
  --loopback            no namespaces: plain loopback, as without root
  --coordinator WHERE   node0: on the first node's machine, so that its link carries the input to the others (default);
                        outside: on a machine of its own, whose link is not shaped (the nodes' still are)
  --runs K              rounds of interleaved runs on every link (default: 30)
  --warmup K            rounds before them (default: 3)
  --seconds S           what one contender may take on one link; slow ones run in fewer rounds, three at least (default: 30)
  --concurrency K       also the throughput with K requests in flight; 0: not (default: 4)
  --no-encryption       leave out what the same takes encrypted
  --no-tune             measure what is made here as it is made; else \`disco tune\` chooses by a profile of each link how it overlaps
  --no-predict          leave out what \`disco simulate\` predicts of the same runs
  --scaling LIST        numbers of nodes to simulate, on the links as they were seen; 0: none (default: 2,4,8,16)
  --quick               few rounds, for a first look, without the last five: ends within about two minutes

Results:
  -o, --output NAME     writes NAME.html and NAME.json (default: bench-report)
  --render FILE.json    writes the page again from an earlier run's figures
  --clean               only removes what a run that was killed left behind
  --disco FILE, --single FILE, --shared FOLDER    where the programs (build/release) and the shared data are

Needs Linux with taskset and setpriv (util-linux); for links root, ip and tc (iproute2). ONNX Runtime:
\`npm install --ignore-scripts --prefix bench\`. PyTorch: apt-get install python3-torch. What is not there is left out, and said so.

Examples:
  bench/run                                     ResNet-50 on two nodes, three links: some minutes
  bench/run --quick --links 1gbit
  bench/run --artifact sparse.onnx --artifact sparse-u8.onnx
  bench/run --model mobilenetv2 --links 100mbit,300mbit,1gbit -o mobilenet`;

const usage = (text) => Object.assign(new Error(`${text}; see --help`), {usage: true});

function parse(words) {
  const options = {
    model: 'resnet50', shapes: {}, nodes: 2, batch: 1, artifacts: [], keep: 0.2, wires: ['fp32', 'u8'], calibrate: '', preset: [], contenders: [],
    pytorch: 'auto', links: ['100mbit', '1gbit', 'unshaped'], loopback: false, coordinator: 'node0', runs: 30, warmup: 3, seconds: 30,
    concurrency: 4, encryption: true, tune: true, predict: true, scaling: [2, 4, 8, 16], quick: false, output: 'bench-report', render: '', clean: false, help: false, ...defaults,
  };
  const given = new Set();
  const list = (text) => text.split(',').filter(Boolean);
  const number = (least, most, whole = true) => (text, name) => {
    const value = Number(text);
    if (!(value >= least && value <= most) || (whole && !Number.isInteger(value))) throw usage(`${name} ${text}: a ${whole ? 'whole ' : ''}number from ${least} to ${most}`);
    return value;
  };
  const one = (...values) => (text, name) => {
    if (!values.includes(text)) throw usage(`${name} ${text}: one of ${values.join(', ')}`);
    return text;
  };
  const same = (text) => text;
  const flags = {
    model: same, nodes: number(2, 64), batch: number(1, 4096), keep: number(0, 1, false), calibrate: same,
    wires: (text, name) => list(text).map((wire) => one('fp32', 'fp16', 'u8')(wire, name)),
    contenders: list, pytorch: one('resnet18', 'resnet34', 'resnet50', 'resnet101', 'none'), links: list,
    coordinator: one('node0', 'outside'), runs: number(1, 100000), warmup: number(0, 1000), seconds: number(0.001, 86400, false),
    concurrency: number(0, 64), scaling: (text, name) => (text === '0' ? [] : list(text).map((one) => number(2, 64)(one, name))), output: same, render: same, disco: same, single: same, shared: same,
  };
  for (let i = 0; i < words.length; ++i) {
    const word = words[i] === '-o' ? '--output' : words[i] === '-h' ? '--help' : words[i];
    const name = word.replace(/^--/, '');
    if (['loopback', 'quick', 'clean', 'help'].includes(name) && word.startsWith('--')) {
      options[name] = true;
      continue;
    }
    if (['--no-tune', '--no-predict', '--no-encryption'].includes(word)) {
      options[name.slice(3)] = false;
      continue;
    }
    const next = () => {
      if (i + 1 >= words.length) throw usage(`${word}: a value is missing`);
      return words[++i];
    };
    given.add(name);
    if (word === '--artifact') {
      options.artifacts.push(next());
    } else if (word === '--preset') {
      options.preset = ['--preset', next()];
    } else if (word === '--shape') {
      const text = next();
      const match = /^(.+):([0-9]+(,[0-9]+)*)$/.exec(text);
      if (!match) throw usage(`--shape ${text}: write NAME:EXTENT,EXTENT,…`);
      options.shapes[match[1]] = match[2].split(',').map(Number);
    } else if (word.startsWith('--') && name in flags) {
      options[name] = flags[name](next(), word);
    } else {
      throw usage(`unknown flag ${word}`);
    }
  }
  if (options.quick) {
    const less = {runs: 8, warmup: 1, seconds: 4, concurrency: 0, encryption: options.contenders.some((id) => id.endsWith('-encrypted')), tune: false, predict: false, scaling: []};
    for (const [name, value] of Object.entries(less)) if (!given.has(name)) options[name] = value;
  }
  if (options.artifacts.length) options.tune = false;  // they are measured as they are
  return options;
}

module.exports = {parse, HELP};
