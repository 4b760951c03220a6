// Training: it learns, masks hold, a killed run ends as one that was not, processes share their steps.

#include "train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <stdexcept>

#include "base/file.h"
#include "base/random.h"
#include "data/npz.h"
#include "graph/onnx.h"
#include "partition/partition.h"
#include "reference/specialise.h"
#include "train/batch_norm.h"
#include "train/bridge.h"
#include "train/device.h"
#include "train/initialise.h"
#include "train/loader.h"
#include "train/sparsify.h"
#include "train/tighten.h"
#include "train/wire.h"
#include "zoo/builder.h"

namespace disco::train {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A small classifier of 32-pixel images.
Graph classifier(bool batch_norm = true, std::int64_t classes = 10) {
  GraphBuilder b("classifier", 3);
  ValueId x = b.input("x", {{-1, "N"}, {3, ""}, {32, ""}, {32, ""}});
  const auto block = [&](const std::string& name, std::int64_t in, std::int64_t out) {
    x = b.conv(name, x, in, out, {.kernel = 3, .stride = 2, .padding = 1, .bias = !batch_norm});
    if (batch_norm) x = b.batch_norm(name + ".bn", x, out);
    x = b.relu(name + ".relu", x);
  };
  block("c1", 3, 8);
  block("c2", 8, 16);
  block("c3", 16, 16);
  x = b.op("flatten", "Flatten", {b.op("pool", "GlobalAveragePool", {x})});
  return b.finish(b.gemm("fc", x, 16, classes, 0.3), "y", {{-1, "N"}, {classes, ""}});
}

std::unique_ptr<DataSet> shapes(std::int64_t count, const std::string& part = "train") {
  DataSetOptions options;
  options.source = "shapes:32";
  options.part = part;
  options.limit = count;
  return open_data_set(options, nullptr).value();
}

TrainOptions quick(std::int64_t epochs) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch = 32;
  options.learning_rate = 0.05;
  options.objective = {.distillation = 0.0, .labels = 1.0};
  return options;
}

/// The classifier after sparsifying it to a share of its bytes.
Graph artifact(const Graph& dense, double communication) {
  const auto set = shapes(64);
  std::vector<std::int64_t> all(64);
  for (std::int64_t i = 0; i < 64; ++i) all[static_cast<std::size_t>(i)] = i;
  SparsifyOptions options;
  options.budget.communication = communication;
  options.batch = 32;
  return sparsify(dense, {{"x", read_samples(*set, all).value()}}, options).value().model;
}

std::map<std::string, at::Tensor> constants(const Graph& graph) {
  std::map<std::string, at::Tensor> all;
  for (const Value& value : graph.values) {
    if (value.is_constant() && value.type == DataType::Float32)
      all[value.name] = to_torch(*value.constant).value();
  }
  return all;
}

double largest_difference(const Graph& a, const Graph& b) {
  const auto ours = constants(a);
  const auto theirs = constants(b);
  double most = 0.0;
  for (const auto& [name, tensor] : ours)
    most = std::max(most, (tensor - theirs.at(name)).abs().max().item<double>());
  return most;
}

