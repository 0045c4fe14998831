// What registries and archives say about images, and what skopeo says about registries: any bytes
// are a document or an error, a choice is one of the document's entries, and a document with other
// media types is still the same.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "image/oci/image_index.h"
#include "image/oci/skopeo.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::image;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto failure = ExplainSkopeo(text, {Transport::kRegistry, "registry.example/app", "", ""});
  PYRO_CHECK(!failure.error.message.empty() && failure.error.message.size() < 2000);
  if (const auto images = ParseDockerManifest(text)) {
    const auto place = ChooseDockerImage(*images, "");
    PYRO_CHECK(!place || *place < images->size());
  }
  const auto document = ParseImageDocument(text);
  if (!document) return 0;
  if (document->is_index) {
    for (const auto& chosen : {ChooseImage(*document), ChooseEntry(*document, "")}) {
      if (!chosen) continue;
      PYRO_CHECK(*chosen >= document->manifests.data() &&
                 *chosen < document->manifests.data() + document->manifests.size());
      const auto index = ParseImageDocument(FormatIndex(**chosen, "image"));
      PYRO_CHECK(index.ok() && index->manifests.size() == 1);
      PYRO_CHECK(index->manifests[0].digest == (*chosen)->digest);
    }
    return 0;
  }
  const auto changed = WithOciMediaTypes(text);
  PYRO_CHECK(changed.ok());
  const auto again = ParseImageDocument(*changed);
  PYRO_CHECK(again.ok() && again->layers.size() == document->layers.size());
  PYRO_CHECK(again->config.digest == document->config.digest);
  return 0;
}
