// The page: one file that needs nothing else.
'use strict';
const {latencyBars, nodeBars, scalingCurves, escape} = require('./charts');
const {bytes, digits} = require('./figures');
const {STYLE, table, cells} = require('./style');

const range = (of) => `<span class="none">${digits(of.q1)}–${digits(of.q3)}</span>`;
const ratio = (of) => (of ? `${digits(of.median)} ${range(of)}` : '–');
const percent = (share) => `${share >= 0 ? '+' : '−'}${digits(Math.abs(share) * 100)} %`;

// What a reader asks first: for every link the fastest split run beside ONNX Runtime.
function answers(summary) {
  return summary.links.map((link) => {
    const splits = link.rows.filter((row) => row.kind === 'split' && row.of_ort && !row.of_clear);
    if (splits.length === 0) return '';
    const best = splits.reduce((a, b) => (b.of_ort.median < a.of_ort.median ? b : a));
    const times = 1 / best.of_ort.median;
    const verdict = times >= 1 ? `${digits(times)}× faster` : `${digits(1 / times)}× slower`;
    return `<div class="answer"><span>${escape(link.name)}</span><b>${verdict}</b><span>than ONNX Runtime on one core: ${escape(best.label)}, ${digits(best.latency_ms.median)} ms</span></div>`;
  }).join('');
}

// How `disco tune` had each split run on this link.
function tunedNote(link) {
  const said = link.rows.filter((row) => row.tuned).map((row) => {
    const {bands, in_two_parts: parts, layers} = row.tuned;
    return `${escape(row.label)}: ${bands > 1 ? `in ${bands} bands` : 'whole'}, ${parts} of ${layers} layers in two parts`;
  });
  return said.length ? `<p class="quiet">Tuned for this link by <code>disco tune</code>, feature maps travel: ${said.join('; ')}.</p>` : '';
}

function linkSection(link, setting) {
  const seen = link.probe
      ? `The link carried ${digits(link.probe.goodput_mbit)} Mbit/s of payload over one TCP connection, each way at once; 64 bytes took ${digits(link.probe.round_trip_us)} µs there and back.`
      : 'The link was not probed.';
  const latency = link.rows.map((row) => {
    if (row.error) return `<tr><td>${escape(row.label)}</td><td class="wide" colspan="7">${escape(row.error)}</td></tr>`;
    const bound = row.bound ? `${digits(row.bound.ratio)} <span class="none">of max(${digits(row.bound.compute_ms)}, ${digits(row.bound.wire_ms)})</span>` : '';
    return cells([escape(row.label), digits(row.latency_ms.median), range(row.latency_ms), row.latency_ms.n, ratio(row.of_ort), ratio(row.of_dense), bound]);
      });
  const head = ['latency, ms', 'median', 'quartiles', 'runs', 'of ONNX Runtime', 'of dense', 'of max(compute, wire)'];
  const nodes = link.rows.filter((row) => !row.error).flatMap((row) => [
    ...row.nodes.map((node, rank) => cells([
      escape(row.nodes.length > 1 ? `${row.label}: node ${rank}` : row.label), digits(node.compute_ms), digits(node.pack_ms), digits(node.wait_ms), digits(node.wire_ms),
      node.bytes_sent ? bytes(node.bytes_sent) : '–', node.messages || '–', digits(node.cpu_ms), bytes(node.peak_rss_bytes)])),
    ...(row.coordinator_cpu_ms === null ? [] : [cells([escape(`${row.label}: coordinator`), '–', '–', '–', '–', '–', '–', digits(row.coordinator_cpu_ms), '–'])])]);
  return `<h2>${escape(link.name)}</h2><p>${seen}</p>${latencyBars(link)}
<p class="quiet">Bars: medians, with quartiles. In brackets: the median of the ratios to ONNX Runtime's run of the same round (dashed line).</p>
${table(head, latency)}${tunedNote(link)}<h3>Where the nodes' time went</h3>${nodeBars(link)}
${table(['medians of a run', 'compute, ms', 'pack, ms', 'wait, ms', 'wire, ms', 'sent', 'messages', 'CPU, ms', 'peak memory'], nodes)}`;
}

