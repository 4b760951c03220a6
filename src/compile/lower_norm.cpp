// Softmax, layer normalisation, and the two halves of both whose statistics are exchanged.

#include <tuple>

#include "compile/lowering.h"
#include "kernels/layer_norm.h"
#include "kernels/simd.h"

namespace disco {

namespace {

struct Rows {
  std::int64_t rows = 1, features = 1;
};

Rows rows_from(const Shape& shape, std::int64_t axis) {
  Rows result;
  for (std::size_t d = 0; d < shape.size(); ++d)
    (static_cast<std::int64_t>(d) < axis ? result.rows : result.features) *= shape[d];
  return result;
}

/// Whether the statistics of LayerNormApply are what its counts say; where they are not, the evaluator says
/// why.
bool has_statistics(const Graph& graph, const Node& node, Shape shape) {
  const std::vector<std::int64_t> counts = node.ints_or("counts", {});
  if (counts.empty() || node.inputs.size() != 3 + counts.size()) return false;
  shape.push_back(2);
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const ValueId id = node.inputs[3 + k];
    if (counts[k] < 1 || id == kNoValue || graph.value(id).shape() != shape) return false;
  }
  return true;
}

}  // namespace

bool Lowering::lower_norm(const Node& node) {
  const bool softmax = node.is("Softmax");
  const bool whole = node.is("LayerNormalization");
  const bool statistics = node.is_disco("LayerNormStatistics");
  const bool apply = node.is_disco("LayerNormApply");
  if ((!softmax && !whole && !statistics && !apply) || !all_float(node)) return false;
  const Shape shape = value(node.inputs[0]).shape();
  std::int64_t axis = node.int_or("axis", -1);
  if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  if (softmax) {
    try {
      const auto pd =
          kernels::softmax(kernels::plain_desc(shape), static_cast<int>(axis), kernels::PostOps().attr());
      if (is_reference(pd.impl_info_str())) return false;
      const Placed src = plain(node.inputs[0]);
      const Placed dst = place_plain(node.outputs[0]);
      add_primitive(name_of(graph_, node), node.op,
                    {dnnl::softmax_forward(pd),
                     pd.impl_info_str(),
                     pd.scratchpad_desc(),
                     {{DNNL_ARG_SRC, src.desc, src.buffer}, {DNNL_ARG_DST, dst.desc, dst.buffer}}});
      return true;
    } catch (const dnnl::error&) {
      return false;
    }
  }
  if (apply && !has_statistics(graph_, node, Shape(shape.begin(), shape.begin() + axis))) return false;
  if (node.int_or("stash_type", 1) != 1) return false;
  const Rows rows = rows_from(shape, axis);
  const Placed src = plain(node.inputs[0]);
  if (statistics) {
    const Placed dst = place_plain(node.outputs[0]);
    add_function(node, "moments", {src.buffer, dst.buffer}, [=](Workspace::Impl& workspace) -> Status {
      const float* x = workspace.as<float>(src.buffer);
      float* out = workspace.as<float>(dst.buffer);
      kernels::parallel_runs(rows.rows, rows.features, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t r = first; r < last; ++r) {
          const auto [mean, squares] = kernels::moments(x + r * rows.features, rows.features);
          out[2 * r] = static_cast<float>(mean);
          out[2 * r + 1] = static_cast<float>(squares);
        }
      });
      return {};
    });
    return true;
  }
  for (std::size_t o = 1; o < node.outputs.size(); ++o) {
    if (node.outputs[o] != kNoValue) return false;
  }
  const bool has_bias = node.input(2) != kNoValue;
  for (std::size_t k = 1; k < 3; ++k) {
    if (node.input(k) != kNoValue && element_count(value(node.inputs[k]).shape()) != rows.features)
      return false;  // broadcast
  }
  const Placed scale = plain(node.inputs[1]);
  const Placed bias = has_bias ? plain(node.inputs[2]) : scale;
  std::vector<Placed> parts;
  std::vector<BufferId> touched = {src.buffer, scale.buffer, bias.buffer};
  for (std::size_t k = 3; apply && k < node.inputs.size(); ++k) {
    parts.push_back(plain(node.inputs[k]));
    touched.push_back(parts.back().buffer);
  }
  const std::vector<std::int64_t> counts = node.ints_or("counts", {});
  const float epsilon = node.float_or("epsilon", 1e-5F);
  const Placed dst = place_plain(node.outputs[0]);
  touched.push_back(dst.buffer);
  add_function(node, "normalise", touched, [=](Workspace::Impl& workspace) -> Status {
    const float* x = workspace.as<float>(src.buffer);
    float* y = workspace.as<float>(dst.buffer);
    const float* s = workspace.as<float>(scale.buffer);
    const float* b = has_bias ? workspace.as<float>(bias.buffer) : nullptr;
    kernels::parallel_runs(rows.rows, 2 * rows.features, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t r = first; r < last; ++r) {
        double mean = 0.0;
        double squares = 0.0;
        double count = 0.0;
        if (apply) {
          // Chan, Golub and LeVeque: combine (count, mean, M2) of the parts, always in the order of the
          // ranks.
          for (std::size_t p = 0; p < parts.size(); ++p) {
            const float* part = workspace.as<float>(parts[p].buffer) + 2 * r;
            const auto n = static_cast<double>(counts[p]);
            const double delta = static_cast<double>(part[0]) - mean;
            squares += static_cast<double>(part[1]) + delta * delta * count * n / (count + n);
            mean += delta * n / (count + n);
            count += n;
          }
        } else {
          std::tie(mean, squares) = kernels::moments(x + r * rows.features, rows.features);
          count = static_cast<double>(rows.features);
        }
        kernels::normalise(x + r * rows.features, y + r * rows.features, rows.features, mean, squares / count,
                           epsilon, s, b);
      }
    });
    return {};
  });
  return true;
}

}  // namespace disco
