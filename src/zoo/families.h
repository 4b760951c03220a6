#pragma once
// One function a family; the names are in zoo.cpp.

#include <cstdint>

#include "graph/graph.h"

namespace disco {

[[nodiscard]] Graph build_resnet(int depth, std::uint64_t seed);  ///< 18 or 50; He et al. 2015
/// For 32-pixel images and 10 classes, depth 6n + 2; He et al. 2015, section 4.2, with projections as shortcuts.
[[nodiscard]] Graph build_cifar_resnet(int depth, std::uint64_t seed);
[[nodiscard]] Graph build_mobilenet_v2(std::uint64_t seed);       ///< Sandler et al. 2018
[[nodiscard]] Graph build_deit(int width, int heads,
                               std::uint64_t seed);  ///< Touvron et al. 2021; 12 layers, patches of 16

}  // namespace disco
