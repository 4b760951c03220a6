// Charts as inline SVG.
'use strict';
const {digits} = require('./figures');

const COLOURS = {ort: '#8a8f98', one: '#6c8ebf', split: '#1f6f54', pytorch: '#c2703d'};
const PARTS = [['compute_ms', 'compute', '#1f6f54'], ['pack_ms', 'pack', '#7fb069'], ['wait_ms', 'wait', '#e3e0d3']];
const WIDTH = 860;
const LABEL = 330;

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => ({'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'})[c]);
const text = (x, y, what, extra = '') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${extra}>${escape(what)}</text>`;
const rect = (x, y, w, h, fill, title = '') =>
    `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${Math.max(w, 0.5).toFixed(1)}" height="${h}" fill="${fill}">${title ? `<title>${escape(title)}</title>` : ''}</rect>`;
const line = (x1, y1, x2, y2, extra = 'stroke="#333"') => `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${extra}/>`;
const svg = (height, body, label, width = WIDTH) => `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(label)}">${body}</svg>`;

// Round steps for an axis from 0 to `most`: at most six.
function steps(most) {
  const raw = most / 5;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= raw);
  return Array.from({length: Math.floor(most / step) + 1}, (_, i) => i * step);
}

// Latency of every contender, quartiles as whiskers; the line is ONNX Runtime's median.
function latencyBars(link) {
  const rows = link.rows.filter((row) => !row.error);
  // What is far longer than most would press the others together: its bar is cut, its figure is not.
  const medians = rows.map((row) => row.latency_ms.median).sort((a, b) => a - b);
  const ort = rows.find((row) => row.kind === 'ort');
  const usual = Math.max(ort ? ort.latency_ms.median * 2.5 : 0, medians[Math.floor(medians.length / 2)] * 1.6);
  const most = Math.min(Math.max(...rows.map((row) => row.latency_ms.q3)) * 1.02, usual);
  const x = (ms) => LABEL + Math.min(ms, most) / most * (WIDTH - LABEL - 90);
  const STEP = 27;
  const height = rows.length * STEP + 28;
  let body = '';
  for (const tick of steps(most)) {
    body += line(x(tick), 4, x(tick), height - 22, 'stroke="#eceae2"') + text(x(tick), height - 6, `${digits(tick)}${tick === 0 ? ' ms' : ''}`, 'class="tick" text-anchor="middle"');
  }
  let labels = '';
  rows.forEach((row, i) => {
    const y = 6 + i * STEP;
    const {median, q1, q3} = row.latency_ms;
    const cut = median > most;
    body += text(LABEL - 8, y + 14, row.label, 'text-anchor="end"') +
            rect(LABEL, y, x(median) - LABEL, 19, row.of_clear ? '#6fa08c' : COLOURS[row.kind], `${row.label}: median ${digits(median)} ms, quartiles ${digits(q1)} and ${digits(q3)}`);
    if (!cut) body += line(x(q1), y + 9.5, x(q3), y + 9.5) + line(x(q1), y + 5, x(q1), y + 14) + line(x(q3), y + 5, x(q3), y + 14);
    else body += `<path d="M${x(most) - 14} ${y - 1} l6 10 l-6 11 h5 l6 -11 l-6 -10 z" fill="#fff"/>`;
    labels += text(Math.max(x(median), cut ? 0 : x(q3)) + 6, y + 14, `${digits(median)}${row.of_ort && row.kind !== 'ort' ? `  (${digits(row.of_ort.median)}×)` : ''}`, 'class="value"');
  });
  if (ort) body += line(x(ort.latency_ms.median), 2, x(ort.latency_ms.median), height - 22, 'stroke="#8a8f98" stroke-dasharray="3 3"');
  return svg(height, body + labels, `latency on ${link.name}`);
}

