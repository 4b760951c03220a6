#include "train/sparsify.h"

#include <algorithm>

#include "partition/cost.h"
#include "partition/local_norm.h"
#include "reference/specialise.h"
#include "sparsify/owner_search.h"
#include "train/batch_norm.h"
#include "train/bridge.h"
#include "train/exact_norm.h"
#include "train/wire.h"

namespace disco::train {

namespace {

/// Sensitivities may take so many bytes; more samples than fit share a gradient.
constexpr std::int64_t kMostSensitivityBytes = std::int64_t{2} << 30;

/// Samples of at most so many elements are distilled so many at a time.
constexpr std::int64_t kSmallSample = std::int64_t{3} * 64 * 64;
constexpr std::int64_t kDistilBatch = 32;

// Distillation of its own accord: so many samples are shown, in at most so many epochs, but not more than are
// worth some minutes of two cores. With less than so many epochs, or of so few samples, it is not worth it.
constexpr std::int64_t kShown = 20480;
constexpr std::int64_t kMostEpochs = 40;
constexpr std::int64_t kFewestEpochs = 4;
constexpr std::int64_t kFewestDistilled = 128;
constexpr double kMostDistilMacs = 1e12;

/// Of the activations of all samples that the refit holds at a time; further samples do not take part.
constexpr std::int64_t kMostRefitBytes = std::int64_t{4} << 30;

std::shared_ptr<Weights> clone(const Weights& weights) {
  auto copy = std::make_shared<Weights>(weights);
  for (auto* group : {&copy->parameters, &copy->buffers}) {
    for (auto& [name, tensor] : *group)
      tensor = tensor.detach().clone().set_requires_grad(tensor.requires_grad());
  }
  return copy;
}

class Pipeline {
 public:
  Pipeline(const Graph& model, const SparsifyOptions& options) : model_(model), options_(options) {}

  Result<Sparsified> run(const NamedTensors& samples) {
    if (!options_.wire_only) add_missing_biases(model_);
    DISCO_CHECK(read_samples(samples));
    DISCO_TRY(graph_, at_batch(fixed_batch_ > 0 ? fixed_batch_ : 1));
    DISCO_TRY(Weights weights, read_weights(graph_, options_.device));
    dense_ = std::make_shared<Weights>(std::move(weights));
    if (options_.wire_only) return requantise();
    DISCO_CHECK(read_plan());
    DISCO_TRY(partition_, partition_channels(graph_, {options_.nodes, options_.shares}));
    partition_.method = to_string(options_.method);
    DISCO_TRY(traffic_, traffic_of(graph_, partition_));
    if (traffic_.maps.empty() && options_.nodes > 1) {
      return error(
          ErrorCode::Unsupported,
          "no linear map of this model reads features of other nodes: there is nothing to leave out");
    }
    DISCO_CHECK(prepare_budget());
    DISCO_CHECK(choose());
    begin_sparse();
    const std::int64_t batch = fixed_batch_ > 0 ? fixed_batch_ : std::min(options_.batch, count_);
    DISCO_TRY(const Graph batched, at_batch(batch));
    if (options_.method != Method::Dense) DISCO_CHECK(recover(batched, batch));
    DISCO_CHECK(quantise(batched, batch));
    set_keep(graph_, traffic_, choice_.kept, partition_);
    partition_.local_first = std::move(local_first_);
    partition_.bands = options_.bands != 0 ? options_.bands : bands_;
    return result();
  }

 private:
  /// What `disco plan` chose for as many nodes and holds for other owners too: the maps that run in two
  /// parts, and bands.
  Status read_plan() {
    const auto found = model_.metadata.find(std::string(kPartitionKey));
    if (found == model_.metadata.end()) return {};
    DISCO_TRY(Partition planned, partition_from_json(found->second));
    if (planned.nodes != options_.nodes) return {};
    local_first_ = std::move(planned.local_first);
    bands_ = planned.bands;
    return {};
  }

  /// Another format on the wire for an artifact that stays as it is otherwise.
  Result<Sparsified> requantise() {
    const auto found = model_.metadata.find(std::string(kPartitionKey));
    if (found == model_.metadata.end()) {
      return error(ErrorCode::InvalidArgument,
                   "only the wire is to be calibrated, but this is no artifact: it says nothing of nodes");
    }
    DISCO_TRY(partition_, partition_from_json(found->second));
    partition_.wire.clear();
    if (options_.bands != 0) partition_.bands = options_.bands;
    DISCO_TRY(traffic_, traffic_of(graph_, partition_));
    sparse_ = dense_;
    const std::int64_t batch = fixed_batch_ > 0 ? fixed_batch_ : std::min(options_.batch, count_);
    DISCO_TRY(const Graph batched, at_batch(batch));
    DISCO_CHECK(quantise(batched, batch));
    return result();
  }

