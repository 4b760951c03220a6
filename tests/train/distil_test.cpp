// Distillation that goes wrong: steps that are too long are taken back, and samples held out have the last
// word.

#include "train/distil.h"

#include <gtest/gtest.h>

#include "reference/specialise.h"
#include "zoo/builder.h"

namespace disco::train {
namespace {

constexpr std::int64_t kBatch = 8, kSamples = 160;

std::map<std::string, at::Tensor> copies(const Weights& weights) {
  std::map<std::string, at::Tensor> copied;
  for (const auto& [name, tensor] : weights.parameters) copied[name] = tensor.detach().clone();
  return copied;
}

/// A network over two nodes that send each other nothing, and its dense self.
class Distil : public ::testing::Test {
 protected:
  Distil() {
    GraphBuilder b("net", 4);
    ValueId y = b.input("x", {{kBatch, ""}, {3, ""}, {8, ""}, {8, ""}});
    y = b.relu("r0", b.conv("c0", y, 3, 12, {.kernel = 3, .padding = 1, .bias = true}));
    y = b.relu("r1", b.conv("c1", y, 12, 16, {.kernel = 3, .padding = 1, .bias = true}));
    y = b.op("flat", "Flatten", {b.op("pool", "GlobalAveragePool", {y})});
    graph_ = specialise(b.finish(b.gemm("fc", y, 16, 6, 0.5), "y", {{kBatch, ""}, {6, ""}}), {}).value();
    dense_ = std::make_shared<Weights>(read_weights(graph_, at::kCPU).value());
    sparse_ = std::make_shared<Weights>(read_weights(graph_, at::kCPU).value());
    traffic_ = traffic_of(graph_, partition_channels(graph_, {2, {}}).value()).value();
    masks_ = Masks(graph_, traffic_, keep_forced(traffic_), *sparse_);
    masks_.apply(*sparse_);
    at::manual_seed(6);
    samples_ = {at::randn({kSamples, 3, 8, 8})};
  }

  Distilled run(const DistilOptions& options) {
    const auto task = make_task_loss(nullptr, graph_, {}).value();
    return distil(Network::create(graph_, dense_).value(), Network::create(graph_, sparse_).value(), *task,
                  *sparse_, traffic_, masks_, samples_, options)
        .value();
  }
  /// Mean square of what the answers to all samples lack.
  double error() {
    const Network theirs = Network::create(graph_, dense_).value();
    const Network ours = Network::create(graph_, sparse_).value();
    double total = 0.0;
    for (std::int64_t first = 0; first < kSamples; first += kBatch) {
      const at::Tensor x = samples_[0].narrow(0, first, kBatch);
      total += (ours.forward({x}, {}).value()[0] - theirs.forward({x}, {}).value()[0])
                   .square()
                   .mean()
                   .item<double>();
    }
    return total;
  }

  Graph graph_;
  std::shared_ptr<Weights> dense_, sparse_;
  Traffic traffic_;
  Masks masks_;
  std::vector<at::Tensor> samples_;
};

TEST_F(Distil, BringsAnswersCloserAlsoToWhatIsHeldOut) {
  const double before = error();
  const Distilled made = run({.epochs = 10, .batch = kBatch, .held_out = 4 * kBatch});
  EXPECT_GT(made.part, 0.0);
  EXPECT_LT(made.after, 0.8 * made.before);
  EXPECT_LT(error(), 0.8 * before);
}

TEST_F(Distil, GoesAsFarAsHeldOutSamplesAreAnsweredBetter) {
  const auto before = copies(*sparse_);
  samples_[0] = samples_[0].narrow(0, 0, 4 * kBatch);
  const Distilled made = run({.epochs = 1, .batch = kBatch, .step = 0.3, .held_out = 2 * kBatch});
  EXPECT_GT(made.part, 0.0);
  EXPECT_LT(made.part, 1.0);
  EXPECT_LT(made.after, made.before);
  EXPECT_EQ(run({.epochs = 0, .batch = kBatch, .held_out = 2 * kBatch}).before, made.after);
  bool moved = false;
  for (const auto& [name, tensor] : sparse_->parameters) moved = moved || !at::equal(tensor, before.at(name));
  EXPECT_TRUE(moved);
}

TEST_F(Distil, LeavesTheWeightsWhereHeldOutSamplesAreAnsweredWorse) {
  const auto before = copies(*sparse_);
  // Two steps in the outputs' own size: nothing is watched for so few.
  samples_[0] = samples_[0].narrow(0, 0, 4 * kBatch);
  const Distilled made = run({.epochs = 1, .batch = kBatch, .step = 3.0, .held_out = 2 * kBatch});
  EXPECT_EQ(made.part, 0.0);
  EXPECT_EQ(made.after, made.before);
  for (const auto& [name, tensor] : sparse_->parameters)
    EXPECT_TRUE(at::equal(tensor, before.at(name))) << name;
}

TEST_F(Distil, TakesBackStepsThatAreTooLong) {
  const double before = error();
  // Alone, such steps end where nothing of the network is left.
  const Distilled made = run({.epochs = 30, .batch = kBatch, .step = 1.0});
  EXPECT_EQ(made.part, 1.0) << "nothing was held out";
  EXPECT_LT(error(), 2.0 * before);
}

}  // namespace
}  // namespace disco::train