class Scratch {
 public:
  Scratch() : folder_(fs::temp_directory_path() / ("disco-train-test-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~Scratch() { fs::remove_all(folder_); }
  [[nodiscard]] fs::path file(const std::string& name) const { return folder_ / name; }

 private:
  fs::path folder_;
};

/// Noise over eight colours: the class.
std::unique_ptr<DataSet> colours(const fs::path& file, std::int64_t count, std::uint64_t seed) {
  Random random(seed);
  Tensor x(DataType::Float32, {count, 3, 32, 32});
  Tensor labels(DataType::Int64, {count});
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int64_t>(random.below(8));
    labels.data<std::int64_t>()[i] = label;
    for (std::int64_t p = 0; p < 3 * 1024; ++p) {
      const double level = (label >> (p / 1024)) % 2 == 1 ? 0.4 : -0.4;
      x.data<float>()[i * 3 * 1024 + p] = static_cast<float>(level + random.normal());
    }
  }
  EXPECT_TRUE(write_npz(file, {{"x", x}, {"labels", labels}}).ok());
  DataSetOptions options;
  options.source = file.string();
  return open_data_set(options, nullptr).value();
}

TEST(Training, LearnsFromLabels) {
  const Scratch scratch;
  const auto training = colours(scratch.file("train.npz"), 320, 1);
  const auto validation = colours(scratch.file("test.npz"), 100, 2);
  for (const Optimiser optimiser : {Optimiser::Sgd, Optimiser::AdamW}) {
    TrainOptions options = quick(4);
    options.reset = true;
    options.average = 0.9;
    options.augmentation = Augmentation::None;
    options.optimiser = optimiser;
    if (optimiser == Optimiser::AdamW) options.learning_rate = 0.01;
    const auto trained = train(classifier(), nullptr, {*training, validation.get()}, options, nullptr, {});
    ASSERT_TRUE(trained.ok()) << trained.error().message;
    ASSERT_EQ(trained->history.size(), 4U);
    EXPECT_LT(trained->history.back().loss, 0.7 * trained->history.front().loss);
    ASSERT_TRUE(trained->history.back().validation);
    EXPECT_GT(trained->history.back().validation->value, 0.8) << "eight classes";
  }
}

TEST(Training, HeldStatisticsStayAsTheyAre) {
  const auto set = shapes(64);
  const Graph dense = classifier();
  const auto before = constants(dense);
  for (const bool hold : {true, false}) {
    TrainOptions options = quick(1);
    options.average = 0.5;
    options.hold_statistics = hold;
    const auto trained = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
    ASSERT_TRUE(trained.ok()) << trained.error().message;
    int statistics = 0;
    for (const auto& [name, tensor] : constants(trained->model)) {
      if (!name.ends_with("running_mean") && !name.ends_with("running_var")) continue;
      ++statistics;
      EXPECT_EQ(at::equal(tensor, before.at(name)), hold) << name;
    }
    EXPECT_GT(statistics, 0);
    EXPECT_GT(largest_difference(dense, trained->model), 1e-4) << "the weights learn";
  }
}

TEST(Training, NamesTheClassesThatItLearned) {
  const auto set = shapes(32);
  for (const bool by_labels : {true, false}) {
    const Graph dense = classifier();
    TrainOptions options = quick(1);
    if (!by_labels) options.objective = {.distillation = 1.0};
    const auto trained = train(dense, by_labels ? nullptr : &dense, {*set, nullptr}, options, nullptr, {});
    ASSERT_TRUE(trained.ok()) << trained.error().message;
    const auto task = task_of(trained->model);
    ASSERT_TRUE(task.ok() && task->has_value());
    EXPECT_EQ((*task)->classes, by_labels ? set->class_names() : std::vector<std::string>());
  }
}

TEST(Training, LearnsFromATeacherAndKeepsTheMasks) {
  const Graph dense = classifier();
  const Graph sparse = artifact(dense, 0.3);
  TrainOptions options = quick(4);
  options.learning_rate = 0.01;
  options.objective = {.distillation = 1.0, .hints = 0.5};
  const auto set = shapes(320);
  const auto trained = train(sparse, &dense, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(trained.ok()) << trained.error().message;
  EXPECT_LT(trained->history.back().loss, trained->history.front().loss);
  const auto before = constants(sparse);
  const auto after = constants(trained->model);
  std::int64_t zeros = 0;
  for (const auto& [name, tensor] : before) {
    if (tensor.dim() < 2) continue;
    const at::Tensor pruned = tensor.eq(0);
    zeros += pruned.sum().item<std::int64_t>();
    EXPECT_EQ(after.at(name).masked_select(pruned).abs().sum().item<double>(), 0.0) << name;
    EXPECT_GT((after.at(name) - tensor).abs().max().item<double>(), 0.0) << name << " did not learn";
  }
  EXPECT_GT(zeros, 100);
  EXPECT_EQ(trained->model.metadata.at(std::string(kPartitionKey)),
            sparse.metadata.at(std::string(kPartitionKey)));
}

TEST(Training, AKilledRunEndsAsOneThatWasNot) {
  const Scratch scratch;
  const auto set = shapes(256);
  const Graph dense = classifier();
  TrainOptions options = quick(3);
  options.average = 0.9;
  const auto whole = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  options.checkpoint = scratch.file("run");
  options.checkpoint_steps = 3;
  options.resume = true;
  // Steps at which it dies: between two checkpoints, at one, at an epoch's first and last step.
  for (const std::int64_t death : {5, 3, 9, 16, 17, 23}) {
    fs::remove(options.checkpoint);
    std::int64_t steps = 0;
    TrainWatch watch;
    watch.on_step = [&](std::int64_t, std::int64_t, std::int64_t, double) {
      if (++steps == death) throw std::runtime_error("killed");
    };
    ASSERT_FALSE(train(dense, nullptr, {*set, nullptr}, options, nullptr, watch).ok());
    const auto resumed = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
    ASSERT_TRUE(resumed.ok()) << resumed.error().message;
    EXPECT_EQ(largest_difference(whole->model, resumed->model), 0.0) << "killed after step " << death;
    EXPECT_EQ(resumed->history.size(), 3U);
    EXPECT_EQ(resumed->history.back().loss, whole->history.back().loss) << "killed after step " << death;
  }
}

/// Files of this process end at so many bytes while it lives, as on a full disk.
class LittleRoom {
 public:
  explicit LittleRoom(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit little = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &little);
  }
  ~LittleRoom() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  LittleRoom(const LittleRoom&) = delete;
  LittleRoom& operator=(const LittleRoom&) = delete;

 private:
  rlimit before_ = {};
  void (*handler_)(int);
};

TEST(Training, AFullDiskLeavesTheLastCheckpointWhole) {
  const Scratch scratch;
  const auto set = shapes(128);
  const Graph dense = classifier();
  TrainOptions options = quick(2);
  const auto whole = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  options.checkpoint = scratch.file("run");
  options.checkpoint_steps = 1;
  options.resume = true;
  std::optional<LittleRoom> full;
  TrainWatch watch;
  watch.on_step = [&](std::int64_t, std::int64_t step, std::int64_t, double) {
    if (step == 3) full.emplace(1000);
  };
  const auto stopped = train(dense, nullptr, {*set, nullptr}, options, nullptr, watch);
  full.reset();
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().code, ErrorCode::Io);
  EXPECT_THAT(stopped.error().message, HasSubstr(options.checkpoint.string()));
  EXPECT_EQ(std::distance(fs::directory_iterator(options.checkpoint.parent_path()), {}), 1)
      << "nothing half written";
  const auto resumed = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(resumed.ok()) << resumed.error().message;
  EXPECT_EQ(largest_difference(whole->model, resumed->model), 0.0);
}

