// pyro demo ollama: a model that runs commands in VMs until it is done.

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "api/json.h"
#include "base/head_tail.h"
#include "base/text.h"
#include "base/try.h"
#include "chat/completion.h"
#include "chat/http_client.h"
#include "front/cli/call.h"
#include "front/cli/output.h"
#include "front/cli/parser.h"
#include "front/cli/values.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kMaxKeyBytes = 4096;
constexpr std::size_t kMaxToldBytes = 16 * 1024;  // Of each stream, to the model.
constexpr int kMaxBadCalls = 3;                   // One after the other.
constexpr std::int64_t kMaxRounds = 100;

constexpr const char* kSystem =
    "You have one tool, vm_run: it runs a shell command in a fresh Debian 12 virtual machine, "
    "which is thrown away afterwards, so put all that belongs together into one command. Use it "
    "to find out or do what you are asked, then answer in a few plain sentences.";

struct OllamaFlags {
  std::string base_url = "http://localhost:11434/v1";
  std::string model = "llama3.2";
  std::string prompt =
      "Use vm_run to find out which version of Git and which Linux kernel the machine has.";
  std::string key_variable;
  std::string key_file;
  std::int64_t max_rounds = 8;
  bool network = false;
};

Result<std::string> CheckKey(std::string_view text, const std::string& from) {
  const std::string_view key = TrimSpace(text);
  for (const char c : key) {
    if (c > ' ' && c < 0x7f) continue;
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} holds no API key", from),
                     "a key is one line without spaces");
  }
  if (key.empty() || key.size() > kMaxKeyBytes) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} holds no API key", from),
                     "put the key there, or leave the option out");
  }
  return std::string(key);
}

Result<std::string> ReadKey(const OllamaFlags& flags) {
  if (!flags.key_variable.empty()) {
    const char* value = std::getenv(flags.key_variable.c_str());
    return CheckKey(value != nullptr ? value : "",
                    fmt::format("the variable {}", Printable(flags.key_variable, 64)));
  }
  if (flags.key_file.empty()) return std::string();
  std::ifstream file(flags.key_file, std::ios::binary);
  std::string text(kMaxKeyBytes + 2, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return CheckKey(text, fmt::format("the file {}", Printable(flags.key_file, 100)));
}

// The result of a command for the model: shorter than for a person, so that it does not fill its
// context.
Json ForModel(const ExecResult& result) {
  const auto shorten = [](const std::string& text) {
    HeadTail kept(kMaxToldBytes / 2, kMaxToldBytes / 2);
    kept.Append(text);
    return kept.Text();
  };
  return {{"stdout", shorten(result.stdout_text)},
          {"stderr", shorten(result.stderr_text)},
          {"exit_code", result.exit_code},
          {"outcome", Name(result.outcome)},
          {"duration_ms", result.duration_ms}};
}

std::string FirstLine(const std::string& text) {
  return Printable(Split(TrimSpace(text), '\n').front(), 100);
}

class Conversation {
 public:
  Conversation(Engine& engine, const OllamaFlags& flags, chat::Url url, std::string key)
      : engine_(engine),
        flags_(flags),
        network_(flags.network ? chat::Network::kAllowed : chat::Network::kRefused),
        call_(Progress::Style::kTransient, flags.model),
        url_(std::move(url)),
        tool_(chat::VmRunTool(network_)) {
    url_.path += "/chat/completions";
    post_.bearer = std::move(key);
    post_.cancel_fd = call_.io().cancel_fd;
    post_.max_body_bytes = chat::kMaxReplyBytes;
    messages_ =
        Json::array({chat::Message("system", kSystem), chat::Message("user", flags.prompt)});
  }

  // Until the model calls no tool any more.
  Status Run() {
    Log("endpoint", fmt::format("{} model={}", Printable(url_.Text()), Printable(flags_.model)));
    Log("prompt", Printable(flags_.prompt, 400));
    while (rounds_ < flags_.max_rounds) {
      ++rounds_;
      PYRO_ASSIGN_OR_RETURN(const chat::Reply reply, Ask());
      if (reply.calls.empty()) return Finish(reply);
      messages_.push_back(chat::AssistantMessage(reply));
      for (const chat::ToolCall& call : reply.calls) {
        PYRO_ASSIGN_OR_RETURN(const Json told, Serve(call));
        messages_.push_back(chat::ToolMessage(call, told));
      }
    }
    return MakeError(ErrorCode::kLimit,
                     fmt::format("the model was not done after {} rounds", flags_.max_rounds),
                     "give more with --max-rounds, or try another model");
  }

  void Summarize(const Status& status) {
    call_.progress().Clear();
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - start_);
    Print(fmt::format(
        "[summary] status={} rounds={} commands={} refused_calls={} model={} duration_ms={}\n",
        status ? "done" : ErrorCodeName(status.error().code), rounds_, commands_, refused_,
        Printable(flags_.model, 100), spent.count()));
  }

 private:
  void Log(std::string_view what, std::string_view text) {
    call_.progress().Clear();
    Print(fmt::format("[{}] {}\n", what, text));
  }

  Result<chat::Reply> Ask() {
    call_.progress().Show("thinks", "", -1);
    auto answer = chat::PostJson(url_, chat::Request(flags_.model, messages_, tool_), post_);
    call_.progress().Clear();
    if (!answer) return std::move(answer).error();
    if (answer->status != 200) return Refused(*answer);
    return chat::ParseReply(answer->body);
  }

  Error Refused(const chat::HttpResponse& answer) const {
    const std::string why = chat::ErrorText(answer.body);
    std::string hint = "look at the endpoint's own log";
    if (answer.status == 404) {
      hint = fmt::format("give another --base-url, or get the model: ollama pull {}",
                         Printable(flags_.model, 64));
    } else if (answer.status == 401 || answer.status == 403) {
      hint = "give a key with --api-key-env or --api-key-file";
    }
    return MakeError(ErrorCode::kUnavailable,
                     fmt::format("the endpoint answered with status {}{}{}", answer.status,
                                 why.empty() ? "" : ": ", why),
                     hint);
  }

  // Runs one call. The model gets its own faults, to correct them; other failures are an Error.
  Result<Json> Serve(const chat::ToolCall& call) {
    if (call.name != "vm_run") {
      return Refuse(call, MakeError(ErrorCode::kNotFound,
                                    fmt::format("there is no tool '{}'", Printable(call.name, 64)),
                                    "the only tool is vm_run"));
    }
    const auto wanted = chat::ParseVmRun(call.arguments, network_);
    if (!wanted) return Refuse(call, wanted.error());
    Log(fmt::format("round {}", rounds_),
        fmt::format("vm_run {}: {}", Printable(wanted->environment, 40),
                    Printable(wanted->command.script ? *wanted->command.script
                                                     : ShellJoin(wanted->command.argv),
                              200)));
    auto result = call_.Run([&](const CallIo& io) {
      return engine_.RunInVm(*wanted, wanted->command, wanted->timeout_seconds, io);
    });
    if (!result) {
      const ErrorCode code = result.error().code;
      if (code != ErrorCode::kInvalidArgument && code != ErrorCode::kNotFound) {
        return std::move(result).error();
      }
      return Refuse(call, result.error());
    }
    ++commands_;
    bad_in_a_row_ = 0;
    Log(fmt::format("round {}", rounds_),
        fmt::format(
            "exit_code={} duration_ms={} {}", result->exit_code, result->duration_ms,
            FirstLine(result->stdout_text.empty() ? result->stderr_text : result->stdout_text)));
    return ForModel(*result);
  }

  Result<Json> Refuse(const chat::ToolCall& call, const Error& why) {
    ++refused_;
    Log(fmt::format("round {}", rounds_),
        fmt::format("refused a call of {}: {}", Printable(call.name, 64), why.message));
    if (++bad_in_a_row_ < kMaxBadCalls) return ToJson(why);
    return MakeError(ErrorCode::kProtocol,
                     fmt::format("the model made {} calls in a row that cannot be served; the "
                                 "last: {}",
                                 kMaxBadCalls, why.message),
                     "try another model");
  }

  Status Finish(const chat::Reply& reply) {
    for (const std::string_view line : Split(TrimSpace(reply.content), '\n')) {
      Log("answer", Printable(line, 2000));
    }
    if (commands_ > 0) return OkStatus();
    return MakeError(ErrorCode::kProtocol, "the model answered without running a command",
                     "try a model that can call tools");
  }

  Engine& engine_;
  const OllamaFlags& flags_;
  const chat::Network network_;
  Call call_;
  chat::Url url_;
  Json tool_;
  Json messages_;
  chat::PostOptions post_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::int64_t rounds_ = 0;
  int commands_ = 0;
  int refused_ = 0;
  int bad_in_a_row_ = 0;
};

