// Models and shards that are wrong in a few places: every step from the file to the answer gives an Error of
// one line, or goes on; none reads or writes where it must not (which is for AddressSanitizer to say), hangs,
// or throws.
//
// DISCO_TRIAL=<name of a block or case>:<number> repeats one trial, and writes its model to trial.onnx;
// DISCO_TRIALS=<factor> runs more of them.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>

#include "blocks_mutated.h"
#include "compare.h"
#include "mutations.h"
#include "onnx_cases.h"
#include "runtime/executor.h"

// After onnx's parser, whose names are macros here.
#include <omp.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace disco::testing {
namespace {

/// The other nodes, as far as one node can tell: they take everything, and send zeros of the right size.
class ObligingPeers final : public Fabric {
 public:
  explicit ObligingPeers(const Program& program) {
    for (const Step& step : program.steps()) {
      if (step.kind == StepKind::Receive) sizes_[{step.peer, step.tag}] = step.wire_bytes;
    }
  }
  int rank() const override { return 0; }
  int size() const override { return 1000; }
  Status send(int, const MessageId&, Payload) override { return {}; }
  Result<std::optional<Payload>> try_receive(int peer, const MessageId& id) override {
    const std::size_t size = sizes_[{peer, id.tag}];
    const std::shared_ptr<std::byte[]> bytes(new std::byte[size + 1]());
    return std::optional(Payload{std::shared_ptr<const std::byte>(bytes, bytes.get()), size});
  }
  void wait(Clock::time_point) override {}
  void wake() override {}
  void forget_before(std::uint32_t, std::uint64_t) override {}
  Clock::time_point heard(int) const override { return {}; }
  void cancel(const std::string&) override {}
  std::string describe(int peer) const override { return fmt::format("node {}", peer); }
  LinkCounters counters(int) const override { return {}; }

 private:
  std::map<std::pair<int, std::uint32_t>, std::size_t> sizes_;
};

void expect_line(const Error& problem, const std::string& where) {
  EXPECT_FALSE(problem.message.empty()) << where;
  EXPECT_EQ(problem.message.find('\n'), std::string::npos) << where << ": " << problem.message;
}

/// Small enough that a trial takes milliseconds.
bool is_small(const Graph& graph) {
  double bytes = 0;
  for (const Value& value : graph.values) {
    if (!value.has_shape()) continue;
    double elements = 1;
    for (const std::int64_t extent : value.shape()) elements *= static_cast<double>(extent);
    bytes += elements * static_cast<double>(size_of(value.type));
  }
  return bytes < 32e6;
}

NamedTensors zeros_for(const Graph& graph) {
  NamedTensors inputs;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    if (value.has_shape() && size_of(value.type) > 0)
      inputs[value.name] = Tensor::zeros(value.type, value.shape());
  }
  return inputs;
}

/// What a node does with a shard.
void compile_and_run(const Graph& graph, const std::string& where) {
  if (!is_small(graph)) return;
  for (const bool optimise : {true, false}) {
    auto program = compile(graph, {.optimise = optimise});
    if (!program) {
      expect_line(program.error(), where);
      continue;
    }
    if (program->arena_bytes() > (64U << 20)) continue;
    const auto shared = std::make_shared<const Program>(std::move(*program));
    ObligingPeers peers(*shared);
    Executor executor(shared, {.threads = 1});
    const auto result = executor.run(zeros_for(graph), {}, &peers);
    if (!result) expect_line(result.error(), where);
  }
}

/// The split network answers as the whole one does, or both refuse.
void expect_same(const Graph& graph, std::vector<Graph> shards, const std::string& where) {
  NamedTensors inputs = zeros_for(graph);
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  for (auto& [name, tensor] : inputs) {
    for (std::int64_t i = 0; tensor.type() == DataType::Float32 && i < tensor.elements(); ++i)
      tensor.data<float>()[i] = normal(generator);
  }
  const auto want = reference::run(graph, inputs);
  const auto got = run_shards(std::move(shards), inputs);
  if (!want) {
    expect_line(want.error(), where);
    EXPECT_FALSE(got) << where << ": whole, " << want.error().message;
    return;
  }
  if (!got) return expect_line(got.error(), where);
  for (const auto& [name, tensor] : *want) {
    double largest = 0;
    bool is_finite = true;
    for (std::int64_t i = 0; tensor.type() == DataType::Float32 && i < tensor.elements(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(tensor.data<float>()[i])));
      is_finite = is_finite && std::isfinite(tensor.data<float>()[i]);
    }
    if (!is_finite || largest > 1e6) continue;  // sums that overflow, or nearly, depend on their order
    const auto found = got->find(name);
    ASSERT_NE(found, got->end()) << where;
    EXPECT_EQ(difference(tensor, found->second, {.relative = 1e-4, .absolute = 1e-4 * largest}), "") << where;
  }
}

/// What a user's model goes through.
void digest_model(const std::string& bytes, const std::string& where) {
  const auto model = parse_onnx(std::as_bytes(std::span(bytes)));
  if (!model) return expect_line(model.error(), where);
  if (!is_small(*model)) return;
  const auto graph = specialise(*model, {});
  if (!graph) return expect_line(graph.error(), where);
  compile_and_run(*graph, where);
  if (!is_small(*graph)) return;
  const auto partition = partition_channels(*graph, {.nodes = 2, .shares = {}});
  if (!partition) return expect_line(partition.error(), where);
  auto shards = make_shards(*graph, *partition);
  if (!shards) return expect_line(shards.error(), where);
  for (const Graph& shard : *shards) compile_and_run(shard, where);
  expect_same(*graph, std::move(*shards), where);
}

