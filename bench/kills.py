#!/usr/bin/env python3
"""Kills `disco train` at random moments, resumes it each time, and compares what it wrote with a run that nobody disturbed.

    bench/kills.py [--kills 10] [--seed 7] [--trainer build/release/apps/train/disco-train] [--disco build/release/apps/disco/disco]

Trains a small network on rendered shapes from drawn weights, with a checkpoint every three steps. Ends with 1 where a byte of the two files differs.
Takes about twice as long as the undisturbed run, half a minute in all. SIGKILL: nothing can be tidied up on the way.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build', 'release', 'apps')
flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
flags.add_argument('--kills', type=int, default=10)
flags.add_argument('--seed', type=int, default=7)
flags.add_argument('--trainer', default=os.path.join(root, 'train', 'disco-train'))
flags.add_argument('--disco', default=os.path.join(root, 'disco', 'disco'))
flags = flags.parse_args()
random.seed(flags.seed)
# LibTorch's waiting threads would take the core from those that compute.
environment = dict(os.environ, OMP_WAIT_POLICY='passive')

with tempfile.TemporaryDirectory() as folder:
    model = os.path.join(folder, 'model.onnx')
    subprocess.run([flags.disco, 'zoo', 'cifar-resnet8', '-o', model], check=True, stdout=subprocess.DEVNULL)

    def start(name):
        path = os.path.join(folder, name)
        return subprocess.Popen([flags.trainer, 'train', model, '--from-scratch', '--data', 'shapes:32', '--limit', '1500', '--epochs', '3',
                                 '--batch', '64', '--threads', '1', '--validate-part', 'none', '-o', path + '.onnx',
                                 '--checkpoint', path + '.checkpoint', '--checkpoint-steps', '3', '--resume'],
                                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def finish(run):
        _, said = run.communicate(timeout=600)
        if run.returncode != 0:
            sys.exit(f'kills: the trainer ended with {run.returncode}: {said.strip()[-300:]}')

    begun = time.monotonic()
    finish(start('whole'))
    whole = time.monotonic() - begun
    for kill in range(flags.kills):
        run = start('cut')
        try:
            run.communicate(timeout=random.uniform(0.1, max(0.5, 1.5 * whole / flags.kills)))
            sys.exit(f'kills: it was done after {kill} kills; give more epochs or fewer --kills')
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
    finish(start('cut'))
    with open(os.path.join(folder, 'whole.onnx'), 'rb') as one, open(os.path.join(folder, 'cut.onnx'), 'rb') as other:
        same = one.read() == other.read()
print(f'{flags.kills} kills, seed {flags.seed}: the model is {"the same, byte by byte" if same else "another one"}')
sys.exit(0 if same else 1)
