#pragma once
// Models built here with seeded weights, so that demo, tests and benchmarks need no download.

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

struct ZooOptions {
  std::uint64_t seed = 1;
};

/// The names that zoo() knows.
[[nodiscard]] std::vector<std::string_view> zoo_names();

/// A model as torchvision's or timm's exporter would write it, with random weights of the scale that training
/// starts from. Input 'input' [N, 3, 224, 224], output 'logits' [N, 1000], N open; those for CIFAR take 32
/// pixels and answer 10 classes. The same seed gives the same bytes everywhere.
///
/// @return InvalidArgument for an unknown name; the message lists the known ones
[[nodiscard]] Result<Graph> zoo(std::string_view name, const ZooOptions& options = {});

}  // namespace disco