void digest_shard(const std::string& bytes, const std::string& where) {
  const auto shard = parse_onnx(std::as_bytes(std::span(bytes)));
  if (!shard) return expect_line(shard.error(), where);
  compile_and_run(*shard, where);
}

int failures() {
  return ::testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
}

/// A sound model, and what is done with each of its `trials` mutations.
struct Subject {
  std::string name;
  onnx::ModelProto sound;
  int trials = 0;
  void (*digest)(const std::string& bytes, const std::string& where) = nullptr;
};

void run_trial(const Subject& subject, const std::string& where) {
  alarm(60);  // none takes longer than a second
  onnx::ModelProto model = subject.sound;
  Mutator mutator(where);
  for (std::size_t changes = 1 + mutator.below(3); changes > 0; --changes)
    mutator.change(*model.mutable_graph());
  const std::string bytes = model.SerializeAsString();
  if (std::getenv("DISCO_TRIAL") != nullptr) std::ofstream("trial.onnx", std::ios::binary) << bytes;
  subject.digest(bytes, where);
}

/// In processes of their own, so that a crash is a failure like others: its line names the trial. The next
/// process goes on after it.
void run_trials(const std::vector<Subject>& subjects) {
  const char* only = std::getenv("DISCO_TRIAL");
  const char* given = std::getenv("DISCO_TRIALS");
  const int factor = given == nullptr ? 1 : std::max(1, std::atoi(given));
  struct Trial {
    const Subject* subject;
    std::string where;
  };
  std::vector<Trial> trials;
  for (const Subject& subject : subjects) {
    for (int trial = 0; trial < subject.trials * factor; ++trial) {
      const std::string where = fmt::format("{}:{}", subject.name, trial);
      if (only == nullptr || where == only) trials.push_back({&subject, where});
    }
  }
  auto* const next = static_cast<std::size_t*>(
      mmap(nullptr, sizeof(std::size_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(next, MAP_FAILED);
  constexpr int kSaid = 3;  // that something failed, by lines of its own
  while (*next < trials.size()) {
    const int before = failures();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      omp_set_num_threads(1);  // a team that the parent may have made is not here
      while (*next < trials.size()) {
        const Trial& trial = trials[(*next)++];
        run_trial(*trial.subject, trial.where);
      }
      std::fflush(nullptr);
      _exit(failures() > before ? kSaid : 0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
      ADD_FAILURE() << trials[*next - 1].where << " " << strsignal(WTERMSIG(status));
    else if (WEXITSTATUS(status) == kSaid)
      ADD_FAILURE() << "see above";
    else
      EXPECT_EQ(WEXITSTATUS(status), 0) << trials[*next - 1].where;  // a sanitizer ended it
  }
  munmap(next, sizeof(std::size_t));
}

class MutatedBlock : public ::testing::TestWithParam<Block> {};
INSTANTIATE_TEST_SUITE_P(, MutatedBlock, ::testing::ValuesIn(mutated_blocks()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(MutatedBlock, AsAModelAndAsShards) {
  const auto bytes = model_of(GetParam());
  ASSERT_TRUE(bytes) << bytes.error().message;
  std::vector<Subject> subjects(1, {GetParam().name, {}, 30, digest_model});
  ASSERT_TRUE(subjects[0].sound.ParseFromString(*bytes));

  const auto graph = parse_onnx(std::as_bytes(std::span(*bytes)));
  ASSERT_TRUE(graph) << graph.error().message;
  const auto fixed = specialise(*graph, {});
  ASSERT_TRUE(fixed) << fixed.error().message;
  const auto partition = partition_channels(*fixed, {.nodes = 2, .shares = {}});
  ASSERT_TRUE(partition) << partition.error().message;
  const auto shards = make_shards(*fixed, *partition);
  ASSERT_TRUE(shards) << shards.error().message;
  for (std::size_t rank = 0; rank < shards->size(); ++rank) {
    const auto shard = serialise_onnx((*shards)[rank]);
    ASSERT_TRUE(shard) << shard.error().message;
    subjects.push_back({fmt::format("{}@{}", GetParam().name, rank), {}, 40, digest_shard});
    ASSERT_TRUE(subjects.back().sound.ParseFromString(*shard));
  }
  run_trials(subjects);
}

TEST(MutatedCase, OfEveryOperator) {
  std::error_code failure;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(onnx_testdata() / "node", failure))
    folders.push_back(entry.path());
  if (folders.empty()) GTEST_SKIP() << "no cases in " << onnx_testdata() << "; install libonnx-testdata";
  std::ranges::sort(folders);
  std::vector<Subject> subjects;
  for (const fs::path& folder : folders) {
    if (auto model = read_model(folder / "model.onnx"))
      subjects.push_back({folder.filename(), std::move(*model), 20, digest_model});
  }
  run_trials(subjects);
}

}  // namespace
}  // namespace disco::testing
