#pragma once
// Brings nodes of opset 6 to 24 to their form of opset 17. Private to src/graph.

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "graph/graph.h"

namespace disco {

/// The opsets whose changes are known here.
inline constexpr int kOldestOpset = 6;
inline constexpr int kNewestOpset = 24;

/// Appends `node`, which is written for `opset`, to the graph in its form of opset 17: one node, or a few
/// that compute the same. Linear maps of quantised numbers become float maps. Its inputs are values of the
/// graph; constants, types and ranks that are known help (see needs_ranks).
///
/// @return Ok; or Unsupported, InvalidModel, with the node, the operator and the opset
[[nodiscard]] Status append_canonical(Graph& graph, Node node, int opset);

/// Whether the operator's form of opset 17 depends on its input's rank or type, so that reading should infer
/// them.
[[nodiscard]] bool needs_ranks(std::string_view op, int opset);

/// Checks a node against the definition of opset 17 (attributes known, numbers of inputs and outputs).
[[nodiscard]] Status check_definition(const Graph& graph, const Node& node, int opset);

/// One lowering in progress: the node, and short ways to build what replaces it.
class NodeLowering {
 public:
  NodeLowering(Graph& graph, Node& node, int opset) : graph(graph), node(node), opset(opset) {}

  Graph& graph;
  Node& node;
  int opset;

  using Attributes = std::map<std::string, Attribute, std::less<>>;
  /// Appends an operator with one new output.
  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});
  /// Appends an operator that computes the node's output at a position, or a new value where it has none.
  ValueId emit_output(std::size_t position, std::string_view op, std::vector<ValueId> inputs,
                      Attributes attributes = {});
  void emit_result(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    emit_output(0, op, std::move(inputs), std::move(attributes));
  }
  ValueId constant(std::string_view suffix, Tensor tensor);
  ValueId int64s(std::string_view suffix, const std::vector<std::int64_t>& values);
  /// A scalar of the type of `like`: float64, else float32.
  ValueId scalar_like(std::string_view suffix, double value, ValueId like);

  /// Unsupported, with the node, its operator and its opset.
  [[nodiscard]] Error unsupported(std::string_view what) const;
  [[nodiscard]] Error invalid(std::string_view what) const;
  /// An input that must be a constant list of integers; nullopt where absent.
  [[nodiscard]] Result<std::optional<std::vector<std::int64_t>>> int_input(std::size_t position) const;
  /// The rank of an input, or Unsupported where it is unknown.
  [[nodiscard]] Result<std::int64_t> rank(std::size_t position) const;

  /// The attribute becomes the input at `position`, as a constant; nothing where it is absent.
  void ints_to_input(std::string_view attribute, std::size_t position);
  void set_input(std::size_t position, ValueId id);
  void drop(std::string_view attribute);
};

/// What became of a node: `Done` where it was replaced, `Append` where it is to be appended as it now stands.
enum class Lowered { Append, Done };
using LoweringRule = Result<Lowered> (*)(NodeLowering&);

/// The rule for an operator of an opset below, and above, 17; nullptr where its form is the same.
[[nodiscard]] LoweringRule find_older_rule(std::string_view op);
[[nodiscard]] LoweringRule find_newer_rule(std::string_view op);
/// The rule for a linear map of quantised numbers, of any opset.
[[nodiscard]] LoweringRule find_integer_rule(std::string_view op);

}  // namespace disco
