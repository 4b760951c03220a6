#include "reference/specialise.h"

#include <algorithm>
#include <deque>
#include <set>

#include "graph/onnx.h"
#include "reference/evaluate.h"
#include "reference/specialise_rewrite.h"

namespace disco {

namespace {

// A folded constant may take as many bytes as the constants that it replaces, or this many.
constexpr std::size_t kMaxFoldedBytes = std::size_t{64} << 20;

// No machine holds an input of more.
constexpr double kMostElements = 1e12;

Status bind_one(Value& value, const Shape& shape, std::map<std::string, std::int64_t>& symbols) {
  if (value.dims && value.dims->size() != shape.size()) {
    return error(ErrorCode::ShapeMismatch, "input '{}' has {} axes, {} were given: {}", value.name,
                 value.dims->size(), shape.size(), to_string(shape));
  }
  double elements = 1;
  for (const std::int64_t extent : shape) elements *= static_cast<double>(extent);
  if (elements > kMostElements) {
    return error(ErrorCode::ShapeMismatch, "input '{}': {} is too large", value.name, to_string(shape));
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) {
      return error(ErrorCode::ShapeMismatch, "input '{}': an extent of {} in {}", value.name, shape[i],
                   to_string(shape));
    }
    if (!value.dims) continue;
    const Dimension& dim = (*value.dims)[i];
    if (dim.known() && dim.extent != shape[i]) {
      return error(ErrorCode::ShapeMismatch, "input '{}': axis {} is {} in the model, {} was given",
                   value.name, i, dim.extent, shape[i]);
    }
    if (dim.known() || dim.symbol.empty()) continue;
    const auto [bound, is_new] = symbols.emplace(dim.symbol, shape[i]);
    if (!is_new && bound->second != shape[i]) {
      return error(ErrorCode::ShapeMismatch,
                   "input '{}': axis {} is '{}', which is {} elsewhere, {} was given", value.name, i,
                   dim.symbol, bound->second, shape[i]);
    }
  }
  value.set_shape(shape);
  return {};
}

/// Old exporters wrote 0 where they meant "any".
void open_zero_extents(Value& value) {
  if (!value.dims) return;
  for (Dimension& dim : *value.dims) {
    if (dim.extent == 0) dim.extent = -1;
  }
}

Status bind_inputs(Graph& graph, const InputShapes& given) {
  if (given.default_batch < 1) {
    return error(ErrorCode::InvalidArgument, "a batch of {}; it must be at least 1", given.default_batch);
  }
  std::set<std::string> unused;
  for (const auto& [name, shape] : given.shapes) unused.insert(name);
  std::map<std::string, std::int64_t> symbols;
  for (const ValueId id : graph.inputs) {
    Value& value = graph.value(id);
    open_zero_extents(value);
    const auto found = given.shapes.find(value.name);
    if (found == given.shapes.end()) continue;
    unused.erase(value.name);
    DISCO_CHECK(bind_one(value, found->second, symbols));
  }
  if (!unused.empty()) {
    std::string names;
    for (const ValueId id : graph.inputs) names += (names.empty() ? "'" : ", '") + graph.value(id).name + "'";
    return error(ErrorCode::InvalidArgument, "the model has no input '{}'; it has {}", *unused.begin(),
                 names.empty() ? "none" : names);
  }
  for (const ValueId id : graph.inputs) {
    Value& value = graph.value(id);
    if (value.has_shape()) continue;
    if (!value.dims) {
      return error(ErrorCode::ShapeMismatch, "input '{}': the model does not say its shape; please give one",
                   value.name);
    }
    Shape shape;
    for (std::size_t i = 0; i < value.dims->size(); ++i) {
      const Dimension& dim = (*value.dims)[i];
      const auto bound = dim.symbol.empty() ? symbols.end() : symbols.find(dim.symbol);
      if (dim.known()) {
        shape.push_back(dim.extent);
      } else if (bound != symbols.end()) {
        shape.push_back(bound->second);
      } else if (i == 0) {
        shape.push_back(given.default_batch);
      } else {
        return error(ErrorCode::ShapeMismatch, "input '{}': axis {}{} is open; please give its shape",
                     value.name, i, dim.symbol.empty() ? "" : " ('" + dim.symbol + "')");
      }
    }
    DISCO_CHECK(bind_one(value, shape, symbols));
  }
  return {};
}

class Specialiser {
 public:
  explicit Specialiser(Graph& graph) : graph_(graph) {}
  Status run();

 private:
  Status visit(Node node);
  Status check_supported(const Graph& graph, const Node& node) const;
  bool inline_if(const Node& node);
  bool drop(const Node& node);
  bool fold_shape(const Node& node);
  void name_type(Node& node) const;
  [[nodiscard]] bool is_foldable(const Node& node) const;
  Status fold(const Node& node);
  void set_constant(ValueId id, Tensor tensor);
  void note_captures(const Node& node);

