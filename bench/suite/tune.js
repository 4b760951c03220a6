// What comes before a link is measured: a profile of nodes like those that will run, and the artifacts made here tuned for it, as
// anybody would who reads docs/plan.md. What travels, and so what is answered, stays as it is.
'use strict';
const path = require('path');
const {Nodes, json, offers, splitsOf, wordsOf} = require('./nodes');
const {Worker} = require('./worker');

// The file of `disco profile`, on a link as it is shaped now; null where it could not be made.
async function profileOf(name, {setting, tools, say, progress}) {
  if (!offers(tools.disco, 'profile', '--cluster')) return null;
  progress(`${name}: profile of nodes and link`);
  const file = path.join(setting.folder, `profile-${name}.json`);
  const nodes = new Nodes(setting, 'profile', 'profile');
  try {
    const cluster = await nodes.start();
    const outside = setting.coordinator === 'outside';
    const where = outside ? [] : ['--coordinator', nodes.addresses[0]];
    await new Worker([tools.disco, 'profile', '--cluster', cluster, '--threads', '1', ...where, '-o', file], nodes.place(outside ? 'outside' : 0)).output();
    return file;
  } catch (error) {
    say(`${name}: no profile, so nothing is tuned or predicted: ${error.message}`);
    return null;
  } finally {
    await nodes.stop();
  }
}

// Gives contenders the files that suit the link: {id: {bands, in_two_parts, layers}}.
async function tuneFor(name, profile, context) {
  const {started, setting, options, tools, say, progress} = context;
  const tuned = {};
  if (!options.tune || !profile || !offers(tools.disco, 'tune', '--profile')) return tuned;
  for (const split of splitsOf(started)) {
    const {about} = split;
    const file = path.join(setting.folder, `${about.id}-${name}.onnx`);
    progress(`${name}: tuning ${about.label}`);
    try {
      const said = await json([tools.disco, 'tune', ...wordsOf(split, about.file, context), '--profile', profile, '-o', file, '--json'], {core: setting.cores[0]});
      tuned[about.id] = {bands: said.bands, in_two_parts: said.in_two_parts, layers: said.layers};
      for (const other of started) {
        if (other.about.id === about.id || other.about.clear === about.id) other.contender.file = file;
      }
    } catch (error) {
      say(`${name}: ${about.label} is measured as it was made: ${error.message}`);
    }
  }
  return tuned;
}

module.exports = {profileOf, tuneFor};