  Status quantise(const Graph& batched, std::int64_t batch) {
    if (options_.wire == DataType::Float32) return {};
    DISCO_TRY(const Network network, Network::create(batched, sparse_));
    const Batches all = batches(batch);
    return calibrate_wire(network, all, traffic_, options_.wire, partition_,
                          [&](std::size_t done) { report("wire", done, all.size()); });
  }

  void report(const std::string& stage, std::size_t done, std::size_t total) const {
    if (options_.progress) options_.progress(stage, done, total);
  }

  [[nodiscard]] Result<Graph> at_batch(std::int64_t batch) const {
    InputShapes shapes = shapes_;
    for (auto& [name, shape] : shapes.shapes) {
      if (!shape.empty()) shape[0] = batch;
    }
    shapes.default_batch = batch;
    return specialise(model_, shapes);
  }

  Status read_samples(const NamedTensors& samples) {
    for (const ValueId id : model_.inputs) {
      const Value& value = model_.value(id);
      const auto found = samples.find(value.name);
      if (found == samples.end()) {
        return error(ErrorCode::InvalidArgument, "the samples hold no array '{}', which the model reads",
                     value.name);
      }
      const Tensor& array = found->second;
      if (array.type() != value.type) {
        return error(ErrorCode::InvalidArgument, "the samples of '{}' are {}, the model reads {}", value.name,
                     to_string(array.type()), to_string(value.type));
      }
      if (array.rank() < 1 || array.shape()[0] < 1)
        return error(ErrorCode::InvalidArgument, "there are no samples of '{}'", value.name);
      if (count_ != 0 && array.shape()[0] != count_) {
        return error(ErrorCode::InvalidArgument, "{} samples of '{}', but {} of another input",
                     array.shape()[0], value.name, count_);
      }
      count_ = array.shape()[0];
      if (value.dims && !value.dims->empty() && (*value.dims)[0].known())
        fixed_batch_ = (*value.dims)[0].extent;
      DISCO_TRY(at::Tensor tensor, to_torch(array));
      if (at::isFloatingType(tensor.scalar_type()) && !tensor.isfinite().all().item<bool>()) {
        return error(ErrorCode::InvalidArgument, "the samples of '{}' hold values that are not finite",
                     value.name);
      }
      shapes_.shapes[value.name] = array.shape();
      samples_.push_back(std::move(tensor));
    }
    for (const auto& [name, array] : samples) {
      if (!shapes_.shapes.contains(name))
        return error(ErrorCode::InvalidArgument, "the model has no input '{}'", name);
    }
    if (fixed_batch_ > count_) {
      return error(ErrorCode::InvalidArgument, "the model takes {} samples at a time, only {} were given",
                   fixed_batch_, count_);
    }
    return {};
  }

  /// Whole batches of so many samples; what is left over at the end is not used.
  [[nodiscard]] Batches batches(std::int64_t batch) const {
    Batches result;
    for (std::int64_t first = 0; first + batch <= count_; first += batch) {
      std::vector<at::Tensor> inputs;
      for (const at::Tensor& all : samples_)
        inputs.push_back(all.narrow(0, first, batch).to(options_.device));
      result.push_back(std::move(inputs));
    }
    return result;
  }

  Status prepare_budget() {
    const std::vector<double>& shares = options_.weight_shares;
    budget_ = options_.budget;
    budget_.level_work = budget_.message_bytes > 0;
    budget_.level_exchanges = true;
    // A message costs as much beside fewer bytes.
    budget_.message_bytes *= static_cast<std::int64_t>(sizeof(float) / size_of(options_.wire));
    if (shares.empty()) return {};
    if (options_.method != Method::Disco)
      return error(ErrorCode::InvalidArgument, "a limit on weights is for the method 'disco' only");
    if (shares.size() != 1 && shares.size() != static_cast<std::size_t>(options_.nodes))
      return error(ErrorCode::InvalidArgument, "{} limits on weights for {} nodes", shares.size(),
                   options_.nodes);
    for (int rank = 0; rank < options_.nodes; ++rank) {
      const double share = shares[shares.size() == 1 ? 0 : static_cast<std::size_t>(rank)];
      budget_.weight_bytes.push_back(
          static_cast<std::int64_t>(share * static_cast<double>(traffic_.weight_bytes)));
    }
    return {};
  }

