#include "train/train_flags.h"

namespace disco::cli {

namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  disco train sparse.onnx --teacher resnet20.onnx --data cifar-10-batches-bin --epochs 10 -o "
    "tuned.onnx\n"
    "                                          an artifact learns, without labels, to answer as its dense "
    "model\n"
    "  disco train sparse.onnx --teacher resnet20.onnx --labels 0.5 --data cifar-10-batches-bin -o "
    "tuned.onnx\n"
    "                                          from both; --distillation 0 --labels 1: from labels alone\n"
    "  disco zoo cifar-resnet8 -o net.onnx\n"
    "  disco train net.onnx --from-scratch --data shapes --lr 0.1 --epochs 20 -o dense.onnx\n"
    "  disco train sparse.onnx --teacher dense.onnx --data shapes --tighten 3 -o tuned.onnx\n"
    "                                          what is sent shrinks to the artifact's budget over 3 epochs\n"
    "  disco train … --checkpoint run.ckpt --resume          goes on where it was killed\n"
    "  disco train … --processes 4                           four processes share every step\n";

}  // namespace

void TrainFlags::add_to(CLI::App& command) {
  command.footer(kExamples);
  const auto share = CLI::Range(0.0, 1.0);
  const auto positive = CLI::PositiveNumber;
  const auto natural = CLI::NonNegativeNumber;
  command.add_option("model", model, "ONNX file: an artifact of `disco sparsify`, or a dense model")
      ->required()
      ->type_name("MODEL");
  command.add_option("--data", data, "what is learned from: see `disco eval --help`")
      ->required()
      ->type_name("SOURCE");
  command.add_option("--part", part, "of a source that has parts")->type_name("PART")->capture_default_str();
  command.add_option("--limit", limit, "use so many samples only")->check(natural)->type_name("N");
  command.add_option("--skip", skip, "leave out so many before")->check(natural)->type_name("N");
  command
      .add_option("--validate", validate,
                  "what is looked at after every epoch (default: the test part of --data)")
      ->type_name("SOURCE");
  command.add_option("--validate-part", validate_part, "none: nothing is looked at")
      ->type_name("PART")
      ->capture_default_str();
  command.add_option("--validate-limit", validate_limit, "look at so many samples only")
      ->check(natural)
      ->type_name("N");
  command.add_option("-o,--output", output, "where to write the trained model")
      ->required()
      ->type_name("FILE");
  command
      .add_option("--teacher", teacher,
                  "the dense model whose answers are learned; no labels are needed then")
      ->type_name("MODEL");
  command
      .add_option("--task", task,
                  "what the model does, where neither its metadata nor its outputs say so: see docs/tasks.md")
      ->type_name("FILE.json");
  command.add_option("--epochs", epochs, "passes over the data")
      ->check(positive)
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--batch", batch, "samples a step, in every process")
      ->check(positive)
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--lr", rate, "the highest learning rate; it then falls to zero along a cosine")
      ->check(positive)
      ->type_name("RATE")
      ->capture_default_str();
  command.add_option("--warmup", warmup, "epochs in which the rate rises")
      ->check(natural)
      ->type_name("EPOCHS")
      ->capture_default_str();
  command.add_option("--optimiser", optimiser, "sgd or adamw")
      ->check(CLI::IsMember({"sgd", "adamw"}))
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--momentum", momentum, "of sgd")->check(share)->type_name("M")->capture_default_str();
  command.add_option("--weight-decay", decay, "of weights, not of biases and scales")
      ->check(natural)
      ->type_name("D")
      ->capture_default_str();
  command
      .add_option("--ema", average,
                  "write the moving average of the weights, of this decay a step, such as 0.999")
      ->check(share)
      ->type_name("DECAY");
  command.add_option("--distillation", distillation, "weight of the distance from the teacher's answers")
      ->check(natural)
      ->type_name("W")
      ->capture_default_str();
  command.add_option("--labels", labels, "weight of the labels (default: 0 with a teacher, 1 without)")
      ->check(natural)
      ->type_name("W");
  command
      .add_option("--hints", hints,
                  "weight of the distance from the teacher's features where they are exchanged")
      ->check(natural)
      ->type_name("W");
  command.add_option("--temperature", temperature, "of the softened answers")
      ->check(positive)
      ->type_name("T")
      ->capture_default_str();
  command.add_option("--label-smoothing", smoothing, "of the labels")->check(share)->type_name("S");
  command
      .add_option("--perceptual", perceptual,
                  "of super-resolution, with --labels: a classifier whose features of answers and of real "
                  "images are compared, such as VGG-19")
      ->type_name("MODEL");
  command
      .add_option("--perceptual-features", features,
                  "a value or node of it (default: the output of its last convolution)")
      ->type_name("NAME");
  command.add_option("--perceptual-weight", perceptual_weight)
      ->check(natural)
      ->type_name("W")
      ->capture_default_str();
  command
      .add_option(
          "--discriminator", discriminator,
          "likewise: a model that learns to tell answers from real images, and must be deceived, such "
          "as `disco zoo esrgan-discriminator`")
      ->type_name("MODEL");
  command.add_option("--adversarial-weight", adversarial_weight)
      ->check(natural)
      ->type_name("W")
      ->capture_default_str();
  command.add_option("--pixels", pixels, "likewise: weight of the difference pixel by pixel")
      ->check(natural)
      ->type_name("W")
      ->capture_default_str();
  command
      .add_option(
          "--augment", augmentation,
          "images are shown: as they are (none), shifted, or also mirrored (flip), or half of them also "
          "mixed with another image (blend; default: for a classifier that learns from a teacher alone, else "
          "flip)")
      ->check(CLI::IsMember({"none", "shift", "flip", "blend"}))
      ->type_name("HOW");
  command.add_flag("--from-scratch", from_scratch, "begin with drawn weights");
  command.add_flag(
      "--hold-statistics", hold_statistics,
      "batch norms use the statistics that the model has, and leave them as they are: for batches "
      "too small to have good ones");
  command
      .add_option(
          "--tighten", tighten,
          "begin with the teacher's weights and everything sent; what is sent shrinks to the budget over so "
          "many epochs")
      ->check(natural)
      ->type_name("EPOCHS");
  command
      .add_option("--schedule", schedule,
                  "of --tighten: cubic, or lasso (norms are paid for, then cut at once)")
      ->check(CLI::IsMember({"cubic", "lasso"}))
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--lasso", lasso, "price of the norms")
      ->check(natural)
      ->type_name("W")
      ->capture_default_str();
  command
      .add_option("-c,--communication", communication,
                  "the budget of --tighten (default: what the artifact sends)")
      ->check(share)
      ->type_name("SHARE");
  command.add_option("--wire", wire, "train with features rounded as on this wire, and write its scales")
      ->check(CLI::IsMember({"fp32", "fp16", "u8"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  command.add_option("--precision", precision, "of products: fp32, or bf16 where the device has it")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->type_name("TYPE")
      ->capture_default_str();
  command.add_option("--checkpoint", checkpoint, "write the run's state here after every epoch")
      ->type_name("FILE");
  command.add_option("--checkpoint-steps", checkpoint_steps, "and after so many steps")
      ->check(natural)
      ->type_name("N");
  command.add_flag("--resume", resume, "go on from --checkpoint, if it is there");
  command
      .add_option("--processes", processes,
                  "that share every step; they are started here unless --rank is given")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--rank", rank, "of this process among those of several machines")
      ->check(natural)
      ->type_name("R");
  command.add_option("--join", join, "where rank 0 waits for the others")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  command.add_option("--deadline", deadline, "seconds after which a silent process is given up")
      ->check(positive)
      ->type_name("S")
      ->capture_default_str();
  command
      .add_option("--backend", backend,
                  "what carries gradients between processes: gloo over TCP, or nccl between GPUs (default: "
                  "nccl where "
                  "it is built in and every process has a GPU, else gloo)")
      ->check(CLI::IsMember({"gloo", "nccl"}))
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->type_name("WHICH");
  command.add_option("--threads", threads, "that compute (default: all cores)")
      ->check(natural)
      ->type_name("T");
  command.add_option("--loaders", loaders, "threads that read and augment")
      ->check(CLI::Range(1, 256))
      ->type_name("T")
      ->capture_default_str();
  command
      .add_option("--device", device,
                  "cpu, cuda, or cuda:1 for the second GPU; processes started here take the GPUs in turn")
      ->type_name("DEVICE")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->capture_default_str();
  command.add_option("--seed", seed, "of all that is drawn")->type_name("SEED")->capture_default_str();
  command.add_option("--log", log, "write the command and a line of JSON for every epoch here")
      ->type_name("FILE");
  command.add_flag("--json", as_json, "figures, for programs");
  preset.add_to(command);
}

}  // namespace disco::cli
