#include "train/wire.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace disco::train {

namespace {

/// UInt8 over [low, high].
WireFormat u8_format(double low, double high) {
  WireFormat format;
  format.type = DataType::UInt8;
  format.scale = std::max(static_cast<float>((high - low) / 255.0), 1e-12F);
  format.zero_point =
      static_cast<std::int32_t>(std::clamp(std::lround(-low / static_cast<double>(format.scale)), 0L, 255L));
  return format;
}

/// What arrives; the gradient of what was sent.
at::Tensor through_wire(const at::Tensor& sent, DataType wire) {
  const at::NoGradGuard no_grad;
  if (wire == DataType::Float16) return sent.to(at::kHalf).to(sent.scalar_type());
  const WireFormat format =
      u8_format(std::min(sent.min().item<double>(), 0.0), std::max(sent.max().item<double>(), 0.0));
  const at::Tensor codes = at::round(sent / format.scale).add_(format.zero_point).clamp_(0, 255);
  return codes.sub_(format.zero_point).mul_(format.scale);
}

}  // namespace

Status calibrate_wire(const Network& network, const Batches& batches, const Traffic& traffic, DataType wire,
                      Partition& partition, const std::function<void(std::size_t)>& progress) {
  const at::NoGradGuard no_grad;
  const Graph& graph = network.graph();
  std::vector<std::pair<double, double>> ranges(traffic.values.size(), {0.0, 0.0});
  if (wire == DataType::UInt8) {
    for (std::size_t b = 0; b < batches.size(); ++b) {
      Values values = network.begin(batches[b]);
      for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        DISCO_CHECK(network.step(n, values, {}));
        for (std::size_t v = 0; v < ranges.size(); ++v) {
          const ValueId id = traffic.values[v].value;
          if (std::find(graph.nodes[n].outputs.begin(), graph.nodes[n].outputs.end(), id) ==
              graph.nodes[n].outputs.end())
            continue;
          const at::Tensor& value = values[static_cast<std::size_t>(id)];
          if (!value.defined() || value.scalar_type() != at::kFloat || value.numel() == 0) continue;
          ranges[v].first = std::min(ranges[v].first, value.min().item<double>());
          ranges[v].second = std::max(ranges[v].second, value.max().item<double>());
        }
        network.release(n, values);
      }
      if (progress) progress(b + 1);
    }
  }
  for (std::size_t v = 0; v < ranges.size(); ++v) {
    WireFormat& format = partition.wire[graph.value(traffic.values[v].value).name];
    format = {};
    format.type = wire;
    if (wire == DataType::UInt8) format = u8_format(ranges[v].first, ranges[v].second);
  }
  return {};
}

void simulate_wire(Network& network, const Traffic& traffic, DataType wire) {
  for (const LinearMap& map : traffic.maps) {
    const at::Tensor own = own_mask(traffic, map);
    const Graph& graph = network.graph();
    network.set_hook(map.node, [own, map, wire, &graph](const Operator& op, std::vector<at::Tensor> inputs,
                                                        const Mode& mode) {
      const at::Tensor weight = inputs[1];
      const at::Tensor mask = along_weight(own, graph, map, weight);
      const at::Tensor sent = inputs[0];
      inputs[1] = weight * mask;
      std::vector<at::Tensor> result = op(inputs, mode);
      inputs[0] = sent + (through_wire(sent, wire) - sent).detach();
      inputs[1] = weight * (1 - mask);
      if (inputs.size() > 2) inputs[2] = at::Tensor();  // the bias is in the first product
      result[0] = result[0] + op(inputs, mode)[0];
      return result;
    });
  }
}

}  // namespace disco::train
