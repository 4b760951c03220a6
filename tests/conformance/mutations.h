#pragma once
// Changes of a sound model that make it wrong in one or a few places, as a broken exporter or an enemy would.

#include <onnx/onnx_pb.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace disco::testing {

class Mutator {
 public:
  /// What it does follows from the name.
  explicit Mutator(std::string_view name) {
    std::seed_seq seed(name.begin(), name.end());
    random_.seed(seed);
  }

  /// One change somewhere.
  void change(onnx::GraphProto& graph) {
    if (graph.node_size() == 0) return;
    switch (below(9)) {
      case 0:
      case 1:
      case 2: return change_attribute(graph);
      case 3: return change_input(graph);
      case 4: return change_constant(graph);
      case 5: return change_declaration(graph);
      case 6: {
        auto& node = *graph.mutable_node(static_cast<int>(below(graph.node_size())));
        node.set_op_type(graph.node(static_cast<int>(below(graph.node_size()))).op_type());
        return;
      }
      case 7: return change_outputs(graph);
      default: graph.mutable_node()->DeleteSubrange(static_cast<int>(below(graph.node_size())), 1);
    }
  }

  [[nodiscard]] std::size_t below(std::int64_t limit) {
    return static_cast<std::size_t>(random_() % static_cast<std::uint64_t>(limit));
  }

 private:
  std::int64_t evil() {
    static const std::vector<std::int64_t> numbers = {0,
                                                      1,
                                                      2,
                                                      3,
                                                      5,
                                                      -1,
                                                      -2,
                                                      -7,
                                                      64,
                                                      1000,
                                                      1 << 20,
                                                      -1 << 20,
                                                      1LL << 31,
                                                      1LL << 33,
                                                      1LL << 62,
                                                      std::numeric_limits<std::int64_t>::max(),
                                                      std::numeric_limits<std::int64_t>::min()};
    return numbers[below(static_cast<std::int64_t>(numbers.size()))];
  }

  float evil_float() {
    static const std::vector<float> numbers = {
        0.0F, 1.0F, -1.0F, 0.5F, 1e-30F, 1e30F, -3.7F, std::numeric_limits<float>::infinity(), std::nanf("")};
    return numbers[below(static_cast<std::int64_t>(numbers.size()))];
  }

  template <typename List, typename Value>
  void change_list(List& list, Value value) {
    const std::size_t what = below(3);
    if (what == 0 || list.empty()) {
      list.Add(value);
    } else if (what == 1) {
      list.RemoveLast();
    } else {
      list.Set(static_cast<int>(below(list.size())), value);
    }
  }

  void change_attribute(onnx::GraphProto& graph) {
    for (int attempt = 0; attempt < 8; ++attempt) {
      auto& node = *graph.mutable_node(static_cast<int>(below(graph.node_size())));
      if (node.attribute_size() == 0) continue;
      auto& attribute = *node.mutable_attribute(static_cast<int>(below(node.attribute_size())));
      if (below(10) == 0) {
        node.mutable_attribute()->DeleteSubrange(0, 1);
      } else if (attribute.type() == onnx::AttributeProto::INT) {
        attribute.set_i(evil());
      } else if (attribute.type() == onnx::AttributeProto::INTS) {
        change_list(*attribute.mutable_ints(), evil());
      } else if (attribute.type() == onnx::AttributeProto::FLOAT) {
        attribute.set_f(evil_float());
      } else if (attribute.type() == onnx::AttributeProto::FLOATS) {
        change_list(*attribute.mutable_floats(), evil_float());
      } else if (attribute.type() == onnx::AttributeProto::STRING) {
        attribute.set_s(below(2) == 0 ? "" : attribute.s() + "x");
      } else if (attribute.type() == onnx::AttributeProto::GRAPH) {
        change(*attribute.mutable_g());
      }
      return;
    }
  }

