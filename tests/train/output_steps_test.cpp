// Steps in a layer's outputs: as long as asked for however unlike the inputs' directions are, straight to the
// least-squares solution, and only where a weight may be.

#include "train/output_steps.h"

#include <gtest/gtest.h>

#include "reference/specialise.h"
#include "zoo/builder.h"

namespace disco::train {
namespace {

constexpr std::int64_t kRows = 256, kInputs = 12, kOutputs = 8;

struct Problem {
  Graph graph;
  std::shared_ptr<Weights> weights;
  std::string name;
  at::Tensor x;
};

/// One product whose inputs differ a thousandfold in size and are mixed with each other.
Problem problem() {
  GraphBuilder b("net", 3);
  const ValueId x = b.input("x", {{kRows, ""}, {kInputs, ""}});
  const Graph open = b.finish(b.gemm("fc", x, kInputs, kOutputs, 0.3), "y", {{kRows, ""}, {kOutputs, ""}});
  Problem made{specialise(open, {}).value(), nullptr, {}, {}};
  made.weights = std::make_shared<Weights>(read_weights(made.graph, at::kCPU).value());
  made.name = weight_of(made.graph, made.graph.nodes[0]).name;
  at::manual_seed(5);
  made.x = at::matmul(at::randn({kRows, kInputs}) * at::logspace(0, -3, kInputs, 10.0),
                      at::randn({kInputs, kInputs}));
  return made;
}

at::Tensor answer(const Network& network, const at::Tensor& x) { return network.forward({x}, {}).value()[0]; }

TEST(OutputSteps, AreAsLongAsAsked) {
  for (const double size : {0.001, 0.1}) {
    Problem p = problem();
    const Network network = Network::create(p.graph, p.weights).value();
    auto steps = OutputSteps::create(network, *p.weights, {}, {{p.x}}, {.damping = 1e-9, .positions = kRows});
    ASSERT_TRUE(steps.ok()) << steps.error().message;
    EXPECT_TRUE(steps->covers(p.name));
    const at::Tensor before = answer(network, p.x);
    (before * at::randn(before.sizes())).sum().backward();
    steps->step(*p.weights, size);
    const at::Tensor after = answer(network, p.x);
    const double moved = (after - before).square().mean().sqrt().item<double>();
    const double spread = before.var(0, false).mean().sqrt().item<double>();
    EXPECT_NEAR(moved / spread, size, 0.02 * size);
  }
}

TEST(OutputSteps, GoStraightToTheLeastSquares) {
  Problem p = problem();
  const Network network = Network::create(p.graph, p.weights).value();
  auto steps = OutputSteps::create(network, *p.weights, {}, {{p.x}}, {.damping = 1e-9, .momentum = 0.0});
  ASSERT_TRUE(steps.ok());
  const at::Tensor target = (answer(network, p.x) + at::matmul(p.x, at::randn({kInputs, kOutputs}))).detach();
  const auto loss = [&] { return (answer(network, p.x) - target).square().mean(); };
  const double start = loss().item<double>();
  for (int turn = 0; turn < 400; ++turn) {
    loss().backward();
    steps->step(*p.weights, 0.02 * std::max(0.0, 1.0 - turn / 400.0));
  }
  EXPECT_LT(loss().item<double>(), 1e-3 * start);
}

TEST(OutputSteps, LeaveWhatIsMaskedAtZero) {
  GraphBuilder b("net", 9);
  ValueId y = b.input("x", {{4, ""}, {3, ""}, {8, ""}, {8, ""}});
  y = b.relu("r0", b.conv("c0", y, 3, 8, {.kernel = 3, .padding = 1}));
  y = b.relu("r1", b.conv("c1", y, 8, 12, {.kernel = 3, .padding = 1}));
  const Graph open =
      b.finish(b.conv("c2", y, 12, 8, {.kernel = 1}), "y", {{4, ""}, {8, ""}, {8, ""}, {8, ""}});
  const Graph graph = specialise(open, {}).value();
  for (const int nodes : {2, 4}) {
    auto weights = std::make_shared<Weights>(read_weights(graph, at::kCPU).value());
    const Partition partition = partition_channels(graph, {nodes, {}}).value();
    const Traffic traffic = traffic_of(graph, partition).value();
    const Masks masks(graph, traffic, keep_forced(traffic), *weights);
    masks.apply(*weights);
    const Network network = Network::create(graph, weights).value();
    at::manual_seed(nodes);
    const at::Tensor x = at::randn({4, 3, 8, 8});
    auto steps = OutputSteps::create(network, *weights, masks, {{x}});
    ASSERT_TRUE(steps.ok()) << steps.error().message;
    answer(network, x).square().sum().backward();
    std::map<std::string, at::Tensor> before;
    for (const auto& [name, tensor] : weights->parameters) before[name] = tensor.detach().clone();
    steps->step(*weights, 0.1);
    ASSERT_FALSE(traffic.maps.empty());
    for (const LinearMap& map : traffic.maps) {
      const std::string name = weight_of(graph, graph.nodes[map.node]).name;
      const at::Tensor now = weights->parameters.at(name).detach();
      EXPECT_EQ((now * (1 - *masks.of(name))).abs().sum().item<float>(), 0.0F) << name << ", " << nodes;
      EXPECT_GT((now - before[name]).abs().sum().item<float>(), 0.0F) << name << ", " << nodes;
    }
  }
}

}  // namespace
}  // namespace disco::train
