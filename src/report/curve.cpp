// The curve of quality against bytes.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "report/page.h"

namespace disco::page {

namespace {

constexpr double kWidth = 560, kHeight = 350, kLeft = 46, kRight = 18, kTop = 28, kBottom = 44;

double share_of(const Evaluation& evaluation) {
  return evaluation.dense_bytes > 0 ? evaluation.bytes() / evaluation.dense_bytes : 1;
}

/// Maps shares and qualities to the picture.
struct Axes {
  double least = .01;          // share at the left end of the scale
  double gap = 0;              // left of that, for what sends next to nothing
  double low = 0, high = 100;  // percent
  double step = 10;

  [[nodiscard]] double x(double share) const {
    if (share < least) return kLeft + gap / 3;
    const double at = std::log(share / least) / std::log(1 / least);
    return kLeft + gap + at * (kWidth - kLeft - gap - kRight);
  }
  [[nodiscard]] double y(double percent) const {
    return kTop + (high - std::clamp(percent, low, high)) / (high - low) * (kHeight - kTop - kBottom);
  }
};

Axes axes_of(const Report& report) {
  constexpr double kNothing = .004;  // would stretch a logarithmic scale for nothing to see
  double least = .5, low = 100, high = 0;
  Axes axes;
  for (const ArtifactReport& artifact : report.artifacts) {
    const double share = share_of(artifact.evaluation), quality = 100 * quality_of(artifact.evaluation);
    if (share < kNothing) axes.gap = 64;
    if (share >= kNothing) least = std::min(least, share);
    low = std::min(low, quality);
    high = std::max(high, quality);
  }
  if (report.dense) {
    low = std::min(low, 100 * report.dense->top1);
    high = std::max(high, 100 * report.dense->top1);
  }
  // The next of 1, 2, 5 times a power of ten below what is shown.
  const double power = std::pow(10, std::floor(std::log10(least * .8)));
  axes.least = power * (least * .8 >= 5 * power ? 5 : least * .8 >= 2 * power ? 2 : 1);
  for (const double step : {1.0, 2.0, 5.0, 10.0, 20.0}) {
    axes.step = step;
    if (high - low <= 6 * step) break;
  }
  axes.low = std::max(0.0, std::floor((low - axes.step * .3) / axes.step) * axes.step);
  axes.high = std::min(100.0, std::ceil((high + axes.step * .3) / axes.step) * axes.step);
  return axes;
}

std::string grid(const Axes& axes, const std::string& quality) {
  std::string svg;
  const double bottom = kHeight - kBottom;
  for (double p = axes.low; p <= axes.high + 1e-9; p += axes.step) {
    svg += fmt::format(
        R"(<path class="grid" d="M{} {:.1f}H{}"/><text x="{}" y="{:.1f}" text-anchor="end" class="tick">{:g}</text>)",
        kLeft, axes.y(p), kWidth - kRight, kLeft - 7, axes.y(p) + 4, p);
  }
  for (double power = 1e-6; power <= 1; power *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double share = power * factor;
      if (share < axes.least * .999 || share > 1.001) continue;
      svg += fmt::format(
          R"(<path class="grid" d="M{:.1f} {}V{}"/><text x="{:.1f}" y="{}" text-anchor="middle" class="tick">{:g}</text>)",
          axes.x(share), kTop, bottom, axes.x(share), bottom + 17, share);
    }
  }
  if (axes.gap > 0) {
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle" class="tick">≈ 0</text>)",
                       axes.x(0), bottom + 17);
  }
  svg += fmt::format(
      R"(<text x="{}" y="{}" text-anchor="middle" class="title">bytes on the wire, share of the dense exchange</text>)",
      (kLeft + kWidth - kRight) / 2, kHeight - 6);
  return svg + fmt::format(R"(<text x="{}" y="12" class="title">{}, %</text>)", 4, quality);
}

