#include "train/trainer.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "partition/split.h"
#include "reference/specialise.h"
#include "train/autocast.h"
#include "train/batch_norm.h"
#include "train/bridge.h"
#include "train/checkpoint.h"
#include "train/initialise.h"
#include "train/loader.h"
#include "train/refit.h"
#include "train/tighten.h"
#include "train/validate.h"
#include "train/wire.h"

namespace disco::train {

namespace {

constexpr std::string_view kValidation = "validation_";

/// Batches whose statistics count again at the end, and by which keep-sets are chosen on the way.
constexpr std::int64_t kProbeBatches = 16;

EpochReport report_from(const nlohmann::json& json) {
  EpochReport report;
  report.epoch = json.at("epoch");
  report.learning_rate = json.at("learning_rate");
  report.loss = json.at("loss");
  report.train_top1 = json.value("train_top1", report.train_top1);
  for (const auto& [key, value] : json.items()) {
    if (key.starts_with(kValidation)) report.validation = Figure{key.substr(kValidation.size()), value};
  }
  report.communication = json.at("communication");
  return report;
}

/// FNV-1a, of weights.
struct Fingerprint {
  std::uint64_t value = 1469598103934665603ULL;

  void add(const void* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      value = (value ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211ULL;
  }
  void add_constants(const Graph& graph) {
    for (const Value& one : graph.values) {
      if (!one.constant) continue;
      add(one.name.data(), one.name.size());
      add(one.constant->raw(), one.constant->bytes());
    }
  }
};

class Run {
 public:
  Run(const Graph& model, const Graph* teacher, const TrainData& data, const TrainOptions& options,
      Group* group, const TrainWatch& watch)
      : model_(model), data_(data), options_(options), group_(group), watch_(watch) {
    if (teacher != nullptr) teacher_model_ = *teacher;
  }

  Result<Trained> run() {
    DISCO_CHECK(prepare());
    DISCO_CHECK(prepare_masks());
    DISCO_CHECK(begin());
    while (progress_.epoch < options_.epochs) DISCO_CHECK(epoch());
    return finish();
  }

 private:
  [[nodiscard]] bool leads() const { return group_ == nullptr || group_->rank() == 0; }

  // ---- before the first step ----

  [[nodiscard]] Result<Graph> fixed(const Graph& model, std::int64_t batch) const {
    InputShapes shapes;
    Shape shape = {batch};
    shape.insert(shape.end(), data_.training.sample_shape().begin(), data_.training.sample_shape().end());
    shapes.shapes[model.value(model.inputs[0]).name] = shape;
    shapes.default_batch = batch;
    return specialise(model, shapes);
  }

  Status prepare() {
    if (model_.inputs.size() != 1) {
      return error(ErrorCode::InvalidArgument, "the model has {} inputs; training takes models of one",
                   model_.inputs.size());
    }
    const Value& input = model_.value(model_.inputs[0]);
    batch_ = options_.batch;
    if (input.dims && !input.dims->empty() && (*input.dims)[0].known()) batch_ = (*input.dims)[0].extent;
    add_missing_biases(model_);
    DISCO_TRY(graph_, fixed(model_, batch_));
    DISCO_TRY(Weights weights, read_weights(graph_, options_.device));
    weights_ = std::make_shared<Weights>(std::move(weights));
    if (weights_->parameters.empty())
      return error(ErrorCode::Unsupported, "the model has no weights that training could change");
    DISCO_TRY(Network student, Network::create(graph_, weights_));
    student_.emplace(std::move(student));
    if (teacher_model_) {
      DISCO_TRY(teacher_graph_, fixed(*teacher_model_, batch_));
      DISCO_TRY(Weights theirs, read_weights(teacher_graph_, options_.device));
      teacher_weights_ = std::make_shared<Weights>(std::move(theirs));
      for (auto& [name, tensor] : teacher_weights_->parameters) tensor.set_requires_grad(false);
      DISCO_TRY(Network teacher, Network::create(teacher_graph_, teacher_weights_));
      teacher_.emplace(std::move(teacher));
      DISCO_CHECK(check_teacher());
    }
    DISCO_CHECK(prepare_task());
    if (options_.reset) initialise(graph_, options_.seed, *weights_);
    return {};
  }

