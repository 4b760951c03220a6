#pragma once
#include "block.h"
namespace disco::testing {
inline std::vector<Block> detection_blocks() { return {}; }
}
