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
  double low = 0, high = 100;  // as shown()
  double step = 10;

  [[nodiscard]] double x(double share) const {
    if (share < least) return kLeft + gap / 3;
    const double at = std::log(share / least) / std::log(1 / least);
    return kLeft + gap + at * (kWidth - kLeft - gap - kRight);
  }
  [[nodiscard]] double y(double quality) const {
    return kTop + (high - std::clamp(quality, low, high)) / (high - low) * (kHeight - kTop - kBottom);
  }
};

Axes axes_of(const Report& report) {
  constexpr double kNothing = .004;  // would stretch a logarithmic scale for nothing to see
  double least = .5, low = 1e9, high = 0;
  bool shares = true;
  Axes axes;
  for (const ArtifactReport& artifact : report.artifacts) {
    const double share = share_of(artifact.evaluation), quality = shown(quality_of(artifact.evaluation));
    shares = quality_of(artifact.evaluation).unit == Unit::Share;
    if (share < kNothing) axes.gap = 64;
    if (share >= kNothing) least = std::min(least, share);
    low = std::min(low, quality);
    high = std::max(high, quality);
  }
  if (report.dense) {
    low = std::min(low, shown(report.dense->figures.front()));
    high = std::max(high, shown(report.dense->figures.front()));
  }
  // The next of 1, 2, 5 times a power of ten below what is shown.
  const double power = std::pow(10, std::floor(std::log10(least * .8)));
  axes.least = power * (least * .8 >= 5 * power ? 5 : least * .8 >= 2 * power ? 2 : 1);
  for (const double step : {.02, .05, .1, .2, .5, 1.0, 2.0, 5.0, 10.0, 20.0}) {
    if (shares && step < 1) continue;
    axes.step = step;
    if (high - low <= 6 * step) break;
  }
  axes.low = std::max(0.0, std::floor((low - axes.step * .3) / axes.step) * axes.step);
  axes.high = std::ceil((high + axes.step * .3) / axes.step) * axes.step;
  if (shares) axes.high = std::min(100.0, axes.high);
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
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle" class="tick">≈ 0</text>)", axes.x(0),
                       bottom + 17);
  }
  svg += fmt::format(
      R"(<text x="{}" y="{}" text-anchor="middle" class="title">bytes on the wire, share of the dense exchange</text>)",
      (kLeft + kWidth - kRight) / 2, kHeight - 6);
  return svg + fmt::format(R"(<text x="{}" y="12" class="title">{}</text>)", 4, quality);
}

std::string dense_line(const Report& report, const Axes& axes) {
  const Figure dense = report.dense ? report.dense->figures.front() : Figure{"agreement", 1};
  const double at = axes.y(shown(dense));
  return fmt::format(
      R"(<path class="dense" d="M{} {:.1f}H{}"/><text x="{}" y="{:.1f}" class="tick">dense model {}</text>)"
      R"(<circle class="densedot" cx="{}" cy="{:.1f}" r="4.5"/>)",
      kLeft, at, kWidth - kRight, kLeft + 6, at - 6, to_text(dense), axes.x(1), at);
}

std::string point(const ArtifactReport& artifact, const Axes& axes, const Series& line, bool labelled) {
  const Evaluation& e = artifact.evaluation;
  const Figure quality = quality_of(e);
  const double value = shown(quality), x = axes.x(share_of(e)), y = axes.y(value);
  std::string svg = fmt::format("<g><title>{}: {}", escape(file_name(e.model)), to_text(quality));
  std::string bar;
  if (quality.name == "top1") {
    // A proportion's standard error.
    const double samples = static_cast<double>(e.measured->samples);
    const double error = 100 * std::sqrt(quality.value * (1 - quality.value) / samples);
    svg += fmt::format(" (standard error {:.2f})", error);
    bar = fmt::format(R"(<path class="error" d="M{:.1f} {:.1f}V{:.1f}"/>)", x, axes.y(value - error),
                      axes.y(value + error));
  }
  svg += fmt::format(", {} a sample, {:.4f} of dense</title>{}", bytes_text(e.bytes()), share_of(e), bar);
  svg += line.dashed
             ? fmt::format(R"(<rect class="dot" x="{:.1f}" y="{:.1f}" width="9" height="9" rx="1.5"/>)",
                           x - 4.5, y - 4.5)
             : fmt::format(R"(<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="5"/>)", x, y);
  if (labelled)
    svg += fmt::format(R"(<text class="value" x="{:.1f}" y="{:.1f}" text-anchor="middle">{:.1f}</text>)", x,
                       line.colour == 0 && !line.dashed ? y - 10 : y + 19, value);
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
  const std::string name = long_name(quality_name(report));
  const bool shares = !report.dense || report.dense->figures.front().unit == Unit::Share;
  std::string svg = fmt::format(
      R"(<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{} against bytes on the wire">)",
      kWidth, kHeight, escape(name));
  svg += grid(axes, fmt::format("{}, {}", escape(name), shares ? "%" : "dB"));
  svg += dense_line(report, axes);
  for (const Series& line : series) {
    svg += fmt::format(R"(<g class="c{}">)", line.colour);
    std::string path;
    for (const ArtifactReport* artifact : line.points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", axes.x(share_of(artifact->evaluation)),
                          axes.y(shown(quality_of(artifact->evaluation))));
    }
    svg += fmt::format(R"(<path class="line{}" d="{}"/>)", line.dashed ? " dashed" : "", path);
    for (const ArtifactReport* artifact : line.points)
      svg += point(*artifact, axes, line, report.artifacts.size() <= 16);
    svg += "</g>";
  }
  return svg + "</svg>";
}

}  // namespace disco::page