TEST(Training, AForeignCheckpointIsRefused) {
  const Scratch scratch;
  const auto set = shapes(64);
  TrainOptions options = quick(1);
  options.checkpoint = scratch.file("run");
  ASSERT_TRUE(train(classifier(), nullptr, {*set, nullptr}, options, nullptr, {}).ok());
  options.resume = true;
  const auto other = train(classifier(false), nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(other.error().message, HasSubstr("checkpoint is of another run"));
  const Graph teacher = classifier();
  ASSERT_FALSE(train(classifier(), &teacher, {*set, nullptr}, options, nullptr, {}).ok()) << "a teacher came";
  ASSERT_TRUE(write_file(options.checkpoint, std::as_bytes(std::span("no archive", 10))).ok());
  const auto damaged = train(classifier(), nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_FALSE(damaged.ok());
  EXPECT_THAT(damaged.error().message, HasSubstr("no checkpoint"));
}

TEST(Training, SaysWhatDoesNotFit) {
  const auto set = shapes(64);
  const Graph dense = classifier();
  const auto complaint = [&](const Graph& model, const Graph* teacher, const TrainOptions& options) {
    const auto trained = train(model, teacher, {*set, nullptr}, options, nullptr, {});
    return trained.ok() ? std::string() : trained.error().message;
  };
  EXPECT_THAT(complaint(classifier(true, 7), nullptr, quick(1)),
              HasSubstr("has 10 classes, the model answers 7"));
  TrainOptions unlabelled = quick(1);
  unlabelled.objective.labels = 0.0;
  EXPECT_THAT(complaint(dense, nullptr, unlabelled), HasSubstr("neither a teacher nor are there labels"));
  TrainOptions large = quick(1);
  large.batch = 65;
  EXPECT_THAT(complaint(dense, nullptr, large), HasSubstr("64 samples are fewer than one batch of 65"));
  const Graph other = classifier(true, 7);
  EXPECT_THAT(complaint(dense, &other, quick(1)), HasSubstr("the teacher answers"));
  TrainOptions tight = quick(1);
  tight.tightening = Tightening::Cubic;
  EXPECT_THAT(complaint(dense, nullptr, tight), HasSubstr("no owners"));
  TrainOptions wild = quick(3);
  wild.learning_rate = 1e30;
  EXPECT_THAT(complaint(classifier(false), nullptr, wild), HasSubstr("try a smaller --lr"));
}

class Tightened : public ::testing::TestWithParam<Tightening> {};

TEST_P(Tightened, MeetsTheBudget) {
  const Graph dense = classifier();
  const Graph sparse = artifact(dense, 0.3);
  TrainOptions options = quick(3);
  options.learning_rate = 0.01;
  options.objective = {.distillation = 1.0};
  options.tightening = GetParam();
  options.tighten_epochs = 2.0;
  const auto set = shapes(160);
  const auto trained = train(sparse, &dense, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(trained.ok()) << trained.error().message;
  EXPECT_GT(trained->history.front().communication, 0.3);
  EXPECT_LE(trained->history.back().communication, 0.3 + 1e-9);
  const Graph fixed = specialise(trained->model, {}).value();
  const Partition partition =
      partition_from_json(trained->model.metadata.at(std::string(kPartitionKey))).value();
  const Traffic traffic = traffic_of(fixed, partition).value();
  EXPECT_LE(traffic.bytes(kept_of(fixed, traffic, partition)), traffic.dense_bytes * 3 / 10);
}

INSTANTIATE_TEST_SUITE_P(Schedules, Tightened, ::testing::Values(Tightening::Cubic, Tightening::GroupLasso));

TEST(Tighten, FollowsTheCubicCurve) {
  EXPECT_DOUBLE_EQ(cubic_budget(0.2, 0, 10), 1.0);
  EXPECT_DOUBLE_EQ(cubic_budget(0.2, 5, 10), 0.2 + 0.8 * 0.125);
  EXPECT_DOUBLE_EQ(cubic_budget(0.2, 10, 10), 0.2);
  EXPECT_DOUBLE_EQ(cubic_budget(0.2, 3, 0), 0.2);
}

TEST(Training, ProcessesShareTheirSteps) {
  const auto set = shapes(128);
  const Graph dense = classifier(false);  // statistics of a batch would be each process's own
  TrainOptions options = quick(2);
  const auto alone = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(alone.ok()) << alone.error().message;
  options.batch = 16;
  const int port = 20000 + getpid() % 20000;
  const auto rank = [&](int r) -> Result<Trained> {
    DISCO_TRY(const auto group,
              join_group({"127.0.0.1:" + std::to_string(port), r, 2, std::chrono::seconds(30)}));
    return train(dense, nullptr, {*set, nullptr}, options, group.get(), {});
  };
  auto other = std::async(std::launch::async, rank, 1);
  const auto ours = rank(0);
  const auto theirs = other.get();
  if (!ours.ok() && ours.error().code == ErrorCode::Unsupported) GTEST_SKIP() << ours.error().message;
  ASSERT_TRUE(ours.ok()) << ours.error().message;
  ASSERT_TRUE(theirs.ok()) << theirs.error().message;
  EXPECT_LT(largest_difference(ours->model, alone->model), 1e-4);
  EXPECT_EQ(largest_difference(ours->model, theirs->model), 0.0);
}

TEST(Training, GpusAreJoinedByNccl) {
  GroupOptions options{"127.0.0.1:" + std::to_string(20000 + (getpid() + 7) % 20000), 0, 1,
                       std::chrono::seconds(30), Backend::Nccl};
  const auto without = join_group(options);
  ASSERT_FALSE(without.ok());
  EXPECT_THAT(without.error().message, HasSubstr("--device"));
  if (gpu_count() == 0 || !has_backend(Backend::Nccl)) GTEST_SKIP() << "there is no GPU, or no NCCL";
  options.device = at::Device(at::kCUDA, 0);
  const auto group = join_group(options);
  ASSERT_TRUE(group.ok()) << group.error().message;
  const at::Tensor tensor = at::arange(6, at::TensorOptions(options.device).dtype(at::kFloat));
  ASSERT_TRUE((*group)->average({tensor}).ok());
  ASSERT_TRUE((*group)->broadcast({tensor}).ok());
  EXPECT_EQ(tensor.sum().item<float>(), 15.0F);
}

TEST(Training, ADeviceThatIsNone) {
  for (const char* name : {"tpu", "cuda:x", "meta", ""}) {
    const auto device = device_from(name);
    ASSERT_FALSE(device.ok()) << name;
    EXPECT_EQ(device.error().code, ErrorCode::InvalidArgument) << name;
  }
  const auto beyond = device_from("cuda:" + std::to_string(gpu_count()));
  ASSERT_FALSE(beyond.ok());
  EXPECT_EQ(beyond.error().code, ErrorCode::Unsupported);
  EXPECT_TRUE(device_from("cpu")->is_cpu());
}

/// What a training on a GPU ends with is near what it ends with on a CPU.
TEST(Training, OnAGpuIsTrainingOnACpu) {
  if (gpu_count() == 0) GTEST_SKIP() << "there is no GPU";
  at::globalContext().setAllowTF32CuDNN(false);
  const auto set = shapes(128);
  const Graph dense = classifier(true);
  TrainOptions options = quick(2);
  const auto cpu = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(cpu.ok()) << cpu.error().message;
  options.device = at::Device(at::kCUDA, 0);
  const auto gpu = train(dense, nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_TRUE(gpu.ok()) << gpu.error().message;
  EXPECT_LT(largest_difference(cpu->model, gpu->model), 1e-3);
}

TEST(Training, AnAddressThatIsNone) {
  const auto group = join_group({"nowhere", 0, 2, std::chrono::seconds(1)});
  ASSERT_FALSE(group.ok());
  if (group.error().code != ErrorCode::Unsupported) {
    EXPECT_THAT(group.error().message, HasSubstr("no address"));
  }
}

TEST(Loading, IsTheSameEveryTimeAndSharedWithoutGaps) {
  const auto set = shapes(50);
  LoaderOptions options;
  options.batch = 8;
  options.augmentation = Augmentation::Flip;
  options.threads = 3;
  Loader whole(*set, options);
  Loader again(*set, options);
  whole.start(1);
  again.start(1, 2);
  ASSERT_EQ(whole.steps(), 6);
  ASSERT_TRUE(whole.next().ok());
  ASSERT_TRUE(whole.next().ok());
  const Batch one = whole.next().value();
  EXPECT_TRUE(one.inputs.equal(again.next().value().inputs)) << "an epoch entered in its middle";
  options.batch = 4;
  options.ranks = 2;
  std::vector<at::Tensor> parts;
  for (options.rank = 0; options.rank < 2; ++options.rank) {
    Loader part(*set, options);
    part.start(1, 2);
    parts.push_back(part.next().value().inputs);
  }
  EXPECT_TRUE(one.inputs.equal(at::cat(parts))) << "two ranks' halves";
  whole.start(2);
  EXPECT_FALSE(whole.next().value().inputs.equal(one.inputs));
}

TEST(Loading, HalfOfTheImagesAreMixedWithOthersAndHaveNoTruth) {
  const auto set = shapes(64);
  LoaderOptions options;
  options.batch = 64;
  options.shuffle = false;
  options.augmentation = Augmentation::Flip;
  options.seed = 3;
  Loader plain(*set, options);
  options.augmentation = Augmentation::Blend;
  Loader mixed(*set, options);
  plain.start(0);
  mixed.start(0);
  const Batch one = plain.next().value();
  const Batch two = mixed.next().value();
  EXPECT_TRUE(two.targets.empty());
  int same = 0;
  for (std::int64_t i = 0; i < 64; ++i) same += one.inputs[i].equal(two.inputs[i]) ? 1 : 0;
  EXPECT_GT(same, 16);
  EXPECT_LT(same, 48);
  Loader again(*set, options);
  again.start(0);
  EXPECT_TRUE(again.next().value().inputs.equal(two.inputs)) << "the draw follows from the seed";
}

TEST(Training, MixedImagesHaveNoLabels) {
  const auto set = shapes(32);
  TrainOptions options = quick(1);
  options.augmentation = Augmentation::Blend;
  const auto made = train(classifier(true), nullptr, {*set, nullptr}, options, nullptr, {});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(made.error().message, HasSubstr("labels say nothing about"));
}

TEST(Wire, TrainingFeelsTheRoundingOfWhatTravelsOnly) {
  const Graph dense = classifier(false);
  const Graph graph = specialise(dense, {}).value();
  const Partition partition = partition_channels(graph, {2, {}}).value();
  const Traffic traffic = traffic_of(graph, partition).value();
  const auto weights = std::make_shared<Weights>(read_weights(graph, at::kCPU).value());
  const Network plain = Network::create(graph, weights).value();
  Network rounded = Network::create(graph, weights).value();
  simulate_wire(rounded, traffic, DataType::UInt8);
  const LinearMap& map = traffic.maps.at(0);
  const Exchangeable& value = traffic.values.at(map.columns.at(0).value);
  const at::Tensor x = at::rand(graph.value(value.value).shape());
  const auto run = [&](const Network& network, const at::Tensor& input) {
    Values values(graph.values.size());
    values[static_cast<std::size_t>(value.value)] = input;
    EXPECT_TRUE(network.step(map.node, values, {}).ok());
    return values[static_cast<std::size_t>(graph.nodes[map.node].outputs[0])];
  };
  // By hand: every rank's rows, of what is its own and of what arrives.
  const double scale = x.max().item<double>() / 255.0;
  const at::Tensor arrived = at::round(x / scale) * scale;
  const at::Tensor got = run(rounded, x);
  for (std::int32_t rank = 0; rank < 2; ++rank) {
    at::Tensor seen = arrived.clone();
    for (std::size_t c = 0; c < value.owner.size(); ++c) {
      if (value.owner[c] != rank) continue;
      const auto channel = static_cast<std::int64_t>(c);
      seen.select(1, channel).copy_(x.select(1, channel));
    }
    const at::Tensor want = run(plain, seen);
    for (std::size_t o = 0; o < map.owner.size(); ++o) {
      if (map.owner[o] != rank) continue;
      const auto channel = static_cast<std::int64_t>(o);
      EXPECT_LT((want.select(1, channel) - got.select(1, channel)).abs().max().item<double>(), 1e-5)
          << "rank " << rank << ", output " << o;
    }
  }
  EXPECT_GT((run(plain, x) - got).abs().max().item<double>(), 0.0);
}

TEST(BatchNorm, StatisticsAreThoseOfTheBatches) {
  GraphBuilder b("bn", 1);
  const ValueId x = b.input("x", {{-1, "N"}, {4, ""}, {5, ""}, {5, ""}});
  const Graph graph =
      specialise(b.finish(b.batch_norm("bn", x, 4), "y", {{-1, "N"}, {4, ""}, {5, ""}, {5, ""}}), {{}, 8})
          .value();
  const auto weights = std::make_shared<Weights>(read_weights(graph, at::kCPU).value());
  const Network network = Network::create(graph, weights).value();
  Batches batches;
  for (int i = 0; i < 3; ++i) batches.push_back({at::randn({8, 4, 5, 5}) * (i + 1.0) + i});
  ASSERT_TRUE(recalibrate_batch_norm(network, batches).ok());
  at::Tensor mean = at::zeros({4});
  at::Tensor variance = at::zeros({4});
  for (const auto& batch : batches) {
    mean += batch[0].mean(at::IntArrayRef({0, 2, 3})) / 3;
    variance += batch[0].var(at::IntArrayRef({0, 2, 3}), true) / 3;
  }
  EXPECT_LT((weights->buffers.at("bn.running_mean") - mean).abs().max().item<double>(), 1e-5);
  EXPECT_LT((weights->buffers.at("bn.running_var") - variance).abs().max().item<double>(), 1e-4);
}

}  // namespace
}  // namespace disco::train
