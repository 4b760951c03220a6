#include "train/refit.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "train/bridge.h"
#include "train/rows.h"

namespace disco::train {

namespace {

using Ints = std::vector<std::int64_t>;

/// Where the intercepts of a linear map go.
struct Intercept {
  std::string name;  // of the tensor; empty: nowhere
  double sign = 1.0;
};

Intercept intercept_of(const Graph& graph, const Node& node, const Weights& weights,
                       const std::vector<std::vector<std::int32_t>>& consumers) {
  const bool has_bias =
      (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm")) && node.input(2) != kNoValue;
  const std::int64_t outputs = [&] {
    const Shape shape = graph.value(node.outputs[0]).shape();
    return node.is("MatMul") || node.is("Gemm") ? shape.back() : shape.at(1);
  }();
  const auto fits = [&](ValueId id) {
    const Tensor* constant = id == kNoValue ? nullptr : graph.constant(id);
    return constant != nullptr && constant->elements() == outputs && constant->type() == DataType::Float32 &&
           !constant->shape().empty() && constant->shape().back() == outputs;
  };
  if (has_bias) {
    if (fits(node.input(2)) && node.float_or("beta", 1.0F) == 1.0F)
      return {graph.value(node.input(2)).name, 1.0};
    return {};
  }
  const auto& readers = consumers[static_cast<std::size_t>(node.outputs[0])];
  if (readers.size() != 1) return {};
  const Node& next = graph.nodes[static_cast<std::size_t>(readers[0])];
  if (next.is("BatchNormalization") && weights.buffers.contains(graph.value(next.input(3)).name)) {
    return {graph.value(next.input(3)).name, -1.0};
  }
  if (next.is("Add") && node.is("MatMul")) {
    const ValueId other = next.inputs[0] == node.outputs[0] ? next.inputs[1] : next.inputs[0];
    if (fits(other)) return {graph.value(other).name, 1.0};
  }
  return {};
}

/// A sum that a linear map's output enters, scaled by channel on its way: what the other summand has lost can
/// be made up for by the map.
struct Sum {
  ValueId other = kNoValue;
  at::Tensor scale;  // [channels]; undefined: 1
};

Sum sum_behind(const Graph& graph, const Node& node, const Weights& weights,
               const std::vector<std::vector<std::int32_t>>& consumers) {
  Sum sum;
  ValueId value = node.outputs[0];
  while (true) {
    const auto& readers = consumers[static_cast<std::size_t>(value)];
    if (readers.size() != 1) return {};
    const Node& next = graph.nodes[static_cast<std::size_t>(readers[0])];
    if (next.is("BatchNormalization")) {
      const at::Tensor* gamma = weights.find(graph.value(next.input(1)).name);
      const at::Tensor* variance = weights.find(graph.value(next.input(4)).name);
      if (gamma == nullptr || variance == nullptr || sum.scale.defined()) return {};
      sum.scale = gamma->detach() / (*variance + next.float_or("epsilon", 1e-5F)).sqrt();
    } else if (next.is("Add")) {
      const ValueId other = next.inputs[0] == value ? next.inputs[1] : next.inputs[0];
      if (other == value) return {};
      if (!graph.value(other).is_constant()) {
        if (graph.value(other).shape() != graph.value(node.outputs[0]).shape()) return {};
        sum.other = other;
        return sum;
      }
      if (graph.value(next.outputs[0]).shape() != graph.value(value).shape()) return {};
    } else if (!next.is("Identity") && !next.is("Dropout")) {
      return {};
    }
    value = next.outputs[0];
  }
}

/// Sums over all rows: X'X and X'Y with a column of ones, in double.
struct Normal {
  at::Tensor gram, cross;
  std::int64_t rows = 0;
};

Normal accumulate(const Rows& rows, const std::vector<std::pair<at::Tensor, at::Tensor>>& pairs,
                  const RefitOptions& options, std::mt19937_64& generator) {
  Normal sums;
  for (const auto& [input, output] : pairs) {
    auto [x, y] = rows.sample(input, output, options.positions, generator);
    x = at::cat({x, at::ones({x.size(0), 1}, x.options())}, 1);
    const at::Tensor gram = at::matmul(x.t(), x).to(at::kDouble);
    const at::Tensor cross = at::matmul(x.t(), y).to(at::kDouble);
    sums.gram = sums.gram.defined() ? sums.gram.add_(gram) : gram;
    sums.cross = sums.cross.defined() ? sums.cross.add_(cross) : cross;
    sums.rows += x.size(0);
  }
  return sums;
}

/// One rank's rows: solves for the change of the kept columns, toward the original weights.
/// @param weight  [columns + 1, outputs] with the intercept last
at::Tensor solve(const Normal& sums, const at::Tensor& weight, const at::Tensor& columns,
                 const at::Tensor& outputs, bool intercept, double ridge) {
  at::Tensor kept = columns;
  if (intercept) kept = at::cat({columns, at::full({1}, weight.size(0) - 1, columns.options())});
  const at::Tensor start = weight.index_select(1, outputs).index_select(0, kept);
  at::Tensor gram = sums.gram.index_select(0, kept).index_select(1, kept);
  const at::Tensor rest = sums.cross.index_select(1, outputs).index_select(0, kept) - at::matmul(gram, start);
  const double diagonal = gram.diagonal().mean().item<double>();
  at::Tensor penalty = at::full({kept.size(0)}, ridge * diagonal, gram.options());
  if (intercept) penalty[kept.size(0) - 1] = 1e-9 * static_cast<double>(sums.rows);
  // A column that is always zero leaves the matrix singular without this.
  penalty += 1e-12 * diagonal + 1e-30;
  gram = gram + at::diag(penalty);
  const at::Tensor factor = at::linalg_cholesky(gram);
  return start + at::cholesky_solve(rest, factor);
}

/// What the layers share.
struct Task {
  const Graph& graph;
  Weights& weights;
  const Traffic& traffic;
  const KeptChannels& kept;
  const RefitOptions& options;
  std::vector<std::vector<std::int32_t>> consumers;
  std::map<std::size_t, std::size_t> map_of;  // node: index into Traffic::maps
};

/// The output channels of a rank, and the columns (input channel, tap) that it has; one group of all where
/// nothing is split.
struct Block {
  Ints outputs, columns;
};

std::vector<Block> blocks_of(const Task& task, std::size_t n, std::int64_t outputs, std::int64_t inputs,
                             std::int64_t taps) {
  const auto add_channel = [&](Block& block, std::int64_t c) {
    for (std::int64_t t = 0; t < taps; ++t) block.columns.push_back(c * taps + t);
  };
  const auto found = task.map_of.find(n);
  if (found == task.map_of.end()) {
    Block all;
    all.outputs.resize(static_cast<std::size_t>(outputs));
    std::iota(all.outputs.begin(), all.outputs.end(), 0);
    for (std::int64_t c = 0; c < inputs; ++c) add_channel(all, c);
    return {all};
  }
  const LinearMap& map = task.traffic.maps[found->second];
  std::vector<Block> blocks(static_cast<std::size_t>(task.traffic.nodes));
  for (std::size_t o = 0; o < map.owner.size(); ++o) {
    blocks[static_cast<std::size_t>(map.owner[o])].outputs.push_back(static_cast<std::int64_t>(o));
  }
  for (std::size_t rank = 0; rank < blocks.size(); ++rank) {
    for (std::size_t c = 0; c < map.columns.size(); ++c) {
      const bool own = task.traffic.is_own(map.columns[c], static_cast<std::int32_t>(rank));
      if (own || is_kept(task.kept, map.columns[c], rank))
        add_channel(blocks[rank], static_cast<std::int64_t>(c));
    }
  }
  return blocks;
}

/// The map's target when it also makes up for what the other summand lacks, where that is known already.
at::Tensor made_up(const at::Tensor& target, const Sum& sum, const Values& theirs, const Values& ours) {
  const at::Tensor& right = theirs[static_cast<std::size_t>(sum.other)];
  const at::Tensor& wrong = ours[static_cast<std::size_t>(sum.other)];
  if (!right.defined() || !wrong.defined()) return target;
  at::Tensor lacking = right - wrong;
  if (sum.scale.defined()) {
    // A channel that hardly enters the sum cannot make up for anything.
    const at::Tensor usable = sum.scale.abs() > 1e-3 * sum.scale.abs().max();
    at::Tensor factor = at::where(usable, sum.scale.reciprocal(), at::zeros_like(sum.scale));
    std::vector<std::int64_t> shape(static_cast<std::size_t>(lacking.dim()), 1);
    shape[1] = factor.size(0);
    lacking = lacking * factor.reshape(shape);
  }
  return target + lacking;
}

/// Solves one linear map anew. `pairs`: the sparsified model's inputs of it, and the dense model's outputs,
/// by batch.
Status refit_layer(const Task& task, std::size_t n,
                   const std::vector<std::pair<at::Tensor, at::Tensor>>& pairs, std::mt19937_64& generator) {
  const Node& node = task.graph.nodes[n];
  const Intercept intercept = intercept_of(task.graph, node, task.weights, task.consumers);
  const bool has_bias = !node.is("MatMul") && node.input(2) != kNoValue;
  if (has_bias && intercept.name.empty()) return {};  // a bias of a form that is left alone
  DISCO_TRY(const Rows rows, Rows::of(task.graph, node));
  const Normal sums = accumulate(rows, pairs, task.options, generator);
  const MapWeight place = weight_of(task.graph, node);
  at::Tensor weight = task.weights.parameters.at(place.name);
  const at::Tensor columns = to_columns(weight, place).to(at::kDouble);
  // A bias that the map has takes part in its output; other intercepts come behind it and start at zero.
  at::Tensor shift = at::zeros({columns.size(1)}, columns.options());
  if (has_bias) shift = task.weights.parameters.at(intercept.name).detach().reshape({-1}).to(at::kDouble);
  const at::Tensor start = at::cat({columns, shift.unsqueeze(0)}, 0);
  const std::int64_t inputs = weight.size(place.in_axis);
  at::Tensor fitted = at::zeros_like(start);
  for (const Block& block : blocks_of(task, n, columns.size(1), inputs, columns.size(0) / inputs)) {
    if (block.outputs.empty()) continue;
    const at::Tensor out = at::tensor(block.outputs, at::kLong).to(weight.device());
    at::Tensor in = at::tensor(block.columns, at::kLong).to(weight.device());
    const at::Tensor solution = solve(sums, start, in, out, !intercept.name.empty(), task.options.ridge);
    if (!intercept.name.empty()) in = at::cat({in, at::full({1}, fitted.size(0) - 1, in.options())});
    at::Tensor part = at::zeros({fitted.size(0), out.size(0)}, fitted.options());
    part.index_copy_(0, in, solution);
    fitted.index_copy_(1, out, part);
  }
  weight.copy_(from_columns(fitted.narrow(0, 0, columns.size(0)), weight, place));
  if (intercept.name.empty()) return {};
  const at::Tensor change = fitted[fitted.size(0) - 1] - shift;
  const auto found = task.weights.parameters.find(intercept.name);
  at::Tensor target =
      found != task.weights.parameters.end() ? found->second : task.weights.buffers.at(intercept.name);
  target.add_((change * intercept.sign).reshape(target.sizes()).to(target.scalar_type()));
  return {};
}

/// Solves a convolution in groups anew, every group by itself and on all of its inputs: nothing of it is left
/// out, but what it is fed has changed.
Status refit_groups(const Task& task, std::size_t n,
                    const std::vector<std::pair<at::Tensor, at::Tensor>>& pairs, std::mt19937_64& generator) {
  const Node& node = task.graph.nodes[n];
  const Intercept intercept = intercept_of(task.graph, node, task.weights, task.consumers);
  const bool has_bias = node.input(2) != kNoValue;
  if (has_bias && intercept.name.empty()) return {};
  DISCO_TRY(const Rows rows, Rows::of(task.graph, node));
  at::Tensor weight = task.weights.parameters.at(task.graph.value(node.inputs[1]).name);
  const std::int64_t groups = node.int_or("group", 1);
  const std::int64_t outputs = weight.size(0) / groups;
  const std::int64_t columns = weight[0].numel();
  at::Tensor gram, cross;  // by group
  for (const auto& [input, output] : pairs) {
    auto [x, y] = rows.sample(input, output, task.options.positions, generator);
    x = x.reshape({x.size(0), groups, columns}).transpose(0, 1);
    if (!intercept.name.empty()) x = at::cat({x, at::ones({groups, x.size(1), 1}, x.options())}, 2);
    y = y.reshape({y.size(0), groups, outputs}).transpose(0, 1);
    const at::Tensor one_gram = at::matmul(x.transpose(1, 2), x).to(at::kDouble);
    const at::Tensor one_cross = at::matmul(x.transpose(1, 2), y).to(at::kDouble);
    gram = gram.defined() ? gram.add_(one_gram) : one_gram;
    cross = cross.defined() ? cross.add_(one_cross) : one_cross;
  }
  at::Tensor start = weight.detach().reshape({groups, outputs, columns}).transpose(1, 2).to(at::kDouble);
  at::Tensor target;
  if (!intercept.name.empty()) {
    const auto found = task.weights.parameters.find(intercept.name);
    target = found != task.weights.parameters.end() ? found->second : task.weights.buffers.at(intercept.name);
    const at::Tensor shift = has_bias ? target.detach().reshape({groups, 1, outputs}).to(at::kDouble)
                                      : at::zeros({groups, 1, outputs}, start.options());
    start = at::cat({start, shift}, 1);
  }
  const at::Tensor diagonal = gram.diagonal(0, 1, 2).mean(1, true);  // [groups, 1]
  at::Tensor penalty =
      diagonal.expand({groups, start.size(1)}) * task.options.ridge + 1e-12 * diagonal + 1e-30;
  const at::Tensor rest = cross - at::matmul(gram, start);
  const at::Tensor fitted =
      start + at::cholesky_solve(rest, at::linalg_cholesky(gram + at::diag_embed(penalty)));
  weight.copy_(fitted.narrow(1, 0, columns).transpose(1, 2).reshape(weight.sizes()));
  if (target.defined()) {
    const at::Tensor change = (fitted - start).narrow(1, columns, 1);
    target.add_((change * intercept.sign).reshape(target.sizes()).to(target.scalar_type()));
  }
  return {};
}

}  // namespace

void add_missing_biases(Graph& graph) {
  const auto consumers = graph.consumers();
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!node.is("Conv") || node.input(2) != kNoValue) continue;
    const Tensor* weight = graph.constant(node.input(1));
    if (weight == nullptr || weight->type() != DataType::Float32) continue;
    const auto& readers = consumers[static_cast<std::size_t>(node.outputs[0])];
    if (readers.size() == 1 && graph.nodes[static_cast<std::size_t>(readers[0])].is("BatchNormalization"))
      continue;
    const ValueId bias = graph.add_constant(graph.value(node.input(1)).name + "/bias",
                                            Tensor::zeros(DataType::Float32, {weight->shape()[0]}));
    graph.nodes[n].inputs.resize(3, kNoValue);
    graph.nodes[n].inputs[2] = bias;
  }
}

