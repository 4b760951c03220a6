#pragma once
// The typed IR: one graph for every engine. It is read from ONNX and keeps ONNX's operators, in the form that
// opset 17 gives them; the reader brings older and newer models to that form, so that nothing below it asks
// for an opset.

#include <disco/tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace disco {

struct Graph;

/// Index into Graph::values; kNoValue is an optional input or output that is left out.
using ValueId = std::int32_t;
inline constexpr ValueId kNoValue = -1;

/// The opset whose operator definitions the IR follows.
inline constexpr int kOpset = 17;

/// The domain of this project's own operators, which appear in shards only: Send, Recv, and the two halves of
/// normalisations whose statistics are exchanged.
inline constexpr std::string_view kDiscoDomain = "disco";

/// Metadata of a shard: the names of linear maps that should run in two parts, their own channels first,
/// while the others' are on their way; a JSON array. (ONNX allows no attribute of ours on its operators.)
inline constexpr std::string_view kLocalFirst = "disco.local_first";

/// One extent of a value: known, or unknown with an optional symbol ("batch").
struct Dimension {
  std::int64_t extent = -1;  ///< -1: unknown
  std::string symbol;
  [[nodiscard]] bool known() const { return extent >= 0; }
  friend bool operator==(const Dimension&, const Dimension&) = default;
};

/// An edge of the graph: a graph input, a constant, or what one node computes.
struct Value {
  std::string name;                              ///< unique in the graph
  DataType type = DataType::Undefined;           ///< Undefined until inferred
  std::optional<std::vector<Dimension>> dims{};  ///< nullopt: not even the rank is known
  std::optional<Tensor> constant{};              ///< initialisers and folded constants

  [[nodiscard]] bool is_constant() const { return constant.has_value(); }
  /// Whether rank and every extent are known.
  [[nodiscard]] bool has_shape() const;
  /// The extents; only where has_shape().
  [[nodiscard]] Shape shape() const;
  void set_shape(const Shape& shape);
};

/// A node's attribute. Subgraphs (If, Loop) are shared, immutable graphs.
using Attribute = std::variant<std::int64_t, float, std::string, Tensor, std::vector<std::int64_t>,
                               std::vector<float>, std::vector<std::string>, std::shared_ptr<const Graph>>;

/// One operator application.
struct Node {
  std::string name;  ///< may be empty; messages then use the first output's name
  std::string op;    ///< "Conv"
  std::string domain;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::map<std::string, Attribute, std::less<>> attributes;

  /// The attribute, or the fallback if it is absent or of another type.
  [[nodiscard]] std::int64_t int_or(std::string_view key, std::int64_t fallback) const;
  [[nodiscard]] float float_or(std::string_view key, float fallback) const;
  [[nodiscard]] std::string string_or(std::string_view key, std::string_view fallback) const;
  [[nodiscard]] std::vector<std::int64_t> ints_or(std::string_view key,
                                                  std::vector<std::int64_t> fallback) const;
  [[nodiscard]] bool has(std::string_view key) const { return attributes.contains(key); }
  /// The value at an input position, or kNoValue where the node has fewer inputs.
  [[nodiscard]] ValueId input(std::size_t position) const {
    return position < inputs.size() ? inputs[position] : kNoValue;
  }
  [[nodiscard]] bool is(std::string_view op_type) const { return domain.empty() && op == op_type; }
  [[nodiscard]] bool is_disco(std::string_view op_type) const {
    return domain == kDiscoDomain && op == op_type;
  }
};

/// A model. Nodes are in topological order; every value has at most one producer.
struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;  ///< fed at run time; initialisers are not among them
  std::vector<ValueId> outputs;
  std::map<std::string, std::string> metadata;  ///< ONNX metadata_props
  /// For a subgraph: the outer values it reads, by the name both use.
  std::vector<std::string> captures;

  [[nodiscard]] Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  /// Adds a value and returns its id; the name is made unique by a suffix where it is taken.
  ValueId add_value(std::string name, DataType type = DataType::Undefined);
  ValueId add_constant(std::string name, Tensor tensor);
  /// kNoValue where there is none of that name.
  [[nodiscard]] ValueId find_value(std::string_view name) const;
  /// The constant behind an id, or nullptr for kNoValue and for computed values.
  [[nodiscard]] const Tensor* constant(ValueId id) const;

  /// Removes nodes whose outputs nothing reads, then values that nothing names; ids change.
  void remove_dead();

  /// Index of the node that computes each value, -1 for inputs and constants.
  [[nodiscard]] std::vector<std::int32_t> producers() const;
  /// Indices of the nodes that read each value, themselves or in a subgraph, ascending, each once.
  [[nodiscard]] std::vector<std::vector<std::int32_t>> consumers() const;

 private:
  std::map<std::string, ValueId, std::less<>> names_;  // an index of `values`, caught up lazily by add_value
};

/// A node's name, or its first output's where it has none.
[[nodiscard]] std::string name_of(const Graph& graph, const Node& node);
/// "node 'Conv_17' (Conv)": how messages name a node.
[[nodiscard]] std::string describe(const Graph& graph, const Node& node);

/// The values that the subgraphs of a node read from the graph around it, at any depth.
[[nodiscard]] std::vector<ValueId> captured_values(const Graph& graph, const Node& node);

/// Elements of an int32 or int64 tensor as int64.
[[nodiscard]] std::vector<std::int64_t> to_int64s(const Tensor& tensor);

}  // namespace disco
