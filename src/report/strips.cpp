// What is kept of every exchanged value, and who owns it.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "report/page.h"

namespace disco::page {

namespace {

/// What tells layers apart in an exporter's name is its end, but for what all of them end in.
std::string layer_name(const std::string& value) {
  constexpr std::string_view kEnd = "_output_0";
  return shortened(value.ends_with(kEnd) ? value.substr(0, value.size() - kEnd.size()) : value, 30);
}

/// How much of a channel travels: nothing, to some nodes, to all of them.
int level_of(double sent) { return sent < 1e-9 ? 0 : sent > 1 - 1e-9 ? 2 : 1; }

/// The channels as a strip, one path for every owner and level, so that thousands stay small.
std::string strip(const ExchangePicture& picture) {
  std::map<std::pair<std::int32_t, int>, std::pair<std::string, std::size_t>> paths;  // and where the pen is
  for (std::size_t c = 0; c < picture.owner.size();) {
    const std::pair key{picture.owner[c], level_of(picture.sent[c])};
    std::size_t end = c;
    while (end < picture.owner.size() && std::pair{picture.owner[end], level_of(picture.sent[end])} == key)
      ++end;
    auto& [path, pen] = paths[key];
    path += path.empty() ? fmt::format("M{} .5h{}", c, end - c) : fmt::format("m{} 0h{}", c - pen, end - c);
    pen = end;
    c = end;
  }
  std::string svg =
      fmt::format(R"(<svg class="strip" viewBox="0 0 {} 1" preserveAspectRatio="none" aria-hidden="true">)",
                  picture.owner.size());
  for (const auto& [key, drawn] : paths)
    svg += fmt::format(R"(<path class="n{} l{}" d="{}"/>)", key.first, key.second, drawn.first);
  return svg + "</svg>";
}

}  // namespace

std::string node_colour(std::size_t rank) {
  // The first few are told apart at a glance; further ones are spread by the golden angle.
  constexpr int kHues[] = {212, 28, 150, 285, 48, 335, 180, 100};
  const std::size_t count = std::size(kHues);
  const int hue = rank < count ? kHues[rank] : static_cast<int>(rank * 137) % 360;
  return fmt::format("hsl({} 75% 52%)", hue);
}

std::string strips(const ArtifactReport& artifact) {
  double most = 0;
  for (const ExchangePicture& picture : artifact.exchanges) most = std::max(most, picture.dense_bytes);
  std::string html =
      R"(<div class="layers"><div class="head"><span>value</span><span>kept</span><span>bytes, beside dense</span><span>channels, by owner</span></div>)";
  for (const ExchangePicture& picture : artifact.exchanges) {
    const double dense = most > 0 ? 100 * picture.dense_bytes / most : 0;
    const double sent = most > 0 ? 100 * picture.bytes / most : 0;
    html += fmt::format(
        R"(<div class="row" title="{}: {} channels, {:.1f} % of those for other nodes travel, {} of {}">)"
        R"(<span class="name">{}</span><span class="kept">{:.0f} %</span>)"
        R"(<span class="bytes"><span class="bar"><i style="width:{:.2f}%"></i><b style="width:{:.2f}%"></b></span><em>{}</em></span>{}</div>)",
        escape(picture.name), picture.owner.size(), 100 * picture.kept, bytes_text(picture.bytes),
        bytes_text(picture.dense_bytes), escape(layer_name(picture.name)), 100 * picture.kept, dense, sent,
        bytes_text(picture.bytes), strip(picture));
  }
  return html + "</div>";
}

}  // namespace disco::page
