// Stands for QEMU on a KVM that cannot run the guest: it says so, prints registers, and waits.

#include <unistd.h>

int main() {
  constexpr char kSaid[] =
      "KVM internal error. Suberror: 1\nemulation failure\nEAX=00000000 EBX=00000000\n"
      "EIP=0000fff0 EFL=00000002\n";
  if (::write(STDERR_FILENO, kSaid, sizeof kSaid - 1) < 0) return 1;
  while (true) ::pause();
}
