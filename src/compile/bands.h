#pragma once
// Bands: layers computed and messages sent in parts by rows, so that the first part of a message is on its
// way, and the first part of the next layer computed, while the rest is.

#include <cstddef>
#include <map>
#include <vector>

#include "compile/program_impl.h"
#include "graph/bands.h"

namespace disco {

/// In which bands each value of a shard is computed: as its inputs, Sends and Receives say, and between these
/// as follows. Empty for what no banded message is made of, and none that comes is read by. By value.
/// @param of_inputs  bands of inputs that come in bands
[[nodiscard]] std::vector<Bands> plan_bands(const Graph& graph,
                                            const std::map<ValueId, Bands>& of_inputs = {});

/// Bytes [begin, end) of a buffer that a step reads, or writes.
struct Access {
  BufferId buffer = kNoBuffer;
  std::size_t begin = 0, end = SIZE_MAX;
  bool writes = true;
};

/// What the order of a program's steps must mind.
struct StepOrder {
  std::vector<Access> accesses;
  std::size_t band = 0;
};

/// An order in which bands take turns between the exchanges: the first band of all that follows a message, up
/// to the next, then the second. Steps keep their order where one writes what another reads or writes. A
/// Receive still follows every Send that it followed, hence ranks cannot wait for each other: of all that
/// wait, take the one whose value and band come first; its peer waits for a later one, and sent all that
/// precedes that. What comes from the caller precedes what comes from other ranks, as it did, since these may
/// wait for it to be here (InputRoute::await).
///
/// @param steps  of the program, in an order that is correct
/// @return the old indices in their new order
[[nodiscard]] std::vector<std::size_t> take_turns(const std::vector<Step>& steps,
                                                  const std::vector<StepOrder>& orders);

}  // namespace disco
