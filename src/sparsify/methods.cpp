#include "sparsify/methods.h"

#include <array>
#include <utility>

namespace disco {

namespace {

constexpr std::array<std::pair<Method, std::string_view>, 5> kNames = {
    {{Method::Disco, "disco"},
     {Method::Dense, "dense"},
     {Method::Independent, "independent"},
     {Method::DenseThenSplit, "dense-then-split"},
     {Method::SplitThenAggregate, "split-then-aggregate"}}};

}  // namespace

std::string_view to_string(Method method) {
  for (const auto& [known, name] : kNames) {
    if (known == method) return name;
  }
  return "unknown";
}

Result<Method> method_from(std::string_view name) {
  std::string list;
  for (const auto& [method, known] : kNames) {
    if (known == name) return method;
    list += fmt::format("{}{}", list.empty() ? "" : ", ", known);
  }
  return error(ErrorCode::InvalidArgument, "there is no method '{}'; there are {}", name, list);
}

Result<Allocation> keep_by_layer(const Traffic& traffic, Method method, const Budget& budget,
                                 std::optional<std::int64_t> layer) {
  const auto layers = static_cast<std::int64_t>(traffic.values.size());
  if (layer && (*layer < 0 || *layer > layers)) {
    return error(ErrorCode::InvalidArgument, "layer {}: the model has {} layers that exchange features",
                 *layer, layers);
  }
  if (method == Method::Dense) return Allocation{keep_all(traffic), 0.0, traffic.dense_bytes};
  if (method == Method::Independent) return Allocation{keep_forced(traffic), 0.0, traffic.fixed_bytes};
  const bool front = method == Method::DenseThenSplit;
  if (layer) {
    Allocation choice{keep_forced(traffic), 0.0, 0};
    for (std::int64_t v = 0; v < layers; ++v) {
      if (front != (v < *layer)) continue;
      for (auto& channels : choice.kept[static_cast<std::size_t>(v)]) channels.assign(channels.size(), true);
    }
    choice.bytes = traffic.bytes(choice.kept);
    return choice;
  }
  const auto allowed =
      static_cast<std::int64_t>(budget.communication * static_cast<double>(traffic.dense_bytes) + 1e-6);
  if (traffic.fixed_bytes > allowed) {
    return error(ErrorCode::InvalidArgument,
                 "a budget of {} bytes cannot be met: {} bytes travel whatever is kept", allowed,
                 traffic.fixed_bytes);
  }
  Allocation choice{keep_forced(traffic), 0.0, traffic.fixed_bytes};
  for (std::int64_t i = 0; i < layers; ++i) {
    const auto v = static_cast<std::size_t>(front ? i : layers - 1 - i);
    const Exchangeable& value = traffic.values[v];
    for (std::size_t c = 0; c < value.owner.size(); ++c) {
      for (std::size_t rank = 0; rank < choice.kept[v].size(); ++rank) {
        if (value.owner[c] == static_cast<std::int32_t>(rank) || value.forced[rank][c]) continue;
        if (choice.bytes + value.channel_bytes > allowed) return choice;
        choice.bytes += value.channel_bytes;
        choice.kept[v][rank][c] = true;
      }
    }
  }
  return choice;
}

}  // namespace disco
