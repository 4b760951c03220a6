// The page itself.

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "report/page.h"

namespace disco {

namespace page {

std::string escape(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
  }
  return safe;
}

std::string file_name(const std::string& path) { return std::filesystem::path(path).filename().string(); }

std::string bytes_text(double bytes) {
  const char* units[] = {"B", "kB", "MB", "GB"};
  std::size_t unit = 0;
  while (bytes >= 999.95 && unit + 1 < std::size(units)) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes)
                   : fmt::format("{:.{}f} {}", bytes, bytes < 99.95 ? 1 : 0, units[unit]);
}

std::string shortened(const std::string& name, std::size_t most) {
  if (name.size() <= most) return name;
  // Not within a letter of several bytes.
  const auto whole = [&](std::size_t at) {
    while (at > 0 && at < name.size() && (static_cast<unsigned char>(name[at]) & 0xC0U) == 0x80U) --at;
    return at;
  };
  const std::size_t head = whole(most / 2 - 1), tail = whole(name.size() - most / 2);
  return name.substr(0, head) + "…" + name.substr(tail);
}

double shown(const Figure& figure) { return figure.unit == Unit::Share ? 100 * figure.value : figure.value; }

std::string long_name(const std::string& figure) {
  if (figure == "top1") return "top-1 accuracy";
  if (figure == "psnr") return "PSNR";
  return figure == "agreement" ? "agreement with the dense model" : figure;
}

std::string quality_name(const Report& report) {
  return report.dense ? report.dense->figures.front().name : "agreement";
}

}  // namespace page

