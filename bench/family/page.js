// The five-family page: one file that needs nothing else.
'use strict';
const {escape} = require('../suite/charts');
const {bytes, digits} = require('../suite/figures');
const {STYLE, table, cells} = require('../suite/style');

const COLOURS = {'disco': '#1f6f54', 'split-then-aggregate': '#6c8ebf', 'dense-then-split': '#c2703d', 'independent': '#8a8f98'};
const NAMES = {top1: 'top-1', mAP_voc: 'mAP', mAP_voc07: 'mAP (VOC07)', mAP_coco: 'mAP (COCO)', mIoU: 'mIoU', psnr: 'PSNR', agreement: 'agreement'};

const isDecibel = (metric) => metric === 'psnr';
const shown = (metric, value) => (isDecibel(metric) ? value : 100 * value);
const figure = (metric, value) => (value === undefined ? '–' : `${shown(metric, value).toFixed(2)} ${isDecibel(metric) ? 'dB' : '%'}`);
const shareOf = ({bytes_per_inference: sent, dense_bytes_per_inference: dense}) => (dense > 0 ? sent / dense : 1);
const busiest = (cost, field) => Math.max(...cost.nodes.map((node) => node[field])) / cost.unsplit[field];

// Quality against the share of the dense exchange's bytes: dots as sparsified, rings after training.
function curve(family) {
  const rows = family.rows.filter((row) => row.figures);
  if (rows.length === 0) return '';
  const {metric, dense_value: dense} = rows[0].figures;
  const values = [...rows.map((row) => shown(metric, row.figures.value)), shown(metric, dense)];
  const WIDTH = 860;
  const HEIGHT = 300;
  const span = Math.max(Math.max(...values) - Math.min(...values), isDecibel(metric) ? 0.2 : 2);
  const low = Math.min(...values) - span * 0.08;
  const high = Math.max(...values) + span * 0.08;
  const y = (value) => 14 + (high - value) / (high - low) * (HEIGHT - 60);
  const x = (share) => 60 + (share < 0.04 ? 0 : 60 + Math.log(share / 0.04) / Math.log(1 / 0.04) * (WIDTH - 150));
  let body = '';
  const step = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((one) => (high - low) / one <= 6) || 50;
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    body += `<line x1="50" x2="${WIDTH - 20}" y1="${y(value)}" y2="${y(value)}" stroke="#eceae2"/><text class="tick" x="44" y="${y(value) + 4}" text-anchor="end">${digits(value)}</text>`;
  }
  for (const share of [0, 0.05, 0.1, 0.2, 0.5, 1]) body += `<text class="tick" x="${x(share)}" y="${HEIGHT - 26}" text-anchor="middle">${share || '≈ 0'}</text>`;
  body += `<text class="tick" x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">bytes between nodes, share of the dense exchange</text>`;
  body += `<line x1="50" x2="${WIDTH - 20}" y1="${y(shown(metric, dense))}" y2="${y(shown(metric, dense))}" stroke="#333" stroke-dasharray="4 3"/><text x="${WIDTH - 24}" y="${y(shown(metric, dense)) - 5}" text-anchor="end">dense ${figure(metric, dense)}</text>`;
  for (const [method, colour] of Object.entries(COLOURS)) {
    for (const tuned of [false, true]) {
      const points = rows.filter((row) => row.method === method && row.tuned === tuned).map((row) => ({row, at: [x(shareOf(row.figures)), y(shown(metric, row.figures.value))]}));
      points.sort((a, b) => a.at[0] - b.at[0]);
      if (points.length > 1) body += `<path d="M${points.map(({at}) => at.map((v) => v.toFixed(1)).join(' ')).join('L')}" fill="none" stroke="${colour}" stroke-width="2"${tuned ? '' : ' stroke-dasharray="2 3"'}/>`;
      for (const {row, at} of points) {
        body += `<circle cx="${at[0].toFixed(1)}" cy="${at[1].toFixed(1)}" r="5" fill="${tuned ? colour : '#fff'}" stroke="${colour}" stroke-width="2"><title>${escape(`${row.name}: ${figure(metric, row.figures.value)}, ${shareOf(row.figures).toFixed(4)} of the bytes`)}</title></circle>`;
      }
    }
  }
  const legend = Object.entries(COLOURS).filter(([method]) => rows.some((row) => row.method === method)).map(([method, colour]) => `<span style="color:${colour}">● ${method}</span>`).join(' &nbsp; ');
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(`${NAMES[metric] || metric} against bytes`)}">${body}</svg><p class="quiet">${escape(NAMES[metric] || metric)}. ${legend} &nbsp; filled: trained on from the dense model's answers; hollow: as sparsified</p>`;
}

