#pragma once
// How the zoo's files write graphs: one call a layer, weights drawn on the way.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
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
  std::int64_t dilation = 1;
  double gain = 1.0;  ///< beside He's scale
};

/// A feature map [N, channels, rows, columns].
struct Map {
  ValueId value = kNoValue;
  std::int64_t channels = 0, rows = 0, columns = 0;
};

/// Channels of a scaled network: a multiple of 8 and at most a tenth below, as MobileNet's authors round.
[[nodiscard]] inline std::int64_t scaled(std::int64_t channels, double width) {
  const double exact = static_cast<double>(channels) * width;
  const std::int64_t rounded = std::max<std::int64_t>(8, static_cast<std::int64_t>(exact + 4.0) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * exact ? rounded + 8 : rounded;
}

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
  /// One constant of this name for all that ask for it.
  ValueId shared_scalar(const std::string& name, float value) {
    const ValueId known = graph_.find_value(name);
    return known != kNoValue ? known : scalar(name, value);
  }
  ValueId constant(const std::string& name, Tensor tensor) {
    return graph_.add_constant(name, std::move(tensor));
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
    std::vector<ValueId> inputs = {x, normal(name + ".weight", {out, in / o.groups, o.kernel, o.kernel},
                                             o.gain * std::sqrt(2.0 / fan_in))};
    if (o.bias) inputs.push_back(normal(name + ".bias", {out}, 0.02));
    return op(name, "Conv", inputs,
              {{"kernel_shape", Ints{o.kernel, o.kernel}},
               {"strides", Ints{o.stride, o.stride}},
               {"pads", Ints(4, o.padding)},
               {"group", o.groups},
               {"dilations", Ints{o.dilation, o.dilation}}});
  }
  Map conv(const std::string& name, const Map& x, std::int64_t out, const ConvOptions& o) {
    const auto extent = [&](std::int64_t before) {
      return (before + 2 * o.padding - o.dilation * (o.kernel - 1) - 1) / o.stride + 1;
    };
    return {conv(name, x.value, x.channels, out, o), out, extent(x.rows), extent(x.columns)};
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

  /// Extents of `x` from axis `from` on, before axis `to`, as exporters write them for a batch of any size.
  ValueId extents(const std::string& name, ValueId x, std::int64_t from, std::int64_t to) {
    const ValueId shape = op(name + ".shape", "Shape", {x});
    return op(name + ".slice", "Slice", {shape, ints(name + ".from", {from}), ints(name + ".to", {to})});
  }
  /// `x` at rows and columns of `like`, as torch's bilinear interpolation with align_corners = false does it.
  ValueId resize_like(const std::string& name, ValueId x, ValueId like) {
    const ValueId sizes = op(name + ".sizes", "Concat",
                             {extents(name + ".channels", x, 0, 2), extents(name + ".space", like, 2, 4)},
                             {{"axis", std::int64_t{0}}});
    return op(
        name, "Resize", {x, kNoValue, kNoValue, sizes},
        {{"mode", std::string("linear")}, {"coordinate_transformation_mode", std::string("half_pixel")}});
  }

  void metadata(std::string_view key, std::string text) {
    graph_.metadata[std::string(key)] = std::move(text);
  }
  /// Makes `x` the graph's next output under this name.
  void output(ValueId x, const std::string& name, std::vector<Dimension> dims) {
    Value& value = graph_.value(x);
    value.name = name;
    value.type = DataType::Float32;
    value.dims = std::move(dims);
    graph_.outputs.push_back(x);
  }
  Graph finish() { return std::move(graph_); }
  /// The same with `x` as the last output.
  Graph finish(ValueId x, const std::string& name, std::vector<Dimension> dims) {
    output(x, name, std::move(dims));
    return finish();
  }

 private:
  Graph graph_;
  Random random_;
};

}  // namespace disco
