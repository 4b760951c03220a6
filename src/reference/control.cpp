// Control flow and constants.

#include <algorithm>
#include <cstring>

#include "reference/registry.h"
#include "reference/typed.h"

namespace disco::reference {

namespace {

Result<Outputs> identity(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  return Outputs{inputs[0]};
}

Result<Outputs> dropout(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 3));
  if (inputs.size() > 2 && !inputs[2].empty() && inputs[2].type() == DataType::Bool &&
      inputs[2].data<bool>()[0]) {
    return error(ErrorCode::Unsupported, "Dropout: training mode");
  }
  Outputs outputs = {inputs[0]};
  if (wants_output(node, 1)) {
    Tensor mask(DataType::Bool, inputs[0].shape());
    std::fill_n(mask.data<bool>(), mask.elements(), true);
    outputs.push_back(mask);
  }
  return outputs;
}

Result<Outputs> constant(const Node& node, const Inputs&, const Scope&) {
  for (const auto& [key, attribute] : node.attributes) {
    if (const auto* tensor = std::get_if<Tensor>(&attribute)) return Outputs{*tensor};
    if (const auto* value = std::get_if<std::int64_t>(&attribute)) return Outputs{Tensor::scalar(*value)};
    if (const auto* value = std::get_if<float>(&attribute)) return Outputs{Tensor::scalar(*value)};
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&attribute))
      return Outputs{Tensor::of<std::int64_t>({static_cast<std::int64_t>(list->size())}, *list)};
    if (const auto* list = std::get_if<std::vector<float>>(&attribute))
      return Outputs{Tensor::of<float>({static_cast<std::int64_t>(list->size())}, *list)};
  }
  return error(ErrorCode::Unsupported, "Constant: no value of a supported type");
}

Result<Outputs> constant_of_shape(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  if (inputs[0].type() != DataType::Int64)
    return error(ErrorCode::ShapeMismatch, "ConstantOfShape: the shape must be int64");
  const Shape shape = to_int64s(inputs[0]);
  DISCO_CHECK(check_extents(node, shape));
  Tensor value = Tensor::scalar(0.0F);
  if (const auto found = node.attributes.find("value"); found != node.attributes.end()) {
    if (const auto* given = std::get_if<Tensor>(&found->second); given != nullptr && given->elements() == 1)
      value = *given;
  }
  Tensor result(value.type(), shape);
  const std::size_t bytes = size_of(value.type());
  for (std::int64_t i = 0; i < result.elements(); ++i)
    std::memcpy(result.raw() + static_cast<std::size_t>(i) * bytes, value.raw(), bytes);
  return Outputs{result};
}

const Graph* subgraph(const Node& node, std::string_view key) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return nullptr;
  const auto* graph = std::get_if<std::shared_ptr<const Graph>>(&found->second);
  return graph != nullptr ? graph->get() : nullptr;
}

Result<Outputs> run_body(const Graph& body, const std::vector<Tensor>& inputs, const Scope& scope) {
  NamedTensors named;
  for (std::size_t k = 0; k < body.inputs.size() && k < inputs.size(); ++k)
    named[body.value(body.inputs[k]).name] = inputs[k];
  DISCO_TRY(NamedTensors results, run(body, named, scope));
  Outputs outputs;
  for (const ValueId id : body.outputs) outputs.push_back(results.at(body.value(id).name));
  return outputs;
}

Result<Outputs> if_op(const Node& node, const Inputs& inputs, const Scope& scope) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  if (inputs[0].type() != DataType::Bool || inputs[0].elements() != 1)
    return error(ErrorCode::ShapeMismatch, "If: the condition must be one boolean");
  const Graph* branch = subgraph(node, inputs[0].data<bool>()[0] ? "then_branch" : "else_branch");
  if (branch == nullptr) return error(ErrorCode::InvalidModel, "If: a branch is missing");
  return run_body(*branch, {}, scope);
}

constexpr std::int64_t kMostIterations = 1 << 24;  // a hostile trip count must end

Result<Outputs> loop(const Node& node, const Inputs& inputs, const Scope& scope) {
  const Graph* body = subgraph(node, "body");
  if (body == nullptr || inputs.size() < 2) return error(ErrorCode::InvalidModel, "Loop: no body");
  const std::size_t carried = inputs.size() - 2;
  if (body->inputs.size() != carried + 2 || body->outputs.size() < carried + 1)
    return error(ErrorCode::InvalidModel, "Loop: the body's inputs or outputs do not fit");
  std::int64_t trips = kMostIterations;
  if (!inputs[0].empty()) {
    if (inputs[0].type() != DataType::Int64 || inputs[0].elements() != 1)
      return error(ErrorCode::ShapeMismatch, "Loop: the trip count must be one int64");
    trips = std::min(trips, inputs[0].data<std::int64_t>()[0]);
  }
  bool going = true;
  if (!inputs[1].empty()) {
    if (inputs[1].type() != DataType::Bool || inputs[1].elements() != 1)
      return error(ErrorCode::ShapeMismatch, "Loop: the condition must be one boolean");
    going = inputs[1].data<bool>()[0];
  }
  std::vector<Tensor> state(inputs.begin() + 2, inputs.end());
  const std::size_t scans = body->outputs.size() - carried - 1;
  std::vector<std::vector<Tensor>> scanned(scans);
  for (std::int64_t trip = 0; going && trip < trips; ++trip) {
    std::vector<Tensor> body_inputs = {Tensor::scalar(trip), Tensor::scalar(going)};
    body_inputs.insert(body_inputs.end(), state.begin(), state.end());
    DISCO_TRY(Outputs results, run_body(*body, body_inputs, scope));
    if (results[0].type() != DataType::Bool || results[0].elements() != 1)
      return error(ErrorCode::ShapeMismatch, "Loop: the body's condition is no boolean");
    going = results[0].data<bool>()[0];
    std::copy_n(results.begin() + 1, carried, state.begin());
    for (std::size_t s = 0; s < scans; ++s) scanned[s].push_back(results[1 + carried + s]);
    if (trip + 1 == kMostIterations)
      return error(ErrorCode::InvalidModel, "Loop: more than {} iterations", kMostIterations);
  }
  Outputs outputs(state.begin(), state.end());
  for (std::size_t s = 0; s < scans; ++s) {
    const Value& declared = body->value(body->outputs[1 + carried + s]);
    Shape shape =
        scanned[s].empty() ? (declared.has_shape() ? declared.shape() : Shape{}) : scanned[s][0].shape();
    DataType type = scanned[s].empty() ? declared.type : scanned[s][0].type();
    if (type == DataType::Undefined) type = DataType::Float32;
    for (const Tensor& part : scanned[s]) {
      if (part.shape() != shape || part.type() != type)
        return error(ErrorCode::ShapeMismatch, "Loop: scanned values differ in shape");
    }
    shape.insert(shape.begin(), static_cast<std::int64_t>(scanned[s].size()));
    DISCO_CHECK(check_extents(node, shape));
    Tensor stacked(type, shape);
    std::byte* to = stacked.raw();
    for (const Tensor& part : scanned[s]) {
      std::memcpy(to, part.raw(), part.bytes());
      to += part.bytes();
    }
    outputs.push_back(stacked);
  }
  return outputs;
}

}  // namespace

void register_control(Registry& registry) {
  const auto add = [&](std::string_view name, Operator op) { registry[{"", name}] = op; };
  add("Identity", identity);
  add("Dropout", dropout);
  add("Constant", constant);
  add("ConstantOfShape", constant_of_shape);
  add("If", if_op);
  add("Loop", loop);
}

}  // namespace disco::reference
