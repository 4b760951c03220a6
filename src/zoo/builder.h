#pragma once
// How the zoo's files write graphs: one call a layer, weights drawn on the way.

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "graph/graph.h"

namespace disco {

using Attributes = std::map<std::string, Attribute, std::less<>>;
using Ints = std::vector<std::int64_t>;

struct ConvOptions {
  std::int64_t kernel = 1, stride = 1, padding = 0, groups = 1;
  bool bias = false;
};

class GraphBuilder {
 public:
  GraphBuilder(std::string name, std::uint64_t seed)
      : random_(seed * 0x9E3779B97F4A7C15ULL + 0x632BE59BD9B4E019ULL) {
    graph_.name = std::move(name);
  }

  ValueId input(const std::string& name, std::vector<Dimension> dims) {
    const ValueId id = graph_.add_value(name, DataType::Float32);
    graph_.value(id).dims = std::move(dims);
    graph_.inputs.push_back(id);
    return id;
  }
  ValueId op(const std::string& name, const std::string& type, std::vector<ValueId> inputs,
             Attributes attributes = {}) {
    Node node;
    node.name = name;
    node.op = type;
    node.inputs = std::move(inputs);
    node.attributes = std::move(attributes);
    const ValueId out = graph_.add_value(name + "_output");
    node.outputs = {out};
    graph_.nodes.push_back(std::move(node));
    return out;
  }
  /// Several outputs.
  std::vector<ValueId> op_many(const std::string& name, const std::string& type, std::vector<ValueId> inputs,
                               Attributes attributes, int outputs) {
    op(name, type, std::move(inputs), std::move(attributes));
    std::vector<ValueId> ids = graph_.nodes.back().outputs;
    for (int o = 1; o < outputs; ++o) ids.push_back(graph_.add_value(name + "_output"));
    graph_.nodes.back().outputs = ids;
    return ids;
  }
  ValueId ints(const std::string& name, const Ints& values) {
    return graph_.add_constant(name,
                               Tensor::of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
  }
  ValueId scalar(const std::string& name, float value) {
    return graph_.add_constant(name, Tensor::scalar(value));
  }
  /// Normal values around `mean`.
  ValueId normal(const std::string& name, const Shape& shape, double deviation, double mean = 0.0) {
    Tensor tensor(DataType::Float32, shape);
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.data<float>()[i] = static_cast<float>(mean + deviation * random_.normal());
    return graph_.add_constant(name, std::move(tensor));
  }
  ValueId uniform(const std::string& name, const Shape& shape, double low, double high) {
    Tensor tensor(DataType::Float32, shape);
    for (std::int64_t i = 0; i < tensor.elements(); ++i)
      tensor.data<float>()[i] = static_cast<float>(low + (high - low) * random_.unit());
    return graph_.add_constant(name, std::move(tensor));
  }

  /// Weights of He's scale: variance 2 / fan-in.
  ValueId conv(const std::string& name, ValueId x, std::int64_t in, std::int64_t out, const ConvOptions& o) {
    const double fan_in = static_cast<double>(in / o.groups * o.kernel * o.kernel);
    std::vector<ValueId> inputs = {
        x, normal(name + ".weight", {out, in / o.groups, o.kernel, o.kernel}, std::sqrt(2.0 / fan_in))};
    if (o.bias) inputs.push_back(normal(name + ".bias", {out}, 0.02));
    return op(name, "Conv", inputs,
              {{"kernel_shape", Ints{o.kernel, o.kernel}},
               {"strides", Ints{o.stride, o.stride}},
               {"pads", Ints(4, o.padding)},
               {"group", o.groups},
               {"dilations", Ints{1, 1}}});
  }
  /// Statistics and scales as a trained network has them; `gain` around which the scale varies.
  ValueId batch_norm(const std::string& name, ValueId x, std::int64_t channels, double gain = 1.0) {
    const ValueId scale = uniform(name + ".weight", {channels}, 0.8 * gain, 1.2 * gain);
    const ValueId bias = normal(name + ".bias", {channels}, 0.1);
    const ValueId mean = normal(name + ".running_mean", {channels}, 0.1);
    const ValueId variance = uniform(name + ".running_var", {channels}, 0.8, 1.2);
    return op(name, "BatchNormalization", {x, scale, bias, mean, variance}, {{"epsilon", 1e-5F}});
  }
  ValueId relu(const std::string& name, ValueId x) { return op(name, "Relu", {x}); }
  ValueId add(const std::string& name, ValueId a, ValueId b) { return op(name, "Add", {a, b}); }
  ValueId gemm(const std::string& name, ValueId x, std::int64_t in, std::int64_t out, double deviation) {
    const ValueId weight = normal(name + ".weight", {out, in}, deviation);
    const ValueId bias = normal(name + ".bias", {out}, 0.02);
    return op(name, "Gemm", {x, weight, bias}, {{"transB", std::int64_t{1}}});
  }
  /// x [.., in] times weights, plus a bias.
  ValueId linear(const std::string& name, ValueId x, std::int64_t in, std::int64_t out, double deviation) {
    const ValueId product =
        op(name + ".matmul", "MatMul", {x, normal(name + ".weight", {in, out}, deviation)});
    return add(name, normal(name + ".bias", {out}, 0.02), product);
  }

  /// Makes `x` the graph's output under this name.
  Graph finish(ValueId x, const std::string& name, std::vector<Dimension> dims) {
    Value& value = graph_.value(x);
    value.name = name;
    value.type = DataType::Float32;
    value.dims = std::move(dims);
    graph_.outputs = {x};
    return std::move(graph_);
  }

 private:
  Graph graph_;
  Random random_;
};

}  // namespace disco
