// Partitions that are wrong in a few places, as an artifact's metadata may be: an Error of one line, or a
// split that is exact all the same, since any owners of any channels are.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "blocks_mutated.h"
#include "compare.h"

namespace disco::testing {
namespace {

using nlohmann::json;

class JsonMutator {
 public:
  explicit JsonMutator(std::string_view name) {
    std::seed_seq seed(name.begin(), name.end());
    random_.seed(seed);
  }

  /// One change somewhere below, the deeper the likelier.
  void change(json& document) {
    json* at = &document;
    while (at->is_structured() && !at->empty() && below(8) != 0) {
      auto item = at->begin();
      std::advance(item, below(at->size()));
      at = &*item;
    }
    if (at->is_number()) {
      static const std::vector<std::int64_t> numbers = {-1, 0, 1,  2,  3,  4,       5,
                                                        7,  8, 63, 64, 65, 1 << 24, 1LL << 40};
      if (below(3) == 0) {
        *at = numbers[below(numbers.size())];
      } else {
        *at = at->get<double>() + (below(2) == 0 ? 1 : -1);
        *at = static_cast<std::int64_t>(at->get<double>());
      }
    } else if (at->is_string()) {
      *at = at->get<std::string>() + "0";
    } else if (at->is_array() && !at->empty()) {
      switch (below(4)) {
        case 0: at->erase(below(at->size())); break;
        case 1: at->push_back((*at)[below(at->size())]); break;
        case 2: std::swap((*at)[0], (*at)[below(at->size())]); break;
        default: *at = json::array();
      }
    } else if (at->is_object() && !at->empty()) {
      auto item = at->begin();
      std::advance(item, below(at->size()));
      if (below(2) == 0) {
        at->erase(item);
      } else {
        auto other = at->begin();
        std::advance(other, below(at->size()));
        std::swap(*item, *other);
      }
    }
  }
  [[nodiscard]] std::size_t below(std::size_t limit) { return random_() % limit; }

 private:
  std::mt19937_64 random_;
};

class MutatedPartition : public ::testing::TestWithParam<Block> {};
INSTANTIATE_TEST_SUITE_P(, MutatedPartition, ::testing::ValuesIn(mutated_blocks()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(MutatedPartition, IsRefusedOrExact) {
  const auto bytes = model_of(GetParam());
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto model = parse_onnx(std::as_bytes(std::span(*bytes)));
  ASSERT_TRUE(model) << model.error().message;
  const auto graph = specialise(*model, {});
  ASSERT_TRUE(graph) << graph.error().message;
  NamedTensors inputs;
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  for (const ValueId id : graph->inputs) {
    Tensor tensor(graph->value(id).type, graph->value(id).shape());
    for (std::int64_t i = 0; i < tensor.elements(); ++i) tensor.data<float>()[i] = normal(generator);
    inputs[graph->value(id).name] = tensor;
  }
  const auto want = reference::run(*graph, inputs);
  ASSERT_TRUE(want) << want.error().message;
  const auto partition = partition_channels(*graph, {.nodes = 3, .shares = {}});
  ASSERT_TRUE(partition) << partition.error().message;
  const json sound = json::parse(to_json(*partition));
  const char* only = std::getenv("DISCO_TRIAL");
  int accepted = 0;
  const char* factor = std::getenv("DISCO_TRIALS");
  const int trials = 12 * (factor == nullptr ? 1 : std::max(1, std::atoi(factor)));
  for (int trial = 0; trial < trials; ++trial) {
    const std::string where = fmt::format("{}:{}", GetParam().name, trial);
    if (only != nullptr && where != only) continue;
    JsonMutator mutator(where);
    json changed = sound;
    for (std::size_t changes = 1 + mutator.below(3); changes > 0; --changes) mutator.change(changed);
    const auto expect_line = [&](const Error& problem) {
      EXPECT_FALSE(problem.message.empty()) << where;
      EXPECT_EQ(problem.message.find('\n'), std::string::npos) << where << ": " << problem.message;
      EXPECT_NE(problem.code, ErrorCode::Internal) << where << ": " << problem.message << "\n" << changed;
    };
    const auto read = partition_from_json(changed.dump());
    if (!read) {
      expect_line(read.error());
      continue;
    }
    auto shards = make_shards(*graph, *read);
    if (!shards) {
      expect_line(shards.error());
      continue;
    }
    const auto got = run_shards(std::move(*shards), inputs);
    if (!got) {
      expect_line(got.error());
      continue;
    }
    ++accepted;
    for (const auto& [name, tensor] : *want) {
      double largest = 0;
      for (std::int64_t i = 0; tensor.type() == DataType::Float32 && i < tensor.elements(); ++i)
        largest = std::max(largest, std::abs(static_cast<double>(tensor.data<float>()[i])));
      const auto found = got->find(name);
      ASSERT_NE(found, got->end()) << where;
      EXPECT_EQ(difference(tensor, found->second, {.relative = 1e-4, .absolute = 1e-4 * largest}), "")
          << where << "\n"
          << changed;
    }
  }
  if (only == nullptr) {
    EXPECT_GT(accepted, 0) << "no change was one of owners only";
  }
}

}  // namespace
}  // namespace disco::testing