  Status check_teacher() const {
    if (teacher_graph_.outputs.size() != graph_.outputs.size())
      return error(ErrorCode::InvalidArgument, "the teacher has {} outputs, the model {}",
                   teacher_graph_.outputs.size(), graph_.outputs.size());
    for (std::size_t o = 0; o < graph_.outputs.size(); ++o) {
      const Value& ours = graph_.value(graph_.outputs[o]);
      const Value& theirs = teacher_graph_.value(teacher_graph_.outputs[o]);
      if (ours.has_shape() && theirs.has_shape() && ours.shape() != theirs.shape()) {
        return error(ErrorCode::InvalidArgument, "the teacher answers '{}' of {}, the model {}", theirs.name,
                     to_string(theirs.shape()), to_string(ours.shape()));
      }
    }
    return {};
  }

  /// Which truths are learned from or looked at, and whether the data has them.
  Status prepare_task() {
    task_ = options_.task;
    if (!task_) {
      DISCO_TRY(task_, task_of(graph_));
    }
    if (task_) DISCO_CHECK(check_task(*task_, graph_));
    DISCO_TRY(task_loss_, make_task_loss(task_ ? &*task_ : nullptr, graph_,
                                         {.label_smoothing = options_.objective.label_smoothing}));
    const TruthKind wanted = task_ ? truth_for(task_->kind) : TruthKind::None;
    const TruthKind given = data_.training.truth_kind();
    const bool labels_count = options_.objective.labels != 0.0;
    if (labels_count && given == TruthKind::None) {
      return error(ErrorCode::InvalidArgument, "{} has no labels; learn from a teacher instead",
                   data_.training.about());
    }
    if (labels_count && given != wanted) {
      return error(ErrorCode::InvalidArgument, "{} does not say what is right for {}", data_.training.about(),
                   task_ ? fmt::format("a model of {}", to_string(task_->kind))
                         : "a model whose outputs nobody explained; see --task");
    }
    if (!labels_count && !teacher_) {
      return error(ErrorCode::InvalidArgument,
                   "there is neither a teacher nor are there labels to learn from");
    }
    const bool classifies = task_ && task_->kind == TaskKind::Classification;
    augmentation_ = options_.augmentation.value_or(classifies && !labels_count ? Augmentation::Blend
                                                                               : Augmentation::Flip);
    if (labels_count && augmentation_ == Augmentation::Blend) {
      return error(
          ErrorCode::InvalidArgument,
          "half of the images are mixed, which labels say nothing about; augment otherwise, or learn "
          "from a teacher alone");
    }
    learns_truth_ = given == wanted && (labels_count || given == TruthKind::Class);
    if (classifies) DISCO_CHECK(check_classes(labels_count));
    return options_.enlargement.any() ? prepare_enlargement() : Status();
  }

  Status prepare_enlargement() {
    if (!task_ || task_->kind != TaskKind::SuperResolution || options_.objective.labels == 0.0) {
      return error(
          ErrorCode::InvalidArgument,
          "--perceptual, --discriminator and --pixels are of super-resolution, and compare with real "
          "large images: they need --labels");
    }
    DISCO_TRY(const std::size_t output, output_place(graph_, task_->output));
    DISCO_TRY(auto made, EnlargementLoss::create(std::move(task_loss_), output, task_->pixels,
                                                 graph_.value(graph_.outputs[output]).shape(),
                                                 options_.enlargement, optimiser_options(), options_.device));
    enlargement_ = made.get();
    task_loss_ = std::move(made);
    return {};
  }

  /// Before the first step, not at the first sample of a class that the model lacks.
  Status check_classes(bool labels_count) {
    const auto output = std::find_if(graph_.outputs.begin(), graph_.outputs.end(),
                                     [&](ValueId id) { return graph_.value(id).name == task_->output; });
    const std::int64_t classes = element_count(graph_.value(*output).shape()) / batch_;
    for (const DataSet* set : {&data_.training, data_.validation}) {
      if (set == nullptr || set->truth_kind() != TruthKind::Class || set->classes() <= classes) continue;
      if (!labels_count && set == &data_.training) {
        learns_truth_ = false;  // classes of something else
        continue;
      }
      return error(ErrorCode::InvalidArgument, "{} has {} classes, the model answers {} logits", set->about(),
                   set->classes(), classes);
    }
    return {};
  }

