#include "train/checkpoint.h"

#include <ATen/core/grad_mode.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize.h>

#include <sstream>

#include "base/file.h"
#include "train/bridge.h"

namespace disco::train {

namespace {

void write_group(torch::serialize::OutputArchive& archive, const std::string& name,
                 const std::map<std::string, at::Tensor>& tensors) {
  // Names in an archive are attributes of a module, so that dots would not do: numbered, in the map's order.
  torch::serialize::OutputArchive group;
  std::int64_t i = 0;
  for (const auto& [key, tensor] : tensors) group.write("t" + std::to_string(i++), tensor.detach());
  archive.write(name, group);
}

void read_group(torch::serialize::InputArchive& archive, const std::string& name,
                std::map<std::string, at::Tensor>& tensors) {
  torch::serialize::InputArchive group;
  archive.read(name, group);
  std::int64_t i = 0;
  for (auto& [key, tensor] : tensors) {
    at::Tensor saved;
    group.read("t" + std::to_string(i++), saved);
    tensor.detach().copy_(saved);
  }
}

}  // namespace

Status save_checkpoint(const std::filesystem::path& path, const std::string& run,
                       const std::vector<Learner>& learners, const std::map<std::string, at::Tensor>& average,
                       const Progress& progress) {
  std::string bytes;
  try {
    torch::serialize::OutputArchive archive;
    archive.write("run", c10::IValue(run));
    archive.write("epoch", c10::IValue(progress.epoch));
    archive.write("step", c10::IValue(progress.step));
    archive.write("loss", c10::IValue(progress.loss));
    archive.write("correct", c10::IValue(progress.correct));
    archive.write("counted", c10::IValue(progress.counted));
    archive.write("partition", c10::IValue(progress.partition));
    archive.write("history", c10::IValue(progress.history));
    write_group(archive, "average", average);
    for (std::size_t i = 0; i < learners.size(); ++i) {
      torch::serialize::OutputArchive learner;
      write_group(learner, "parameters", learners[i].weights.parameters);
      write_group(learner, "buffers", learners[i].weights.buffers);
      torch::serialize::OutputArchive moments;
      learners[i].optimiser.save(moments);
      learner.write("optimiser", moments);
      archive.write("learner" + std::to_string(i), learner);
    }
    std::ostringstream stream;
    archive.save_to(stream);
    bytes = std::move(stream).str();
  } catch (const std::exception& problem) {
    return error(ErrorCode::Internal, "{}: the checkpoint cannot be made: {}", path.string(),
                 first_line(problem));
  }
  return write_file(path, std::as_bytes(std::span(bytes)));
}

Result<Progress> load_checkpoint(const std::filesystem::path& path, const std::string& run,
                                 const std::vector<Learner>& learners,
                                 std::map<std::string, at::Tensor>& average) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  Progress progress;
  try {
    torch::serialize::InputArchive archive;
    archive.load_from(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    c10::IValue value;
    const auto read = [&](const char* name) {
      archive.read(name, value);
      return value;
    };
    if (const std::string theirs = read("run").toStringRef(); theirs != run) {
      return error(
          ErrorCode::InvalidArgument,
          "{}: this checkpoint is of another run ({}; now: {}); name another file, or start anew without "
          "--resume",
          path.string(), theirs, run);
    }
    progress.epoch = read("epoch").toInt();
    progress.step = read("step").toInt();
    progress.loss = read("loss").toDouble();
    progress.correct = read("correct").toDouble();
    progress.counted = read("counted").toDouble();
    progress.partition = read("partition").toStringRef();
    progress.history = read("history").toStringRef();
    const at::NoGradGuard no_grad;
    read_group(archive, "average", average);
    for (std::size_t i = 0; i < learners.size(); ++i) {
      torch::serialize::InputArchive learner, moments;
      archive.read("learner" + std::to_string(i), learner);
      read_group(learner, "parameters", learners[i].weights.parameters);
      read_group(learner, "buffers", learners[i].weights.buffers);
      learner.read("optimiser", moments);
      learners[i].optimiser.load(moments);
    }
  } catch (const std::exception& problem) {
    return error(ErrorCode::InvalidArgument, "{}: this is no checkpoint of a training run", path.string());
  }
  return progress;
}

}  // namespace disco::train
