#pragma once
// Pieces of the report's page; not for others.

#include <string>
#include <string_view>
#include <vector>

#include "report/report.h"

namespace disco::page {

/// Text as HTML shows it: names come from models and files.
[[nodiscard]] std::string escape(std::string_view text);

/// The last part of a path.
[[nodiscard]] std::string file_name(const std::string& path);

/// "147.5 kB".
[[nodiscard]] std::string bytes_text(double bytes);

/// A long name with its middle left out; what lies before and behind tells layers apart.
[[nodiscard]] std::string shortened(const std::string& name, std::size_t most);

/// A figure as axes show it: shares in percent.
[[nodiscard]] double shown(const Figure& figure);
/// "top-1 accuracy", "agreement with the dense model", or the figure's own name.
[[nodiscard]] std::string long_name(const std::string& figure);
/// The name of what artifacts are judged by.
[[nodiscard]] std::string quality_name(const Report& report);

/// Artifacts of one method, wire format and number of nodes, least bytes first.
struct Series {
  std::string name;
  std::size_t colour = 0;  ///< of the page's list
  bool dashed = false;
  std::vector<const ArtifactReport*> points;
};
[[nodiscard]] std::vector<Series> series_of(const Report& report);

/// Quality against the share of the dense exchange's bytes, as SVG.
[[nodiscard]] std::string curve(const Report& report, const std::vector<Series>& series);

/// One row for each exchanged value: what of it is kept, its bytes, and its channels by owner.
[[nodiscard]] std::string strips(const ArtifactReport& artifact);

/// A CSS colour for a node, by rank.
[[nodiscard]] std::string node_colour(std::size_t rank);

}  // namespace disco::page