namespace {

using namespace page;  // NOLINT(google-build-using-namespace)

constexpr std::string_view kStyle = R"css(
:root{--ground:#fbfaf8;--card:#fff;--ink:#1d2430;--soft:#5d6675;--rule:#e3e1dc;
--c0:#1f6feb;--c1:#1a9850;--c2:#a044c8;--c3:#e0702b;--c4:#6b7280;--c5:#c2255c}
@media(prefers-color-scheme:dark){:root{--ground:#11151c;--card:#1a2029;--ink:#e8ebf0;--soft:#9aa5b5;--rule:#2c3440;
--c0:#6aa5ff;--c1:#4cc38a;--c2:#cf8df0;--c3:#ffa05c;--c4:#a3adbb;--c5:#ff7ba9}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:64rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.4rem 0 .6rem}
p{margin:.3rem 0;color:var(--soft);max-width:46rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:.8rem;margin:1.5rem 0}
.card{background:var(--card);border:1px solid var(--rule);border-top:4px solid var(--c4);border-radius:10px;padding:.8rem 1rem}
.card b{display:block;font-size:1.75rem;line-height:1.25;letter-spacing:-.02em}
.card span{color:var(--soft);font-size:.9rem;display:block;overflow-wrap:anywhere}
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:1rem}
.curve{display:block;width:100%;max-width:48rem;margin:0 auto;height:auto;font-family:inherit}
.grid{stroke:var(--rule);fill:none}.tick{font-size:11.5px;fill:var(--soft)}.title{font-size:12px;fill:var(--soft)}
.dense{stroke:var(--soft);stroke-dasharray:2 4;fill:none}.densedot{fill:var(--soft)}
.line{fill:none;stroke:currentColor;stroke-width:2.5;stroke-linejoin:round}.dashed{stroke-dasharray:7 4}
.dot{fill:currentColor;stroke:var(--card);stroke-width:1.5}.error{stroke:currentColor;stroke-width:1.5;opacity:.6}
.value{font-size:11px;font-weight:600;fill:currentColor;paint-order:stroke;stroke:var(--card);stroke-width:3px}
figcaption{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;justify-content:center;padding-top:.6rem;font-size:.92rem}
.key{display:inline-flex;align-items:center;gap:.45rem}.key i{width:1.6rem;border-top:3px solid currentColor}
.key.dash i{border-top-style:dashed}.key span{color:var(--ink)}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:10px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.5rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
tr:last-child td{border-bottom:0}th{color:var(--soft);font-weight:600;font-size:.82rem}
th:first-child,td:first-child{text-align:left}td:first-child{white-space:normal;min-width:10rem;overflow-wrap:anywhere}
td small{color:var(--soft)}td:first-child small{display:block}
details{background:var(--card);border:1px solid var(--rule);border-radius:10px;margin:.7rem 0;padding:.7rem 1rem}
summary{cursor:pointer;font-weight:600;overflow-wrap:anywhere}summary small{color:var(--soft);font-weight:400}
.layers{margin-top:.8rem;font-size:.83rem}
.head,.row{display:grid;grid-template-columns:minmax(0,13rem) 3.2rem minmax(0,1.2fr) minmax(0,2fr);gap:.15rem .8rem;align-items:center}
.head{color:var(--soft);border-bottom:1px solid var(--rule);padding-bottom:.25rem;margin-bottom:.25rem}
.row{padding:.1rem 0}.name{overflow:hidden;white-space:nowrap;text-overflow:ellipsis}
.kept{text-align:right;font-variant-numeric:tabular-nums}
.bytes{display:grid;grid-template-columns:1fr 4.2rem;gap:.4rem;align-items:center}
.bytes em{font-style:normal;color:var(--soft);font-variant-numeric:tabular-nums}
.bar{position:relative;height:.75rem}.bar i,.bar b{position:absolute;left:0;top:0;height:100%;border-radius:2px}
.bar i{background:var(--rule)}.bar b{background:var(--c0)}
.strip{width:100%;height:1rem;display:block;border-radius:3px;shape-rendering:crispEdges;background:var(--rule)}
.strip path{fill:none;stroke-width:1}.l0{opacity:.22}.l1{opacity:.6}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.7rem 0 0;font-size:.85rem;color:var(--soft)}
.legend i{display:inline-block;width:.9rem;height:.9rem;border-radius:3px;margin-right:.35rem;vertical-align:-.1rem}
@media(max-width:40rem){main{padding:1.2rem .7rem 3rem}h1{font-size:1.35rem}figure{padding:.6rem .3rem}
.head{display:none}.row{grid-template-columns:minmax(0,1fr) 3rem;padding:.35rem 0}
.bytes,.row>.strip{grid-column:1/-1}}
)css";

std::string percent(double share, int digits = 2) { return fmt::format("{:.{}f} %", 100 * share, digits); }

/// The most that any node has of a figure, of the whole model's.
double busiest(const ArtifactReport& artifact, std::int64_t Cost::*figure) {
  std::int64_t most = 0;
  for (const Cost& cost : artifact.nodes) most = std::max(most, cost.*figure);
  const std::int64_t whole = artifact.unsplit.*figure;
  return whole == 0 ? 0 : static_cast<double>(most) / static_cast<double>(whole);
}

std::string capital(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string card(std::size_t colour, const std::string& big, const std::vector<std::string>& lines) {
  std::string html =
      fmt::format(R"html(<div class="card" style="border-top-color:var(--c{})"><b>{}</b>)html", colour, big);
  for (const std::string& line : lines) html += fmt::format("<span>{}</span>", line);
  return html + "</div>";
}

/// The dense model, and up to three artifacts: of the first series, most bytes first.
std::string cards(const Report& report, const std::vector<Series>& series) {
  constexpr std::size_t kMost = 3;
  const Evaluation& any = report.artifacts.front().evaluation;
  std::string html = R"(<div class="cards">)";
  html += card(4, report.dense ? to_text(report.dense->figures.front()) : bytes_text(any.dense_bytes),
               {"the dense model", bytes_text(any.dense_bytes) + " a sample between nodes"});
  std::vector<const ArtifactReport*> shown(series.front().points.rbegin(), series.front().points.rend());
  std::erase_if(shown, [](const ArtifactReport* a) { return a->evaluation.bytes() <= 0; });
  if (shown.size() > kMost) shown.erase(shown.begin(), shown.end() - kMost);
  for (const ArtifactReport* artifact : shown) {
    const Evaluation& e = artifact->evaluation;
    std::string quality = to_text(quality_of(e));
    if (report.dense) {
      const Figure& dense = report.dense->figures.front();
      const double off = page::shown(quality_of(e)) - page::shown(dense);
      quality += fmt::format(", {:.2f} {} {} dense", std::abs(off),
                             dense.unit == Unit::Decibel ? "dB" : "points", off < 0 ? "below" : "above");
    } else {
      quality += " answered as the dense model does";
    }
    html += card(series.front().colour, fmt::format("{:.1f}×", e.dense_bytes / e.bytes()),
                 {"fewer bytes", quality,
                  fmt::format("a node computes {} and holds {} of the model at most",
                              percent(busiest(*artifact, &Cost::macs), 0),
                              percent(busiest(*artifact, &Cost::weight_bytes), 0))});
  }
  return html + "</div>";
}

std::string legend(const std::vector<Series>& series) {
  std::string html = "<figcaption>";
  for (const Series& line : series) {
    html += fmt::format(R"(<span class="key c{}{}"><i></i><span>{}</span></span>)", line.colour,
                        line.dashed ? " dash" : "", escape(line.name));
  }
  return html + "</figcaption>";
}

std::string table(const Report& report, const std::vector<Series>& series) {
  std::string html = R"(<div class="scroll"><table><thead><tr><th>artifact</th>)"
                     "<th>bytes</th><th>of dense</th>";
  if (report.dense) html += fmt::format("<th>{}</th>", escape(long_name(quality_name(report))));
  html +=
      "<th>agreement</th><th>MACs a node</th><th>weights a node</th><th>messages a "
      "node</th></tr></thead><tbody>";
  const Cost& whole = report.artifacts.front().unsplit;
  html += fmt::format("<tr><td>{}<small>dense model, unsplit</small></td><td></td><td></td>",
                      escape(file_name(report.model)));
  if (report.dense) html += fmt::format("<td>{}</td>", to_text(report.dense->figures.front()));
  html +=
      fmt::format("<td></td><td>{:.2f} M</td><td>{}</td><td></td></tr>",
                  static_cast<double>(whole.macs) / 1e6, bytes_text(static_cast<double>(whole.weight_bytes)));
  for (const Series& line : series) {
    for (const ArtifactReport* artifact : line.points) {
      const Evaluation& e = artifact->evaluation;
      std::string messages;
      for (const Cost& cost : artifact->nodes)
        messages += fmt::format("{}{}", messages.empty() ? "" : " / ", cost.messages_sent);
      if (artifact->nodes.size() > 4) {
        std::int64_t most = 0;
        for (const Cost& cost : artifact->nodes) most = std::max(most, cost.messages_sent);
        messages = fmt::format("up to {}", most);
      }
      html += fmt::format("<tr><td>{}<small class=\"c{}\">{}</small></td><td>{}</td><td>{:.4f}</td>",
                          escape(file_name(e.model)), line.colour, escape(line.name), bytes_text(e.bytes()),
                          e.dense_bytes > 0 ? e.bytes() / e.dense_bytes : 0);
      if (report.dense) html += fmt::format("<td>{}</td>", to_text(quality_of(e)));
      html +=
          fmt::format("<td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                      e.agreement ? percent(*e.agreement) : "", percent(busiest(*artifact, &Cost::macs), 1),
                      percent(busiest(*artifact, &Cost::weight_bytes), 1), messages);
    }
  }
  return html + "</tbody></table></div>";
}

std::string pictures(const std::vector<Series>& series) {
  std::string html;
  for (const Series& line : series) {
    for (const ArtifactReport* artifact : line.points) {
      const Evaluation& e = artifact->evaluation;
      html += fmt::format(R"(<details{}><summary>{} <small>{}, {} a sample, {}</small></summary>)",
                          html.empty() ? " open" : "", escape(file_name(e.model)), escape(line.name),
                          bytes_text(e.bytes()), to_text(quality_of(e)));
      html += R"(<div class="legend">)";
      for (std::size_t rank = 0; rank < artifact->nodes.size(); ++rank)
        html += fmt::format(R"(<span><i style="background:{}"></i>node {}</span>)", node_colour(rank), rank);
      html += "<span>strong: travels; faint: stays where it is</span></div>";
      html += strips(*artifact) + "</details>";
    }
  }
  return html;
}

}  // namespace

std::string to_html(const Report& report) {
  const std::vector<Series> series = series_of(report);
  std::size_t nodes = 0;
  for (const ArtifactReport& artifact : report.artifacts) nodes = std::max(nodes, artifact.nodes.size());
  std::string colours;
  for (std::size_t c = 0; c < 6; ++c) colours += fmt::format(".c{}{{color:var(--c{})}}", c, c);
  for (std::size_t rank = 0; rank < nodes; ++rank)
    colours += fmt::format(".n{}{{stroke:{}}}", rank, node_colour(rank));
  const std::string title = escape(file_name(report.model));
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\"><title>{}: what "
      "travels</title>\n<style>{}{}</style></head>\n<body><main>",
      title, kStyle, colours);
  html += fmt::format(
      "<h1>{}: what travels, and what that costs</h1><p>{} samples of {}{}. Every answer came from nodes "
      "that "
      "exchanged features for it; bytes were counted where they were sent.</p>",
      title, report.samples, escape(report.data),
      report.preset.empty() ? "" : ", preset " + escape(report.preset));
  html += cards(report, series);
  html +=
      fmt::format("<h2>{} against bytes</h2><figure>{}{}</figure>",
                  escape(capital(long_name(quality_name(report)))), curve(report, series), legend(series));
  html +=
      "<h2>Artifacts</h2><p>Bytes: of one sample, all nodes. MACs and weights: the busiest node's, of the "
      "whole model's. Messages: sent by each node.</p>" +
      table(report, series);
  html +=
      "<h2>What is kept of every layer, and who owns it</h2><p>One row for each value that nodes exchange, "
      "in the order of "
      "the network. The bar is what travels of it, on what a dense exchange would send; the strip is its "
      "channels.</p>" +
      pictures(series);
  return html + "</main></body></html>\n";
}

}  // namespace disco