function flightSection(summary, setting) {
  const rows = summary.links.flatMap((link) => link.rows.filter((row) => row.throughput).map((row) => {
    const {per_second: rate, busy, one_per_second: one} = row.throughput;
    return cells([escape(row.label), escape(link.name), digits(rate * setting.batch), digits(1e3 / row.latency_ms.median * setting.batch),
                  one ? digits(rate / one) : '–', busy.map((share) => `${Math.round(share * 100)} %`).join(', ')]);
  }));
  if (rows.length === 0) return '';
  const {concurrency} = summary.links.flatMap((link) => link.rows).find((row) => row.throughput).throughput;
  return `<h2>${concurrency} requests in flight</h2><p>Answers a second while a node computes for one request as another waits for the network.</p>
${table(['', 'link', `a second, ${concurrency} in flight`, 'a second, one after the other', 'of one node\'s', 'kernels busy, by node'], rows)}`;
}

function encryptedSection(summary) {
  const rows = summary.links.flatMap((link) => link.rows.filter((row) => row.of_clear).map((row) => cells([
    escape(row.label), escape(link.name), digits(row.latency_ms.median), ratio(row.of_clear), row.nodes.map((node) => digits(node.cpu_ms)).join(', ')])));
  return rows.length ? `<h2>Encryption</h2><p>The same artifacts with every connection encrypted (CURVE), beside the same in the clear.</p>
${table(['', 'link', 'latency, ms', 'of the clear run', 'CPU by node, ms'], rows)}` : '';
}

function predictedSection(summary) {
  const rows = summary.links.flatMap((link) => link.rows.filter((row) => row.predicted).map((row) => cells([
    escape(row.label), escape(link.name), digits(row.predicted.latency_ms), digits(row.latency_ms.median), percent(row.predicted.error)])));
  return rows.length ? `<h2>Predicted and measured</h2><p>What <code>disco simulate</code> says of the same artifacts, from a profile of these nodes and links: the mean of before and after the runs.</p>
${table(['', 'link', 'predicted, ms', 'measured, ms', 'error'], rows)}` : '';
}

function scalingSection(summary) {
  if (summary.scaling.length === 0) return '';
  const charts = [...new Set(summary.scaling.map((curve) => curve.link))].map((name) => {
    const curves = summary.scaling.filter((curve) => curve.link === name);
    const link = summary.links.find((one) => one.name === name);
    const ort = link && link.rows.find((row) => row.kind === 'ort' && !row.error);
    return `<h3>${escape(name)}</h3>${scalingCurves(curves, ort && ort.latency_ms.median, `simulated latency over the number of nodes on ${name}`)}
${table(['simulated latency, ms', ...curves[0].points.map((point) => `${point.nodes} nodes`)],
      curves.map((curve) => cells([escape(curve.label), ...curve.points.map((point) => digits(point.latency_ms))])))}`;
  });
  return `<h2>More nodes: simulated, not measured</h2><p>What <code>disco simulate</code> says of so many nodes like this machine's first core, on links like those that were probed.
The grey line is ONNX Runtime on one core, as measured.</p>${charts.join('')}`;
}

