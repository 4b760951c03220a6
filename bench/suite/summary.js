// From raw samples to what the report shows. Pure: the same recording gives the same summary on any machine.
'use strict';
const {median, spread} = require('./figures');

// Ratios of two contenders' samples of the same round, so that slow spells of the machine cancel out.
function paired(samples, base) {
  if (!base) return null;
  const byRound = new Map(base.samples.map((sample) => [sample.round, sample.ms]));
  return spread(samples.filter((sample) => byRound.has(sample.round)).map((sample) => sample.ms / byRound.get(sample.round)));
}

const fieldOf = (samples, rank, field) => {
  const values = samples.map((sample) => sample.nodes[rank][field]).filter((value) => value !== undefined && value !== null);
  return values.length ? median(values) : null;
};

// The nodes of a contender: medians over its samples.
function nodesOf(result) {
  const {samples, cpu_s: cpu, roles, memory} = result;
  const ranks = samples.length && samples[0].nodes ? samples[0].nodes.length : 1;
  return Array.from({length: ranks}, (_, rank) => {
    const at = roles.findIndex((role) => role === rank || (ranks === 1 && role === 'process'));
    const node = samples.length && samples[0].nodes
        ? Object.fromEntries(['compute_ms', 'pack_ms', 'wait_ms', 'bytes_sent', 'bytes_received', 'messages', 'peak_rss_bytes'].map((field) => [field, fieldOf(samples, rank, field)]))
        : {compute_ms: median(samples.map((sample) => sample.ms)), bytes_sent: 0, messages: 0};
    return {...node, cpu_ms: cpu[at] === undefined ? null : cpu[at] * 1e3,
            peak_rss_bytes: node.peak_rss_bytes || (memory[at] ? memory[at].peak : null)};
  });
}

// What physics leaves: the busier node's work and the busier link's bytes, and how far the measured latency is from the larger.
// Also each node's wire_ms, at the probed rate.
function bound(row, link, setting) {
  const goodput = link.probe && link.probe.goodput_mbit * 1e6;
  if (!goodput || row.nodes.length < 2 || row.nodes.some((node) => node.compute_ms === null)) return null;
  // Beside the exchanges the input has to reach every node: over rank 0's link where the coordinator is there, and over
  // each node's own. PyTorch's rank 0 has counted what it broadcasts.
  const outside = setting.coordinator === 'outside';
  const input = row.kind === 'pytorch' ? 0 : setting.input_bytes;
  row.nodes.forEach((node, rank) => {
    const out = node.bytes_sent + (rank === 0 && !outside ? input * (row.nodes.length - 1) : 0);
    const into = (node.bytes_received || 0) + (rank > 0 || outside ? input : 0);
    node.wire_ms = Math.max(out, into) * 8e3 / goodput;
  });
  const wire = Math.max(...row.nodes.map((node) => node.wire_ms));
  const compute = Math.max(...row.nodes.map((node) => node.compute_ms));
  const larger = Math.max(compute, wire);
  const near = larger / Math.max(Math.min(compute, wire), 1e-9) < 2;
  return {compute_ms: compute, wire_ms: wire, ratio: row.latency_ms.median / larger, limit: near ? 1.15 : 1.1};
}

// recording: {setting, contenders: [{id, label, kind, …}], links: [{name, probe, contenders: {id: result}, …}]}.
function summarise(recording) {
  const links = recording.links.map((link) => {
    const ort = link.contenders.ort;
    const dense = link.contenders.dense;
    const rows = recording.contenders.map((contender) => {
      const result = link.contenders[contender.id];
      if (!result) return null;
      const row = {id: contender.id, label: contender.label, kind: contender.kind, error: result.error};
      if (result.error || result.samples.length === 0) return {...row, error: result.error || 'no samples'};
      row.latency_ms = spread(result.samples.map((sample) => sample.ms));
      row.of_ort = paired(result.samples, ort && !ort.error ? ort : null);
      row.of_dense = paired(result.samples, dense && !dense.error ? dense : null);
      if (contender.clear) row.of_clear = paired(result.samples, link.contenders[contender.clear]);
      row.nodes = nodesOf(result);
      // What a process waited for a core, of the latency. Where one thread does all, somebody else had it.
      row.queued = Math.max(...result.queued_s) * 1e3 / row.latency_ms.median;
      const coordinator = result.roles.indexOf('coordinator');
      row.coordinator_cpu_ms = coordinator < 0 ? null : result.cpu_s[coordinator] * 1e3;
      const limits = bound(row, link, recording.setting);
      if (contender.kind === 'split') row.bound = limits;
      if (link.tuned && link.tuned[contender.id]) row.tuned = link.tuned[contender.id];
      if (result.throughput) row.throughput = result.throughput;
      if (result.predicted) row.predicted = {...result.predicted, error: result.predicted.latency_ms / row.latency_ms.median - 1};
      return row;
    });
    return {name: link.name, probe: link.probe, others: link.others, steal: link.steal, rows: rows.filter(Boolean)};
  });
  return {links, scaling: recording.scaling || []};
}

module.exports = {summarise, paired};
