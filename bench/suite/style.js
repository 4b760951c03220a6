// What pages of benchmarks share.
'use strict';
const {escape} = require('./charts');

const STYLE = `
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fbfaf6; margin: 0 auto; padding: 28px 24px 60px; max-width: 1160px; }
h1 { font-size: 25px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 38px 0 6px; border-top: 1px solid #ddd9cb; padding-top: 22px; } h3 { font-size: 15px; margin: 20px 0 4px; }
p { margin: 6px 0; max-width: 78ch; } .quiet { color: #666; font-size: 13.5px; }
.answers { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0; }
.answer { background: #fff; border: 1px solid #e4e0d2; border-radius: 8px; padding: 10px 16px; flex: 1 1 190px; }
.answer b { display: block; font-size: 26px; font-weight: 650; } .answer span { color: #666; font-size: 13.5px; }
svg { width: 100%; height: auto; display: block; background: #fff; border: 1px solid #e4e0d2; border-radius: 8px; padding: 10px; box-sizing: border-box; margin: 8px 0; }
svg text { font: 12.5px system-ui, sans-serif; fill: #222; } svg .tick { fill: #777; font-size: 11px; } svg .value { font-variant-numeric: tabular-nums; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; background: #fff; font-size: 13.5px; width: 100%; font-variant-numeric: tabular-nums; margin: 8px 0; }
th, td { text-align: right; padding: 4px 7px; border-bottom: 1px solid #eceae2; white-space: nowrap; } th { color: #555; font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; } td.wide { white-space: normal; text-align: left; } tr.node td { color: #666; font-size: 12.5px; }
.pass { color: #1f6f54; font-weight: 600; } .miss { color: #b3261e; font-weight: 600; } .none { color: #777; }
.note { background: #fdf3d8; border: 1px solid #ecd9a0; border-radius: 8px; padding: 8px 14px; margin: 10px 0; }
code { background: #f0eee5; padding: 1px 5px; border-radius: 4px; font-size: 13px; }`;

const table = (head, rows) => `<div class="scroll"><table><tr>${head.map((cell) => `<th>${escape(cell)}</th>`).join('')}</tr>${rows.join('')}</table></div>`;
const cells = (list, kind = '') => `<tr${kind ? ` class="${kind}"` : ''}>${list.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;

module.exports = {STYLE, table, cells};