  Graph& graph_;
  std::deque<Node> pending_;
  std::vector<Node> nodes_;
  std::vector<ValueId> aliases_;    // by value: what to read instead; itself where nothing
  std::set<std::string> captured_;  // names that subgraphs read: those values must stay
  std::set<ValueId> graph_outputs_;
};

Error unsupported(const Graph& graph, const Node& node) {
  return error(ErrorCode::Unsupported, "{}: the operator (opset {}) is not supported; see docs/operators.md",
               describe(graph, node), kOpset);
}

Status Specialiser::check_supported(const Graph& graph, const Node& node) const {
  // Exchanges are run by the runtime, not by the evaluator.
  if (node.is_disco("Send") || node.is_disco("Recv")) return {};
  if (!reference::is_supported(node.op, node.domain)) return unsupported(graph, node);
  for (const auto& [key, attribute] : node.attributes) {
    const auto* inner = std::get_if<std::shared_ptr<const Graph>>(&attribute);
    if (inner == nullptr) continue;
    for (const Node& nested : (*inner)->nodes) DISCO_CHECK(check_supported(**inner, nested));
  }
  return {};
}

void Specialiser::note_captures(const Node& node) {
  for (std::string& name : captured_names(node)) captured_.insert(std::move(name));
}

/// A constant value; an output of the graph is computed from one, so that every output has a node.
void Specialiser::set_constant(ValueId id, Tensor tensor) {
  if (graph_outputs_.contains(id)) {
    Value& value = graph_.value(id);
    value.type = tensor.type();
    value.set_shape(tensor.shape());
    const ValueId constant = graph_.add_constant(value.name + "/constant", std::move(tensor));
    nodes_.push_back({.op = "Identity", .inputs = {constant}, .outputs = {id}});
    aliases_.resize(graph_.values.size(), kNoValue);
    aliases_[static_cast<std::size_t>(id)] = constant;  // whoever else reads it may fold
    return;
  }
  Value& value = graph_.value(id);
  value.type = tensor.type();
  value.set_shape(tensor.shape());
  value.constant = std::move(tensor);
}

bool Specialiser::inline_if(const Node& node) {
  if (!node.is("If")) return false;
  const Tensor* condition = graph_.constant(node.input(0));
  if (condition == nullptr || condition->type() != DataType::Bool || condition->elements() != 1) return false;
  const auto found = node.attributes.find(*condition->data<bool>() ? "then_branch" : "else_branch");
  if (found == node.attributes.end()) return false;
  const auto* branch = std::get_if<std::shared_ptr<const Graph>>(&found->second);
  if (branch == nullptr || *branch == nullptr) return false;
  std::vector<Node> inlined;
  if (!inline_branch(graph_, node, **branch, inlined)) return false;
  for (const Node& added : inlined) note_captures(added);
  pending_.insert(pending_.begin(), inlined.begin(), inlined.end());
  return true;
}

/// Identity, Dropout and a Cast to the type that is there: whoever reads the output reads the input instead,
/// where names allow.
bool Specialiser::drop(const Node& node) {
  const bool is_dropout = node.is("Dropout") && (node.outputs.size() < 2 || node.outputs[1] == kNoValue);
  const bool casts_to_same = node.is("Cast") && node.input(0) != kNoValue &&
                             node.int_or("to", 0) == static_cast<int>(graph_.value(node.inputs[0]).type);
  if (!node.is("Identity") && !is_dropout && !casts_to_same) return false;
  if (is_dropout) {
    const Tensor* training = graph_.constant(node.input(2));
    if (node.input(2) != kNoValue &&
        (training == nullptr || training->elements() != 1 || *training->data<bool>())) {
      return false;
    }
  }
  const ValueId output = node.outputs[0];
  if (output == kNoValue || node.input(0) == kNoValue) return false;
  if (graph_outputs_.contains(output) || captured_.contains(graph_.value(output).name)) return false;
  aliases_.resize(graph_.values.size(), kNoValue);
  aliases_[static_cast<std::size_t>(output)] = node.inputs[0];
  return true;
}

/// CastLike becomes the Cast that it is here: its second input lends a type, and should neither travel nor
/// keep the first from folding.
void Specialiser::name_type(Node& node) const {
  const ValueId like = node.is("CastLike") ? node.input(1) : kNoValue;
  if (like == kNoValue || graph_.value(like).type == DataType::Undefined) return;
  node.op = "Cast";
  node.attributes["to"] = static_cast<std::int64_t>(graph_.value(like).type);
  node.inputs.resize(1);
}

bool Specialiser::fold_shape(const Node& node) {
  if ((!node.is("Shape") && !node.is("Size")) || node.input(0) == kNoValue) return false;
  const Value& x = graph_.value(node.inputs[0]);
  if (!x.has_shape() || node.outputs[0] == kNoValue) return false;
  const Shape shape = x.shape();
  if (node.is("Size")) {
    set_constant(node.outputs[0], Tensor::scalar(element_count(shape)));
    return true;
  }
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto clamped = [rank](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t start = clamped(node.int_or("start", 0));
  const std::int64_t end = std::max(start, clamped(node.int_or("end", rank)));
  const Shape part(shape.begin() + start, shape.begin() + end);
  set_constant(node.outputs[0], Tensor::of<std::int64_t>({end - start}, part));
  return true;
}

bool Specialiser::is_foldable(const Node& node) const {
  // Random numbers are new at every run, and a Loop may never end; Bernoulli and Multinomial draw too.
  static const std::set<std::string_view> never = {"RandomNormal",
                                                   "RandomNormalLike",
                                                   "RandomUniform",
                                                   "RandomUniformLike",
                                                   "Bernoulli",
                                                   "Multinomial",
                                                   "Loop",
                                                   "Scan",
                                                   "If"};
  if (!node.domain.empty() || never.contains(node.op) || node.outputs.empty()) return false;
  std::size_t input_bytes = 0;
  for (const ValueId id : node.inputs) {
    if (id == kNoValue) continue;
    const Tensor* constant = graph_.constant(id);
    if (constant == nullptr) return false;
    input_bytes += constant->bytes();
  }
  std::size_t output_bytes = 0;
  for (const ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    // An output stays a node where it already is one: Identity of a constant.
    if (node.is("Identity") && graph_outputs_.contains(id)) return false;
    const Value& value = graph_.value(id);
    if (value.has_shape()) {
      output_bytes += static_cast<std::size_t>(element_count(value.shape())) * size_of(value.type);
    }
  }
  return output_bytes <= std::max(input_bytes, kMaxFoldedBytes);
}

Status Specialiser::fold(const Node& node) {
  reference::Inputs inputs;
  for (const ValueId id : node.inputs) inputs.push_back(id == kNoValue ? Tensor() : *graph_.constant(id));
  Result<reference::Outputs> outputs = reference::evaluate(node, inputs);
  if (!outputs) return in_context(describe(graph_, node), outputs.error());
  if (outputs->size() < node.outputs.size()) {
    return error(ErrorCode::Internal, "{}: {} of {} outputs were computed; please report this",
                 describe(graph_, node), outputs->size(), node.outputs.size());
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != kNoValue) set_constant(node.outputs[i], std::move((*outputs)[i]));
  }
  return {};
}

Status Specialiser::visit(Node node) {
  aliases_.resize(graph_.values.size(), kNoValue);
  for (ValueId& id : node.inputs) {
    if (id != kNoValue && aliases_[static_cast<std::size_t>(id)] != kNoValue)
      id = aliases_[static_cast<std::size_t>(id)];
  }
  if (inline_if(node)) return {};
  if (drop(node) || fold_shape(node)) return {};
  name_type(node);
  DISCO_CHECK(check_supported(graph_, node));
  DISCO_CHECK(infer_node(graph_, node));
  if (is_foldable(node)) return fold(node);
  nodes_.push_back(std::move(node));
  return {};
}

Status Specialiser::run() {
  graph_outputs_.insert(graph_.outputs.begin(), graph_.outputs.end());
  for (const Node& node : graph_.nodes) note_captures(node);
  pending_.assign(std::make_move_iterator(graph_.nodes.begin()), std::make_move_iterator(graph_.nodes.end()));
  graph_.nodes.clear();
  while (!pending_.empty()) {
    Node node = std::move(pending_.front());
    pending_.pop_front();
    DISCO_CHECK(visit(std::move(node)));
  }
  graph_.nodes = std::move(nodes_);
  return {};
}

/// What was declared or inferred under open shapes says nothing about the fixed ones.
void forget_inferred(Graph& graph) {
  std::vector<bool> given(graph.values.size(), false);
  for (const ValueId id : graph.inputs) given[static_cast<std::size_t>(id)] = true;
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    Value& value = graph.values[i];
    if (given[i] || value.is_constant()) continue;
    value.type = DataType::Undefined;
    value.dims.reset();
  }
}

}  // namespace

Result<Graph> specialise(const Graph& source, const InputShapes& inputs) {
  Graph graph = source;
  graph.remove_dead();  // what nothing reads need not be supported
  DISCO_CHECK(bind_inputs(graph, inputs));
  forget_inferred(graph);
  DISCO_CHECK(Specialiser(graph).run());
  rewrite_shuffles(graph);
  rewrite_pixel_shuffles(graph);
  rewrite_padded_convolutions(graph);
  rewrite_flat_softmax(graph);
  graph.remove_dead();
  return graph;
}

}  // namespace disco
