#!/usr/bin/python3
"""Writes pixel_cases.json: figures of label maps and images that other implementations give.

Confusion matrices and Jaccard indices are scikit-learn's (python3-sklearn); structural similarity is scikit-image's
(python3-skimage), set up as Wang et al. 2004; enlarged scores are torch.nn.functional.interpolate's (python3-torch). MATLAB's
rgb2ycbcr is written out here. What is measured follows from seeds by the generator below, in the test alike.
"""
import json
import os

import numpy as np
import torch
from skimage.metrics import structural_similarity
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score


class Draw:
    """x -> 6364136223846793005 x + 1442695040888963407 mod 2^64; the upper 31 bits count."""
    def __init__(self, seed):
        self.state = seed

    def below(self, count):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        return (self.state >> 33) % count

    def many(self, size, count):
        return np.array([self.below(count) for _ in range(size)])


def segmentation(seed, classes, present, samples):
    draw = Draw(seed)
    truths, answers = [], []
    for _ in range(samples):
        truth = draw.many(24 * 17, present + 1)
        truth = np.where(truth == present, 255, truth)
        wrong = draw.many(24 * 17, 3) == 0
        other = draw.many(24 * 17, classes)
        answers.append(np.where(wrong | (truth == 255), other, truth))
        truths.append(truth)
    truth, answer = np.concatenate(truths), np.concatenate(answers)
    truth, answer = truth[truth != 255], answer[truth != 255]
    labels = sorted(set(truth) | set(answer))
    matrix = confusion_matrix(truth, answer, labels=range(classes))
    in_truth = matrix.sum(1) > 0
    return {'seed': seed, 'classes': classes, 'present': present, 'samples': samples,
            'figures': {'mIoU': jaccard_score(truth, answer, labels=labels, average='macro'),
                        'pixel_accuracy': accuracy_score(truth, answer),
                        'mean_accuracy': float((np.diag(matrix)[in_truth] / matrix.sum(1)[in_truth]).mean()),
                        **{f'IoU class {c}': float(v) for c, v in
                           zip(labels, jaccard_score(truth, answer, labels=labels, average=None))}}}


def enlarged(seed, classes, rows, columns, height, width):
    scores = torch.from_numpy(Draw(seed).many(classes * rows * columns, 1000).astype(np.float32) / 100)
    large = torch.nn.functional.interpolate(scores.reshape(1, classes, rows, columns), size=(height, width),
                                            mode='bilinear', align_corners=False)
    top = large[0].topk(2, dim=0).values
    labels = torch.where(top[0] - top[1] < 1e-4, torch.tensor(255), large[0].argmax(0))  # 255: too close to call
    return {'seed': seed, 'classes': classes, 'from': [rows, columns], 'to': [height, width],
            'labels': labels.flatten().tolist()}


def matlab_luma(rgb):
    return 16 + rgb.astype(np.float64) @ np.array([65.481, 128.553, 24.966]) / 255


def psnr(a, b):
    return float(10 * np.log10(255 ** 2 / np.mean((a.astype(np.float64) - b) ** 2)))


def images(seed, height, width, noise, scale):
    draw = Draw(seed)
    slope = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[:, :, None] + np.array([0, 40, 90])
    right = (slope + draw.many(height * width * 3, 31).reshape(height, width, 3)) % 256
    answer = np.clip(right + draw.many(height * width * 3, 2 * noise + 1).reshape(right.shape) - noise, 0, 255)
    cut = slice(scale, -scale)
    a, b = matlab_luma(answer)[cut, cut], matlab_luma(right)[cut, cut]
    return {'seed': seed, 'height': height, 'width': width, 'noise': noise, 'scale': scale,
            'figures': {'psnr': psnr(a, b), 'rgb_psnr': psnr(answer[cut, cut], right[cut, cut]),
                        'ssim': float(structural_similarity(a, b, gaussian_weights=True, sigma=1.5, data_range=255,
                                                            use_sample_covariance=False))}}


if __name__ == '__main__':
    cases = {'segmentation': [segmentation(1, 5, 5, 1), segmentation(2, 12, 7, 3), segmentation(3, 2, 1, 2)],
             'enlarged': [enlarged(4, 3, 5, 7, 20, 28), enlarged(5, 6, 9, 8, 33, 31), enlarged(6, 2, 1, 1, 4, 3),
                          enlarged(7, 4, 16, 12, 8, 6)],
             'images': [images(8, 40, 56, 4, 4), images(9, 33, 29, 20, 2), images(10, 64, 48, 1, 3)]}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'pixel_cases.json'), 'w') as out:
        out.write(',\n'.join(json.dumps(cases).split(', {"seed"')).replace(',\n', ',\n{"seed"') + '\n')
