#pragma once
// Private to measure: writes the small graphs that are measured.

#include <string>
#include <vector>

#include "graph/graph.h"

namespace disco {

/// Writes a graph whose values all follow from one input of one number, so that nothing is folded and next to
/// nothing is fed.
class ProbeGraph {
 public:
  ProbeGraph(std::string name, std::string input);

  /// Another input.
  ValueId fed(const std::string& name, const Shape& shape);
  /// The input's number, repeated to a shape.
  ValueId filled(const std::string& name, const Shape& shape);
  ValueId constant(const std::string& name, const Shape& shape);
  ValueId op(const std::string& name, const std::string& type, std::vector<ValueId> inputs,
             const Shape& shape, std::map<std::string, Attribute, std::less<>> attributes = {});
  ValueId conv(const std::string& name, ValueId x, ValueId weight, std::int64_t groups);
  void send(const std::string& name, ValueId value, int peer);
  ValueId receive(const std::string& name, const Shape& shape, int peer);
  /// Receives so many, into one value that is an output: what nothing reads would not be received.
  void receive_all(const std::string& name, const std::vector<std::int64_t>& numbers, int peer);
  /// Makes what was received an output, for the same reason.
  void keep_received(const std::string& name, std::vector<ValueId> parts);
  /// Makes the mean of a value an output, so that it has to be computed.
  void keep(ValueId value, const std::string& name);
  Graph take() { return std::move(graph_); }

 private:
  ValueId value(const std::string& name, const Shape& shape);

  Graph graph_;
  ValueId input_ = kNoValue;
  int groups_ = 0;
  std::int64_t sent_ = 0, received_ = 0;  // the n-th message of each direction has the n-th tag
};

}  // namespace disco
