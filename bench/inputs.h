#pragma once
// How the command lines of the benchmarks' programs give extents of inputs.

#include <string>
#include <string_view>

#include "reference/specialise.h"
#include "zoo/inputs.h"

namespace disco::bench {

/// Reads `--shape INPUT EXTENT … .`, as often as it is there from word `first` on.
inline InputShapes shapes_of(int argc, char** argv, int first) {
  InputShapes shapes;
  for (int i = first; i < argc; ++i) {
    if (std::string_view(argv[i]) != "--shape" || i + 1 >= argc) continue;
    Shape& shape = shapes.shapes[argv[++i]];
    while (++i < argc && std::string_view(argv[i]) != ".") shape.push_back(std::stoll(argv[i]));
  }
  return shapes;
}

}  // namespace disco::bench