function latencyOf(family, row, link) {
  const found = family.latency && family.latency.links.find((one) => one.name === link);
  return found && found.rows.find((one) => !one.error && (typeof row === 'string' ? one.id === row : one.id === row.name || one.label === row.name));
}

function section(family) {
  const rows = family.rows.filter((row) => row.figures);
  const links = family.latency ? family.latency.links.map((link) => link.name) : [];
  const failed = family.failed.map((one) => `<p class="miss">${escape(`${one.name}: ${one.error}`)}</p>`).join('');
  const about = `<p>${escape(family.zoo ? `disco zoo ${family.zoo}, trained here from drawn weights` : `${family.model}, as it was found`)}; trained on ${escape(family.data.train)}, measured on ${escape(family.data.test)}${family.data.real ? '' : ' (rendered pictures, not photographs)'}.</p>`;
  if (rows.length === 0) return `<h2>${escape(family.title)}</h2>${about}${failed}<p class="none">nothing was measured yet</p>`;
  const {metric, dense_value: dense, dense_bytes_per_inference: denseBytes} = rows[0].figures;
  const ms = (name) => links.map((link) => { const found = latencyOf(family, name, link); return found ? digits(found.latency_ms.median) : '–'; });
  const lines = [];
  if (links.length) lines.push(cells(['the whole model on one node', figure(metric, dense), '', '0', '0', '1', '1', '1', ...ms('one')]));
  lines.push(cells(['dense', figure(metric, dense), '', bytes(denseBytes), '1', '', '', '', ...ms('dense')]));
  for (const row of rows) {
    const below = shown(metric, dense) - shown(metric, row.figures.value);
    lines.push(cells([escape(`${row.method}${row.method === 'independent' ? '' : ` ${row.keep}`}${row.tuned ? ', trained' : ''}`), figure(metric, row.figures.value), `${below >= 0 ? '−' : '+'}${Math.abs(below).toFixed(2)}`,
                      bytes(row.figures.bytes_per_inference), shareOf(row.figures).toFixed(3), busiest(row.cost, 'macs').toFixed(3), busiest(row.cost, 'weight_bytes').toFixed(3),
                      busiest(row.cost, 'peak_activation_bytes').toFixed(3), ...ms(row)]));
  }
  return `<h2>${escape(family.title)}</h2>${about}${curve(family)}${table(['', NAMES[metric] || metric, 'from dense', 'bytes', 'of dense', 'MACs', 'weights', 'live memory', ...links.map((link) => `ms, ${link}`)], lines)}${failed}`;
}

function toHtml(report) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Five families</title><style>${STYLE}</style>
<h1>Five families on ${report.nodes} nodes</h1>
<p class="quiet">${escape(report.date.slice(0, 16).replace('T', ' '))} UTC. Every answer came from nodes that exchanged features for it; bytes were counted where they were sent. MACs, weights and live memory: the busier node's, of the
whole model's. Latency: medians of interleaved runs over emulated links, one core a node.</p>
${report.families.map(section).join('')}
<h2>How to make it again</h2><p><code>${escape(report.command)}</code></p></html>
`;
}

// The same as lines of text.
function toText(report) {
  const lines = [];
  for (const family of report.families) {
    lines.push('', family.title);
    for (const row of family.rows.filter((one) => one.figures)) {
      const {metric, value, dense_value: dense} = row.figures;
      lines.push(`  ${row.name.padEnd(34)} ${(NAMES[metric] || metric).padEnd(6)} ${figure(metric, value).padStart(9)}  dense ${figure(metric, dense)}  bytes ${shareOf(row.figures).toFixed(4)}`);
    }
    for (const one of family.failed) lines.push(`  ${one.name}: ${one.error.split('\n')[0]}`);
  }
  return lines.join('\n');
}

module.exports = {toHtml, toText};
