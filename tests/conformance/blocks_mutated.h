#pragma once
// The exporters' blocks that the mutation tests begin with.

#include "blocks_attention.h"
#include "blocks_convolution.h"
#include "blocks_detection.h"

namespace disco::testing {

inline std::vector<Block> mutated_blocks() {
  std::vector<Block> all;
  for (const auto& family : {convolution_blocks(), attention_blocks(), detection_blocks()})
    all.insert(all.end(), family.begin(), family.end());
  return all;
}

}  // namespace disco::testing
