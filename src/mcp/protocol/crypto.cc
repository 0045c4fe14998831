#include "mcp/protocol/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/check.h"

namespace pyro::mcp {

std::string Sha256(std::string_view bytes) {
  std::string digest(32, '\0');
  unsigned int size = 0;
  PYRO_CHECK(EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()),
                        &size, EVP_sha256(), nullptr) == 1);
  PYRO_CHECK(size == digest.size());
  return digest;
}

std::string HmacSha256(std::string_view key, std::string_view bytes) {
  std::string digest(32, '\0');
  unsigned int size = 0;
  PYRO_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                  reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                  reinterpret_cast<unsigned char*>(digest.data()), &size) != nullptr);
  PYRO_CHECK(size == digest.size());
  return digest;
}

bool SecretsEqual(std::string_view given, std::string_view expected) {
  // Digests have one length, so that the time of the comparison does not show the matching prefix.
  const std::string a = Sha256(given);
  const std::string b = Sha256(expected);
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace pyro::mcp
