// Where the nodes live: network namespaces joined by shaped links, or this machine's loopback without root.
'use strict';
const {execFileSync, spawnSync} = require('child_process');
const path = require('path');
const {Worker} = require('./worker');

const PREFIX = 'dbench';
const NET = '10.78.9';

function ip(...words) {
  const run = spawnSync('ip', words.join(' ').split(' '), {encoding: 'utf8'});
  if (run.status !== 0) throw new Error(`ip ${words.join(' ')}: ${(run.stderr || String(run.error)).trim()}`);
  return run.stdout;
}

// '100mbit' → 1e8 bit/s; 'unshaped' → null.
function rateOf(name) {
  if (name === 'unshaped' || name === 'loopback') return null;
  const match = /^([0-9.]+)(k|m|g)bit$/.exec(name);
  if (!match || !(Number(match[1]) > 0)) throw new Error(`--links ${name}: write 100mbit, 1gbit, … or unshaped`);
  return Number(match[1]) * {k: 1e3, m: 1e6, g: 1e9}[match[2]];
}

// Why namespaces cannot be made here; null where they can.
function whyNot() {
  if (process.getuid() !== 0) return 'not root';
  const name = `${PREFIX}${process.pid}-try`;
  try {
    ip('netns add', name);
    ip('netns del', name);
    return null;
  } catch (error) {
    return error.message;
  }
}

// Removes the namespaces of runs that are over, with what still runs in them.
function removeLeftOvers() {
  const list = spawnSync('ip', ['netns', 'list'], {encoding: 'utf8'});
  for (const line of (list.stdout || '').split('\n')) {
    const match = new RegExp(`^(${PREFIX}(\\d+)-\\S+)`).exec(line);
    if (!match || Number(match[2]) === process.pid) continue;
    try {
      process.kill(Number(match[2]), 0);
      continue;  // that run goes on
    } catch (error) {
      if (error.code === 'EPERM') continue;
    }
    removeNamespace(match[1]);
  }
}

function removeNamespace(name) {
  const pids = spawnSync('ip', ['netns', 'pids', name], {encoding: 'utf8'});
  for (const pid of (pids.stdout || '').split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch { /* it ended */ }
  }
  spawnSync('ip', ['netns', 'del', name]);
}

class Namespaces {
  // Two nodes are joined by one pair of interfaces, as DESIGN's "Emulated links"; more of them, or a coordinator
  // beside them, by a bridge. Whoever sends is shaped; over a bridge so is what goes to a node.
  constructor(nodes, outside) {
    this.isolated = true;
    this.nodes = nodes;
    this.names = Array.from({length: nodes}, (_, rank) => `${PREFIX}${process.pid}-${rank}`);
    this.switch = nodes > 2 || outside ? `${PREFIX}${process.pid}-switch` : null;
    this.outside = outside ? `${PREFIX}${process.pid}-client` : null;
    this.ends = [];  // [namespace, interface], to be shaped
    const hosts = [...this.names, ...(outside ? [this.outside] : [])];
    for (const name of [...hosts, ...(this.switch ? [this.switch] : [])]) ip('netns add', name);
    if (this.switch) {
      ip('-n', this.switch, 'link add br0 type bridge');
      ip('-n', this.switch, 'link set br0 up');
      hosts.forEach((host, i) => {
        ip('link add e0 netns', host, 'type veth peer name', `p${i}`, 'netns', this.switch);
        ip('-n', this.switch, 'link set', `p${i}`, 'master br0 up');
        if (host !== this.outside) this.ends.push([host, 'e0'], [this.switch, `p${i}`]);
      });
    } else {
      ip('link add e0 netns', this.names[0], 'type veth peer name e0 netns', this.names[1]);
      this.ends = this.names.map((name) => [name, 'e0']);
    }
    hosts.forEach((host, i) => {
      ip('-n', host, 'addr add', `${NET}.${i + 1}/24 dev e0`);
      ip('-n', host, 'link set lo up');
      ip('-n', host, 'link set e0 up');
      ip('-n', host, `route replace ${NET}.0/24 dev e0 src ${NET}.${i + 1} congctl cubic`);
    });
  }

  interfaceName() { return 'e0'; }
  address(rank) { return `${NET}.${rank + 1}`; }
  // How a process gets onto node `rank`, or beside the nodes.
  wrap(rank) { return ['ip', 'netns', 'exec', rank === 'outside' ? this.outside : this.names[rank]]; }

  // Before whoever is measured connects: a shaper splits segments that are larger than its burst in software, at the
  // sender's cost, where a network card would take them whole; so none are made.
  shape(link) {
    const rate = rateOf(link);
    for (const [namespace, device] of this.ends) {
      ip('-n', namespace, 'link set dev', device, rate ? 'gso_max_size 16000 gso_max_segs 11' : 'gso_max_size 65536 gso_max_segs 65535');
      spawnSync('tc', ['-n', namespace, 'qdisc', 'del', 'dev', device, 'root'], {stdio: 'ignore'});
      // The kernel remembers how far connections over the link before this could open their windows.
      spawnSync('ip', ['-n', namespace, 'tcp_metrics', 'flush'], {stdio: 'ignore'});
      if (!rate) continue;
      // A quarter of a millisecond of the rate passes at once.
      const burst = Math.max(3200, Math.round(rate * 32e-6));
      execFileSync('tc', ['-n', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', 'rate', link, 'burst', String(burst), 'limit', '2000000']);
    }
  }

  remove() {
    for (const name of [...this.names, this.outside, this.switch]) if (name) removeNamespace(name);
  }
}

class Loopback {
  constructor(nodes) { this.isolated = false; this.nodes = nodes; }
  interfaceName() { return 'lo'; }
  address() { return '127.0.0.1'; }
  wrap() { return []; }
  shape() {}
  remove() {}
}

const PROBES = 4;

// What the link between ranks 0 and 1 carries: {goodput_mbit, round_trip_us}, both directions at once. The best of
// several: where nothing is shaped, a neighbour on one of the cores leaves a twentieth of it.
async function probe(net, cores) {
  const script = path.join(__dirname, 'probe.js');
  const server = new Worker([process.execPath, script, 'serve', net.address(1)], {core: cores[1], wrap: net.wrap(1)});
  try {
    const {port} = JSON.parse(await server.line(20));
    const seen = [];
    for (let i = 0; i < PROBES; ++i) {
      const client = new Worker([process.execPath, script, 'probe', net.address(1), String(port)], {core: cores[0], wrap: net.wrap(0)});
      seen.push(JSON.parse(await client.line(60)));
    }
    return {goodput_mbit: Math.max(...seen.map((one) => one.goodput_mbit)), round_trip_us: Math.min(...seen.map((one) => one.round_trip_us))};
  } finally {
    await server.stop();
  }
}

module.exports = {Namespaces, Loopback, removeLeftOvers, whyNot, rateOf, probe};
