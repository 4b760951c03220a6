// classify MODEL.onnx [NODES [INPUT.f32]]: the five best classes, computed by nodes that are processes of
// this machine.

#include <disco/disco.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "input.h"

namespace {

int fail(const disco::Error& error) {
  std::fprintf(stderr, "classify: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2 || count > 4) {
    std::fprintf(stderr, "usage: classify MODEL.onnx [NODES [INPUT.f32]]\n");
    return 2;
  }
  const auto model = disco::Model::load(arguments[1]);
  if (!model) return fail(model.error());
  const auto split = disco::Split::make(*model, {.nodes = count > 2 ? std::atoi(arguments[2]) : 2});
  if (!split) return fail(split.error());
  auto session = disco::Session::start(*split, {.transport = disco::Transport::Processes});
  if (!session) return fail(session.error());

  disco::NamedTensors inputs;
  for (const disco::TensorInfo& info : split->inputs()) {
    auto tensor = make_input(info, count > 3 ? arguments[3] : "");
    if (!tensor) return fail(tensor.error());
    inputs[info.name] = *tensor;
  }
  const auto result = session->run(inputs);
  if (!result) return fail(result.error());

  const disco::Tensor& scores = result->outputs.at(split->outputs().front().name);
  if (scores.type() != disco::DataType::Float32)
    return fail({disco::ErrorCode::Unsupported, "the first output holds no floats"});
  std::vector<std::int64_t> classes(static_cast<std::size_t>(scores.elements()));
  std::iota(classes.begin(), classes.end(), std::int64_t{0});
  const auto best = classes.begin() + std::min<std::ptrdiff_t>(5, scores.elements());
  std::partial_sort(classes.begin(), best, classes.end(),
                    [&](auto a, auto b) { return scores.data<float>()[a] > scores.data<float>()[b]; });
  for (auto at = classes.begin(); at != best; ++at) {
    std::printf("%4lld  %.4f\n", static_cast<long long>(*at), static_cast<double>(scores.data<float>()[*at]));
  }
  for (std::size_t rank = 0; rank < result->statistics.size(); ++rank) {
    const disco::RunStatistics& spent = result->statistics[rank];
    std::fprintf(stderr,
                 "node %zu: %.1f ms computing, %.1f ms waiting, %llu bytes sent, %llu bytes of weights\n",
                 rank, spent.compute_ms, spent.wait_ms, static_cast<unsigned long long>(spent.bytes_sent),
                 static_cast<unsigned long long>(session->nodes()[rank].weight_bytes));
  }
  return 0;
}
