// What the suite does with figures, on a recorded run: summaries, verdicts and the page. Measures nothing.
//   test.js RECORDED.json
'use strict';
const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');
const {partitionOf} = require('./artifacts');
const {checks} = require('./checks');
const {meanOf} = require('./extras');
const {quantile, spread, digits, bytes} = require('./figures');
const {toHtml} = require('./html');
const families = require('../family/page');
const {rateOf} = require('./links');
const {parse} = require('./options');
const {summarise, paired} = require('./summary');

const tests = {
  'quantiles are linear between samples'() {
    assert.strictEqual(quantile([4, 1, 3, 2], 0.5), 2.5);
    assert.strictEqual(quantile([7], 0.9), 7);
    assert.strictEqual(quantile([], 0.5), null);
    assert.deepStrictEqual(spread([1, 2, 3, 4, 5]), {median: 3, q1: 2, q3: 4, min: 1, n: 5});
  },
  'figures have three digits that count'() {
    assert.deepStrictEqual([0, 0.1234, 1.234, 12.34, 123.4, 1234.5, null, NaN].map(digits), ['0', '0.123', '1.23', '12.3', '123', '1235', '–', '–']);
    assert.deepStrictEqual([12, 1500, 17816576, null].map(bytes), ['12 B', '1.50 kB', '17.8 MB', '–']);
  },
  'ratios are of the same round'() {
    const base = {samples: [{round: 0, ms: 10}, {round: 1, ms: 100}, {round: 2, ms: 10}]};
    // A slow spell in round 1 touches both; a round that only one took part in counts for nothing.
    assert.strictEqual(paired([{round: 0, ms: 5}, {round: 1, ms: 50}, {round: 9, ms: 1}], base).median, 0.5);
    assert.strictEqual(paired([{round: 0, ms: 5}], base).n, 1);
    assert.strictEqual(paired([{round: 0, ms: 5}], null), null);
    assert.strictEqual(paired([{round: 7, ms: 5}], base), null);
  },
  'rates are those of tc'() {
    assert.deepStrictEqual(['100mbit', '1gbit', '2.5gbit', '64kbit', 'unshaped', 'loopback'].map(rateOf), [1e8, 1e9, 2.5e9, 64e3, null, null]);
    for (const wrong of ['100', 'fast', '0mbit', '-1gbit', '1 gbit', '']) assert.throws(() => rateOf(wrong), /write 100mbit/, wrong);
  },
  'command lines'() {
    const options = parse(['--model', 'a.onnx', '--links', '10mbit,unshaped', '--shape', 'x:1,3,8,8', '--artifact', 'b.onnx', '--artifact', 'c.onnx', '--quick', '--runs', '5']);
    assert.deepStrictEqual([options.model, options.links, options.shapes, options.artifacts], ['a.onnx', ['10mbit', 'unshaped'], {x: [1, 3, 8, 8]}, ['b.onnx', 'c.onnx']]);
    // What is given wins over --quick, wherever it stands.
    assert.deepStrictEqual([options.runs, options.warmup], [5, parse(['--quick']).warmup]);
    assert.deepStrictEqual([[], ['--no-tune'], ['--quick'], ['--artifact', 'a.onnx']].map((words) => parse(words).tune), [true, false, false, false]);
    for (const wrong of [['--nodes', '1'], ['--nodes', 'two'], ['--keep', '1.5'], ['--wires', 'u9'], ['--fast'], ['--runs'], ['--shape', 'x=1'], ['file.onnx'], ['--coordinator', 'here']])
      assert.throws(() => parse(wrong), (error) => error.usage === true, wrong.join(' '));
  },
  'predictions before and after'() {
    const before = {latency_ms: 10, nodes: [{compute_ms: 4, wait_ms: 0}, {compute_ms: 6, wait_ms: 2}]};
    const after = {latency_ms: 14, nodes: [{compute_ms: 6, wait_ms: 1}, {compute_ms: 6, wait_ms: 0}]};
    assert.deepStrictEqual(meanOf(before, after), {latency_ms: 12, nodes: [{compute_ms: 5, wait_ms: 0.5}, {compute_ms: 6, wait_ms: 1}]});
  },
  'the partition in an artifact'() {
    const file = path.join(os.tmpdir(), `disco-bench-test-${process.pid}`);
    const partition = {nodes: 2, wire: {'a {"}': {type: 'u8'}}, keep: {}};
    try {
      fs.writeFileSync(file, Buffer.concat([Buffer.from('weights {'), Buffer.from('\x0a\x0fdisco.partition\x12\xff\x01', 'latin1'), Buffer.from(JSON.stringify(partition)), Buffer.from('}}tail')]));
      assert.deepStrictEqual(partitionOf(file), partition);
      fs.writeFileSync(file, Buffer.concat([Buffer.from('disco.partition\x12\xd8\x7b', 'latin1'), Buffer.from(JSON.stringify(partition))]));
      assert.deepStrictEqual(partitionOf(file), partition, 'a length that looks like a brace');
      fs.writeFileSync(file, 'a plain model {}');
      assert.strictEqual(partitionOf(file), null);
    } finally {
      fs.rmSync(file, {force: true});
    }
  },
  'a recorded run becomes a summary'(recording) {
    const summary = summarise(recording);
    assert.strictEqual(summary.links.length, recording.links.length);
    for (const link of summary.links) {
      for (const row of link.rows.filter((one) => !one.error)) {
        const raw = recording.links.find((one) => one.name === link.name).contenders[row.id];
        assert.strictEqual(row.latency_ms.n, raw.samples.length, `${link.name}, ${row.id}`);
        assert.ok(row.latency_ms.q1 <= row.latency_ms.median && row.latency_ms.median <= row.latency_ms.q3, row.id);
        if (row.id === 'ort') assert.strictEqual(row.of_ort.median, 1);
        if (row.kind === 'split') {
          assert.strictEqual(row.nodes.length, recording.setting.nodes, row.id);
          // What the nodes said they sent is what the artifact's plan counts.
          const planned = recording.contenders.find((one) => one.id === row.id).counted.totals.map((node) => node.bytes_sent);
          assert.deepStrictEqual(row.nodes.map((node) => node.bytes_sent), planned, row.id);
          assert.ok(row.bound.ratio > 0 && row.bound.wire_ms > 0 && row.bound.compute_ms > 0, row.id);
        }
      }
    }
  },
  'wire time counts the input on every link that carries it'(recording) {
    const {input_bytes: input, nodes} = recording.setting;
    const rate = recording.links[0].probe.goodput_mbit * 1e6 / 8e3;  // bytes a ms
    const wire = (change) => {
      const copy = structuredClone(recording);
      change(copy);
      return summarise(copy).links[0].rows.find((row) => row.kind === 'split').nodes;
    };
    const near = (seen, want) => assert.ok(Math.abs(seen - want) < 1e-6 * want, `${seen}, not ${want}`);
    const here = wire(() => {});
    near(here[0].wire_ms, Math.max(here[0].bytes_sent + input * (nodes - 1), here[0].bytes_received) / rate);
    near(here[1].wire_ms, Math.max(here[1].bytes_sent, here[1].bytes_received + input) / rate);
    for (const node of wire((copy) => { copy.setting.coordinator = 'outside'; }))
      near(node.wire_ms, Math.max(node.bytes_sent, node.bytes_received + input) / rate);
  },
  'verdicts follow the figures'(recording) {
    const judge = (change) => {
      const copy = structuredClone(recording);
      change(copy);
      return checks(copy, summarise(copy)).list;
    };
    const slower = (id, factor) => (copy) => {
      for (const link of copy.links) for (const sample of link.contenders[id].samples) sample.ms *= factor;
    };
    const single = (list) => list.find((check) => check.what.startsWith('DISCO, one node')).verdict;
    assert.strictEqual(single(judge(slower('one', 100))), 'miss');
    assert.strictEqual(single(judge(slower('ort', 100))), 'pass');
    assert.strictEqual(single(judge((copy) => { for (const link of copy.links) delete link.contenders.ort; })), 'not measured');
    const failed = judge((copy) => { for (const link of copy.links) Object.assign(link.contenders['keep-u8'], {error: 'node 1 went away', samples: []}); });
    const dense = failed.find((check) => check.what.startsWith('100mbit') && check.limit === '≥ 12');
    assert.strictEqual(dense.verdict, 'not measured');
    assert.match(dense.why, /node 1 went away/);
    const busy = judge((copy) => { for (const link of copy.links) link.contenders.ort.queued_s = [10]; });
    assert.ok(busy.filter((check) => check.verdict !== 'not measured').every((check) => check.disturbed));
  },
  'predictions, throughput and curves are shown and judged'(recording) {
    const copy = structuredClone(recording);
    for (const link of copy.links) {
      const {samples} = link.contenders.dense;
      link.contenders.dense.predicted = {latency_ms: 1.05 * quantile(samples.map((sample) => sample.ms), 0.5)};
      link.contenders.dense.throughput = {concurrency: 4, per_second: 12.5, busy: [0.42, 0.9], least_busy: 0.42, one_per_second: 10};
    }
    copy.scaling = [{link: '1gbit', label: 'dense', points: [{nodes: 2, latency_ms: 100}, {nodes: 16, latency_ms: 400}]},
                    {link: '1gbit', label: 'one point', points: [{nodes: 2, latency_ms: 50}]}];
    const summary = summarise(copy);
    const judged = checks(copy, summary);
    const row = summary.links[0].rows.find((one) => one.id === 'dense');
    assert.ok(Math.abs(row.predicted.error - 0.05) < 1e-9);
    assert.strictEqual(judged.list.find((check) => check.what.startsWith('simulator')).verdict, 'pass');
    assert.strictEqual(judged.list.find((check) => check.what.includes('in flight')).verdict, 'miss');
    const page = toHtml(copy, summary, judged);
    for (const shown of ['+5.00 %', 'simulated, not measured', '16 nodes', '4 requests in flight', '<td>12.5</td>', '<td>1.25</td>', '42 %, 90 %']) assert.ok(page.includes(shown), shown);
    assert.ok(!/NaN|undefined|Infinity/.test(page));
  },
  'the page holds every row and stands alone'(recording) {
    const copy = structuredClone(recording);
    copy.contenders[0].label = 'a <b> & "c"';
    const summary = summarise(copy);
    const page = toHtml(copy, summary, checks(copy, summary));
    for (const {label} of copy.contenders.slice(1)) assert.ok(page.includes(label), label);
    assert.ok(page.includes('a &lt;b&gt; &amp; &quot;c&quot;') && !page.includes('a <b>'));
    assert.ok(!/NaN|undefined|Infinity|\[object/.test(page), /.{60}(NaN|undefined|Infinity|\[object).{20}/.exec(page));
    assert.ok(!/(src|href)=/.test(page));
    assert.strictEqual(page.split('<svg').length, page.split('</svg>').length);
  },
  'a page of five families, of which one has figures'() {
    const figures = {metric: 'psnr', value: 30.5, dense_value: 32.21, bytes_per_inference: 200, dense_bytes_per_inference: 1000};
    const cost = {unsplit: {macs: 100, weight_bytes: 50, peak_activation_bytes: 10}, nodes: [{macs: 34, weight_bytes: 20, peak_activation_bytes: 6}, {macs: 30, weight_bytes: 21, peak_activation_bytes: 5}]};
    const rows = [{name: 'disco-0.2', method: 'disco', keep: '0.2', tuned: false, figures, cost},
                  {name: 'independent-0', method: 'independent', keep: '0', tuned: false, figures: {...figures, value: 18.5, bytes_per_inference: 1}, cost}];
    const about = {model: 'a<b.onnx', zoo: null, data: {train: 'T91', test: 'Set5', real: true}, latency: null};
    const report = {date: '2026-01-01T00:00:00Z', command: 'bench/families', nodes: 2, families: [{id: 'a', title: 'A', rows, failed: [], ...about}, {id: 'b', title: 'B', rows: [], failed: [{name: 'dense', error: 'no <data>'}], ...about}]};
    const html = families.toHtml(report);
    for (const part of ['30.50 dB', '−1.71', '0.200', '0.340', '0.420', 'a&lt;b.onnx', 'no &lt;data&gt;', 'nothing was measured yet']) assert.ok(html.includes(part), part);
    for (const outside of ['http:', 'https:', 'src=', '<script', 'NaN']) assert.ok(!html.includes(outside), outside);
    const xs = [...html.matchAll(/<circle cx="([-0-9.]+)"/g)].map((match) => Number(match[1]));
    assert.strictEqual(xs.length, 2);
    assert.ok(xs.every((x) => x >= 50 && x <= 860), 'points lie in the picture');
    assert.match(families.toText(report), /disco-0.2 .* 30.50 dB/);
  },
  'a page of a run in which all but one failed'(recording) {
    const copy = structuredClone(recording);
    for (const link of copy.links) {
      link.probe = null;
      for (const [id, result] of Object.entries(link.contenders)) if (id !== 'one') Object.assign(result, {error: 'went away', samples: []});
    }
    const summary = summarise(copy);
    const page = toHtml(copy, summary, checks(copy, summary));
    assert.ok(page.includes('went away') && !/NaN|undefined/.test(page));
  },
};

const recording = JSON.parse(fs.readFileSync(process.argv[2], 'utf8')).recording;
let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    test(recording);
    console.log(`ok    ${name}`);
  } catch (error) {
    ++failed;
    console.log(`FAIL  ${name}\n${error.stack}`);
  }
}
process.exitCode = failed ? 1 : 0;