function toHtml(recording, summary, judged) {
  const {setting} = recording;
  const {machine} = setting;
  const passed = judged.list.filter((check) => check.verdict === 'pass').length;
  const missed = judged.list.filter((check) => check.verdict === 'miss').length;
  const where = setting.isolated
      ? `Each node is a network namespace of one machine with a link of its own and one core (${setting.cores.join(', ')}); the links are shaped by tbf.`
      : 'Nodes are processes on plain loopback, one core each; no link was shaped.';
  const coordinator = setting.coordinator === 'outside'
      ? 'The coordinator is a machine of its own beside the nodes; its link is not shaped, theirs still carry the input to them.'
      : 'The coordinator runs on node 0 and its core, so that node 0\'s link also carries the input to the others.';
  const artifacts = recording.contenders.filter((one) => one.counted).map((one) => cells([
    escape(one.label), escape(one.method || 'everything'), ...['macs', 'weight_bytes'].map((field) => one.counted.totals.map((node) => digits(node[field] / one.counted.unsplit[field])).join(', ')),
    one.counted.totals.map((node) => bytes(node.bytes_sent)).join(', '), one.counted.totals.map((node) => node.messages_sent).join(', ')]));
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escape(setting.model)} on ${setting.nodes} nodes</title><style>${STYLE}</style>
<h1>${escape(setting.model)} on ${setting.nodes} nodes</h1>
<p class="quiet">${escape(Object.values(setting.shapes).map((dims) => dims.join(' × ')).join('; '))}${setting.batch > 1 ? `, times are of a batch of ${setting.batch}` : ''}, one thread a node, ${escape(recording.date.slice(0, 16).replace('T', ' '))} UTC, ${escape(machine.cpu)}</p>
<div class="answers">${answers(summary)}<div class="answer"><span>limits set for this project</span><b>${passed} of ${passed + missed} hold</b><span>${passed + missed === judged.list.length ? 'all were measured' : `${judged.list.length - passed - missed} more were not measured`}</span></div></div>
${judged.notes.length ? `<div class="note">${judged.notes.map(escape).join('<br>')}</div>` : ''}
${summary.links.map((link) => linkSection(link, setting)).join('')}
${flightSection(summary, setting)}${encryptedSection(summary)}${predictedSection(summary)}${scalingSection(summary)}
<h2>Limits</h2>${table(['', 'limit', 'seen', 'verdict'], judged.list.map((check) => `<tr><td class="wide">${escape(check.what)}</td><td>${escape(check.limit)}</td><td>${check.seen}</td><td class="${check.verdict === 'not measured' ? 'none wide' : check.verdict}">${escape(check.verdict)}${check.disturbed ? ' (disturbed)' : ''}${check.why ? `: ${escape(check.why)}` : ''}</td></tr>`))}
<h2>How this was measured</h2>
<p>${where} ${coordinator} Latency is what the caller waits: input out, all exchanges, output back. ONNX Runtime and “one node” have their input in the process; PyTorch's rank 0 has it and broadcasts it.</p>
<p>Runs alternate: every contender once, then all again, up to ${setting.runs} rounds after ${setting.warmup} to warm up; slow ones take part in fewer rounds, spread evenly, within ${digits(setting.seconds)} s a link.
Ratios are medians over rounds of the ratio within one round, so that a slow spell of the machine touches both sides.${setting.priority ? ' All contenders ran at the highest priority, ahead of other programs.' : ''}</p>
<p>Compute is time in kernels, pack in gathering, converting and copying features, wait asleep for messages; of PyTorch, wait is all time inside collectives. CPU is time on a core of all threads of that process, transport included.
Peak memory is of the whole process, since it was given its part; of all others since it started, with Node.js and Python. Wire is not measured but follows: the bytes that a node's link carries in its busier direction, at the probed rate.</p>
${artifacts.length ? `<h3>Artifacts, by node</h3>${table(['', 'keeps', 'MACs of the model', 'weights of the model', 'sends a run', 'messages'], artifacts)}` : ''}
${recording.left_out.length ? `<h3>Left out</h3>${table(['', 'why'], recording.left_out.map((one) => `<tr><td>${escape(one.label)}</td><td class="wide">${escape(one.error)}</td></tr>`))}` : ''}
<h3>Machine and versions</h3>${table(['', ''], [
    ['machine', `${machine.cpu} (${machine.vector}), ${machine.cores} cores, ${bytes(machine.memory_bytes)}${machine.virtual ? ', virtual' : ''}`],
    ['system', `${machine.system}, ${machine.kernel}`], ['load before', machine.load.map(digits).join(', ')],
    ['other programs\' share of the cores', summary.links.map((link) => `${link.name} ${digits(link.others * 100)} %`).join(', ')],
    ...Object.entries(setting.versions).filter(([, version]) => version), ['command', recording.command],
  ].map(([name, value]) => `<tr><td>${escape(name)}</td><td class="wide">${escape(value)}</td></tr>`))}
</html>
`;
}

module.exports = {toHtml};