  Status prepare_masks() {
    const auto stored = model_.metadata.find(std::string(kPartitionKey));
    if (stored == model_.metadata.end()) {
      if (options_.tightening != Tightening::None)
        return error(
            ErrorCode::InvalidArgument,
            "the model has no owners whose traffic could shrink; begin with an artifact of `disco sparsify`");
      return {};
    }
    DISCO_TRY(partition_, partition_from_json(stored->second));
    DISCO_TRY(probe_graph_, fixed(model_, 1));
    DISCO_TRY(traffic_, traffic_of(probe_graph_, *partition_));
    // Masks name nodes and values: the same in a graph of another batch, as long as it is the same graph.
    if (probe_graph_.nodes.size() != graph_.nodes.size())
      return error(ErrorCode::Unsupported,
                   "the model's graph depends on the batch size; train with --batch 1");
    kept_ = kept_of(probe_graph_, *traffic_, *partition_);
    const double target = share_of(*kept_);
    budget_ = options_.communication.value_or(target);
    if (options_.tightening != Tightening::None) {
      kept_ = keep_all(*traffic_);
      if (teacher_) take_teachers_weights();
    }
    remask();
    if (options_.wire != DataType::Float32) simulate_wire(*student_, *traffic_, options_.wire);
    return {};
  }

  /// The artifact's weights are zero where nothing travels; the dense model's are not.
  void take_teachers_weights() {
    const at::NoGradGuard no_grad;
    for (auto* group : {&weights_->parameters, &weights_->buffers}) {
      for (auto& [name, tensor] : *group) {
        const at::Tensor* theirs = teacher_weights_->find(name);
        if (theirs != nullptr && theirs->sizes() == tensor.sizes()) tensor.copy_(*theirs);
      }
    }
  }

  [[nodiscard]] double share_of(const KeptChannels& kept) const {
    return static_cast<double>(traffic_->bytes(kept)) /
           static_cast<double>(std::max<std::int64_t>(1, traffic_->dense_bytes));
  }

  void remask() {
    masks_ = Masks(graph_, *traffic_, *kept_, *weights_);
    masks_.apply(*weights_);
  }

  Status begin() {
    LoaderOptions loading;
    loading.batch = batch_;
    loading.augmentation = augmentation_;
    loading.seed = options_.seed;
    loading.threads = options_.loaders;
    if (learns_truth_) loading.task = task_loss_.get();
    if (group_ != nullptr) {
      loading.rank = group_->rank();
      loading.ranks = group_->size();
    }
    loader_.emplace(data_.training, loading);
    steps_ = loader_->steps();
    if (steps_ < 1) {
      return error(ErrorCode::InvalidArgument, "{} samples are fewer than one batch of {}{}",
                   data_.training.size(), batch_,
                   loading.ranks > 1 ? fmt::format(" on each of {} processes", loading.ranks) : "");
    }
    optimiser_ = make_optimiser(*weights_, optimiser_options());
    if (options_.average > 0.0) {
      for (const auto& [name, tensor] : weights_->parameters) average_[name] = tensor.detach().clone();
    }
    DISCO_CHECK(go_on());
    if (group_ != nullptr) DISCO_CHECK(group_->broadcast(all_tensors()));
    return {};
  }

  std::vector<Learner> learners() const {
    std::vector<Learner> all = {{*weights_, *optimiser_}};
    if (Adversary* adversary = enlargement_ == nullptr ? nullptr : enlargement_->adversary())
      all.push_back({adversary->weights(), adversary->optimiser()});
    return all;
  }

  std::vector<at::Tensor> all_tensors() const {
    std::vector<at::Tensor> all;
    for (const Learner& learner : learners()) {
      for (const auto* tensors : {&learner.weights.parameters, &learner.weights.buffers}) {
        for (const auto& [name, tensor] : *tensors) {
          if (tensor.scalar_type() == at::kFloat) all.push_back(tensor);
        }
      }
    }
    return all;
  }

  [[nodiscard]] OptimiserOptions optimiser_options() const {
    return {.kind = options_.optimiser,
            .learning_rate = options_.learning_rate,
            .momentum = options_.momentum,
            .weight_decay = options_.weight_decay};
  }

