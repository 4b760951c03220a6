// The program under mpirun: the same answers as without, from one process a node.

#include <nlohmann/json.hpp>

#include "child.h"
#include "models.h"

namespace disco::test {
namespace {

class UnderMpirun : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    if (!fs::exists(fs::path(DISCO_PROGRAM).parent_path() / "disco-mpi.so"))
      GTEST_SKIP() << "disco-mpi.so was not built (libopenmpi-dev is not installed): MPI is not tested";
    if (Child("sh", {"-c", "command -v mpirun"}, folder_).wait().status != 0)
      GTEST_SKIP() << "mpirun (openmpi-bin) is not installed: MPI is not tested";
    put("m.onnx", bytes_of(convolutions()));
    ASSERT_TRUE(write_npy(folder_ / "x.npy", ramp({2, 3, 16, 16})).ok());
  }
  [[nodiscard]] std::unique_ptr<Child> start(int processes, std::vector<std::string> words) const {
    std::vector<std::string> all = {"--allow-run-as-root", "--oversubscribe", "-n", std::to_string(processes),
                                    DISCO_PROGRAM};
    all.insert(all.end(), words.begin(), words.end());
    return std::make_unique<Child>("mpirun", all, folder_);
  }
};

TEST_F(UnderMpirun, RunAnswersAsWithout) {
  const Ended alone =
      disco({"run", "m.onnx", "-n", "4", "--input", "x.npy", "--batch", "1", "--output", "alone.npz"});
  ASSERT_EQ(alone.status, 0) << alone.err;
  for (const int processes : {1, 2, 4}) {
    const Ended ended = start(processes, {"run", "m.onnx", "--input", "x.npy", "--batch", "1", "--verify",
                                          "--output", "y.npz", "--json"})
                            ->wait(60s);
    ASSERT_EQ(ended.status, 0) << processes << ": " << ended.err << ended.out;
    const auto document = nlohmann::json::parse(ended.out, nullptr, false);
    ASSERT_TRUE(document.is_object()) << "said once, by one process: " << ended.out;
    EXPECT_EQ(document["nodes"].size(), static_cast<std::size_t>(processes));
    EXPECT_EQ(document["verify"]["ok"], true);
    if (processes == 4) {
      EXPECT_EQ(content("y.npz"), content("alone.npz"));
    }
  }
}

TEST_F(UnderMpirun, BenchTimesOneNodeAndAll) {
  const Ended ended = start(3, {"bench", "m.onnx", "--runs", "3", "--json"})->wait(60s);
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto document = nlohmann::json::parse(ended.out, nullptr, false);
  EXPECT_EQ(document["nodes"].size(), 3U) << ended.out;
  EXPECT_GT(document["nodes"][1]["messages"], 0) << ended.out;
  EXPECT_EQ(document["encrypted"], false) << "MPI encrypts nothing";
}

TEST_F(UnderMpirun, WhatIsWrongIsSaidOnce) {
  struct Case {
    std::vector<std::string> words;
    const char* says;
  };
  const Case cases[] = {
      {{"bench", "none.onnx"}, "disco: none.onnx"},
      {{"bench", "m.onnx", "--nonsense"}, "disco: bench has no flag '--nonsense'"},
      {{"bench", "m.onnx", "-n", "2"}, "mpirun: it names 3 nodes, but the model is split over 2"},
      {{"bench", "m.onnx", "--key", "me.key"}, "make keys of their own"},
  };
  for (const Case& one : cases) {
    const Ended ended = start(3, one.words)->wait(60s);
    EXPECT_FALSE(ended.late) << one.says;
    EXPECT_NE(ended.status, 0) << one.says;
    const std::size_t at = ended.err.find(one.says);
    EXPECT_NE(at, std::string::npos) << one.says << "\n" << ended.err;
    EXPECT_EQ(ended.err.find("disco: ", ended.err.find("disco: ") + 1), std::string::npos) << ended.err;
  }
  expect_complaint(disco({"bench", "m.onnx", "--transport", "mpi"}), 2, {"mpirun -n 2 disco"}, "no mpirun");
}

TEST_F(UnderMpirun, AProcessThatIsKilledEndsTheJob) {
  const auto job = start(3, {"bench", "m.onnx", "--runs", "100000"});
  ASSERT_TRUE(eventually([&] { return children_of(job->pid()).size() == 3; })) << job->err();
  const std::vector<pid_t> processes = children_of(job->pid());
  std::this_thread::sleep_for(1s);
  send_signal(processes.back(), SIGKILL);
  const Ended ended = job->wait(30s);
  EXPECT_FALSE(ended.late);
  EXPECT_NE(ended.status, 0);
  for (const pid_t process : processes) EXPECT_FALSE(is_running(process)) << process;
}

}  // namespace
}  // namespace disco::test
