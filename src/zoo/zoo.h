#pragma once
// Models built here with seeded weights, so that demo, tests and benchmarks need no download.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

/// Rows and columns of the input, in pixels.
struct ImageSize {
  std::int64_t rows = 0, columns = 0;
};

/// What is not given is as published. Each family has some of these.
struct ZooOptions {
  std::uint64_t seed = 1;
  std::optional<ImageSize> size{};
  std::optional<double> width{};          ///< channels, as a factor in (0, 4]
  std::optional<std::int64_t> classes{};  ///< a detector's without background, a segmenter's with it
  std::optional<std::int64_t> blocks{};   ///< layers of a transformer, RRDBs of ESRGAN
  std::optional<std::int64_t> patch{};    ///< a transformer's, in pixels a side
  std::optional<std::int64_t> stride{};   ///< 8 or 16: pixels between positions of a segmenter's deepest map,
                                         ///< or of a detector's finest
};

struct ZooEntry {
  std::string_view name;
  std::string_view what;                   ///< half a line for people
  std::vector<std::string_view> settings;  ///< "size", "width" …: which of ZooOptions it has, beside the seed
};

/// What zoo() knows.
[[nodiscard]] const std::vector<ZooEntry>& zoo_entries();
[[nodiscard]] std::vector<std::string_view> zoo_names();

/// "96" or "120x160", rows first.
/// @return InvalidArgument for anything else
[[nodiscard]] Result<ImageSize> parse_image_size(std::string_view text);

/// A model as torchvision's, timm's or its authors' exporter would write it, with random weights of the scale
/// that training starts from. Input 'input' [N, 3, rows, columns], N open (ESRGAN: all open); classifiers
/// answer 'logits' [N, classes], the others what their metadata says (task/task.h). The same name, settings
/// and seed give the same bytes everywhere.
///
/// @return InvalidArgument for an unknown name (the message lists the known ones), a setting that the family
/// has not,
///   or one out of its range
[[nodiscard]] Result<Graph> zoo(std::string_view name, const ZooOptions& options = {});

}  // namespace disco
