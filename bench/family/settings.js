// The five families: what is built, on which data it is trained, and how. Each has a small setting, for two cores, and the published
// one, for a GPU and the full data sets. Words are flags of `disco`.
'use strict';
const fs = require('fs');
const path = require('path');

const words = (text) => text.split(' ').filter(Boolean);

// train: from drawn weights. tune: an artifact, label-free, from the dense model. calibrate: of `disco sparsify`.
const FAMILIES = [
  {
    id: 'resnet', title: 'Classification: ResNet',
    small: {zoo: words('cifar-resnet20'), train: words('--lr 0.1 --epochs 30'), tune: words('--lr 0.02 --epochs 10'), calibrate: words('--samples 512 --distil 24')},
    published: {zoo: words('resnet50'), train: words('--lr 0.1 --epochs 90 --ema 0.9999 --label-smoothing 0.1 --preset imagenet'),
                tune: words('--lr 0.01 --epochs 10 --preset imagenet'), calibrate: words('--samples 256 --preset imagenet'), test: words('--preset imagenet')},
    data: [{shared: 'cifar10'}, {source: 'shapes:32'}],
    pretrained: {small: 'models/cifar10_resnet20_bn.onnx'},  // on that very data, where it lies there
  },
  {
    id: 'deit', title: 'Classification: vision transformer',
    small: {zoo: words('deit-tiny --size 32 --patch 4 --width 0.5 --blocks 3 --classes 10'),
            train: words('--optimiser adamw --lr 0.001 --weight-decay 0.05 --warmup 1 --epochs 8'),
            tune: words('--optimiser adamw --lr 0.0005 --weight-decay 0.05 --epochs 2'), calibrate: words('--samples 512')},
    published: {zoo: words('deit-small'), train: words('--optimiser adamw --lr 0.001 --weight-decay 0.05 --warmup 5 --epochs 300 --batch 256 --preset imagenet'),
                tune: words('--optimiser adamw --lr 0.0002 --weight-decay 0.05 --epochs 20 --batch 256 --preset imagenet'),
                calibrate: words('--samples 256 --preset imagenet'), test: words('--preset imagenet')},
    data: [{shared: 'cifar10'}, {source: 'shapes:32'}],
  },
  {
    id: 'ssd', title: 'Detection: SSD',
    small: {zoo: words('ssd300-mobilenetv2 --size 120x160 --width 0.5 --stride 8'), train: words('--lr 0.01 --warmup 2 --epochs 200 --batch 4'),
            tune: words('--optimiser adamw --lr 0.0006 --weight-decay 0.0001 --epochs 220 --batch 8 --hold-statistics'), calibrate: words('--samples 128')},
    published: {zoo: words('ssd300-resnet50'), train: words('--lr 0.0026 --epochs 65 --batch 32 --preset imagenet --fit exact'), tune: words('--lr 0.0005 --epochs 10 --batch 32 --preset imagenet --fit exact'),
                calibrate: words('--samples 256 --preset imagenet --fit exact'), test: words('--preset imagenet --fit exact')},
    data: [{shared: 'detection/BCCD', zoo: words('--classes 3')}, {source: 'scenes:120x160', zoo: words('--classes 6')}],
  },
  {
    id: 'deeplab', title: 'Segmentation: DeepLabV3+',
    small: {zoo: words('deeplabv3plus-mobilenetv2 --size 120x160 --width 0.5'), train: words('--optimiser adamw --lr 0.002 --warmup 1 --epochs 40 --batch 8'),
            tune: words('--optimiser adamw --lr 0.0015 --epochs 50 --batch 8 --hold-statistics'), calibrate: words('--samples 128')},
    published: {zoo: words('deeplabv3plus-resnet50'), train: words('--lr 0.01 --epochs 50 --batch 16 --preset imagenet --fit exact'), tune: words('--lr 0.002 --epochs 10 --batch 16 --preset imagenet --fit exact'),
                calibrate: words('--samples 256 --preset imagenet --fit exact'), test: words('--preset imagenet --fit exact')},
    data: [{shared: 'segmentation/camvid', zoo: words('--classes 11')}, {source: 'scenes:120x160', zoo: words('--classes 7')}],
  },
  {
    id: 'esrgan', title: 'Super-resolution: ESRGAN',
    small: {zoo: words('esrgan-small'), train: words('--optimiser adamw --lr 0.0005 --epochs 200 --batch 16'), tune: words('--optimiser adamw --lr 0.0002 --epochs 60 --batch 16'),
            calibrate: words('--samples 64'), shape: '1,3,64,64'},
    published: {zoo: words('esrgan'), train: words('--optimiser adamw --lr 0.0002 --epochs 1000 --batch 16'), tune: words('--optimiser adamw --lr 0.0001 --epochs 100 --batch 16'),
                calibrate: words('--samples 128'), shape: '1,3,128,128'},
    data: [{shared: 'superres/T91', test: 'superres/Set5/x4'}, {source: 'scenes:32'}],  // the small images' size
  },
];

// What a family is trained and tested on: as asked, else real data where it lies, else what is rendered.
function dataOf(family, options) {
  if (options.data[family.id]) return {train: options.data[family.id], test: options.test[family.id] || options.data[family.id], real: true};
  for (const one of family.data) {
    const at = one.shared && path.join(options.shared, 'data', one.shared);
    if (one.shared && !fs.existsSync(at)) continue;
    const test = options.test[family.id] || (one.test ? path.join(options.shared, 'data', one.test) : at || one.source);
    return {train: at || one.source, test, real: Boolean(one.shared), more: one};
  }
  throw new Error(`${family.id}: no data; give --data ${family.id}=FOLDER`);
}

module.exports = {FAMILIES, dataOf};
