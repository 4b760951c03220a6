#include <disco/version.h>

#include "api/impl.h"
#include "graph/onnx.h"

#define DISCO_TEXT_OF(number) #number
#define DISCO_TEXT(number) DISCO_TEXT_OF(number)

namespace disco {

std::string_view version() {
  return DISCO_TEXT(DISCO_VERSION_MAJOR) "." DISCO_TEXT(DISCO_VERSION_MINOR) "." DISCO_TEXT(
      DISCO_VERSION_PATCH);
}

std::vector<TensorInfo> describe_values(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<TensorInfo> list;
  for (const ValueId id : ids) {
    const Value& value = graph.value(id);
    TensorInfo info{value.name, value.type, value.dims.has_value(), {}, {}};
    if (value.dims) {
      for (const Dimension& dimension : *value.dims) {
        info.shape.push_back(dimension.known() ? dimension.extent : kOpenExtent);
        info.symbols.push_back(dimension.known() ? "" : dimension.symbol);
      }
    }
    list.push_back(std::move(info));
  }
  return list;
}

Model Model::Impl::of(Graph graph, std::string label) {
  auto impl = std::make_shared<Impl>();
  impl->label = std::move(label);
  impl->inputs = describe_values(graph, graph.inputs);
  impl->outputs = describe_values(graph, graph.outputs);
  if (const auto stored = graph.metadata.find(std::string(kPartitionKey)); stored != graph.metadata.end()) {
    if (const auto partition = partition_from_json(stored->second)) impl->partition_nodes = partition->nodes;
  }
  impl->graph = std::make_shared<const Graph>(std::move(graph));
  return Model(std::move(impl));
}

Result<Model> Model::load(const std::filesystem::path& path) {
  return guarded([&]() -> Result<Model> {
    DISCO_TRY(Graph graph, load_onnx(path));
    return Impl::of(std::move(graph), path.string());
  });
}

Result<Model> Model::parse(std::span<const std::byte> bytes, const std::filesystem::path& folder) {
  return guarded([&]() -> Result<Model> {
    DISCO_TRY(Graph graph, parse_onnx(bytes, folder));
    return Impl::of(std::move(graph), {});
  });
}

const std::vector<TensorInfo>& Model::inputs() const { return impl_->inputs; }
const std::vector<TensorInfo>& Model::outputs() const { return impl_->outputs; }
int Model::partition_nodes() const { return impl_->partition_nodes; }

}  // namespace disco