std::string dense_line(const Report& report, const Axes& axes) {
  const double percent = report.dense ? 100 * report.dense->top1 : 100;
  return fmt::format(
      R"(<path class="dense" d="M{} {:.1f}H{}"/><text x="{}" y="{:.1f}" class="tick">dense model {:.2f} %</text>)"
      R"(<circle class="densedot" cx="{}" cy="{:.1f}" r="4.5"/>)",
      kLeft, axes.y(percent), kWidth - kRight, kLeft + 6, axes.y(percent) - 6, percent, axes.x(1),
      axes.y(percent));
}

std::string point(const ArtifactReport& artifact, const Axes& axes, const Series& line, bool labelled) {
  const Evaluation& e = artifact.evaluation;
  const double percent = 100 * quality_of(e), x = axes.x(share_of(e)), y = axes.y(percent);
  // A proportion's standard error.
  const double error = 100 * std::sqrt(percent / 100 * (1 - percent / 100) / static_cast<double>(e.samples));
  std::string svg =
      fmt::format(R"(<g><title>{}: {:.2f} % (standard error {:.2f}), {} a sample, {:.4f} of dense</title>)",
                  escape(file_name(e.model)), percent, error, bytes_text(e.bytes()), share_of(e));
  svg += fmt::format(R"(<path class="error" d="M{:.1f} {:.1f}V{:.1f}"/>)", x, axes.y(percent - error),
                     axes.y(percent + error));
  svg += line.dashed
             ? fmt::format(R"(<rect class="dot" x="{:.1f}" y="{:.1f}" width="9" height="9" rx="1.5"/>)",
                           x - 4.5, y - 4.5)
             : fmt::format(R"(<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="5"/>)", x, y);
  if (labelled)
    svg += fmt::format(R"(<text class="value" x="{:.1f}" y="{:.1f}" text-anchor="middle">{:.1f}</text>)", x,
                       line.colour == 0 && !line.dashed ? y - 10 : y + 19, percent);
  return svg + "</g>";
}

}  // namespace

std::vector<Series> series_of(const Report& report) {
  const std::vector<std::string> known = {"disco", "split-then-aggregate", "dense-then-split", "independent",
                                          "dense"};
  std::set<int> nodes;
  std::map<std::tuple<std::size_t, std::string, int, std::string>, std::vector<const ArtifactReport*>> groups;
  for (const ArtifactReport& artifact : report.artifacts) {
    const Evaluation& e = artifact.evaluation;
    const auto rank =
        static_cast<std::size_t>(std::find(known.begin(), known.end(), e.method) - known.begin());
    nodes.insert(e.nodes);
    groups[{rank, e.method, e.nodes, e.wire}].push_back(&artifact);
  }
  std::vector<Series> list;
  for (auto& [key, points] : groups) {
    const auto& [rank, method, count, wire] = key;
    std::sort(points.begin(), points.end(),
              [](const auto* a, const auto* b) { return a->evaluation.bytes() < b->evaluation.bytes(); });
    std::string name = method + (wire == "fp32" ? "" : ", " + wire);
    if (nodes.size() > 1) name += fmt::format(", {} nodes", count);
    list.push_back({std::move(name), rank, wire != "fp32", std::move(points)});
  }
  return list;
}

std::string curve(const Report& report, const std::vector<Series>& series) {
  const Axes axes = axes_of(report);
  const bool has_accuracy = report.dense.has_value();
  std::string svg = fmt::format(
      R"(<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{} against bytes on the wire">)",
      kWidth, kHeight, has_accuracy ? "top-1 accuracy" : "agreement with the dense model");
  svg += grid(axes, has_accuracy ? "top-1" : "agreement with the dense model");
  svg += dense_line(report, axes);
  for (const Series& line : series) {
    svg += fmt::format(R"(<g class="c{}">)", line.colour);
    std::string path;
    for (const ArtifactReport* artifact : line.points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", axes.x(share_of(artifact->evaluation)),
                          axes.y(100 * quality_of(artifact->evaluation)));
    }
    svg += fmt::format(R"(<path class="line{}" d="{}"/>)", line.dashed ? " dashed" : "", path);
    for (const ArtifactReport* artifact : line.points)
      svg += point(*artifact, axes, line, report.artifacts.size() <= 16);
    svg += "</g>";
  }
  return svg + "</svg>";
}

}  // namespace disco::page
