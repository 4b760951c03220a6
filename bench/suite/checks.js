// The figures that this project set itself, against what was seen: [{what, link, limit, seen, verdict, why, disturbed}].
// verdict is 'pass', 'miss', or 'not measured' with the reason; disturbed where contenders had to wait for cores.
'use strict';
const {digits, median} = require('./figures');

const MOST_QUEUED = 0.05;  // of the latency, before figures are called disturbed

function checks(recording, summary) {
  const list = [];
  const {setting} = recording;
  const link = (name) => summary.links.find((one) => one.name === name);
  const row = (name, id) => (link(name) || {rows: []}).rows.find((one) => one.id === id);
  // Artifacts by their wire; where the user named several, each is judged.
  const artifacts = (wire) => recording.contenders.filter((one) => one.kind === 'split' && one.id !== 'dense' && !one.clear && one.wire === wire);
  // Programs of one thread tell whether others got in the way: threads of a node also wait for each other.
  const worst = (one) => one.rows.filter((r) => r.queued !== undefined && (r.kind === 'ort' || r.kind === 'one')).sort((a, b) => b.queued - a.queued)[0];
  const disturbed = (one) => one.steal > MOST_QUEUED || (worst(one) && worst(one).queued > MOST_QUEUED);
  // `on`: the link's name, or null for figures over all links.
  const add = (on, what, sign, limit, seen, why = '') => {
    const measured = seen !== null && seen !== undefined && Number.isFinite(seen);
    list.push({what: on ? `${on}: ${what}` : what, limit: `${sign} ${limit}`, seen: measured ? digits(seen) : '–',
               verdict: !measured ? 'not measured' : (sign === '≤' ? seen <= limit : seen >= limit) ? 'pass' : 'miss',
               why: measured ? '' : why,
               disturbed: measured && summary.links.some((one) => (on === null || one.name === on) && disturbed(one))});
  };
  const missing = (name, ...ids) => {
    if (!link(name)) return `no link ${name} in this run`;
    for (const id of ids) {
      const one = row(name, id);
      if (!one) return `${id} was not in this run`;
      if (one.error) return `${id}: ${one.error}`;
    }
    return 'no runs of the same round';
  };
  const nodes = setting.nodes;

  const single = summary.links.map((one) => one.rows.find((r) => r.id === 'one')).filter((r) => r && r.of_ort).map((r) => r.of_ort.median);
  add(null, 'DISCO, one node: time of ONNX Runtime\'s', '≤', 1.0, single.length ? median(single) : null, 'needs ONNX Runtime and one node in one run');

  const against = (name, wire, limit) => {
    for (const artifact of artifacts(wire)) {
      const seen = row(name, artifact.id);
      add(name, `${artifact.label}: time of ONNX Runtime's`, '≤', limit, seen && seen.of_ort && seen.of_ort.median, missing(name, 'ort', artifact.id));
    }
  };
  against('1gbit', 'u8', 0.45);
  against('unshaped', 'u8', 0.38);
  for (const [wire, limit] of [['fp32', 4.7], ['u8', 12]]) {
    for (const artifact of artifacts(wire)) {
      const seen = row('100mbit', artifact.id);
      add('100mbit', `${artifact.label}: times faster than the dense exchange`, '≥', limit, seen && seen.of_dense && 1 / seen.of_dense.median,
          missing('100mbit', 'dense', artifact.id));
    }
  }
  for (const one of summary.links) {
    for (const r of one.rows) {
      if (r.bound && !r.of_clear) add(one.name, `${r.label}: latency of max(compute, wire)`, '≤', r.bound.limit, r.bound.ratio);
    }
  }
  for (const contender of recording.contenders.filter((c) => c.kind === 'pytorch' && c.world > 1)) {
    const free = summary.links.some((one) => one.name === 'unshaped') ? 'unshaped' : 'loopback';
    const [theirs, ours] = [row(free, contender.id), row(free, 'dense')];
    const seen = theirs && ours && theirs.latency_ms && ours.latency_ms ? theirs.latency_ms.median / ours.latency_ms.median : null;
    add(free, `dense exchange: times faster than ${contender.label}`, '≥', 3, seen, missing(free, 'dense', contender.id));
  }
  for (const one of summary.links.filter((l) => l.name === '1gbit')) {
    for (const r of one.rows) {
      if (r.throughput) add('1gbit', `${r.label}, ${r.throughput.concurrency} in flight: share of time that the less busy node's kernels run`, '≥', 0.9, r.throughput.least_busy);
    }
  }
  const predicted = summary.links.flatMap((one) => one.rows.filter((r) => r.predicted).map((r) => Math.abs(r.predicted.error)));
  if (predicted.length) add(null, `simulator: worst error over ${predicted.length} settings`, '≤', 0.1, Math.max(...predicted));

  const notes = [];
  if (setting.model !== 'resnet50' || setting.batch !== 1 || nodes !== 2)
    notes.push('The limits were set for ResNet-50 at 224 pixels, batch 1, on two nodes; this run is another.');
  if (!setting.isolated) notes.push('Plain loopback: no link was shaped, and nothing is said about slow networks.');
  if (setting.shared_cores) notes.push(`${nodes} nodes shared ${setting.physical_cores} physical cores: what splitting gains cannot be seen; the bytes and messages can.`);
  for (const one of summary.links) {
    const most = worst(one);
    if (most && most.queued > MOST_QUEUED)
      notes.push(`${one.name}: ${most.label} waited ${digits(most.queued * 100)} % of its time for a core that other programs had: figures are rough.`);
    if (one.others > 0.1)
      notes.push(`${one.name}: other programs used ${digits(one.others * 100)} % of the cores' time${setting.priority ? ', behind what was measured; they still share caches and memory' : ''}.`);
    if (one.steal > MOST_QUEUED) notes.push(`${one.name}: the host took away ${digits(one.steal * 100)} % of the cores' time: figures are rough.`);
  }
  return {list, notes};
}

module.exports = {checks};