int Ollama(Engine& engine, const Context& context, const OllamaFlags& flags) {
  auto url = chat::ParseUrl(flags.base_url);
  if (!url) return Fail(url.error(), context);
  auto key = ReadKey(flags);
  if (!key) return Fail(key.error(), context);
  if (!key->empty() && !url->tls && !url->IsLoopback()) {
    return Fail(MakeError(ErrorCode::kInvalidArgument,
                          "the API key would travel unencrypted to another machine",
                          "give an https:// address with --base-url"),
                context);
  }
  Conversation conversation(engine, flags, std::move(*url), std::move(*key));
  const Status status = conversation.Run();
  conversation.Summarize(status);
  return status ? kExitOk : Fail(status.error(), context);
}

}  // namespace

void AddDemoOllama(CLI::App& demo, Context& context) {
  auto flags = std::make_shared<OllamaFlags>();
  CLI::App* ollama =
      demo.add_subcommand("ollama", "Let a model run commands in VMs until it is done");
  ollama->add_option("--base-url", flags->base_url, "Ask this OpenAI-compatible endpoint")
      ->capture_default_str()
      ->type_name("URL");
  ollama->add_option("--model", flags->model, "Use the model of this name")
      ->capture_default_str()
      ->type_name("NAME");
  ollama->add_option("--prompt", flags->prompt, "Ask the model this")->type_name("TEXT");
  AddNumber(ollama, "--max-rounds", flags->max_rounds, {.least = 1, .most = kMaxRounds},
            fmt::format("End after N answers of the model, at most {}", kMaxRounds))
      ->capture_default_str();
  auto* variable = ollama
                       ->add_option("--api-key-env", flags->key_variable,
                                    "Read the endpoint's key from this variable")
                       ->type_name("NAME");
  ollama->add_option("--api-key-file", flags->key_file, "Read the endpoint's key from this file")
      ->type_name("PATH")
      ->excludes(variable);
  ollama->add_flag("--network", flags->network, "Let the model ask for a network");
  ollama->footer(
      "Each command of the model runs in a VM of its own. Prints log lines, the answer\n"
      "and a summary; exits with 0 if the model ran a command and came to an end.\n\n"
      "Example:\n  pyro demo ollama --model qwen2.5 \\\n"
      "    --prompt 'Which compiler does debian:12-build have?'");
  OnChosen(ollama, context,
           [&context, flags](Engine& engine) { return Ollama(engine, context, *flags); });
}

}  // namespace pyro::cli
