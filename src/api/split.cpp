#include <disco/split.h>

#include "api/impl.h"
#include "partition/cost.h"

namespace disco {

Result<Split> Split::make(const Model& model, const SplitOptions& options) {
  return guarded([&]() -> Result<Split> {
    auto split = split_model(*model.impl_->graph, options);
    if (!split) {
      return model.impl_->label.empty() ? split.error() : in_context(model.impl_->label, split.error());
    }
    auto impl = std::make_shared<Impl>();
    impl->whole = model.impl_->graph;
    impl->model = std::move(*split);
    impl->inputs = describe_values(impl->model.graph, impl->model.graph.inputs);
    impl->outputs = describe_values(impl->model.graph, impl->model.graph.outputs);
    return Split(std::move(impl));
  });
}

int Split::nodes() const { return impl_->model.partition.nodes; }
const std::vector<TensorInfo>& Split::inputs() const { return impl_->inputs; }
const std::vector<TensorInfo>& Split::outputs() const { return impl_->outputs; }

Result<CostTable> Split::costs() const {
  return guarded([&]() -> Result<CostTable> {
    return cost_table(impl_->model.graph, impl_->model.plan, impl_->model.shards);
  });
}

Status Split::save_artifact(const std::filesystem::path& path) const {
  return guarded([&] { return disco::save_artifact(*impl_->whole, impl_->model.partition, path); });
}

Result<std::vector<std::filesystem::path>> Split::save_shards(const std::filesystem::path& folder) const {
  return guarded([&] { return disco::save_shards(impl_->model.shards, folder); });
}

}  // namespace disco
