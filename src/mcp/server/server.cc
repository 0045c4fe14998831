#include "mcp/server/server.h"

#include <utility>

#include "mcp/server/core.h"

namespace pyro::mcp {

Server::Server(ServerOptions options) : core_(std::make_unique<Core>(std::move(options))) {}
Server::~Server() = default;

Status Server::AddTool(Tool tool) { return core_->catalog().AddTool(std::move(tool)); }

Status Server::AddResource(Resource resource) {
  return core_->catalog().AddResource(std::move(resource));
}

Status Server::AddResourceTemplate(ResourceTemplate resource_template) {
  return core_->catalog().AddTemplate(std::move(resource_template));
}

Status Server::AddPrompt(Prompt prompt) { return core_->catalog().AddPrompt(std::move(prompt)); }

bool Server::RemoveTool(const std::string& name) { return core_->catalog().RemoveTool(name); }

bool Server::RemovePrompt(const std::string& name) { return core_->catalog().RemovePrompt(name); }

void Server::SetResourceLister(ResourceLister lister) {
  core_->catalog().SetLister(std::move(lister));
}

void Server::SetWatchHandler(WatchHandler handler) { core_->SetWatchHandler(std::move(handler)); }

void Server::SetTaskStore(std::shared_ptr<TaskStore> store) {
  core_->SetTaskStore(std::move(store));
}

void Server::NotifyResourceUpdated(const std::string& uri) { core_->PublishResourceUpdated(uri); }
void Server::NotifyResourcesChanged() { core_->PublishListChanged(Core::List::kResources); }
void Server::NotifyToolsChanged() { core_->PublishListChanged(Core::List::kTools); }
void Server::NotifyPromptsChanged() { core_->PublishListChanged(Core::List::kPrompts); }
void Server::NotifyTask(const TaskState& state) { core_->PublishTask(state); }

}  // namespace pyro::mcp
