#include "train/validate.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "reference/specialise.h"
#include "train/bridge.h"

namespace disco::train {

namespace {

/// The model at one size of samples.
struct Sized {
  Shape sample;
  std::int64_t batch = 1;
  std::unique_ptr<Graph> graph;  // the network refers to it
  std::optional<Network> network;
};

Result<Sized> sized(const Graph& model, const std::shared_ptr<const Weights>& weights, const Shape& sample,
                    std::int64_t batch) {
  Sized made{sample, batch};
  InputShapes shapes;
  Shape shape = {batch};
  shape.insert(shape.end(), sample.begin(), sample.end());
  shapes.shapes[model.value(model.inputs[0]).name] = shape;
  shapes.default_batch = batch;
  DISCO_TRY(Graph graph, specialise(model, shapes));
  made.graph = std::make_unique<Graph>(std::move(graph));
  DISCO_TRY(Network network, Network::create(*made.graph, weights));
  made.network.emplace(std::move(network));
  return made;
}

}  // namespace

Result<std::vector<Figure>> validate(const Graph& model, const std::shared_ptr<const Weights>& weights,
                                     const Task& task, const DataSet& data, std::int64_t batch) {
  const at::NoGradGuard no_grad;
  const Value& input = model.value(model.inputs[0]);
  const bool fixed = input.dims && !input.dims->empty() && (*input.dims)[0].known();
  batch = fixed ? (*input.dims)[0].extent : data.has_one_shape() ? std::min(batch, data.size()) : 1;
  std::optional<Sized> at_hand;
  std::unique_ptr<Metric> metric;
  for (std::int64_t first = 0; first < data.size(); first += batch) {
    const std::int64_t count = std::min(batch, data.size() - first);
    std::vector<at::Tensor> inputs;
    std::vector<Truth> truths;
    std::vector<double> pixel_areas;
    Shape shape;
    for (std::int64_t i = 0; i < batch; ++i) {
      // A batch that is not full is filled up with its last sample.
      if (i >= count) {
        inputs.push_back(inputs.back());
        continue;
      }
      DISCO_TRY(Sample sample, data.sample(first + i));
      shape = sample.tensor.shape();
      DISCO_TRY(at::Tensor tensor, to_torch(sample.tensor));
      inputs.push_back(std::move(tensor));
      truths.push_back(std::move(sample.truth));
      pixel_areas.push_back(sample.pixel_area);
    }
    if (!at_hand || at_hand->sample != shape) {
      DISCO_TRY(at_hand, sized(model, weights, shape, batch));
    }
    DISCO_TRY(const std::vector<at::Tensor> outputs,
              at_hand->network->forward({at::stack(inputs).to(weights->device)}, {}));
    NamedTensors named;
    for (std::size_t o = 0; o < outputs.size(); ++o)
      named[at_hand->graph->value(at_hand->graph->outputs[o]).name] =
          from_torch(outputs[o].to(at::kCPU, at::kFloat));
    if (!metric) {
      DISCO_TRY(const std::int64_t classes, answered_classes(task, named, batch));
      metric = make_metric(task, {.classes = classes});
    }
    const auto side = [&](std::size_t from_end) {
      return shape.size() < from_end ? 1 : static_cast<int>(shape[shape.size() - from_end]);
    };
    for (std::int64_t i = 0; i < count; ++i) {
      DISCO_TRY(const Answer answer, read_answer(task, named, i, batch, side(2), side(1)));
      const auto at = static_cast<std::size_t>(i);
      const Status added = metric->add_resized(answer, truths[at], pixel_areas[at]);
      if (!added) return in_context(fmt::format("{}: sample {}", data.about(), first + i), added.error());
    }
  }
  return metric ? metric->figures() : std::vector<Figure>();
}

}  // namespace disco::train
