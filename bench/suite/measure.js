// Interleaved runs: A B C A B C …, so that what a busy neighbour takes is taken from all alike.
'use strict';
const fs = require('fs');

const LONGEST_SECONDS = 300;  // for one run, before its contender is out

// Jiffies that all cores spent, and those that this machine's host took away.
function machineTime() {
  const [, ...fields] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/);
  const [user, nice, system, idle, iowait, irq, softirq, steal] = fields.map(Number);
  return {busy: user + nice + system + irq + softirq, idle: idle + iowait, steal};
}

// Runs every contender at most `runs` times, and stops earlier those that took `seconds` by then, spread over all rounds;
// each at least `least` times. A contender that fails is out, with its error.
//
// Returns {contenders: {id: {samples: [{round, ms, nodes}], cpu_s, queued_s, error}}, others, steal}: seconds a run on a core
// and waiting for one, by process; and the shares of the cores' time that went to programs other than these, and to other
// guests of the host.
async function interleave(contenders, {runs, warmup, seconds, least = 3, progress = () => {}}) {
  const results = {};
  for (const contender of contenders) results[contender.id] = {samples: [], cpu_s: [], queued_s: [], error: null};
  const attempt = async (contender, work) => {
    try {
      return await work();
    } catch (error) {
      results[contender.id].error = error.message;
      return null;
    }
  };
  for (let i = 0; i < warmup; ++i) {
    for (const contender of contenders) {
      if (!results[contender.id].error) await attempt(contender, () => contender.run(LONGEST_SECONDS));
      progress(`warm-up, ${contender.label}`);
    }
  }
  const spent = new Map(contenders.map((contender) => [contender, 0]));
  const before = machineTime();
  const atFirst = new Map(contenders.map((contender) => [contender, contender.schedule()]));
  for (let round = 0; round < runs; ++round) {
    for (const contender of contenders) {
      const result = results[contender.id];
      if (result.error) continue;
      if (result.samples.length >= least && spent.get(contender) > seconds * (round + 1) / runs) continue;
      const start = process.hrtime.bigint();
      const sample = await attempt(contender, () => contender.run(LONGEST_SECONDS));
      if (!sample) continue;
      spent.set(contender, spent.get(contender) + Number(process.hrtime.bigint() - start) / 1e9);
      result.samples.push({round, ...sample});
    }
    progress(`run ${round + 1} of ${runs}`);
  }
  const after = machineTime();
  let ours = 0;
  for (const contender of contenders) {
    const result = results[contender.id];
    const used = contender.schedule().map(({cpu, queued}, i) => {
      const first = atFirst.get(contender)[i];
      return {cpu: cpu - first.cpu, queued: queued - first.queued};
    });
    ours += used.reduce((sum, {cpu}) => sum + cpu, 0);
    if (result.error || result.samples.length === 0) continue;
    result.cpu_s = used.map(({cpu}) => cpu / result.samples.length);
    result.queued_s = used.map(({queued}) => queued / result.samples.length);
  }
  const all = after.busy - before.busy + after.idle - before.idle + after.steal - before.steal;
  const HZ = 100;
  return {
    contenders: results,
    others: Math.max(0, (after.busy - before.busy) / HZ - ours) / Math.max(all / HZ, 1e-9),
    steal: (after.steal - before.steal) / Math.max(all, 1),
  };
}

module.exports = {interleave};
