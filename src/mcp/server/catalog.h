// A server's tools, resources, templates and prompts, checked when they are added.

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mcp/protocol/prompt.h"
#include "mcp/protocol/resource.h"
#include "mcp/protocol/tool.h"
#include "mcp/protocol/uri_template.h"
#include "mcp/schema/schema.h"
#include "pyro/result.h"

namespace pyro::mcp {

struct ToolEntry {
  Tool tool;
  std::optional<Schema> input;   // None with kPassThrough.
  std::optional<Schema> output;  // None without an output schema.
  // Arguments that come as an HTTP header too: name of the header's end, and of the argument.
  std::map<std::string, std::string> headers;
};

struct TemplateEntry {
  ResourceTemplate info;
  UriTemplate uri;
};

// Thread-safe. Returned values do not change when entries are removed.
class Catalog {
 public:
  Status AddTool(Tool tool);
  Status AddResource(Resource resource);
  Status AddTemplate(ResourceTemplate added);
  Status AddPrompt(Prompt prompt);
  bool RemoveTool(const std::string& name);
  bool RemovePrompt(const std::string& name);
  void SetLister(ResourceLister lister);

  // In the order in which they were added.
  std::vector<std::shared_ptr<const ToolEntry>> tools() const { return Copy(tools_); }
  std::vector<std::shared_ptr<const Resource>> resources() const { return Copy(resources_); }
  std::vector<std::shared_ptr<const TemplateEntry>> templates() const { return Copy(templates_); }
  std::vector<std::shared_ptr<const Prompt>> prompts() const { return Copy(prompts_); }
  ResourceLister lister() const { return Copy(lister_); }

  // nullptr: there is none.
  std::shared_ptr<const ToolEntry> FindTool(const std::string& name) const;
  std::shared_ptr<const Prompt> FindPrompt(const std::string& name) const;
  std::shared_ptr<const Resource> FindResource(const std::string& uri) const;

  struct Offers {
    bool tools = false;
    bool resources = false;
    bool prompts = false;
    bool completions = false;
  };
  Offers offers() const;

 private:
  template <typename T>
  T Copy(const T& member) const {
    const std::lock_guard lock(mutex_);
    return member;
  }

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const ToolEntry>> tools_;
  std::vector<std::shared_ptr<const Resource>> resources_;
  std::vector<std::shared_ptr<const TemplateEntry>> templates_;
  std::vector<std::shared_ptr<const Prompt>> prompts_;
  ResourceLister lister_;
};

}  // namespace pyro::mcp