Status refit(const Network& dense, const Network& sparse, Weights& weights, const Traffic& traffic,
             const KeptChannels& kept, const Batches& batches, const RefitOptions& options) {
  const at::NoGradGuard no_grad;
  const Graph& graph = sparse.graph();
  Task task{graph, weights, traffic, kept, options, graph.consumers(), {}};
  for (std::size_t m = 0; m < traffic.maps.size(); ++m) task.map_of[traffic.maps[m].node] = m;
  std::size_t layers = 0;
  const auto is_layer = [&](const Node& node) {
    return is_matrix(graph, node, weights) || is_grouped(graph, node, weights);
  };
  for (const Node& node : graph.nodes) layers += is_layer(node) ? 1 : 0;
  std::mt19937_64 generator(options.seed);

  std::vector<Values> theirs;  // the dense model's, by batch
  std::vector<Values> ours;
  for (const auto& batch : batches) {
    theirs.push_back(dense.begin(batch));
    ours.push_back(sparse.begin(batch));
  }
  std::size_t layer = 0;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    for (Values& values : theirs) DISCO_CHECK(dense.step(n, values, {}));
    if (is_layer(node)) {
      if (options.on_layer) options.on_layer(layer++, layers);
      const Sum sum = sum_behind(graph, node, weights, task.consumers);
      std::vector<std::pair<at::Tensor, at::Tensor>> pairs;
      for (std::size_t b = 0; b < batches.size(); ++b) {
        const at::Tensor& input = ours[b][static_cast<std::size_t>(node.inputs[0])];
        if (!input.defined()) continue;
        at::Tensor target = theirs[b][static_cast<std::size_t>(node.outputs[0])];
        if (sum.other != kNoValue) target = made_up(target, sum, theirs[b], ours[b]);
        pairs.emplace_back(input, target);
      }
      try {
        if (!pairs.empty()) {
          DISCO_CHECK(is_grouped(graph, node, weights) ? refit_groups(task, n, pairs, generator)
                                                       : refit_layer(task, n, pairs, generator));
        }
      } catch (const std::exception& problem) {
        return error(ErrorCode::Internal, "{}: the refit failed: {}", describe(graph, node),
                     first_line(problem));
      }
    }
    for (Values& values : ours) DISCO_CHECK(sparse.step(n, values, {}));
    for (std::size_t b = 0; b < batches.size(); ++b) {
      dense.release(n, theirs[b]);
      sparse.release(n, ours[b]);
    }
  }
  return {};
}

}  // namespace disco::train
