// Who is measured: each starts its processes where the nodes are, and then runs once whenever it is asked to.
'use strict';
const {execFileSync} = require('child_process');
const fs = require('fs');
const path = require('path');
const {Worker} = require('./worker');

const PYTHON = '/usr/bin/python3';  // Debian's, whose torch is meant; PYTHON in the environment names another
const TENSOR_PARALLEL = path.join(__dirname, '../pytorch_tensor_parallel.py');
const START_SECONDS = 180;  // to load, deploy and compile

// What all share: one or several processes, each {role, worker}, and what they cost. role is a rank, 'coordinator', or
// 'process' where one core does it all.
class Contender {
  constructor(id, label, setting) {
    this.id = id;
    this.label = label;
    this.setting = setting;  // {net, cores, tools, model, name, shapes, batch, folder, clientCore}
    this.processes = [];
    this.about = {};  // versions and the like
  }
  add(role, words, place, env) {
    const worker = new Worker(words, place, env);
    this.processes.push({role, worker});
    return worker;
  }
  place(rank) {
    const {net, cores, clientCore} = this.setting;
    return rank === 'outside' ? {core: clientCore, wrap: net.wrap('outside')} : {core: cores[rank], wrap: net.wrap(rank)};
  }
  shapeWords() { return Object.entries(this.setting.shapes).flatMap(([name, dims]) => ['--shape', name, ...dims.map(String), '.']); }
  schedule() { return this.processes.map(({worker}) => worker.schedule()); }
  async stop() {
    // The coordinator first, so that nodes don't complain about it.
    for (const {worker} of [...this.processes].reverse()) await worker.stop();
    this.processes = [];
  }
}

// ONNX Runtime with one thread on the first core.
class OnnxRuntime extends Contender {
  constructor(setting) { super('ort', 'ONNX Runtime, one core', setting); }
  async start() {
    const {model, name, batch, shapes} = this.setting;
    this.main = this.add('process', [process.execPath, path.join(__dirname, 'ort_worker.js'), model, name, String(batch), JSON.stringify(shapes)], this.place(0));
    const ready = JSON.parse(await this.main.line(START_SECONDS));
    this.about = {version: ready.version};
    return ready.inputs;
  }
  run(seconds) { return this.main.ask('run', seconds); }
}

// This project in one process, without any network: as ONNX Runtime runs.
class OneNode extends Contender {
  constructor(setting) { super('one', 'DISCO, one node', setting); }
  async start() {
    const {tools, model} = this.setting;
    this.main = this.add('process', [tools.single, model, '1', ...this.shapeWords()], this.place(0));
    await this.main.line(START_SECONDS);
  }
  async run(seconds) { return {ms: await this.main.ask('run', seconds)}; }
}

// A split model over `disco node` processes, in the clear or encrypted.
class Split extends Contender {
  constructor(setting, id, label, file, encrypted = false) {
    super(id, label, setting);
    this.file = file;
    this.encrypted = encrypted;
  }
  // A pair of keys in a file: {file, known}, the latter its public key.
  makeKey(who) {
    const file = path.join(this.setting.folder, `${this.id}-${who}.key`);
    if (!fs.existsSync(file)) execFileSync(this.setting.tools.disco, ['keys', 'new', '-o', file], {stdio: ['ignore', 'ignore', 'pipe']});
    return {file, known: fs.readFileSync(`${file}.pub`, 'utf8').split(/\s/)[0]};
  }
  // The nodes, and the file that names them.
  async startNodes() {
    const {net, tools, folder} = this.setting;
    this.addresses = [];
    const authorised = path.join(folder, `${this.id}-authorised.txt`);
    if (this.encrypted) {
      this.key = this.makeKey('coordinator');
      fs.writeFileSync(authorised, `${this.key.known}\n`);
    }
    let members = '';
    for (let rank = 0; rank < net.nodes; ++rank) {
      const key = this.encrypted ? this.makeKey(rank) : null;
      const words = key ? ['--key', key.file, '--authorised', authorised] : [];
      const node = this.add(rank, [tools.disco, 'node', '--listen', `${net.address(rank)}:0`, '--threads', '1', ...words], this.place(rank));
      this.addresses.push(/listening on (\S+)/.exec(await node.line(30))[1]);
      members += `[[node]]\naddress = "${this.addresses[rank]}"\nthreads = 1\n${key ? `public_key = "${key.known}"\n` : ''}`;
    }
    this.clusterFile = path.join(folder, `${this.id}.toml`);
    fs.writeFileSync(this.clusterFile, members);
  }
  async start() {
    await this.startNodes();
    this.main = this.add('coordinator', [this.setting.tools.cluster, this.file, this.clusterFile, ...(this.key ? ['--key', this.key.file] : []), ...this.shapeWords()],
                         this.place(this.setting.coordinator === 'outside' ? 'outside' : 0));
    this.about = {deployed: JSON.parse(await this.main.line(START_SECONDS)).nodes};
  }
  run(seconds) { return this.main.ask('run', seconds); }
}

// PyTorch, over as many ranks as `world`; `plain`: F.conv2d as anybody would write it, else oneDNN with packed weights.
class PyTorch extends Contender {
  constructor(setting, world, plain) {
    const how = plain ? '' : ', oneDNN';
    super(`pytorch-${world > 1 ? 'gloo' : 'one'}${plain ? '' : '-onednn'}`,
          world > 1 ? `PyTorch + gloo, ${world} nodes${how}` : `PyTorch, one core${how}`, setting);
    this.world = world;
    this.plain = plain;
  }
  async start() {
    const {net, name, batch} = this.setting;
    // A port of its own: another contender's ranks are alive too.
    const port = 29500 + (process.pid % 500) * 4 + (this.plain ? 0 : 1);
    for (let rank = 0; rank < this.world; ++rank) {
      const words = [process.env.PYTHON || PYTHON, TENSOR_PARALLEL, '--model', name, '--batch', String(batch), '--convolution', this.plain ? 'plain' : 'onednn'];
      if (this.world > 1) words.push('--rank', String(rank), '--world', String(this.world), '--master', net.address(0), '--port', String(port));
      this.add(this.world > 1 ? rank : 'process', words, this.place(rank), {GLOO_SOCKET_IFNAME: net.interfaceName(), OPENBLAS_NUM_THREADS: '1'});
    }
    const ready = await Promise.all(this.processes.map(async ({worker}) => JSON.parse(await worker.line(START_SECONDS))));
    this.about = {version: ready[0].torch, blas: ready[0].blas};
  }
  async run(seconds) {
    // The others first, which then wait for rank 0's input.
    for (const {worker} of [...this.processes].reverse()) worker.send();
    const answers = await Promise.all(this.processes.map(async ({worker}) => JSON.parse(await worker.line(seconds))));
    return {ms: answers[0].ms, nodes: answers.map(({ms, ...node}) => ({...node, total_ms: ms}))};
  }
}

module.exports = {OnnxRuntime, OneNode, Split, PyTorch, PYTHON};