  Status choose() {
    if (options_.method != Method::Disco) {
      if (options_.local_norms) DISCO_CHECK(localise());
      DISCO_TRY(choice_, keep_by_layer(traffic_, options_.method, options_.budget, options_.layer));
      return {};
    }
    std::int64_t row = 0;
    for (const LinearMap& map : traffic_.maps) {
      row += static_cast<std::int64_t>(map.owner.size() * map.columns.size() * sizeof(float));
    }
    const std::int64_t most =
        std::max<std::int64_t>(8, kMostSensitivityBytes / std::max<std::int64_t>(1, row));
    const std::int64_t batch = fixed_batch_ > 0 ? fixed_batch_ : (count_ + most - 1) / most;
    DISCO_TRY(const Graph graph, at_batch(batch));
    DISCO_TRY(const Network network, Network::create(graph, dense_));
    Batches all = batches(batch);
    if (static_cast<std::int64_t>(all.size()) > most) all.resize(static_cast<std::size_t>(most));
    DISCO_TRY(std::vector<Sensitivity> sensitivities,
              sample_sensitivity(network, *dense_, traffic_, all, options_.seed,
                                 [&](std::size_t done) { report("score", done, all.size()); }));
    weigh_by_size(traffic_, options_.byte_power.value_or(options_.weight_shares.empty() ? kBytePower : 1.0),
                  sensitivities);
    OwnerSearchOptions search;
    search.on_sweep = [&](int sweep, double) {
      report("owners", static_cast<std::size_t>(sweep) + 1, static_cast<std::size_t>(search.sweeps));
    };
    DISCO_TRY(partition_, search_owners(graph_, partition_, sensitivities, budget_, search));
    DISCO_TRY(traffic_, traffic_of(graph_, partition_));
    if (options_.local_norms) DISCO_CHECK(localise());
    DISCO_TRY(choice_, allocate(traffic_, score(traffic_, sensitivities), budget_));
    return {};
  }

  /// Takes the statistics of normalisations off the wire, for the owners that were found.
  Status localise() {
    DISCO_TRY(const SplitPlan plan, plan_split(graph_, partition_));
    DISCO_TRY(model_, localise_norms(model_, graph_, plan));
    DISCO_TRY(graph_, at_batch(fixed_batch_ > 0 ? fixed_batch_ : 1));
    DISCO_TRY(Weights weights, read_weights(graph_, options_.device));
    dense_ = std::make_shared<Weights>(std::move(weights));
    const std::int64_t dense_bytes = traffic_.dense_bytes;
    DISCO_TRY(traffic_, traffic_of(graph_, partition_));
    traffic_.dense_bytes = dense_bytes;
    return {};
  }

  /// The dense model, whose normalisations are exact.
  [[nodiscard]] Result<Network> teacher_of(const Graph& batched) const {
    DISCO_TRY(Network network, Network::create(batched, dense_));
    if (options_.local_norms) normalise_exactly(network, *dense_);
    return network;
  }

  /// The dense model's weights, without what does not travel.
  void begin_sparse() {
    sparse_ = clone(*dense_);
    Masks(graph_, traffic_, choice_.kept, *sparse_).apply(*sparse_);
  }

  Status recover(const Graph& batched, std::int64_t batch) {
    const DistilOptions plan = distillation(batch);
    DISCO_CHECK(refit_on(count_ - plan.held_out, batched, batch));
    if (plan.epochs == 0) return {};
    DISCO_TRY(const Graph wider, at_batch(plan.batch));
    DISCO_TRY(const Network teacher, teacher_of(wider));
    DISCO_TRY(const Network student, Network::create(wider, sparse_));
    const Masks masks(graph_, traffic_, choice_.kept, *sparse_);
    DISCO_TRY(const std::optional<Task> task, task_of(graph_));
    DISCO_TRY(const auto task_loss, make_task_loss(task ? &*task : nullptr, student.graph(), {}));
    DISCO_TRY(distilled_,
              distil(teacher, student, *task_loss, *sparse_, traffic_, masks, distilled_over(plan), plan));
    if (distilled_.part > 0.0) return {};
    // What was held out need not be then.
    begin_sparse();
    return refit_on(count_, batched, batch);
  }

  /// The least squares over the first `count` samples, or without them the statistics of batch norms.
  Status refit_on(std::int64_t count, const Graph& batched, std::int64_t batch) {
    DISCO_TRY(const Network theirs, teacher_of(batched));
    DISCO_TRY(const Network ours, Network::create(batched, sparse_));
    Batches all = batches(batch);
    if (!options_.refit) return recalibrate_batch_norm(ours, all);
    const std::int64_t held = 2 * total_cost(batched).peak_activation_bytes;  // the dense model's too
    const std::int64_t most = std::max<std::int64_t>(1, kMostRefitBytes / std::max<std::int64_t>(1, held));
    all.resize(std::min(all.size(), static_cast<std::size_t>(std::min(most, count / batch))));
    RefitOptions options;
    options.seed = options_.seed;
    options.on_layer = [&](std::size_t layer, std::size_t layers) { report("refit", layer + 1, layers); };
    return refit(theirs, ours, *sparse_, traffic_, choice_.kept, all, options);
  }

