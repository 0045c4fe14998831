#include "proxy/authority.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>

namespace pyro::proxy {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Memory = std::unique_ptr<BIO, Free<BIO_free>>;

namespace {

// The guest's clock may differ from the host's by some time; a guest may run for years.
constexpr long kBefore = -24L * 3600;
constexpr long kAfter = 10L * 365 * 24 * 3600;
constexpr int kSerialBits = 120;

Error Failed(const char* what) { return MakeError(ErrorCode::kInternal, what); }

bool AddExtension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// `issuer` is null for the authority's own.
Certificate MakeCertificate(const std::string& name, EVP_PKEY* key, X509* issuer,
                            EVP_PKEY* issuer_key) {
  Certificate made(X509_new());
  const Number serial(BN_new());
  if (!made || !serial ||
      BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(made.get())) == nullptr) {
    return nullptr;
  }
  X509* self = made.get();
  X509_set_version(self, X509_VERSION_3);
  X509_gmtime_adj(X509_getm_notBefore(self), kBefore);
  X509_gmtime_adj(X509_getm_notAfter(self), kAfter);
  X509_set_pubkey(self, key);
  X509_NAME* subject = X509_get_subject_name(self);
  // A common name has at most 64 bytes; the names that count are in an extension.
  const std::string common = issuer == nullptr ? name : "pyro";
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1, 0);
  X509* signer = issuer == nullptr ? self : issuer;
  X509_set_issuer_name(self, X509_get_subject_name(signer));
  bool good = AddExtension(self, signer, NID_subject_key_identifier, "hash");
  if (issuer == nullptr) {
    good = good &&
           AddExtension(self, signer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           AddExtension(self, signer, NID_key_usage, "critical,keyCertSign,cRLSign");
  } else {
    good = good && AddExtension(self, signer, NID_authority_key_identifier, "keyid:always") &&
           AddExtension(self, signer, NID_basic_constraints, "critical,CA:FALSE") &&
           AddExtension(self, signer, NID_key_usage, "critical,digitalSignature") &&
           AddExtension(self, signer, NID_ext_key_usage, "serverAuth") &&
           AddExtension(self, signer, NID_subject_alt_name, ("DNS:" + name).c_str());
  }
  if (!good || X509_sign(self, issuer_key, EVP_sha256()) == 0) return nullptr;
  return made;
}

std::string ToPem(X509* certificate) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!memory || PEM_write_bio_X509(memory.get(), certificate) != 1) return {};
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &bytes);
  return std::string(bytes, static_cast<std::size_t>(size));
}

}  // namespace

struct Authority::Keys {
  Key own;
  Certificate certificate;
  Key servers;  // Of all certificates that it gives out.
};

Authority::Authority(std::unique_ptr<Keys> keys, std::string certificate)
    : keys_(std::move(keys)), certificate_(std::move(certificate)) {}
Authority::~Authority() = default;

Result<std::unique_ptr<Authority>> Authority::Make() {
  auto keys = std::make_unique<Keys>();
  keys->own.reset(EVP_EC_gen("P-256"));
  keys->servers.reset(EVP_EC_gen("P-256"));
  if (!keys->own || !keys->servers) return Failed("OpenSSL makes no key");
  keys->certificate = MakeCertificate("pyro: this guest's own authority", keys->own.get(), nullptr,
                                      keys->own.get());
  if (!keys->certificate) return Failed("OpenSSL makes no certificate");
  std::string text = ToPem(keys->certificate.get());
  if (text.empty()) return Failed("OpenSSL writes no certificate");
  return std::unique_ptr<Authority>(new Authority(std::move(keys), std::move(text)));
}

Result<boost::asio::ssl::context*> Authority::ContextFor(const std::string& name) {
  if (const auto found = contexts_.find(name); found != contexts_.end()) return found->second.get();
  const Certificate certificate =
      MakeCertificate(name, keys_->servers.get(), keys_->certificate.get(), keys_->own.get());
  if (!certificate) return Failed("OpenSSL makes no certificate");
  auto context = std::make_unique<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  if (SSL_CTX_use_certificate(native, certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(native, keys_->servers.get()) != 1) {
    return Failed("OpenSSL takes no certificate");
  }
  return contexts_.emplace(name, std::move(context)).first->second.get();
}

}  // namespace pyro::proxy