  /// What must be the same for a checkpoint to be of this run.
  [[nodiscard]] std::string identity() const {
    Fingerprint model, judges;
    for (const auto& [name, tensor] : weights_->parameters) {
      model.add(name.data(), name.size());
      const at::Tensor values = tensor.detach().to(at::kCPU).contiguous();
      model.add(values.data_ptr(), values.nbytes());
    }
    for (const std::optional<Graph>* judge :
         {&teacher_model_, &options_.enlargement.classifier, &options_.enlargement.discriminator}) {
      if (*judge) judges.add_constants(**judge);
      judges.add("|", 1);
    }
    const auto& objective = options_.objective;
    return fmt::format(
        "model {:016x}, taught by {:016x}, {} ({} samples), {} epochs of {} x {}, {} {} warmup {} momentum "
        "{} decay {} average "
        "{}, "
        "distillation {} labels {} hints {} temperature {} smoothing {}, augmentation {}, wire {}, "
        "tightening {} {} {} "
        "{}, bfloat16 {}, statistics held {}, pixels {} perceptual {} '{}' adversarial {}, seed {}, {} "
        "processes",
        model.value, judges.value, data_.training.about(), data_.training.size(), options_.epochs, steps_,
        batch_, options_.optimiser == Optimiser::Sgd ? "sgd" : "adamw", options_.learning_rate,
        options_.warmup, options_.momentum, options_.weight_decay, options_.average, objective.distillation,
        objective.labels, objective.hints, objective.temperature, objective.label_smoothing,
        static_cast<int>(augmentation_), to_string(options_.wire), static_cast<int>(options_.tightening),
        options_.tighten_epochs, budget_, options_.lasso, options_.bfloat16, options_.hold_statistics,
        options_.enlargement.pixels, options_.enlargement.classifier ? options_.enlargement.perceptual : 0.0,
        options_.enlargement.features,
        options_.enlargement.discriminator ? options_.enlargement.adversarial : 0.0, options_.seed,
        group_ == nullptr ? 1 : group_->size());
  }

  Status go_on() {
    identity_ = identity();
    if (!options_.resume) return {};
    auto loaded = load_checkpoint(options_.checkpoint, identity_, learners(), average_);
    if (!loaded) return loaded.error().code == ErrorCode::NotFound ? Status() : Status(loaded.error());
    progress_ = *loaded;
    try {
      for (const auto& entry : nlohmann::json::parse(progress_.history))
        history_.push_back(report_from(entry));
      if (partition_ && !progress_.partition.empty()) {
        DISCO_TRY(const Partition saved, partition_from_json(progress_.partition));
        kept_ = kept_of(probe_graph_, *traffic_, saved);
        remask();
      }
    } catch (const std::exception&) {
      return error(ErrorCode::InvalidArgument, "{}: the checkpoint is damaged", options_.checkpoint.string());
    }
    return {};
  }

  // ---- while it runs ----

  [[nodiscard]] double rate(std::int64_t done) const {
    const double steps = static_cast<double>(steps_);
    return cosine_rate(options_.learning_rate, done, options_.warmup * steps,
                       static_cast<double>(options_.epochs) * steps);
  }

  Status epoch() {
    const std::int64_t number = progress_.epoch;
    loader_->start(number, progress_.step);
    const Objective objective(teacher_ ? &*teacher_ : nullptr, *student_, *task_loss_,
                              traffic_ ? &*traffic_ : nullptr, options_.objective);
    for (std::int64_t s = progress_.step; s < steps_; ++s) {
      DISCO_CHECK(tighten(number * steps_ + s));
      DISCO_TRY(const Batch batch, loader_->next());
      DISCO_CHECK(step(objective, batch, number * steps_ + s));
      progress_.step = s + 1;
      if (watch_.on_step)
        watch_.on_step(number + 1, s + 1, steps_, progress_.loss / static_cast<double>(progress_.step));
      const bool due = options_.checkpoint_steps > 0 && (s + 1) % options_.checkpoint_steps == 0;
      if (due && s + 1 < steps_) DISCO_CHECK(save());
    }
    if (group_ != nullptr) DISCO_CHECK(share_buffers());
    EpochReport report;
    report.epoch = number + 1;
    report.learning_rate = rate((number + 1) * steps_ - 1);
    report.loss = progress_.loss / static_cast<double>(steps_);
    if (progress_.counted > 0) report.train_top1 = progress_.correct / progress_.counted;
    if (kept_) report.communication = share_of(*kept_);
    if (number + 1 == options_.epochs) DISCO_CHECK(settle());
    if (task_ && data_.validation != nullptr && data_.validation->truth_kind() == truth_for(task_->kind)) {
      DISCO_TRY(const std::vector<Figure> figures,
                validate(model_, weights_, *task_, *data_.validation, batch_));
      if (!figures.empty()) report.validation = figures.front();
    }
    history_.push_back(report);
    progress_ = {.epoch = number + 1};
    DISCO_CHECK(save());
    if (watch_.on_epoch) watch_.on_epoch(report);
    return {};
  }

