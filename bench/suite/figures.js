// Medians, quartiles and how figures are written.
'use strict';

// Linear between the two nearest samples; null for none.
function quantile(list, q) {
  if (list.length === 0) return null;
  const sorted = [...list].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}
const median = (list) => quantile(list, 0.5);

// {median, q1, q3, min, n}; null for no samples.
const spread = (list) =>
    list.length === 0 ? null : {median: median(list), q1: quantile(list, 0.25), q3: quantile(list, 0.75), min: Math.min(...list), n: list.length};

// Three digits that count: 0.123, 12.3, 1234.
function digits(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}
function bytes(value) {
  if (value === null || value === undefined) return '–';
  for (const [unit, factor] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]]) {
    if (value >= factor) return `${digits(value / factor)} ${unit}`;
  }
  return `${value} B`;
}

module.exports = {quantile, median, spread, digits, bytes};
