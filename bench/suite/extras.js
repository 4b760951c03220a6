// What is asked of this `disco` beyond the latency of single runs: how much it answers with several requests in flight, what its
// simulator predicts of the same, and what it predicts of more nodes than there are cores.
'use strict';
const fs = require('fs');
const path = require('path');
const {Nodes, offers, shapeFlags, json, splitsOf, wordsOf} = require('./nodes');

// Answers a second with K requests in flight: {concurrency, per_second, least_busy}, by contender.
async function throughput(link, {net, started, setting, options, tools, say, progress}) {
  for (const {about, contender} of splitsOf(started)) {
    const result = link.contenders[about.id];
    if (!result || result.error) continue;
    progress(`${link.name}: ${options.concurrency} in flight, ${about.label}`);
    const nodes = new Nodes(setting, `${about.id}-flight`, about.label, contender.file);
    try {
      const cluster = await nodes.start();
      // As many as take about as long as the latency's runs did.
      const one = result.samples.map((sample) => sample.ms).sort((a, b) => a - b)[result.samples.length >> 1];
      const runs = Math.max(8, Math.min(options.runs, Math.round(options.seconds * 500 / one)));
      const said = await json([tools.disco, 'bench', contender.file, '--cluster', cluster, '--concurrency', String(options.concurrency),
                               '--runs', String(runs), '--warmup', '2', ...shapeFlags(options.shapes), '--json'],
                              nodes.place(setting.coordinator === 'outside' ? 'outside' : 0));
      result.throughput = read(said, options.concurrency);
    } catch (error) {
      say(`${link.name}: ${about.label}, ${options.concurrency} in flight: ${error.message}`);
    } finally {
      await nodes.stop();
    }
  }
}

// What `disco bench --concurrency --json` says; of one node, as many requests on the first one alone.
function read(said, concurrency) {
  const split = said.in_flight;
  if (!split || !(split.requests_per_second > 0)) throw new Error('`disco bench` said nothing of throughput');
  const one = said.one_node && said.one_node.in_flight;
  return {concurrency, per_second: split.requests_per_second, busy: split.busy, least_busy: Math.min(...split.busy),
          one_per_second: one ? one.requests_per_second : null};
}

// What the simulator says of every split on this link, from a profile of nodes like those that run: {id: {latency_ms, nodes}}.
async function predict(name, profile, context) {
  const {started, setting, options, tools, say, progress} = context;
  const predicted = {};
  if (!options.predict || !profile || !offers(tools.disco, 'simulate', '--profile')) return predicted;
  for (const split of splitsOf(started)) {
    const {about, contender} = split;
    progress(`${name}: simulating ${about.label}`);
    try {
      // On the other core, where there is one: nothing else of this run works now.
      const said = await json([tools.disco, 'simulate', ...wordsOf(split, contender.file, context), '--profile', profile, '--json'], {core: setting.cores[0]});
      predicted[about.id] = {latency_ms: said.latency_ms, nodes: said.nodes.map(({compute_ms, pack_ms, wait_ms}) => ({compute_ms, pack_ms, wait_ms}))};
    } catch (error) {
      say(`${name}: ${about.label}: not simulated: ${error.message}`);
    }
  }
  return predicted;
}

// Of what was predicted before the runs and after them: a machine's speed drifts by several per cent within minutes.
function meanOf(before, after) {
  const mean = (one, other) => Object.fromEntries(Object.keys(one).map((key) => [key, (one[key] + other[key]) / 2]));
  return {latency_ms: (before.latency_ms + after.latency_ms) / 2, nodes: before.nodes.map((node, rank) => mean(node, after.nodes[rank]))};
}

// A cluster for the simulator: nodes like this machine's first core, on links like the one that was probed.
function describe(file, nodes, {goodput_mbit: rate, round_trip_us: trip}, coordinator) {
  fs.writeFileSync(file, `${coordinator === 'outside' ? '' : 'coordinator = "node0"\n'}[[node]]
name = "node"
count = ${nodes}
threads = 1
cores = 1
[link]
bandwidth = "${rate.toFixed(1)}Mbit/s"
latency = "${(trip / 2).toFixed(1)}us"
`);
}

// Curves over the number of nodes: [{link, label, points: [{nodes, latency_ms}]}].
async function scaling(recording, {setting, options, tools, say, progress}) {
  const curves = [];
  const cluster = path.join(setting.folder, 'described.toml');
  for (const link of recording.links) {
    if (!link.probe) continue;
    for (const [label, words] of [['dense, fp32', []], ...options.wires.map((wire) => [`keep ${options.keep}, ${wire}`, ['--keep', String(options.keep), '--wire', wire]])]) {
      const curve = {link: link.name, label, points: []};
      for (const nodes of options.scaling) {
        progress(`${link.name}: simulating ${nodes} nodes, ${label}`);
        try {
          describe(cluster, nodes, link.probe, setting.coordinator);
          const said = await json([tools.disco, 'simulate', options.model, '--nodes', String(nodes), '--cluster', cluster, ...words,
                                   ...shapeFlags(options.shapes), '--json'], {core: setting.cores[0]});
          curve.points.push({nodes, latency_ms: said.latency_ms});
        } catch (error) {
          say(`${link.name}: ${nodes} nodes, ${label}: not simulated: ${error.message}`);
          break;
        }
      }
      if (curve.points.length) curves.push(curve);
    }
  }
  return curves;
}

// After the latencies of a link, while it is still as it was.
async function beyondLatency(link, profile, before, context) {
  const {options, tools} = context;
  if (options.concurrency > 0 && offers(tools.disco, 'bench', '--concurrency')) await throughput(link, context);
  for (const [id, after] of Object.entries(await predict(link.name, profile, context))) {
    const result = link.contenders[id];
    if (result && !result.error && before[id]) result.predicted = meanOf(before[id], after);
  }
}
// After all links.
async function beyondNodes(recording, context) {
  const {options, tools} = context;
  if (options.scaling.length && offers(tools.disco, 'simulate', '--cluster')) recording.scaling = await scaling(recording, context);
}

module.exports = {beyondLatency, beyondNodes, meanOf, predict};
