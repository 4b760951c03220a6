// Nodes for a `disco` that asks them by itself, and what is common to such commands.
'use strict';
const {spawnSync} = require('child_process');
const {Split} = require('./contenders');
const {Worker} = require('./worker');

// Whether `disco COMMAND` is there, with a flag of that name.
function offers(disco, command, flag) {
  const run = spawnSync(disco, [command, '--help'], {encoding: 'utf8'});
  return run.status === 0 && run.stdout.includes(flag);
}

// Without a coordinator.
class Nodes extends Split {
  async start() {
    await this.startNodes();
    return this.clusterFile;
  }
}

const shapeFlags = (shapes) => Object.entries(shapes).flatMap(([name, dims]) => ['--shape', `${name}:${dims.join(',')}`]);
const json = async (words, place) => JSON.parse(await new Worker(words, place).output());

const splitsOf = (started) => started.filter(({about, contender}) => about.kind === 'split' && !about.clear && !contender.out);

// What a command is told of a split: a file, over how many nodes where that does not say, and the inputs' extents.
const wordsOf = ({about}, file, {net, options}) => [file, ...(about.id === 'dense' ? ['--nodes', String(net.nodes)] : []), ...shapeFlags(options.shapes)];

module.exports = {Nodes, offers, shapeFlags, json, splitsOf, wordsOf};
