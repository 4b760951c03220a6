#include "plan/probe_graph.h"

#include <fmt/format.h>

#include "base/random.h"

namespace disco {

ProbeGraph::ProbeGraph(std::string name, std::string input) {
  graph_.name = std::move(name);
  input_ = value(input, {1});
  graph_.inputs = {input_};
}

ValueId ProbeGraph::value(const std::string& name, const Shape& shape) {
  const ValueId id = graph_.add_value(name, DataType::Float32);
  graph_.value(id).set_shape(shape);
  return id;
}

ValueId ProbeGraph::fed(const std::string& name, const Shape& shape) {
  return graph_.inputs.emplace_back(value(name, shape));
}

ValueId ProbeGraph::filled(const std::string& name, const Shape& shape) {
  const ValueId extents = graph_.add_constant(
      name + "/shape", Tensor::of<std::int64_t>({static_cast<std::int64_t>(shape.size())}, shape));
  return op(name, "Expand", {input_, extents}, shape);
}

ValueId ProbeGraph::constant(const std::string& name, const Shape& shape) {
  Random random(7);
  Tensor tensor(DataType::Float32, shape);
  for (std::int64_t i = 0; i < tensor.elements(); ++i)
    tensor.data<float>()[i] = static_cast<float>(random.between(-0.01, 0.01));
  return graph_.add_constant(name, std::move(tensor));
}

ValueId ProbeGraph::op(const std::string& name, const std::string& type, std::vector<ValueId> inputs,
                       const Shape& shape, std::map<std::string, Attribute, std::less<>> attributes) {
  Node node;
  node.name = name;
  node.op = type;
  node.inputs = std::move(inputs);
  node.outputs = {value(name + "/out", shape)};  // reorders of it are named after it, not after the step
  node.attributes = std::move(attributes);
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().outputs[0];
}

ValueId ProbeGraph::conv(const std::string& name, ValueId x, ValueId weight, std::int64_t groups) {
  Shape shape = graph_.value(x).shape();
  const Shape filters = graph_.value(weight).shape();
  shape[1] = filters[0];
  const std::vector<std::int64_t> pads(4, filters[2] / 2);
  return op(name, "Conv", {x, weight}, shape,
            {{"group", groups}, {"pads", pads}, {"kernel_shape", std::vector{filters[2], filters[3]}}});
}

void ProbeGraph::send(const std::string& name, ValueId id, int peer) {
  Node node;
  node.name = name + "->";
  node.op = "Send";
  node.domain = kDiscoDomain;
  node.inputs = {id};
  node.attributes = {
      {"peer", std::int64_t{peer}}, {"tag", sent_++}, {"axis", std::int64_t{0}}, {"value", name}};
  graph_.nodes.push_back(std::move(node));
}

ValueId ProbeGraph::receive(const std::string& name, const Shape& shape, int peer) {
  Node node;
  node.name = name + "<-";
  node.op = "Recv";
  node.domain = kDiscoDomain;
  node.outputs = {value(name + "/received", shape)};
  node.attributes = {{"peer", std::int64_t{peer}},
                     {"tag", received_++},
                     {"axis", std::int64_t{0}},
                     {"shape", shape},
                     {"dtype", static_cast<std::int64_t>(DataType::Float32)},
                     {"value", name}};
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().outputs[0];
}

void ProbeGraph::receive_all(const std::string& name, const std::vector<std::int64_t>& numbers, int peer) {
  std::vector<ValueId> parts;
  for (const std::int64_t count : numbers) parts.push_back(receive(name, {1, count}, peer));
  keep_received(name, std::move(parts));
}

void ProbeGraph::keep_received(const std::string& name, std::vector<ValueId> parts) {
  std::int64_t sum = 0;
  for (const ValueId part : parts) sum += graph_.value(part).shape()[1];
  // Every rank's outputs have names of their own.
  const std::string group = fmt::format("{}/{}/{}", name, graph_.name, groups_++);
  keep(op(group, "Concat", std::move(parts), {1, sum}, {{"axis", std::int64_t{1}}}), group + "/kept");
}

void ProbeGraph::keep(ValueId id, const std::string& name) {
  graph_.outputs.push_back(op(name, "ReduceMean", {id}, {}, {{"keepdims", std::int64_t{0}}}));
}

}  // namespace disco
