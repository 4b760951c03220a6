// From a family's setting to figures, in steps that leave files. A step whose file is there, made by the same command from files that
// are no newer, is not taken again: that is how a run in parts goes on.
'use strict';
const {spawn} = require('child_process');
const fs = require('fs');
const path = require('path');
const {dataOf} = require('./settings');

const METHODS = ['disco', 'split-then-aggregate', 'dense-then-split', 'independent'];
const STEPS = ['dense', 'sparsify', 'tune', 'eval', 'latency', 'page'];

class Folder {
  constructor(folder, say) {
    this.folder = folder;
    this.say = say;
    fs.mkdirSync(folder, {recursive: true});
    this.log = path.join(folder, 'steps.json');
    this.done = fs.existsSync(this.log) ? JSON.parse(fs.readFileSync(this.log, 'utf8')) : {};
  }
  file(name) { return path.join(this.folder, name); }
  isFresh(name, command, inputs) {
    const file = this.file(name);
    if (!fs.existsSync(file) || !this.done[name] || this.done[name].command !== command.join(' ')) return false;
    const made = fs.statSync(file).mtimeMs;
    return inputs.every((input) => !fs.existsSync(input) || fs.statSync(input).mtimeMs <= made);
  }
  // Runs a command that makes a file; with `print`, the file is what it prints. Resolves to the file's path.
  async make(name, command, {inputs = [], print = false, env = {}} = {}) {
    if (this.isFresh(name, command, inputs)) return this.file(name);
    const line = command.join(' ');
    // A checkpoint that another command left is of no use to this one.
    const checkpoint = command[command.indexOf('--checkpoint') + 1];
    if (command.includes('--checkpoint') && (this.done[name] || {}).begun !== line) fs.rmSync(checkpoint, {force: true});
    this.note(name, {begun: line});
    this.say(`${path.basename(this.folder)}: ${command.map((word) => path.basename(word)).join(' ')}`);
    const began = Date.now();
    const output = await new Promise((resolve, reject) => {
      const child = spawn(command[0], command.slice(1), {stdio: ['ignore', 'pipe', 'pipe'], env: {...process.env, ...env}});
      let out = '';
      let err = '';
      child.stdout.on('data', (chunk) => { out += chunk; });
      child.stderr.on('data', (chunk) => { err = (err + chunk).slice(-4000); });
      child.on('error', reject);
      child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${path.basename(this.folder)}: ${err.trim().split('\n').pop() || `ended with ${code}`}\n  ${command.join(' ')}`))));
    });
    if (print) {
      fs.writeFileSync(`${this.file(name)}.part`, output);
      fs.renameSync(`${this.file(name)}.part`, this.file(name));
    }
    this.note(name, {begun: line, command: line, took_s: (Date.now() - began) / 1e3});
    return this.file(name);
  }
  note(name, what) {
    this.done[name] = what;
    fs.writeFileSync(`${this.log}.part`, JSON.stringify(this.done, null, 1));
    fs.renameSync(`${this.log}.part`, this.log);
  }
}

// The artifacts of a family: {name, method, keep, tuned}.
function artifactsOf(options) {
  const list = [];
  for (const method of METHODS.filter((one) => options.methods.includes(one))) {
    // Nothing kept is the same at every budget.
    const keeps = method === 'independent' ? ['0'] : options.keep;
    for (const keep of keeps) {
      list.push({name: `${method}-${keep}`, method, keep, tuned: false});
      const tunes = method === 'independent' ? options.tune.length > 0 : options.tune.includes(keep);
      if (tunes) list.push({name: `${method}-${keep}-tuned`, from: `${method}-${keep}`, method, keep, tuned: true});
    }
  }
  return list;
}

// Takes a family as far as asked. Resolves to what is known of it: {id, title, data, dense, rows, latency}.
async function run(family, options, say) {
  const setting = options.published ? family.published : family.small;
  const data = dataOf(family, options);
  const more = data.more || {};
  const folder = new Folder(path.join(options.work, family.id), say);
  const {disco} = options;
  const upTo = (step) => STEPS.indexOf(step) <= STEPS.indexOf(options.until);
  const device = options.device === 'cpu' ? [] : ['--device', options.device];
  const epochs = (words) => words.map((word, i) => (words[i - 1] === '--epochs' ? String(Math.max(1, Math.round(word * options.effort))) : word));
  const training = (words) => [...epochs(words), ...device, '--seed', String(options.seed), '--data', data.train, ...(more.train || [])];

  const pretrained = more.shared && family.pretrained && !options.published && path.join(options.shared, 'data', family.pretrained.small);
  let dense = pretrained && fs.existsSync(pretrained) ? pretrained : null;
  if (!dense) {
    const drawn = await folder.make('drawn.onnx', [disco, 'zoo', ...setting.zoo, ...(more.zoo || []), '--seed', String(options.seed), '-o', folder.file('drawn.onnx')]);
    dense = await folder.make('dense.onnx', [disco, 'train', drawn, '--from-scratch', ...training(setting.train), '--validate-part', 'none', '--checkpoint', folder.file('dense.ckpt'), '--checkpoint-steps', '100',
                                             '--resume', '--log', folder.file('dense.log'), '-o', folder.file('dense.onnx')], {inputs: [drawn]});
  }
  const shape = setting.shape ? ['--shape', `input:${setting.shape}`] : [];
  const test = ['--data', data.test, ...(setting.test || [])];
  const rows = [];
  const failed = [];
  for (const artifact of artifactsOf(options)) {
    if (!upTo(artifact.tuned ? 'tune' : 'sparsify')) continue;
    const file = folder.file(`${artifact.name}.onnx`);
    try {
      if (artifact.tuned) {
        const from = folder.file(`${artifact.from}.onnx`);
        await folder.make(`${artifact.name}.onnx`, [disco, 'train', from, '--teacher', dense, ...training(setting.tune), '--validate-part', 'none', '--checkpoint', folder.file(`${artifact.name}.ckpt`),
                                                    '--checkpoint-steps', '100', '--resume', '--log', folder.file(`${artifact.name}.log`), '-o', file], {inputs: [dense, from]});
      } else {
        await folder.make(`${artifact.name}.onnx`, [disco, 'sparsify', dense, '--nodes', String(options.nodes), '--communication', artifact.keep, '--method', artifact.method, '--calibrate', data.train,
                                                    ...(more.calibrate || []), ...setting.calibrate, '--seed', String(options.seed), '-o', file], {inputs: [dense]});
      }
      const row = {...artifact, file};
      if (upTo('eval')) {
        const evaluated = await folder.make(`${artifact.name}.eval.json`, [disco, 'eval', file, '--dense', dense, ...test, '--json'], {inputs: [dense, file], print: true});
        const inspected = await folder.make(`${artifact.name}.cost.json`, [disco, 'inspect', file, '--json', ...shape], {inputs: [file], print: true});
        row.figures = JSON.parse(fs.readFileSync(evaluated, 'utf8'));
        const {unsplit, totals} = JSON.parse(fs.readFileSync(inspected, 'utf8'));
        row.cost = {unsplit, nodes: totals};
      }
      rows.push(row);
    } catch (error) {
      failed.push({...artifact, error: error.message});
      say(error.message);
    }
  }
  let latency = null;
  const timed = rows.filter((row) => row.method === 'disco' && (row.tuned || !options.tune.includes(row.keep)));
  if (upTo('latency') && options.links.length && timed.length) {
    try {
      const command = [process.execPath, path.join(__dirname, '../run'), '--model', dense, ...timed.flatMap(({file}) => ['--artifact', file]), ...(setting.shape ? ['--shape', `input:${setting.shape}`] : []),
                       '--nodes', String(options.nodes), '--links', options.links.join(','), '--runs', '15', '--seconds', '15', '--pytorch', 'none', '--no-encryption', '--no-predict', '--concurrency', '0', '--scaling', '0',
                       '--disco', disco, '--single', options.single, '-o', folder.file('latency')];
      latency = JSON.parse(fs.readFileSync(await folder.make('latency.json', command, {inputs: [dense, ...timed.map(({file}) => file)]}), 'utf8')).summary;
    } catch (error) {
      failed.push({name: 'latency', error: error.message});
      say(error.message);
    }
  }
  return {id: family.id, title: family.title, model: path.basename(dense), zoo: pretrained && dense === pretrained ? null : [...setting.zoo, ...(more.zoo || [])].join(' '), data: {train: data.train, test: data.test, real: data.real},
          rows, failed, latency, took: folder.done};
}

module.exports = {run, METHODS, STEPS};
