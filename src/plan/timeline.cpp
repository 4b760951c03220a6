#include "plan/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "report/page.h"

namespace disco {
namespace {

constexpr double kWidth = 1000;
constexpr double kRow = 16;
constexpr double kGap = 4;
/// Of the picture's width; what is shorter is left out, so that clusters of dozens of nodes stay readable.
constexpr double kLeast = 1.0 / 20'000;

constexpr const char* kStyle =
    "body{font:14px system-ui,sans-serif;margin:2em;color:#222}.scroll{overflow-x:auto;border:1px solid #ccc}"
    ".names{float:left;margin-right:8px;text-align:right}.names "
    "div{height:20px;line-height:16px;font-size:12px}"
    "svg{display:block}.compute{fill:#4078c0}.pack{fill:#e69f00}.wait{fill:#ddd}.wire{fill:#009e73}"
    ".key span{display:inline-block;width:1em;height:1em;vertical-align:-2px;margin:0 4px 0 12px}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:2px 10px;text-align:right}";

struct Window {
  double start = 0;  // seconds
  double end = 0;
  [[nodiscard]] double at(double time) const {
    return kWidth * (std::clamp(time, start, end) - start) / (end - start);
  }
};

double seconds(std::int64_t ns) { return static_cast<double>(ns) * 1e-9; }

Window window_of(const Simulation& simulation) {
  const double latency = simulation.latency_ms * 1e-3;
  double end = 1e-9;
  for (const NodeTrace& trace : simulation.traces) {
    if (!trace.events.empty()) end = std::max(end, seconds(trace.events.back().end_ns));
  }
  for (const WireSpan& span : simulation.wire) end = std::max(end, span.end_s);
  // One at a time: what is left of the last request's time is the coordinator's.
  if (simulation.concurrency == 1) return {std::max(0.0, end - latency), end};
  const double middle = end / 2;
  return {std::max(0.0, middle - latency), std::min(end, middle + latency)};
}

void add_bar(std::string& svg, const Window& window, double row, double start, double end, const char* kind,
             const std::string& text) {
  const double from = window.at(start), to = window.at(end);
  if (to - from < kWidth * kLeast) return;
  svg += fmt::format(
      "<rect class=\"{}\" x=\"{:.3f}\" y=\"{:.0f}\" width=\"{:.3f}\" "
      "height=\"{:.0f}\"><title>{}</title></rect>\n",
      kind, from, row * (kRow + kGap), to - from, kRow, page::escape(text));
}

const char* kind_of(TracePhase phase) {
  switch (phase) {
    case TracePhase::Compute: return "compute";
    case TracePhase::Wait: return "wait";
    default: return "pack";
  }
}

const char* verb_of(TracePhase phase) {
  switch (phase) {
    case TracePhase::Compute: return "computes";
    case TracePhase::Wait: return "waits for";
    case TracePhase::Unpack: return "unpacks";
    default: return "packs and sends";
  }
}

}  // namespace

std::string timeline_page(const Simulation& simulation, const std::string& title) {
  const Window window = window_of(simulation);
  std::string names, svg;
  double row = 0;
  for (std::size_t n = 0; n < simulation.traces.size(); ++n) {
    const NodeTrace& trace = simulation.traces[n];
    const std::string node = page::escape(trace.label);
    names += fmt::format("<div>{}</div><div>on the wire</div>", node);
    for (const TraceEvent& event : trace.events) {
      const double start = seconds(event.start_ns), end = seconds(event.end_ns);
      add_bar(svg, window, row, start, end, kind_of(event.phase),
              fmt::format("{} {} {}, {:.3f} ms", trace.label, verb_of(event.phase), event.name,
                          (end - start) * 1e3));
    }
    for (const WireSpan& span : simulation.wire) {
      if (span.from != static_cast<int>(n)) continue;
      add_bar(svg, window, row + 1, span.start_s, span.end_s, "wire",
              fmt::format("{} to {}: {}, {:.0f} bytes, {:.3f} ms", trace.label,
                          simulation.traces[static_cast<std::size_t>(span.to)].label, span.name, span.bytes,
                          (span.end_s - span.start_s) * 1e3));
    }
    row += 2;
  }
  const double height = row * (kRow + kGap);
  std::string table = "<table><tr><th>node<th>compute<th>pack<th>wait<th>sent</tr>";
  for (std::size_t n = 0; n < simulation.nodes.size(); ++n) {
    const SimulatedNode& node = simulation.nodes[n];
    table += fmt::format("<tr><td>{}<td>{:.2f} ms<td>{:.2f} ms<td>{:.2f} ms<td>{}</tr>",
                         page::escape(simulation.traces[n].label), node.compute_ms, node.pack_ms,
                         node.wait_ms, page::bytes_text(static_cast<double>(node.bytes_sent)));
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><meta "
      "charset=\"utf-8\"><title>{0}</title><style>{1}</style>\n<h1>{0}</h1>\n"
      "<p>Predicted, not measured: {2:.2f} ms a request, {3:.2f} requests a second. Shown: {4:.2f} ms.</p>\n"
      "<p class=\"key\"><span style=\"background:#4078c0\"></span>computes<span "
      "style=\"background:#e69f00\"></span>"
      "packs, sends, unpacks<span style=\"background:#ddd\"></span>waits<span "
      "style=\"background:#009e73\"></span>"
      "on the wire</p>\n"
      "<p><label>zoom <input type=\"range\" min=\"1\" max=\"30\" value=\"1\" "
      "oninput=\"document.querySelector('svg').style.width=this.value*100+'%'\"></label></p>\n"
      "<div class=\"names\">{5}</div><div class=\"scroll\"><svg style=\"width:100%\" height=\"{6:.0f}\" "
      "viewBox=\"0 0 {7:.0f} {6:.0f}\" preserveAspectRatio=\"none\">\n{8}</svg></div>\n{9}</table></html>\n",
      page::escape(title), kStyle, simulation.latency_ms, simulation.throughput,
      (window.end - window.start) * 1e3, names, height, kWidth, svg, table);
}

}  // namespace disco
