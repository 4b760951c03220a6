// ONNX's own backend cases: every one whose operators are claimed gives the published outputs, by the
// evaluator, compiled, and split over nodes. Tolerances are those of ONNX's runner.

#include <gtest/gtest.h>

#include <iostream>

#include "compare.h"
#include "onnx_cases.h"
#include "sharded_inputs.h"

namespace disco::testing {
namespace {

constexpr Tolerance kOnnxRunner{1e-3, 1e-7};
/// What bfloat16 rounds away: it is computed as float32 here.
constexpr Tolerance kOfBfloats{0x1p-7, 1e-7};

struct Suite {
  std::string name;
  int least_run;  ///< cases that must have been run, so that a broken path to the data cannot pass
};

void PrintTo(const Suite& suite, std::ostream* out) { *out << suite.name; }

std::string fixed_name(std::string text) {
  std::ranges::replace(text, '-', '_');
  return text;
}

/// A case whose published inputs are not those of its model: nobody can run it.
constexpr const char* kBrokenData = "published with data of another rank than its model's";

/// A case of a later opset that is refused as what it is; Debian 12's data end at opset 17.
constexpr const char* kNewerForm = "a form newer than opset 17";

/// The first thing that goes wrong with a case on one node, or an empty string.
std::string run_whole(const OnnxCase& onnx_case) {
  const auto refused = [&](const char* step, const Error& refusal) {
    const bool newer = onnx_case.opset > kOpset && refusal.code == ErrorCode::Unsupported;
    return newer ? kNewerForm : fmt::format("{}: {}", step, refusal.message);
  };
  const auto graph = load_onnx(onnx_case.folder / "model.onnx");
  if (!graph) return refused("load", graph.error());
  const Tolerance& tolerance = onnx_case.bfloats.empty() ? kOnnxRunner : kOfBfloats;
  const auto sets = data_sets(onnx_case, *graph);
  if (!sets) return sets.error().code == ErrorCode::InvalidArgument ? kBrokenData : sets.error().message;
  for (const DataSet& set : *sets) {
    const auto fixed = specialise(*graph, shapes_of(set.inputs));
    if (!fixed) return refused("specialise", fixed.error());
    const auto evaluated = reference::run(*fixed, set.inputs);
    if (!evaluated) return refused("evaluator", evaluated.error());
    if (std::string text = difference(set.outputs, *evaluated, tolerance); !text.empty())
      return "evaluator: " + text;
    const auto computed = run_shards({*fixed}, set.inputs);
    if (!computed) return "compiled: " + computed.error().message;
    if (std::string text = difference(set.outputs, *computed, tolerance); !text.empty())
      return "compiled: " + text;
  }
  return "";
}

/// A case that is not claimed is refused with one line that says Unsupported: never answered wrongly.
std::string run_unclaimed(const OnnxCase& onnx_case) {
  auto graph = load_onnx(onnx_case.folder / "model.onnx");
  Result<Graph> fixed = graph ? Result<Graph>(Error{}) : graph.error();
  if (graph) {
    const auto sets = data_sets(onnx_case, *graph);
    if (!sets) return sets.error().code == ErrorCode::Unsupported ? "" : sets.error().message;
    fixed = specialise(*graph, shapes_of(sets->front().inputs));
    if (fixed) {
      const auto outputs = reference::run(*fixed, sets->front().inputs);
      if (outputs) return "was answered";
      fixed = outputs.error();
    }
  }
  const Error& refusal = fixed.error();
  if (refusal.code != ErrorCode::Unsupported)
    return fmt::format("{}: {}", to_string(refusal.code), refusal.message);
  return refusal.message.find('\n') == std::string::npos ? "" : "more than one line: " + refusal.message;
}

class OnnxBackend : public ::testing::TestWithParam<Suite> {};
INSTANTIATE_TEST_SUITE_P(, OnnxBackend,
                         ::testing::Values(Suite{"node", 740}, Suite{"simple", 6},
                                           Suite{"pytorch-operator", 30}, Suite{"pytorch-converted", 80}),
                         [](const auto& info) { return fixed_name(info.param.name); });

TEST_P(OnnxBackend, CasesGiveThePublishedOutputs) {
  const auto& [suite, least_run] = GetParam();
  if (!fs::is_directory(onnx_testdata()))
    GTEST_SKIP() << "no ONNX test data at " << onnx_testdata()
                 << "; install libonnx-testdata or set DISCO_ONNX_TESTDATA";
  const OperatorsPage page = read_operators_page(DISCO_SOURCE_DIR);
  int run = 0;
  int passed = 0;
  std::map<std::string, int> not_claimed;
  for (const OnnxCase& onnx_case : cases_of(suite, page)) {
    if (!onnx_case.unusable.empty()) {
      ++not_claimed[onnx_case.unusable];
      continue;
    }
    const bool claimed = onnx_case.not_claimed.empty();
    const std::string wrong = claimed ? run_whole(onnx_case) : run_unclaimed(onnx_case);
    if (wrong == kBrokenData || wrong == kNewerForm) {
      ++not_claimed[wrong];
      continue;
    }
    EXPECT_EQ(wrong, "") << onnx_case.name
                         << (claimed ? "" : " (not claimed: " + onnx_case.not_claimed + ")");
    if (claimed) {
      ++run;
      passed += wrong.empty() ? 1 : 0;
    } else {
      ++not_claimed[onnx_case.not_claimed];
    }
  }
  int left_out = 0;
  for (const auto& [reason, count] : not_claimed) left_out += count;
  std::cout << fmt::format("{}: {} run / {} passed / {} not claimed\n", suite, run, passed, left_out);
  for (const auto& [reason, count] : not_claimed)
    std::cout << fmt::format("  not claimed: {:3} {}\n", count, reason);
  EXPECT_GE(run, least_run) << "too few cases at " << onnx_testdata();
}

class OnnxBackendSplit : public ::testing::TestWithParam<std::tuple<Suite, int>> {};
INSTANTIATE_TEST_SUITE_P(, OnnxBackendSplit,
                         ::testing::Combine(::testing::Values(Suite{"node", 430},
                                                              Suite{"pytorch-operator", 18},
                                                              Suite{"pytorch-converted", 75}),
                                            ::testing::Values(1, 2, 3)),
                         [](const auto& info) {
                           return fixed_name(std::get<0>(info.param).name) + "_nodes" +
                                  std::to_string(std::get<1>(info.param));
                         });

TEST_P(OnnxBackendSplit, CasesGiveThePublishedOutputs) {
  const auto& [suite, nodes] = GetParam();
  if (!fs::is_directory(onnx_testdata()))
    GTEST_SKIP() << "no ONNX test data at " << onnx_testdata()
                 << "; install libonnx-testdata or set DISCO_ONNX_TESTDATA";
  const OperatorsPage page = read_operators_page(DISCO_SOURCE_DIR);
  SplitCount total;
  int cases_run = 0;
  for (const OnnxCase& onnx_case : cases_of(suite.name, page)) {
    if (!onnx_case.not_claimed.empty() || !onnx_case.unusable.empty()) continue;
    if (onnx_case.opset > kOpset && run_whole(onnx_case) == kNewerForm) continue;
    const auto graph = load_onnx(onnx_case.folder / "model.onnx");
    const auto sets = graph ? data_sets(onnx_case, *graph) : Result<std::vector<DataSet>>(graph.error());
    if (!sets && sets.error().code == ErrorCode::InvalidArgument) continue;
    ASSERT_TRUE(sets) << onnx_case.name << ": " << sets.error().message;
    SplitCount count;
    for (const ShardedForm& form : sharded_forms(*graph, sets->front().inputs)) {
      if (getenv("DBG")) std::cerr << onnx_case.name << form.what << std::endl;
      const std::string wrong = run_sharded(form, nodes, sets->front().outputs, kOnnxRunner, count);
      EXPECT_EQ(wrong, "") << onnx_case.name << ": " << form.what << ", " << nodes << " nodes";
    }
    cases_run += count.split > 0 ? 1 : 0;
    total += count;
  }
  std::cout << fmt::format(
      "{} over {} nodes: {} cases, in {} forms split / {} passed; {} forms gathered (no rule splits the "
      "case's operators there), "
      "{} refused (fewer channels than nodes)\n",
      suite.name, nodes, cases_run, total.split, total.passed, total.gathered, total.refused);
  EXPECT_GE(cases_run, suite.least_run);
}

}  // namespace
}  // namespace disco::testing
