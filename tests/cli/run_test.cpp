// disco run: wrong inputs, and what a failure or an interruption leaves behind.

#include <nlohmann/json.hpp>

#include "child.h"
#include "models.h"

namespace disco::test {
namespace {

class Run : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    put("m.onnx", bytes_of(convolutions()));
    ModelBuilder two;
    two.input("a", {1, 8}).input("b", {1, 8}).weight("w", {8, 4}).output("y", {1, 4});
    two.node("Add", {"a", "b"}, {"s"});
    two.node("MatMul", {"s", "w"}, {"y"});
    put("two.onnx", bytes_of(two));
    save("x.npy", ramp({1, 3, 16, 16}));
    put("old.npz", "precious");
    before_ = files();
  }
  void save(const std::string& name, const Tensor& tensor) const {
    ASSERT_TRUE(write_npy(folder_ / name, tensor).ok());
  }
  void save(const std::string& name, const NamedTensors& tensors) const {
    ASSERT_TRUE(write_npz(folder_ / name, tensors).ok());
  }
  std::set<std::string> before_;
};

TEST_F(Run, WrongInputsAreNamedAndNothingIsWritten) {
  save("channels.npy", ramp({1, 4, 16, 16}));
  save("rank.npy", ramp({3, 16}));
  save("type.npy", Tensor::zeros(DataType::Int64, {1, 3, 16, 16}));
  save("other.npz", {{"z", ramp({1, 3, 16, 16})}});
  save("more.npz", {{"x", ramp({1, 3, 16, 16})}, {"z", ramp({1})}});
  save("a.npz", {{"a", ramp({1, 8})}});
  save("wide.npz", {{"a", ramp({1, 8})}, {"b", ramp({1, 9})}});
  put("cut.npy", content("x.npy").substr(0, 500));
  put("noise.npz", "PK this is no archive");
  put("text.jpg", "no image");
  fs::create_directory(folder_ / "empty");
  const auto inputs = files();
  struct Case {
    std::string model;
    std::string input;
    int status;
    std::vector<std::string> says;
  };
  const Case cases[] = {
      {"m.onnx", "missing.npy", 1, {"missing.npy", "No such file"}},
      {"m.onnx", "channels.npy", 1, {"'x'", "[1, 4, 16, 16]"}},
      {"m.onnx", "rank.npy", 1, {"'x'", "[3, 16]"}},
      {"m.onnx", "type.npy", 1, {"'x'", "int64", "float32"}},
      {"m.onnx", "other.npz", -1, {"'z'", "'x'"}},
      {"m.onnx", "more.npz", -1, {"'z'", "'x'"}},
      {"m.onnx", "z=x.npy", -1, {"'z'", "'x'"}},
      {"m.onnx", "cut.npy", -1, {"cut.npy"}},
      {"m.onnx", "noise.npz", -1, {"noise.npz"}},
      {"m.onnx", "text.jpg", -1, {"text.jpg"}},
      {"m.onnx", "empty", -1, {"empty"}},
      {"m.onnx", "m.onnx", -1, {"m.onnx"}},
      {"two.onnx", "a.npz", -1, {"'b'"}},
      {"two.onnx", "a=x.npy", -1, {"'b'"}},
      {"two.onnx", "wide.npz", 1, {"'b'", "[1, 9]"}},
  };
  for (const Case& one : cases) {
    const Ended ended = disco({"run", one.model, "-n", "2", "--input", one.input, "-o", "old.npz"});
    const int status = one.status > 0 ? one.status : ended.status == 2 ? 2 : 1;
    expect_complaint(ended, status, one.says, one.model + " " + one.input);
  }
  EXPECT_EQ(content("old.npz"), "precious");
  EXPECT_EQ(files(), inputs);
}

TEST_F(Run, WhatCannotBeWrittenIsSaidAtOnceAndLeavesWhatWasThere) {
  const auto to = [this](const std::string& path) {
    return disco({"run", "m.onnx", "-n", "2", "--input", "x.npy", "-o", path});
  };
  expect_complaint(to("missing/out.npz"), 1, {"missing/out.npz", "make it first"}, "no folder");
  expect_complaint(to("."), 1, {"cannot write"}, "a folder");
  EXPECT_EQ(files(), before_);
}

TEST_F(Run, AFullDeviceIsAFailure) {
  const Ended ended = disco({"run", "m.onnx", "-n", "2", "--input", "x.npy", "-o", "/dev/full"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.err, "disco: /dev/full: cannot write: No space left on device\n");
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(Run, JsonIsNothingButJson) {
  const Ended ended = disco({"run", "m.onnx", "-n", "2", "--input", "x.npy", "--verify", "--json"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_TRUE(nlohmann::json::parse(ended.out, nullptr, false).is_object()) << ended.out;
}

TEST_F(Run, InterruptedLeavesNoProcessAndNoFile) {
  // Enough rounds that it is in the middle whenever it is interrupted.
  save("many.npz", {{"x", ramp({20'000, 3, 16, 16})}});
  const auto inputs = files();
  for (const int number : {SIGINT, SIGTERM, SIGKILL}) {
    Child run(DISCO_PROGRAM,
              {"run", "m.onnx", "-n", "3", "--input", "many.npz", "--batch", "1", "-o", "out.npz"}, folder_);
    ASSERT_TRUE(eventually([&] { return children_of(run.pid()).size() == 3 || !is_running(run.pid()); }))
        << run.err();
    const std::vector<pid_t> nodes = children_of(run.pid());
    std::this_thread::sleep_for(200ms);
    run.signal(number);
    const Ended ended = run.wait(30s);
    EXPECT_EQ(ended.signal, number) << ended.status << ended.err;
    EXPECT_TRUE(eventually([&] { return std::none_of(nodes.begin(), nodes.end(), is_running); }, 10s))
        << "signal " << number;
  }
  EXPECT_EQ(files(), inputs);
}

TEST_F(Run, ANodeThatDiesOrStallsIsNamedAndNothingIsWritten) {
  save("many.npz", {{"x", ramp({20'000, 3, 16, 16})}});
  for (const int number : {SIGKILL, SIGSTOP}) {
    Child run(DISCO_PROGRAM,
              {"run", "m.onnx", "-n", "3", "--input", "many.npz", "--batch", "1", "--deadline", "1", "-o",
               "old.npz"},
              folder_);
    ASSERT_TRUE(eventually([&] { return children_of(run.pid()).size() == 3 || !is_running(run.pid()); }))
        << run.err();
    const std::vector<pid_t> nodes = children_of(run.pid());
    ASSERT_EQ(nodes.size(), 3U) << run.err();
    std::this_thread::sleep_for(700ms);
    send_signal(nodes[1], number);
    expect_complaint(run.wait(40s), 1, {"node 1 (127.0.0.1:"}, "signal " + std::to_string(number));
    EXPECT_EQ(content("old.npz"), "precious");
    for (const pid_t node : nodes) EXPECT_FALSE(is_running(node)) << node;
  }
}

}  // namespace
}  // namespace disco::test
