#include "net/flows.h"

#include <iterator>

namespace pyro::net {

std::size_t Flow::bytes() const {
  std::size_t bytes = beginning.size();
  for (const std::string& frame : held) bytes += frame.size();
  return bytes;
}

Flow* FlowTable::Find(const FlowKey& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  if (found->second != flows_.begin()) {
    flows_.splice(flows_.begin(), flows_, found->second);
  }
  return &flows_.front();
}

Flow& FlowTable::Make(const FlowKey& key) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) Remove(found->second);
  if (flows_.size() >= kMaxFlows) Remove(std::prev(flows_.end()));
  flows_.emplace_front();
  flows_.front().key = key;
  by_key_.emplace(key, flows_.begin());
  return flows_.front();
}

void FlowTable::Remove(std::list<Flow>::iterator flow) {
  held_ -= flow->bytes();
  by_key_.erase(flow->key);
  flows_.erase(flow);
}

}  // namespace pyro::net