  Status step(const Objective& objective, const Batch& batch, std::int64_t done) {
    set_rate(*optimiser_, rate(done));
    const std::vector<at::Tensor> inputs = {batch.inputs.to(options_.device)};
    std::vector<at::Tensor> targets;
    for (const at::Tensor& target : batch.targets) targets.push_back(target.to(options_.device));
    try {
      at::Tensor loss;
      std::vector<at::Tensor> answers;
      {
        const Autocast autocast(options_.bfloat16, options_.device);
        DISCO_TRY(loss, objective.loss(inputs, targets, {.training = !options_.hold_statistics}, &answers));
        if (options_.tightening == Tightening::GroupLasso && done < tighten_steps())
          loss = loss + options_.lasso * group_norms(graph_, *weights_, *traffic_);
      }
      const double value = loss.item<double>();
      if (!std::isfinite(value)) {
        return error(ErrorCode::InvalidModel,
                     "the loss is {} at epoch {}, step {}; try a smaller --lr (now {})", value,
                     progress_.epoch + 1, progress_.step + 1, options_.learning_rate);
      }
      optimiser_->zero_grad();
      loss.backward();
      if (group_ != nullptr) DISCO_CHECK(average_gradients(*weights_, *group_));
      optimiser_->step();
      masks_.apply(*weights_);
      follow();
      if (enlargement_ != nullptr) DISCO_CHECK(enlargement_->learn(answers, targets, rate(done), group_));
      progress_.loss += value;
      count(answers, targets);
    } catch (const std::exception& problem) {
      return error(ErrorCode::Internal, "training failed: {}", first_line(problem));
    }
    return {};
  }

  Status share_buffers() {
    std::vector<at::Tensor> buffers;
    for (const auto& [name, tensor] : weights_->buffers) buffers.push_back(tensor);
    return group_->average(buffers);
  }

  void follow() {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : average_) tensor.lerp_(weights_->parameters.at(name), 1.0 - options_.average);
  }

  void count(const std::vector<at::Tensor>& answers, const std::vector<at::Tensor>& targets) {
    if (!task_ || task_->kind != TaskKind::Classification || targets.empty()) return;
    for (std::size_t o = 0; o < answers.size(); ++o) {
      if (graph_.value(graph_.outputs[o]).name != task_->output || !answers[o].defined()) continue;
      const at::Tensor best = answers[o].reshape({answers[o].size(0), -1}).argmax(1);
      progress_.correct += best.eq(targets[0]).sum().item<double>();
      progress_.counted += targets[0].ge(0).sum().item<double>();
    }
  }

  [[nodiscard]] std::int64_t tighten_steps() const {
    return static_cast<std::int64_t>(options_.tighten_epochs * static_cast<double>(steps_));
  }

  /// Chooses the keep-sets anew, ten times an epoch, until the budget is met.
  Status tighten(std::int64_t done) {
    if (options_.tightening == Tightening::None || done > tighten_steps()) return {};
    const bool last = done == tighten_steps();
    const bool due =
        options_.tightening == Tightening::Cubic && done % std::max<std::int64_t>(1, steps_ / 10) == 0;
    if (!last && !due) return {};
    const double share = last ? budget_ : cubic_budget(budget_, done, tighten_steps());
    DISCO_TRY(const Network probe, Network::create(probe_graph_, weights_));
    DISCO_TRY(const Batches batches, probe_batches(1, 8 * kProbeBatches));
    DISCO_TRY(kept_, choose_now(probe, *weights_, *traffic_, batches, share,
                                mix_seed(options_.seed, 5, static_cast<std::uint64_t>(done))));
    remask();
    return {};
  }

  /// Unaugmented samples, the same ones every time.
  [[nodiscard]] Result<Batches> probe_batches(std::int64_t batch, std::int64_t count) const {
    LoaderOptions loading;
    loading.batch = batch;
    loading.seed = options_.seed + 1;
    Loader loader(data_.training, loading);
    loader.start(0);
    Batches batches;
    for (std::int64_t b = 0; b < std::min(count, loader.steps()); ++b) {
      DISCO_TRY(const Batch next, loader.next());
      batches.push_back({next.inputs.to(options_.device)});
    }
    return batches;
  }

