#include <algorithm>
#include <map>
#include <set>

#include "graph/onnx.h"
#include "graph/onnx_infer.h"
#include "graph/onnx_tensor.h"

namespace disco {

namespace {

const Value* input_value(const Graph& graph, const Node& node, std::size_t position) {
  const ValueId id = node.input(position);
  return id == kNoValue ? nullptr : &graph.value(id);
}

// ---- the disco domain

Status infer_send(const Graph&, const Node&, std::vector<Inferred>&) { return {}; }

Status infer_recv(const Graph&, const Node& node, std::vector<Inferred>& results) {
  if (results.size() != 1) return error(ErrorCode::InvalidModel, "one output is wanted");
  const auto type = static_cast<DataType>(node.int_or("dtype", static_cast<std::int64_t>(DataType::Float32)));
  const Shape shape = node.ints_or("shape", {});
  if (size_of(type) == 0) return error(ErrorCode::InvalidModel, "dtype={}", node.int_or("dtype", 0));
  if (!node.has("shape") || !is_sane(shape))
    return error(ErrorCode::InvalidModel, "shape={}", to_string(shape));
  results[0].type = type;
  results[0].dims.emplace();
  for (const std::int64_t extent : shape) results[0].dims->push_back({extent, {}});
  return {};
}

Status infer_same_as_first(const Graph& graph, const Node& node, std::vector<Inferred>& results) {
  const Value* x = input_value(graph, node, 0);
  if (x == nullptr || results.empty())
    return error(ErrorCode::InvalidModel, "the first input or output is missing");
  results[0] = {x->type, x->dims};
  return {};
}

/// The axis, counted from the front, of an input whose rank is known.
Result<std::size_t> axis_of(const Node& node, std::size_t rank) {
  const std::int64_t axis = node.int_or("axis", -1);
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    return error(ErrorCode::InvalidModel, "axis {} of a rank of {}", axis, rank);
  }
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

Status infer_statistics(const Graph& graph, const Node& node, std::vector<Inferred>& results) {
  DISCO_CHECK(infer_same_as_first(graph, node, results));
  // Half precision is for results.
  if (results[0].type != DataType::Undefined && results[0].type != DataType::Float64)
    results[0].type = DataType::Float32;
  auto& dims = results[0].dims;
  if (!dims) return {};
  DISCO_TRY(const std::size_t axis, axis_of(node, dims->size()));
  if (node.op == "LayerNormStatistics") {
    dims->resize(axis);
    dims->push_back({2, {}});
  } else {
    (*dims)[axis] = {2, {}};
  }
  return {};
}

// ---- what onnx 1.12 leaves open

/// The new axis has as many elements as the constant `depth` says.
Status infer_one_hot(const Graph& graph, const Node& node, std::vector<Inferred>& results) {
  const Value* indices = input_value(graph, node, 0);
  const Value* values = input_value(graph, node, 2);
  if (indices == nullptr || values == nullptr || results.size() != 1)
    return error(ErrorCode::InvalidModel, "an input or output is missing");
  results[0].type = values->type;
  if (!indices->dims) return {};
  DISCO_TRY(const std::size_t axis, axis_of(node, indices->dims->size() + 1));
  Dimension added;
  const Tensor* depth = graph.constant(node.input(1));
  const bool is_integer =
      depth != nullptr && (depth->type() == DataType::Int64 || depth->type() == DataType::Int32);
  if (is_integer && depth->elements() == 1) {
    added.extent = to_int64s(*depth)[0];
    if (added.extent < 1 || added.extent > kMaxExtent)
      return error(ErrorCode::InvalidModel, "a depth of {}", added.extent);
  }
  results[0].dims = indices->dims;
  results[0].dims->insert(results[0].dims->begin() + static_cast<std::ptrdiff_t>(axis), added);
  return {};
}

/// "bij,bjk->bik", with ellipses; unknown where an ellipsis meets extents that are not known.
Status infer_einsum(const Graph& graph, const Node& node, std::vector<Inferred>& results) {
  std::string equation = node.string_or("equation", "");
  std::erase(equation, ' ');
  const Value* first = input_value(graph, node, 0);
  if (first == nullptr || results.size() != 1)
    return error(ErrorCode::InvalidModel, "an input or output is missing");
  results[0].type = first->type;
  const std::size_t arrow = equation.find("->");
  const std::string left = equation.substr(0, arrow);
  std::map<char, Dimension> extents;
  std::map<char, int> uses;
  std::vector<Dimension> ellipsis;  // aligned at the right, as in broadcasting
  bool has_ellipsis = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (begin > left.size())
      return error(ErrorCode::InvalidModel, "'{}' for {} inputs", equation, node.inputs.size());
    const std::string term = left.substr(begin, left.find(',', begin) - begin);
    begin += term.size() + 1;
    const Value* value = input_value(graph, node, i);
    if (value == nullptr || !value->dims) return {};
    const std::size_t dots = term.find("...");
    const std::size_t letters = term.size() - (dots == std::string::npos ? 0 : 3);
    const std::size_t rank = value->dims->size();
    if (letters > rank || (dots == std::string::npos && letters != rank)) {
      return error(ErrorCode::InvalidModel, "'{}' for an input of rank {}", term, rank);
    }
    std::size_t axis = 0;
    for (std::size_t c = 0; c < term.size(); ++c) {
      if (c == dots) {
        has_ellipsis = true;
        const std::size_t count = rank - letters;
        if (count > ellipsis.size())
          ellipsis.insert(ellipsis.begin(), count - ellipsis.size(), Dimension{1, {}});
        for (std::size_t k = 0; k < count; ++k, ++axis) {
          Dimension& out = ellipsis[ellipsis.size() - count + k];
          const Dimension& in = (*value->dims)[axis];
          if (out.extent == 1) out = in;
          if (out.known() && in.known() && in.extent != 1 && in.extent != out.extent) {
            return error(ErrorCode::InvalidModel, "'{}': extents {} and {} meet", equation, out.extent,
                         in.extent);
          }
        }
        c += 2;
        continue;
      }
      const Dimension& in = (*value->dims)[axis++];
      ++uses[term[c]];
      const auto [entry, is_new] = extents.emplace(term[c], in);
      Dimension& known = entry->second;
      if (is_new) continue;
      if (!known.known() || known.extent == 1) {
        known = in;
      } else if (in.known() && in.extent != 1 && in.extent != known.extent) {
        return error(ErrorCode::InvalidModel, "'{}': '{}' is {} and {}", equation, term[c], known.extent,
                     in.extent);
      }
    }
  }
  std::string right;
  if (arrow != std::string::npos) {
    right = equation.substr(arrow + 2);
  } else {  // NumPy's rule: the letters that appear once, sorted
    if (has_ellipsis) right = "...";
    for (const auto& [letter, count] : uses) {
      if (count == 1) right += letter;
    }
  }
  results[0].dims.emplace();
  for (std::size_t c = 0; c < right.size(); ++c) {
    if (right.compare(c, 3, "...") == 0) {
      results[0].dims->insert(results[0].dims->end(), ellipsis.begin(), ellipsis.end());
      c += 2;
    } else if (const auto found = extents.find(right[c]); found != extents.end()) {
      results[0].dims->push_back(found->second);
    } else {
      return error(ErrorCode::InvalidModel, "'{}': '{}' is in no input", equation, right[c]);
    }
  }
  return {};
}

// ---- If and Loop

/// Infers a subgraph, its inputs set already; the outer values are taken by name.
Result<Graph> infer_subgraph(const Graph& outer, const Node& node, std::string_view attribute,
                             const std::vector<Inferred>& inputs) {
  const auto found = node.attributes.find(attribute);
  const auto* shared =
      found == node.attributes.end() ? nullptr : std::get_if<std::shared_ptr<const Graph>>(&found->second);
  if (shared == nullptr || *shared == nullptr) return error(ErrorCode::InvalidModel, "no {}", attribute);
  Graph graph = **shared;
  const std::set<std::string_view> captures(graph.captures.begin(), graph.captures.end());
  for (Value& value : graph.values) {
    if (value.is_constant()) continue;
    value.type = DataType::Undefined;
    value.dims.reset();
    if (!captures.contains(value.name)) continue;
    if (const ValueId id = outer.find_value(value.name); id != kNoValue) {
      value.type = outer.value(id).type;
      value.dims = outer.value(id).dims;
      // Small constants decide shapes; they are seen through.
      value.constant = outer.value(id).constant;
    }
  }
  if (inputs.size() != graph.inputs.size()) {
    return error(ErrorCode::InvalidModel, "{} has {} inputs, {} are given", attribute, graph.inputs.size(),
                 inputs.size());
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Value& value = graph.value(graph.inputs[i]);
    value.type = inputs[i].type;
    value.dims = inputs[i].dims;
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) DISCO_CHECK(infer_node(graph, graph.nodes[n]));
  return graph;
}

Inferred inferred_of(const Graph& graph, ValueId id) { return {graph.value(id).type, graph.value(id).dims}; }

/// What holds for a value that is one or the other: extents where they agree.
Result<Inferred> either(const Inferred& a, const Inferred& b) {
  if (a.type == DataType::Undefined || b.type == DataType::Undefined) {
    return Inferred{a.type == DataType::Undefined ? b.type : a.type, {}};
  }
  if (a.type != b.type) {
    return error(ErrorCode::InvalidModel, "branches give {} and {}", to_string(a.type), to_string(b.type));
  }
  Inferred result = {a.type, {}};
  if (!a.dims || !b.dims || a.dims->size() != b.dims->size()) return result;
  result.dims.emplace();
  for (std::size_t i = 0; i < a.dims->size(); ++i) {
    result.dims->push_back((*a.dims)[i] == (*b.dims)[i] ? (*a.dims)[i] : Dimension{});
  }
  return result;
}

Status infer_if(const Graph& graph, const Node& node, std::vector<Inferred>& results) {
  DISCO_TRY(const Graph then_branch, infer_subgraph(graph, node, "then_branch", {}));
  DISCO_TRY(const Graph else_branch, infer_subgraph(graph, node, "else_branch", {}));
  if (then_branch.outputs.size() != results.size() || else_branch.outputs.size() != results.size()) {
    return error(ErrorCode::InvalidModel, "its branches have {} and {} outputs, it has {}",
                 then_branch.outputs.size(), else_branch.outputs.size(), results.size());
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    DISCO_TRY(results[i], either(inferred_of(then_branch, then_branch.outputs[i]),
                                 inferred_of(else_branch, else_branch.outputs[i])));
  }
  return {};
}

/// Carried values keep the extents that an iteration gives back unchanged; the others may differ at every
/// one.
Status infer_loop(const Graph& graph, const Node& node, std::vector<Inferred>& results) {
  const std::size_t carried = node.inputs.size() < 2 ? 0 : node.inputs.size() - 2;
  if (results.size() < carried) return error(ErrorCode::InvalidModel, "fewer outputs than carried values");
  std::vector<Inferred> inputs = {{DataType::Int64, std::vector<Dimension>{}},
                                  {DataType::Bool, std::vector<Dimension>{}}};
  for (std::size_t i = 0; i < carried; ++i) {
    const Value* value = input_value(graph, node, i + 2);
    if (value == nullptr) return error(ErrorCode::InvalidModel, "a carried value is missing");
    inputs.push_back({value->type, value->dims});
  }
  Graph body;
  // Each round can only forget extents, so it ends; three cover every body but contrived ones.
  for (int round = 0;; ++round) {
    DISCO_TRY(body, infer_subgraph(graph, node, "body", inputs));
    if (body.outputs.size() != results.size() + 1) {
      return error(ErrorCode::InvalidModel, "its body has {} outputs, {} are wanted", body.outputs.size(),
                   results.size() + 1);
    }
    bool changed = false;
    for (std::size_t i = 0; i < carried; ++i) {
      Inferred& before = inputs[i + 2];
      DISCO_TRY(Inferred after, either(before, inferred_of(body, body.outputs[i + 1])));
      if (after.dims == before.dims) continue;
      changed = true;
      before.dims = round < 2 ? after.dims : std::nullopt;
    }
    if (!changed) break;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    Inferred result = i < carried ? inputs[i + 2] : inferred_of(body, body.outputs[i + 1]);
    if (i >= carried && result.dims) result.dims->insert(result.dims->begin(), Dimension{});
    results[i] = std::move(result);
  }
  return {};
}

}  // namespace

InferenceRule find_own_rule(const Node& node) {
  static const std::map<std::string_view, InferenceRule> disco_rules = {
      {"LayerNormApply", infer_same_as_first},
      {"LayerNormStatistics", infer_statistics},
      {"Recv", infer_recv},
      {"Send", infer_send},
      {"SoftmaxApply", infer_same_as_first},
      {"SoftmaxStatistics", infer_statistics},
  };
  static const std::map<std::string_view, InferenceRule> onnx_rules = {
      {"Einsum", infer_einsum},  {"If", infer_if},
      {"Loop", infer_loop},      {"MeanVarianceNormalization", infer_same_as_first},
      {"OneHot", infer_one_hot},
  };
  const auto& rules = node.domain == kDiscoDomain ? disco_rules : onnx_rules;
  const auto found = rules.find(node.op);
  return found == rules.end() ? nullptr : found->second;
}

}  // namespace disco