  [[nodiscard]] DistilOptions distillation(std::int64_t batch) const {
    // Small samples are learnt from more at a time: gradients of few are noise.
    const auto small = [](const at::Tensor& all) { return all[0].numel() <= kSmallSample; };
    const bool more = fixed_batch_ == 0 && std::all_of(samples_.begin(), samples_.end(), small);
    DistilOptions plan;
    plan.batch = more ? std::min(std::max(batch, kDistilBatch), count_) : batch;
    if (options_.distil_epochs) {
      plan.epochs = *options_.distil_epochs;
    } else {
      const std::int64_t samples = samples_worth();
      plan.held_out = std::max<std::int64_t>(1, samples / 8 / plan.batch) * plan.batch;
      if (samples < 2 * plan.held_out) return {.epochs = 0};
      plan.epochs = epochs_of(samples);
    }
    plan.seed = options_.seed;
    plan.on_epoch = [this, epochs = plan.epochs](std::int64_t epoch, double) {
      report("distil", static_cast<std::size_t>(epoch) + 1, static_cast<std::size_t>(epochs));
    };
    return plan;
  }

  /// Multiply-accumulates of the dense model for one sample.
  [[nodiscard]] double macs_of_sample() const {
    return std::max(1.0, static_cast<double>(total_cost(graph_).macs)) /
           static_cast<double>(std::max<std::int64_t>(1, fixed_batch_));
  }
  /// Samples to distil over where nobody says how, those that judge included; 0: it is not worth it.
  [[nodiscard]] std::int64_t samples_worth() const {
    if (!options_.refit || choice_.bytes >= traffic_.dense_bytes) return 0;
    const auto affordable = static_cast<std::int64_t>(kMostDistilMacs / (kFewestEpochs * macs_of_sample()));
    const std::int64_t count = std::min({count_, kShown / kFewestEpochs, affordable});
    return count < kFewestDistilled ? 0 : count;
  }
  [[nodiscard]] std::int64_t epochs_of(std::int64_t samples) const {
    const auto count = static_cast<double>(samples);
    const double epochs = std::min(kShown / count, kMostDistilMacs / (count * macs_of_sample()));
    return std::min(kMostEpochs, static_cast<std::int64_t>(epochs));
  }

  /// The first samples and, to judge, the last ones.
  [[nodiscard]] std::vector<at::Tensor> distilled_over(const DistilOptions& plan) const {
    if (options_.distil_epochs) return samples_;
    const std::int64_t learnt = samples_worth() - plan.held_out;
    std::vector<at::Tensor> some;
    for (const at::Tensor& all : samples_) {
      some.push_back(
          at::cat({all.narrow(0, 0, learnt), all.narrow(0, count_ - plan.held_out, plan.held_out)}));
    }
    return some;
  }

  Result<Sparsified> result() {
    Sparsified made;
    made.model = model_;
    write_weights(*sparse_, made.model);
    made.model.metadata[std::string(kPartitionKey)] = to_json(partition_);
    made.dense_bytes = traffic_.dense_bytes;
    DISCO_TRY(const std::vector<Graph> shards, make_shards(graph_, partition_));
    for (const Graph& shard : shards) made.bytes += total_cost(shard).bytes_sent;
    if (fixed_batch_ > 1) {
      made.bytes /= fixed_batch_;
      made.dense_bytes /= fixed_batch_;
    }
    made.partition = std::move(partition_);
    made.distilled = distilled_;
    return made;
  }

  Graph model_;
  const SparsifyOptions& options_;
  InputShapes shapes_;
  std::vector<at::Tensor> samples_;
  std::int64_t count_ = 0;
  std::int64_t fixed_batch_ = 0;  // 0: open
  Graph graph_;
  Partition partition_;
  std::optional<std::set<std::string>> local_first_;
  int bands_ = 1;
  Traffic traffic_;
  Budget budget_;
  Allocation choice_;
  Distilled distilled_;
  std::shared_ptr<Weights> dense_, sparse_;
};

}  // namespace

Result<Sparsified> sparsify(const Graph& model, const NamedTensors& samples, const SparsifyOptions& options) {
  try {
    return Pipeline(model, options).run(samples);
  } catch (const std::exception& problem) {
    return error(ErrorCode::Internal, "sparsify: {}", first_line(problem));
  }
}

}  // namespace disco::train
