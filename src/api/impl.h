#pragma once
// What stands behind the public classes.

#include <disco/model.h>
#include <disco/split.h>

#include <exception>
#include <new>

#include "base/result.h"
#include "graph/graph.h"
#include "partition/split.h"

namespace disco {

struct Model::Impl {
  [[nodiscard]] static Model of(Graph graph, std::string label);

  std::string label;  ///< the file, for messages; may be empty
  std::shared_ptr<const Graph> graph;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  int partition_nodes = 0;
};

struct Split::Impl {
  std::shared_ptr<const Graph> whole;  ///< as it was read
  SplitModel model;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
};

/// What the graph says of these values.
[[nodiscard]] std::vector<TensorInfo> describe_values(const Graph& graph, const std::vector<ValueId>& ids);

/// The function's result; what it throws becomes an error, so that nothing crosses the library's boundary.
template <typename Function>
auto guarded(Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return error(ErrorCode::Io, "out of memory");
  } catch (const std::exception& exception) {
    return error(ErrorCode::Internal, "{}; please report it", exception.what());
  }
}

}  // namespace disco