  Status save() const {
    if (options_.checkpoint.empty() || !leads()) return {};
    Progress progress = progress_;
    nlohmann::json history = nlohmann::json::array();
    for (const EpochReport& report : history_) history.push_back(to_json(report));
    progress.history = history.dump();
    if (partition_) {
      Partition now = *partition_;
      set_keep(probe_graph_, *traffic_, *kept_, now);
      progress.partition = disco::to_json(now);
    }
    return save_checkpoint(options_.checkpoint, identity_, learners(), average_, progress);
  }

  /// At the very end: the averaged weights take over, and statistics are those of the final weights.
  Status settle() {
    if (average_.empty()) return {};
    {
      const at::NoGradGuard no_grad;
      for (auto& [name, tensor] : average_) weights_->parameters.at(name).copy_(tensor);
    }
    masks_.apply(*weights_);
    if (options_.hold_statistics) return {};
    DISCO_TRY(const Batches batches, probe_batches(batch_, 4 * kProbeBatches));
    return recalibrate_batch_norm(*student_, batches);
  }

  Result<Trained> finish() {
    Trained result;
    result.history = history_;
    if (partition_) {
      set_keep(probe_graph_, *traffic_, *kept_, *partition_);
      partition_->wire.clear();
      if (options_.wire != DataType::Float32) {
        DISCO_TRY(const Network network, Network::create(graph_, weights_));
        DISCO_TRY(const Batches batches, probe_batches(batch_, kProbeBatches));
        DISCO_CHECK(calibrate_wire(network, batches, *traffic_, options_.wire, *partition_, {}));
      }
      model_.metadata[std::string(kPartitionKey)] = disco::to_json(*partition_);
    }
    write_weights(*weights_, model_);
    name_classes();
    result.model = std::move(model_);
    return result;
  }

  /// A model that learned classes from labels knows what they are called.
  void name_classes() {
    if (!task_ || !task_->classes.empty() || options_.objective.labels == 0.0) return;
    Task named = *task_;
    named.classes = data_.training.class_names();
    if (!named.classes.empty() && check_task(named, graph_))
      model_.metadata[std::string(kTaskKey)] = disco::to_json(named);
  }

  Graph model_;
  Augmentation augmentation_ = Augmentation::Flip;
  std::optional<Graph> teacher_model_;
  TrainData data_;
  const TrainOptions& options_;
  Group* group_;
  const TrainWatch& watch_;

  std::int64_t batch_ = 0, steps_ = 0;
  std::optional<Task> task_;
  std::unique_ptr<TaskLoss> task_loss_;
  EnlargementLoss* enlargement_ = nullptr;  // task_loss_, where it is one
  bool learns_truth_ = false;
  Graph graph_, teacher_graph_, probe_graph_;
  std::shared_ptr<Weights> weights_, teacher_weights_;
  std::optional<Network> student_, teacher_;
  std::optional<Partition> partition_;
  std::optional<Traffic> traffic_;
  std::optional<KeptChannels> kept_;
  double budget_ = 1.0;
  Masks masks_;
  std::optional<Loader> loader_;
  std::unique_ptr<torch::optim::Optimizer> optimiser_;
  std::map<std::string, at::Tensor> average_;
  std::string identity_;
  Progress progress_;
  std::vector<EpochReport> history_;
};

}  // namespace

nlohmann::json to_json(const EpochReport& report) {
  nlohmann::json json = {{"epoch", report.epoch},
                         {"learning_rate", report.learning_rate},
                         {"loss", report.loss},
                         {"communication", report.communication}};
  if (report.train_top1 >= 0) json["train_top1"] = report.train_top1;
  if (report.validation) json[std::string(kValidation) + report.validation->name] = report.validation->value;
  return json;
}

Result<Trained> train(const Graph& model, const Graph* teacher, const TrainData& data,
                      const TrainOptions& options, Group* group, const TrainWatch& watch) {
  try {
    return Run(model, teacher, data, options, group, watch).run();
  } catch (const std::exception& problem) {
    return error(ErrorCode::Internal, "training: {}", first_line(problem));
  }
}

}  // namespace disco::train
