#!/usr/bin/python3
"""Writes average_precision_cases.json: drawn detections and objects, with the figures that the protocols give them.

The figures come from the code below and not from DISCO. It follows the published evaluations step by step:
pycocotools' cocoeval.py (evaluateImg, accumulate, summarize; cocodataset/cocoapi) and py-faster-rcnn's voc_eval.py, with the
overlap of VOCdevkit's VOCevaldet.m (inclusive pixels, a box counts from one half on). It needs numpy (python3-numpy).
"""
import json
import random

import numpy as np

IOUS = np.linspace(.5, .95, 10)
RECALLS = np.linspace(0, 1, 101)
RANGES = {'all': (0, 1e10), 'small': (0, 32 ** 2), 'medium': (32 ** 2, 96 ** 2), 'large': (96 ** 2, 1e10)}


def iou(d, g, crowd):
    w = min(d[2], g[2]) - max(d[0], g[0])
    h = min(d[3], g[3]) - max(d[1], g[1])
    if w <= 0 or h <= 0:
        return 0.
    area = lambda b: (b[2] - b[0]) * (b[3] - b[1])
    return w * h / (area(d) if crowd else area(d) + area(g) - w * h)


def coco_image(dets, gts, area_range):
    """dtm, dtIg [T, D] and gtIg [G] of one image and class; dets by score already, at most 100."""
    lo, hi = area_range
    skip = [int(g['crowd'] or g['area'] < lo or g['area'] > hi) for g in gts]
    order = np.argsort(skip, kind='mergesort')
    gts = [gts[i] for i in order]
    skip = np.array([skip[i] for i in order], dtype=int)
    T, D, G = len(IOUS), len(dets), len(gts)
    gtm, dtm, dt_ig = np.zeros((T, G), int), np.zeros((T, D), int), np.zeros((T, D), int)
    table = [[iou(d['box'], g['box'], g['crowd']) for g in gts] for d in dets]
    for t, threshold in enumerate(IOUS):
        for d in range(D):
            best, m = min(threshold, 1 - 1e-10), -1
            for g in range(G):
                if gtm[t, g] and not gts[g]['crowd']:
                    continue
                if m > -1 and skip[m] == 0 and skip[g] == 1:
                    break
                if table[d][g] < best:
                    continue
                best, m = table[d][g], g
            if m == -1:
                continue
            dt_ig[t, d], dtm[t, d], gtm[t, m] = skip[m], 1, 1
    size = [(d['box'][2] - d['box'][0]) * (d['box'][3] - d['box'][1]) for d in dets]
    outside = np.array([a < lo or a > hi for a in size], dtype=bool).reshape(1, D)
    return dtm, np.logical_or(dt_ig, np.logical_and(dtm == 0, np.repeat(outside, T, 0))), skip


def coco(images, classes):
    precision, recall = {}, {}
    for c in range(classes):
        for name, area_range in RANGES.items():
            per_image = []
            for image in images:
                dets = [d for d in image['found'] if d['label'] == c]
                gts = [g for g in image['objects'] if g['label'] == c]
                if not dets and not gts:
                    continue
                order = np.argsort([-d['score'] for d in dets], kind='mergesort') if dets else []
                dets = [dets[i] for i in order[:100]]
                per_image.append(([d['score'] for d in dets], *coco_image(dets, gts, area_range)))
            for most in (1, 10, 100):
                if not per_image:
                    continue
                scores = np.concatenate([e[0][:most] for e in per_image])
                order = np.argsort(-scores, kind='mergesort')
                dtm = np.concatenate([e[1][:, :most] for e in per_image], axis=1)[:, order]
                ignored = np.concatenate([e[2][:, :most] for e in per_image], axis=1)[:, order]
                positives = np.count_nonzero(np.concatenate([e[3] for e in per_image]) == 0)
                if positives == 0:
                    continue
                tps = np.cumsum(np.logical_and(dtm, np.logical_not(ignored)), axis=1).astype(float)
                fps = np.cumsum(np.logical_and(np.logical_not(dtm), np.logical_not(ignored)), axis=1).astype(float)
                q, r = np.zeros((len(IOUS), len(RECALLS))), np.zeros(len(IOUS))
                for t in range(len(IOUS)):
                    tp, fp = tps[t], fps[t]
                    if len(tp) == 0:
                        continue
                    rc, pr = tp / positives, tp / (fp + tp + np.spacing(1))
                    r[t] = rc[-1]
                    for i in range(len(pr) - 1, 0, -1):
                        pr[i - 1] = max(pr[i - 1], pr[i])
                    for k, at in enumerate(np.searchsorted(rc, RECALLS, side='left')):
                        if at < len(pr):
                            q[t, k] = pr[at]
                precision[c, name, most], recall[c, name, most] = q, r
    mean = lambda table, name, most, pick=slice(None): [table[k][pick] for k in table if k[1:] == (name, most)]
    figures = {'mAP_coco': mean(precision, 'all', 100), 'AP50_coco': mean(precision, 'all', 100, 0),
               'AP75_coco': mean(precision, 'all', 100, 5), 'AR1_coco': mean(recall, 'all', 1),
               'AR10_coco': mean(recall, 'all', 10), 'AR100_coco': mean(recall, 'all', 100)}
    for name in ('small', 'medium', 'large'):
        figures[f'AP_{name}_coco'] = mean(precision, name, 100)
        figures[f'AR_{name}_coco'] = mean(recall, name, 100)
    return {name: float(np.mean(values)) for name, values in figures.items() if values}


