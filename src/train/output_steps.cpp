#include "train/output_steps.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <random>

#include "train/rows.h"

namespace disco::train {

namespace {

struct Moments {
  MapWeight place;
  at::Tensor gram{};
  double rows = 0.0, squares = 0.0;  // squares: of the outputs about their means, summed

  void add(const at::Tensor& x, const at::Tensor& y) {
    const at::Tensor product = at::matmul(x.t(), x).to(at::kDouble);
    gram = gram.defined() ? gram.add_(product) : product;
    rows += static_cast<double>(x.size(0));
    squares += (y - y.mean(0, true)).square().mean(1).sum().item<double>();
  }
};

}  // namespace

Result<OutputSteps> OutputSteps::create(const Network& network, const Weights& weights, const Masks& masks,
                                        const Batches& batches, const OutputStepOptions& options) {
  const at::NoGradGuard no_grad;
  const Graph& graph = network.graph();
  std::map<std::string, Moments> moments;
  std::mt19937_64 generator(options.seed);
  for (const auto& batch : batches) {
    Values values = network.begin(batch);
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
      const Node& node = graph.nodes[n];
      const bool linear = is_matrix(graph, node, weights);
      const at::Tensor input = linear ? values[static_cast<std::size_t>(node.inputs[0])] : at::Tensor();
      DISCO_CHECK(network.step(n, values, {}));
      if (linear) {
        DISCO_TRY(const Rows rows, Rows::of(graph, node));
        const auto [x, y] = rows.sample(input, values[static_cast<std::size_t>(node.outputs[0])],
                                        options.positions, generator);
        const MapWeight place = weight_of(graph, node);
        moments.try_emplace(place.name, Moments{place}).first->second.add(x, y);
      }
      network.release(n, values);
    }
  }
  OutputSteps steps;
  steps.momentum_ = options.momentum;
  for (auto& [name, sums] : moments) {
    const at::Tensor& weight = weights.parameters.at(name);
    const at::Tensor* mask = masks.of(name);
    const at::Tensor allowed =
        to_columns(mask != nullptr ? mask->expand_as(weight) : at::ones_like(weight), sums.place).t();
    const auto [kinds, kind_of, counts] = at::unique_dim(allowed.contiguous(), 0, true, true, false);
    Map map{sums.place, {}, std::sqrt(sums.squares / sums.rows)};
    const at::Tensor gram = sums.gram / sums.rows;
    for (std::int64_t k = 0; k < kinds.size(0); ++k) {
      Group group;
      group.outputs = (kind_of == k).nonzero().flatten();
      group.columns = kinds[k].nonzero().flatten();
      if (group.columns.size(0) == 0) continue;
      const at::Tensor part = gram.index_select(0, group.columns).index_select(1, group.columns);
      const double damping = options.damping * part.diagonal().mean().item<double>() + 1e-12;
      group.factor =
          at::linalg_cholesky(part + damping * at::eye(part.size(0), part.options())).to(at::kFloat);
      map.groups.push_back(std::move(group));
    }
    steps.maps_.emplace(name, std::move(map));
    sums.gram = at::Tensor();
  }
  return steps;
}

void OutputSteps::step(Weights& weights, double size) {
  const at::NoGradGuard no_grad;
  for (auto& [name, map] : maps_) {
    at::Tensor weight = weights.parameters.at(name);
    if (!weight.grad().defined()) continue;
    const at::Tensor gradient = to_columns(weight.grad(), map.place);
    if (!map.gradient.defined()) map.gradient = at::zeros_like(gradient);
    map.gradient.mul_(momentum_).add_(gradient, 1.0 - momentum_);
    at::Tensor change = at::zeros_like(map.gradient);
    double squares = 0.0;  // of what an unscaled step changes in the outputs: D'(X'X)D = D'G, but for damping
    for (const Group& group : map.groups) {
      const at::Tensor part = map.gradient.index_select(1, group.outputs).index_select(0, group.columns);
      const at::Tensor solved = at::cholesky_solve(part, group.factor);
      squares += (part * solved).sum().item<double>();
      at::Tensor rows = at::zeros({change.size(0), part.size(1)}, part.options());
      rows.index_copy_(0, group.columns, solved);
      change.index_copy_(1, group.outputs, rows);
    }
    const double length = std::sqrt(squares / static_cast<double>(change.size(1)));
    if (length > 0.0 && std::isfinite(length))
      weight.sub_(from_columns(change * (size * map.spread / length), weight, map.place));
    weight.grad().zero_();
  }
}

}  // namespace disco::train
