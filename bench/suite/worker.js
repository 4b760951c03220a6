// One process that answers a line with a line of JSON, and what it costs in time and memory.
'use strict';
const {spawn, spawnSync} = require('child_process');
const fs = require('fs');
const readline = require('readline');

const running = new Set();

// Root runs everything that is measured, on all sides, ahead of what else the machine does. Where the kernel groups
// processes by session to share out the cores, a session's own priority counts too.
const priority = process.getuid() === 0 && spawnSync('nice', ['-n', '-20', 'true'], {stdio: ['ignore', 'ignore', 'pipe']}).stderr.length === 0 ? -20 : 0;

// The command with what pins it to a core and ends it when this process ends, however it does.
function pinned(words, {core, wrap = []}) {
  const first = priority ? ['nice', '-n', String(priority)] : [];
  return [...wrap, 'setpriv', '--pdeathsig', 'KILL', '--', ...first, 'taskset', '-c', String(core), ...words];
}

class Worker {
  // place: {core, wrap}; env is added to this process's.
  constructor(words, place = {}, env = {}) {
    const [program, ...rest] = pinned(words, place);
    // Scripts are known by their own name.
    this.name = words[words[0] === process.execPath || words[0].includes('python') ? 1 : 0].split('/').pop().replace(/\.\w+$/, '');
    this.errors = '';
    this.waiting = [];
    this.early = [];
    this.over = false;
    // Detached: a session of its own.
    this.child = spawn(program, rest, {stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: {...process.env, OMP_WAIT_POLICY: 'PASSIVE', ...env}});
    running.add(this);
    if (priority) {
      try {
        fs.writeFileSync(`/proc/${this.child.pid}/autogroup`, String(priority));
      } catch { /* this kernel does not group them, or it is gone */ }
    }
    this.child.stdin.on('error', () => {});
    this.child.stderr.on('data', (data) => { this.errors = (this.errors + data).slice(-4000); });
    readline.createInterface({input: this.child.stdout}).on('line', (line) => {
      if (this.waiting.length) this.waiting.shift().resolve(line);
      else this.early.push(line);
    });
    const end = (why) => {
      if (this.over) return;
      this.over = true;
      running.delete(this);
      const last = this.errors.trim().split('\n').pop();
      this.fate = new Error(!last ? `${this.name} ${why}` : last.startsWith(this.name) ? last : `${this.name}: ${last}`);
      for (const one of this.waiting.splice(0)) one.reject(this.fate);
    };
    this.child.on('error', (error) => end(`could not be started (${error.code})`));
    this.child.on('close', (code, signal) => end(signal ? `was ended by ${signal}` : `ended with ${code}`));
  }

  get pid() { return this.child.pid; }

  // Its next line; an error where it ends before, or says nothing for so many seconds.
  line(seconds = 120) {
    if (this.early.length) return Promise.resolve(this.early.shift());
    if (this.over) return Promise.reject(this.fate);
    return new Promise((resolve, reject) => {
      const entry = {};
      const clock = setTimeout(() => {
        this.waiting = this.waiting.filter((other) => other !== entry);
        reject(new Error(`${this.name} said nothing for ${seconds} s`));
      }, seconds * 1000);
      entry.resolve = (line) => { clearTimeout(clock); resolve(line); };
      entry.reject = (error) => { clearTimeout(clock); reject(error); };
      this.waiting.push(entry);
    });
  }

  // All that it says until it ends by itself; an error where it fails.
  async output(seconds = 300) {
    const clock = setTimeout(() => this.child.kill('SIGKILL'), seconds * 1000);
    const code = this.over ? this.child.exitCode : await new Promise((resolve) => this.child.once('close', resolve));
    clearTimeout(clock);
    if (code !== 0) throw this.fate;
    return this.early.join('\n');
  }

  send(word = 'run') { this.child.stdin.write(`${word}\n`); }

  async ask(word = 'run', seconds = 120) {
    this.send(word);
    const line = await this.line(seconds);
    try {
      return JSON.parse(line);
    } catch {
      throw new Error(`${this.name} said '${line.slice(0, 200)}'`);
    }
  }

  // Ends it: the end of its input first, then by force.
  async stop() {
    if (this.over) return;
    const closed = new Promise((resolve) => this.child.once('close', resolve));
    this.child.stdin.end();
    this.child.kill('SIGTERM');
    const force = setTimeout(() => this.child.kill('SIGKILL'), 2000);
    await closed;
    clearTimeout(force);
  }

  // Seconds so far, of all its threads: on a core, and ready but without one, since somebody else had it.
  schedule() {
    const ns = {cpu: 0, queued: 0};
    try {
      for (const task of fs.readdirSync(`/proc/${this.pid}/task`)) {
        try {
          const [cpu, queued] = fs.readFileSync(`/proc/${this.pid}/task/${task}/schedstat`, 'utf8').split(' ').map(Number);
          ns.cpu += cpu;
          ns.queued += queued;
        } catch { /* a thread that just ended */ }
      }
    } catch { /* it ended */ }
    return {cpu: ns.cpu / 1e9, queued: ns.queued / 1e9};
  }

  // {peak, resident} in bytes.
  memory() {
    try {
      const status = fs.readFileSync(`/proc/${this.pid}/status`, 'utf8');
      const field = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) * 1024;
      return {peak: field('VmHWM'), resident: field('VmRSS')};
    } catch {
      return {peak: null, resident: null};
    }
  }
}

// At once, whatever they do; for the end of this process.
function killAll() {
  for (const worker of running) {
    try {
      process.kill(worker.pid, 'SIGKILL');
    } catch { /* it ended */ }
  }
}

module.exports = {Worker, killAll, priority};
