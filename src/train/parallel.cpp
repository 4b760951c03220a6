#include "train/parallel.h"

#include <ATen/core/grad_mode.h>
#include <torch/version.h>

#include <charconv>

#include "train/bridge.h"
#include "train/network.h"

#ifdef DISCO_GLOO
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef DISCO_NCCL
#ifndef USE_C10D_NCCL
#define USE_C10D_NCCL
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#if defined(DISCO_GLOO) || defined(DISCO_NCCL)
#define DISCO_C10D
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

namespace disco::train {

Status average_gradients(Weights& weights, Group& group) {
  std::vector<at::Tensor> gradients;
  for (auto& [name, tensor] : weights.parameters) {
    if (!tensor.grad().defined()) tensor.mutable_grad() = at::zeros_like(tensor);
    gradients.push_back(tensor.grad());
  }
  return group.average(gradients);
}

bool has_backend(Backend backend) {
#ifdef DISCO_NCCL
  if (backend == Backend::Nccl) return true;
#endif
#ifdef DISCO_GLOO
  if (backend == Backend::Gloo) return true;
#endif
  static_cast<void>(backend);
  return false;
}

namespace {

#ifdef DISCO_C10D

c10::intrusive_ptr<c10d::Store> meet(const GroupOptions& options, const std::string& host,
                                     std::uint16_t port) {
  c10d::TCPStoreOptions store;
  store.port = port;
  store.isServer = options.rank == 0;
  store.numWorkers = static_cast<std::size_t>(options.size);
  store.timeout = options.deadline;
  // LibTorch 2.4 and newer would use libuv, which Debian's is built without.
  const auto without_libuv = [](auto& options_of_store) {
    if constexpr (requires { options_of_store.useLibUV; }) options_of_store.useLibUV = false;
  };
  without_libuv(store);
  return c10::make_intrusive<c10d::TCPStore>(host, store);
}

/// @tparam Engine  torch's process group of one backend
template <class Engine>
class TorchGroup final : public Group {
 public:
  /// @param device  where the engine wants tensors
  TorchGroup(const GroupOptions& options, c10::intrusive_ptr<Engine> engine, at::Device device)
      : rank_(options.rank), size_(options.size), device_(device), engine_(std::move(engine)) {}
  ~TorchGroup() override {
    // NCCL asks to be told; gloo's needs nothing, and has nothing to call in older LibTorch.
    if constexpr (requires { engine_->shutdown(); }) {
      try {
        if (device_.is_cuda()) engine_->shutdown();
      } catch (const std::exception&) {  // a peer that is gone has been reported before
      }
    }
  }
  TorchGroup(const TorchGroup&) = delete;
  TorchGroup& operator=(const TorchGroup&) = delete;

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }

  Status average(const std::vector<at::Tensor>& tensors) override {
    return in_one(tensors, [&](std::vector<at::Tensor>& flat) {
      engine_->allreduce(flat)->wait();
      flat[0].div_(size_);
    });
  }
  Status broadcast(const std::vector<at::Tensor>& tensors) override {
    return in_one(tensors, [&](std::vector<at::Tensor>& flat) { engine_->broadcast(flat)->wait(); });
  }

 private:
  /// All tensors as one message.
  template <class Exchange>
  Status in_one(const std::vector<at::Tensor>& tensors, const Exchange& exchange) {
    const at::NoGradGuard no_grad;
    try {
      std::vector<at::Tensor> parts;
      for (const at::Tensor& tensor : tensors) parts.push_back(tensor.detach().reshape({-1}).to(device_));
      if (parts.empty()) return {};
      std::vector<at::Tensor> flat = {at::cat(parts)};
      exchange(flat);
      std::int64_t at = 0;
      for (const at::Tensor& tensor : tensors) {
        tensor.detach().copy_(flat[0].narrow(0, at, tensor.numel()).reshape(tensor.sizes()));
        at += tensor.numel();
      }
    } catch (const std::exception& problem) {
      return error(ErrorCode::PeerLost, "another process of this training run is gone: {}",
                   first_line(problem));
    }
    return {};
  }

  int rank_, size_;
  at::Device device_;
  c10::intrusive_ptr<Engine> engine_;
};

#endif

#ifdef DISCO_GLOO
std::unique_ptr<Group> join_gloo(const GroupOptions& options, const std::string& host, std::uint16_t port) {
  auto gloo = c10d::ProcessGroupGloo::Options::create(options.deadline);
  // The interface through which rank 0 is seen; on one machine, loopback.
  gloo->devices.push_back(host == "127.0.0.1" || host == "localhost"
                              ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                              : c10d::ProcessGroupGloo::createDefaultDevice());
  auto engine = c10::make_intrusive<c10d::ProcessGroupGloo>(meet(options, host, port), options.rank,
                                                            options.size, gloo);
  return std::make_unique<TorchGroup<c10d::ProcessGroupGloo>>(options, std::move(engine), at::kCPU);
}
#endif

#ifdef DISCO_NCCL
std::unique_ptr<Group> join_nccl(const GroupOptions& options, const std::string& host, std::uint16_t port) {
  // A peer that is gone is an exception from wait(), not the end of this process.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 0);
#else
  setenv("NCCL_BLOCKING_WAIT", "1", 0);
#endif
  auto nccl = c10d::ProcessGroupNCCL::Options::create();
  nccl->timeout = options.deadline;
  auto engine = c10::make_intrusive<c10d::ProcessGroupNCCL>(meet(options, host, port), options.rank,
                                                            options.size, nccl);
  auto group =
      std::make_unique<TorchGroup<c10d::ProcessGroupNCCL>>(options, std::move(engine), options.device);
  // NCCL meets at the first message; better now, where the address is at hand.
  const Status met = group->broadcast({at::zeros({1}, at::TensorOptions(options.device))});
  if (!met) throw std::runtime_error(met.error().message);
  return group;
}
#endif

}  // namespace

Result<std::unique_ptr<Group>> join_group(const GroupOptions& options) {
  const std::size_t colon = options.address.rfind(':');
  std::uint16_t port = 0;
  if (colon != std::string::npos) {
    std::from_chars(options.address.data() + colon + 1, options.address.data() + options.address.size(),
                    port);
  }
  if (port == 0 || colon == 0) {
    return error(ErrorCode::InvalidArgument, "'{}' is no address; one looks like 192.168.1.10:29400",
                 options.address);
  }
  const bool nccl = options.backend == Backend::Nccl;
  if (nccl && !options.device.is_cuda())
    return error(ErrorCode::InvalidArgument, "NCCL joins GPUs; name one by --device, or use --backend gloo");
  if (!has_backend(options.backend)) {
    return error(
        ErrorCode::Unsupported, "this disco-train was built without {}",
        nccl ? "NCCL; use --backend gloo" : "gloo's headers (libgloo-dev), so it trains in one process");
  }
  [[maybe_unused]] const std::string host = options.address.substr(0, colon);
  try {
#ifdef DISCO_NCCL
    if (nccl) return join_nccl(options, host, port);
#endif
#ifdef DISCO_GLOO
    if (!nccl) return join_gloo(options, host, port);
#endif
  } catch (const std::exception& problem) {
    return error(ErrorCode::Timeout, "rank {} of {} did not meet the others at {}: {}", options.rank,
                 options.size, options.address, first_line(problem));
  }
  return error(ErrorCode::Internal, "no backend");
}

}  // namespace disco::train
