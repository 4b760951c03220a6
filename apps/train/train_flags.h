#pragma once
// The flags of training: `disco train` explains and checks them, disco-train obeys them.

#include <CLI/CLI.hpp>
#include <string>

#include "disco/preset_flags.h"

namespace disco::cli {

struct TrainFlags {
  std::string model, output;
  std::string data, part = "train", validate, validate_part = "test";
  std::int64_t limit = 0, skip = 0, validate_limit = 0;
  PresetFlags preset;
  std::string teacher, task;
  std::int64_t epochs = 10, batch = 128;
  std::string optimiser = "sgd";
  double rate = 0.02, warmup = 0.5, momentum = 0.9, decay = 5e-4, average = 0.0;
  double labels = -1.0, distillation = 1.0, hints = 0.0, temperature = 4.0, smoothing = 0.0;
  std::string perceptual, features, discriminator;
  double perceptual_weight = 1.0, adversarial_weight = 0.005, pixels = 1.0;
  std::string augmentation, wire = "fp32", precision = "fp32", schedule = "cubic";
  bool from_scratch = false, hold_statistics = false;
  double tighten = 0.0, communication = 0.0, lasso = 1e-4;
  std::string checkpoint;
  std::int64_t checkpoint_steps = 0;
  bool resume = false;
  int processes = 1, rank = -1, threads = 0, loaders = 1;
  double deadline = 60.0;
  std::string join = "127.0.0.1:29400";
  std::string device = "cpu", backend, log;
  std::uint64_t seed = 1;
  bool as_json = false;

  void add_to(CLI::App& command);
};

}  // namespace disco::cli