// Where each node's time went.
function nodeBars(link) {
  const rows = link.rows.filter((row) => !row.error && row.nodes.length > 1 && !row.of_clear);
  if (rows.length === 0) return '';
  const STEP = 20;
  const total = (node) => PARTS.reduce((sum, [field]) => sum + (node[field] || 0), 0);
  const totals = rows.flatMap((row) => row.nodes.map(total)).sort((a, b) => a - b);
  const most = Math.min(totals[totals.length - 1], totals[Math.floor(totals.length / 2)] * 2.5);
  const x = (ms) => LABEL + Math.min(ms, most) / most * (WIDTH - LABEL - 90);
  let y = 24;
  let body = PARTS.map(([, name, colour], i) => rect(LABEL + i * 90, 2, 12, 12, colour) + text(LABEL + i * 90 + 17, 12, name)).join('');
  for (const row of rows) {
    row.nodes.forEach((node, rank) => {
      let at = 0;
      if (rank === 0) body += text(LABEL - 62, y + 12, row.label, 'text-anchor="end"');
      body += text(LABEL - 8, y + 12, `node ${rank}`, 'class="tick" text-anchor="end"');
      for (const [field, name, colour] of PARTS) {
        const ms = node[field] || 0;
        body += rect(x(at), y, x(at + ms) - x(at), 15, colour, `${row.label}, node ${rank}: ${name} ${digits(ms)} ms`);
        at += ms;
      }
      body += text(x(at) + 6, y + 12, `${digits(at)}${at > most ? ' …' : ''}`, 'class="value"');
      y += STEP;
    });
    y += 8;
  }
  return svg(y, body, `time of the nodes on ${link.name}`);
}

// Curves over the number of nodes: [{label, points: [{nodes, latency_ms}]}], with a line at `base` ms. Both axes are
// logarithmic: twice the nodes is one step, twice the time another.
function scalingCurves(curves, base, what) {
  const height = 250;
  const right = WIDTH - 210;
  const nodes = [...new Set(curves.flatMap((curve) => curve.points.map((point) => point.nodes)))].sort((a, b) => a - b);
  const times = [...curves.flatMap((curve) => curve.points.map((point) => point.latency_ms)), ...(base ? [base] : [])];
  const [low, high] = [Math.min(...times) / 1.2, Math.max(...times) * 1.2];
  const along = (value, from, to) => (Math.log(value) - Math.log(from)) / Math.max(Math.log(to) - Math.log(from), 1e-9);
  const x = (n) => 60 + (nodes.length > 1 ? along(n, nodes[0], nodes[nodes.length - 1]) : 0.5) * (right - 60);
  const y = (ms) => height - 30 - along(ms, low, high) * (height - 44);
  const palette = ['#1f6f54', '#c2703d', '#6c8ebf', '#8e5ea2', '#b0a030', '#555'];
  let body = text(6, 14, 'ms', 'class="tick"');
  for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10) {
    for (const tick of [decade, 2 * decade, 5 * decade]) {
      if (tick < low || tick > high) continue;
      body += line(60, y(tick), right, y(tick), 'stroke="#eceae2"') + text(54, y(tick) + 4, digits(tick), 'class="tick" text-anchor="end"');
    }
  }
  for (const n of nodes) body += text(x(n), height - 10, `${n} nodes`, 'class="tick" text-anchor="middle"');
  if (base) body += line(60, y(base), right, y(base), 'stroke="#8a8f98" stroke-dasharray="4 3"') + text(right + 8, y(base) + 4, 'ONNX Runtime, one core', 'class="tick"');
  curves.forEach((curve, i) => {
    const colour = palette[i % palette.length];
    const points = curve.points.map((point) => ({...point, x: x(point.nodes).toFixed(1), y: y(point.latency_ms).toFixed(1)}));
    body += `<polyline points="${points.map((point) => `${point.x},${point.y}`).join(' ')}" fill="none" stroke="${colour}" stroke-width="2" stroke-dasharray="7 4"/>`;
    body += points.map((point) => `<circle cx="${point.x}" cy="${point.y}" r="3.5" fill="#fff" stroke="${colour}" stroke-width="2"><title>${escape(curve.label)}, ${point.nodes} nodes: ${digits(point.latency_ms)} ms, simulated</title></circle>`).join('');
    const last = curve.points[curve.points.length - 1];
    // At the end of its curve, but for one that ends where the base line has its name.
    body += text(right + 8, y(last.latency_ms) + (base && Math.abs(y(base) - y(last.latency_ms)) < 13 ? 17 : 4), curve.label, `style="fill:${colour}"`);
  });
  return svg(height, body, what);
}

module.exports = {latencyBars, nodeBars, scalingCurves, escape};