def voc(images, classes):
    aps = {'mAP_voc': [], 'mAP_voc07': []}
    for c in range(classes):
        records, lines = [], []
        for i, image in enumerate(images):
            gts = [g for g in image['objects'] if g['label'] == c]
            # xmin, ymin, xmax, ymax count from 1, and both ends belong to the box.
            records.append([[g['box'][0] + 1, g['box'][1] + 1, g['box'][2], g['box'][3], g['difficult'] or g['crowd'], False]
                            for g in gts])
            lines += [(d['score'], i, d['box'][0] + 1, d['box'][1] + 1, d['box'][2], d['box'][3])
                      for d in image['found'] if d['label'] == c]
        positives = sum(not g[4] for record in records for g in record)
        if positives == 0:
            continue
        lines.sort(key=lambda line: -line[0])
        tp, fp = np.zeros(len(lines)), np.zeros(len(lines))
        for k, (_, i, x1, y1, x2, y2) in enumerate(lines):
            best, hit = -np.inf, None
            for g in records[i]:
                w, h = min(x2, g[2]) - max(x1, g[0]) + 1, min(y2, g[3]) - max(y1, g[1]) + 1
                if w > 0 and h > 0:
                    union = (x2 - x1 + 1) * (y2 - y1 + 1) + (g[2] - g[0] + 1) * (g[3] - g[1] + 1) - w * h
                    if w * h / union > best:
                        best, hit = w * h / union, g
            if best >= .5:
                if not hit[4]:
                    if hit[5]:
                        fp[k] = 1
                    else:
                        tp[k], hit[5] = 1, True
            else:
                fp[k] = 1
        tp, fp = np.cumsum(tp), np.cumsum(fp)
        rec, prec = tp / positives, tp / np.maximum(tp + fp, np.finfo(np.float64).eps)
        aps['mAP_voc07'].append(sum((np.max(prec[rec >= t]) if np.any(rec >= t) else 0.) / 11 for t in np.arange(0, 1.1, .1)))
        mrec, mpre = np.concatenate(([0.], rec, [1.])), np.concatenate(([0.], prec, [0.]))
        for i in range(mpre.size - 1, 0, -1):
            mpre[i - 1] = np.maximum(mpre[i - 1], mpre[i])
        steps = np.where(mrec[1:] != mrec[:-1])[0]
        aps['mAP_voc'].append(np.sum((mrec[steps + 1] - mrec[steps]) * mpre[steps + 1]))
    return {name: float(np.mean(values)) for name, values in aps.items() if values}


def drawn(seed, images, classes, objects, noise, clutter, crowds, difficult, whole):
    draw = random.Random(seed)
    number = (lambda x: float(round(x))) if whole else (lambda x: round(x, 2))
    result = []
    for _ in range(images):
        image = {'objects': [], 'found': []}
        for _ in range(draw.randrange(objects + 1)):
            w, h = draw.choice((12, 25, 50, 90, 140, 260)) * draw.uniform(.7, 1.4), draw.uniform(10, 200)
            x, y = draw.uniform(0, 640 - w), draw.uniform(0, 480 - h)
            box = [number(v) for v in (x, y, x + w, y + h)]
            label = draw.randrange(classes)
            image['objects'].append({'box': box, 'label': label, 'crowd': draw.random() < crowds,
                                     'difficult': draw.random() < difficult,
                                     'area': round((box[2] - box[0]) * (box[3] - box[1]) * draw.uniform(.5, 1), 2)})
            for _ in range(draw.choice((0, 1, 1, 1, 2))):
                shifted = [number(v + draw.gauss(0, noise) * side) for v, side in zip(box, (w, h, w, h))]
                if shifted[2] - shifted[0] > 1 and shifted[3] - shifted[1] > 1:
                    image['found'].append({'box': shifted, 'score': round(draw.betavariate(3, 2), 2),
                                           'label': label if draw.random() < .9 else draw.randrange(classes)})
        for _ in range(draw.randrange(clutter + 1)):
            x, y = draw.uniform(0, 500), draw.uniform(0, 400)
            image['found'].append({'box': [number(v) for v in (x, y, x + draw.uniform(8, 140), y + draw.uniform(8, 80))],
                                   'score': round(draw.betavariate(2, 3), 2), 'label': draw.randrange(classes)})
        image['found'].sort(key=lambda d: -d['score'])
        result.append(image)
    return {'classes': classes, 'images': result}


def main():
    cases = [drawn(1, 12, 3, 6, .1, 4, 0, 0, False), drawn(2, 14, 2, 8, .08, 6, .15, .2, True),
             drawn(3, 6, 5, 12, .1, 10, .1, .1, False), drawn(4, 2, 1, 20, .08, 130, .05, 0, True)]
    for case in cases:
        # COCO knows no difficult objects: the case holds them for VOC only, where the figures differ.
        plain = [dict(image, objects=[g for g in image['objects'] if not g['difficult']]) for image in case['images']]
        case['voc'] = voc(case['images'], case['classes'])
        case['coco'] = coco(plain, case['classes'])
    text = json.dumps(cases, separators=(',', ':')).replace('{"objects"', '\n{"objects"')
    with open(__file__.replace('.py', '.json'), 'w') as file:
        file.write(text + '\n')


main()
