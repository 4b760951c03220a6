#pragma once
// How a request's inputs come to the nodes.

#include <map>
#include <string>
#include <vector>

#include "graph/bands.h"

namespace disco {

/// How the inputs of one rank come. Those of nodes on other machines travel in bands of rows, so that the
/// first layer begins with the first; and they share the link of the coordinator's machine with what the rank
/// on that machine has to say, which must not take its bandwidth: nobody could use that before its own input
/// is there.
struct InputRoute {
  /// By input, where it comes in bands. Heeded where the layout that its reader wants allows it.
  std::map<std::string, Bands> bands;
  std::vector<int> tell;   ///< ranks that are told, by an empty message, when all inputs are here
  std::vector<int> await;  ///< ranks that must have said so before anything is sent to them
};

/// The tag of these messages: no band has it.
inline constexpr std::uint32_t kInputsAreHere = 0xFFFFFFFF;

/// The bands in which an input should come to a node of another machine: none where it is small, or no
/// feature map.
[[nodiscard]] Bands bands_of_input(const Value& input);

/// By rank. @param near  by rank: on the coordinator's machine
[[nodiscard]] std::vector<InputRoute> input_routes(const std::vector<Graph>& shards,
                                                   const std::vector<bool>& near);

}  // namespace disco