  std::string some_name(const onnx::GraphProto& graph) {
    const auto& node = graph.node(static_cast<int>(below(graph.node_size())));
    const int names = node.input_size() + node.output_size();
    if (names == 0 || below(10) == 0) return "";
    const int at = static_cast<int>(below(names));
    return at < node.input_size() ? node.input(at) : node.output(at - node.input_size());
  }

  void change_input(onnx::GraphProto& graph) {
    auto& node = *graph.mutable_node(static_cast<int>(below(graph.node_size())));
    const std::size_t what = below(6);
    if (what == 0) {
      node.add_input(some_name(graph));
    } else if (node.input_size() > 0 && what == 1) {
      node.mutable_input()->RemoveLast();
    } else if (node.input_size() > 0) {
      node.set_input(static_cast<int>(below(node.input_size())), some_name(graph));
    }
  }

  void change_outputs(onnx::GraphProto& graph) {
    auto& node = *graph.mutable_node(static_cast<int>(below(graph.node_size())));
    const std::size_t what = below(3);
    if (what == 0) {
      node.add_output("extra" + std::to_string(below(1000)));
    } else if (what == 1 && node.output_size() > 1) {
      node.mutable_output()->RemoveLast();
    } else if (graph.output_size() > 0) {
      graph.mutable_output(static_cast<int>(below(graph.output_size())))->set_name(some_name(graph));
    }
  }

  void change_constant(onnx::GraphProto& graph) {
    if (graph.initializer_size() == 0) return;
    auto& tensor = *graph.mutable_initializer(static_cast<int>(below(graph.initializer_size())));
    if (tensor.data_type() == onnx::TensorProto::INT64 && below(3) != 0) {
      if (tensor.int64_data_size() > 0) {
        tensor.set_int64_data(static_cast<int>(below(tensor.int64_data_size())), evil());
      } else if (tensor.raw_data().size() >= 8) {
        const std::int64_t number = evil();
        std::string bytes = tensor.raw_data();
        bytes.replace(8 * below(static_cast<std::int64_t>(bytes.size() / 8)), 8,
                      std::string(reinterpret_cast<const char*>(&number), 8));
        tensor.set_raw_data(bytes);
      }
      return;
    }
    // As many elements in another shape: what else would be found at once.
    if (tensor.dims_size() == 0) return;
    switch (below(4)) {
      case 0:
        std::swap(*tensor.mutable_dims()->Mutable(0),
                  *tensor.mutable_dims()->Mutable(tensor.dims_size() - 1));
        break;
      case 1: tensor.add_dims(1); break;
      case 2: {
        std::int64_t product = 1;
        for (const std::int64_t extent : tensor.dims()) product *= extent;
        tensor.clear_dims();
        tensor.add_dims(product);
        break;
      }
      default: {
        const int at = static_cast<int>(below(tensor.dims_size()));
        const std::int64_t extent = tensor.dims(at);
        if (extent % 2 == 0) {
          tensor.set_dims(at, extent / 2);
          tensor.add_dims(2);
        }
      }
    }
  }

  void change_declaration(onnx::GraphProto& graph) {
    std::vector<onnx::ValueInfoProto*> all;
    for (auto* list : {graph.mutable_input(), graph.mutable_output(), graph.mutable_value_info()}) {
      for (auto& info : *list) all.push_back(&info);
    }
    if (all.empty()) return;
    auto& info = *all[below(static_cast<std::int64_t>(all.size()))];
    if (!info.type().has_tensor_type()) return;
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    if (below(5) == 0) {
      tensor.set_elem_type(static_cast<std::int32_t>(below(17)));
      return;
    }
    auto& dims = *tensor.mutable_shape()->mutable_dim();
    if (dims.empty() || below(6) == 0) {
      dims.Add()->set_dim_value(2);
    } else if (below(6) == 0) {
      dims.RemoveLast();
    } else {
      dims.Mutable(static_cast<int>(below(dims.size())))
          ->set_dim_value(below(2) == 0 ? evil() : static_cast<std::int64_t>(below(9)));
    }
  }

  std::mt19937_64 random_;
};

}  // namespace disco::testing
