#pragma once
// Super-resolution of images of any size, tile by tile where that is needed.

#include "answers.h"
#include "engine.h"
#include "samples.h"

namespace disco::cli {

struct TileFlags {
  int side = 0;      ///< pixels; 0: the model's size, or the whole image where that is not too large
  int overlap = 16;  ///< pixels of each tile's border that its neighbours answer for

  void add_to(CLI::App& command);
};

struct Enlarge {
  const Task& task;
  const Feed& feed;
  TileFlags tiles;
  const std::string& input;  ///< the model's
  /// Runs the model on one batch.
  std::function<Result<NamedTensors>(const NamedTensors& inputs)> run;
};

/// Enlarges every image of the feed, and adds the answers.
///
/// @return InvalidArgument for tiles that the model does not take or that are too small for their overlap;
/// what
///         reading an image or running gives
[[nodiscard]] Status enlarge_all(const Enlarge& how, Answers& answers);

}  // namespace disco::cli
