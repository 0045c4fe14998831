// PID 1 of the guests of test_kernel.py: prints what it finds, one "key: values" a line, then ends the machine as the word of the
// kernel's command line says, "off" or "restart".

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void List(const char* key, const char* path) {
  printf("%s:", key);
  DIR* directory = opendir(path);
  struct dirent* entry;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    if (entry->d_name[0] != '.') printf(" %s", entry->d_name);
  }
  if (directory != NULL) closedir(directory);
  printf("\n");
}

static void Show(const char* key, const char* path) {
  char text[4096] = "";
  const int fd = open(path, O_RDONLY);
  const ssize_t count = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  for (ssize_t i = 0; i < count; ++i) {
    if (text[i] == '\n' || text[i] == '\t') text[i] = ' ';
  }
  printf("%s: %s\n", key, text);
}

// Every vector register that a compiler may use keeps its value while a handler and another process use it.
static volatile sig_atomic_t handled;

__attribute__((target("avx512f"))) static void Spoil(int number) {
  (void)number;
  __asm__ volatile(
      "vpxorq %%zmm0, %%zmm0, %%zmm0\n vpxorq %%zmm15, %%zmm15, %%zmm15\n"
      "vpxorq %%zmm16, %%zmm16, %%zmm16\n vpxorq %%zmm31, %%zmm31, %%zmm31\n" ::
          : "xmm0", "xmm15");
  handled = 1;
}

__attribute__((target("avx512f"))) static int RegistersSurvive(int by_signal) {
  uint64_t before[4][8];
  uint64_t after[4][8];
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 8; ++j) before[i][j] = 0x1000u * (unsigned)i + (unsigned)j + 1;
  }
  memset(after, 0, sizeof after);
  const long system_call = by_signal ? 200 : 24;  // tkill, sched_yield
  long result = system_call;
  __asm__ volatile(
      "vmovdqu64 (%[from]), %%zmm0\n vmovdqu64 64(%[from]), %%zmm15\n"
      "vmovdqu64 128(%[from]), %%zmm16\n vmovdqu64 192(%[from]), %%zmm31\n"
      "syscall\n"
      "vmovdqu64 %%zmm0, (%[to])\n vmovdqu64 %%zmm15, 64(%[to])\n"
      "vmovdqu64 %%zmm16, 128(%[to])\n vmovdqu64 %%zmm31, 192(%[to])\n"
      : "+a"(result)
      : [from] "r"(before), [to] "r"(after), "D"((long)getpid()), "S"((long)SIGUSR1)
      : "rcx", "r11", "memory", "xmm0", "xmm15");
  return result == 0 && memcmp(before, after, sizeof before) == 0;
}

static void Registers(void) {
  if (!__builtin_cpu_supports("avx512f")) {
    printf("registers: none\n");
    return;
  }
  signal(SIGUSR1, Spoil);
  const pid_t child = fork();
  if (child == 0) {
    while (1) Spoil(0);
  }
  int yields = 1;
  for (int i = 0; i < 200; ++i) yields = yields && RegistersSurvive(0);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  const int signals = RegistersSurvive(1) && handled;
  printf("registers:%s%s\n", yields ? " switch" : "", signals ? " signal" : "");
}

// One page after another of half of some memory: how many pages are there then, and whether each was empty and keeps what is written to it.
static void Memory(void) {
  enum { kPages = 256, kPage = 4096 };
  char* memory = mmap(NULL, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  unsigned char there[kPages];
  int count = 0;
  int right = memory != MAP_FAILED;
  for (int i = 0; right && i < kPages / 2; ++i) ((volatile char*)memory)[i * kPage] = (char)i;
  right = right && mincore(memory, kPages * kPage, there) == 0;
  for (int i = 0; right && i < kPages; ++i) count += there[i] & 1;
  for (int i = 0; right && i < kPages; ++i) right = memory[i * kPage] == (i < kPages / 2 ? (char)i : 0) && memory[i * kPage + 1] == 0;
  printf("memory: %d %s\n", count, right ? "right" : "wrong");
}

// A program that computes, without a system call: the milliseconds that count as its own and as the system's.
static void Time(void) {
  struct rusage before;
  struct rusage after;
  getrusage(RUSAGE_SELF, &before);
  for (volatile long i = 0; i < 400000000; ++i) {
  }
  getrusage(RUSAGE_SELF, &after);
  printf("time: %ld %ld\n",
         (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000 + (after.ru_utime.tv_usec - before.ru_utime.tv_usec) / 1000,
         (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000 + (after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1000);
}

static void Disk(void) {
  char text[512] = "";
  const int fd = open("/dev/ubda", O_RDWR);
  printf("disk:");
  if (fd >= 0 && read(fd, text, sizeof text) == sizeof text) printf(" %.16s", text);
  memcpy(text, "from the guest", 15);
  if (fd >= 0 && pwrite(fd, text, sizeof text, 4096) == sizeof text && fsync(fd) == 0) printf(" synced");
  printf("\n");
}

static void Host(void) {
  char text[64] = "";
  const int fd = open("/dev/hostport", O_RDWR);
  printf("host:");
  if (fd >= 0 && write(fd, "hello", 5) == 5) {
    const ssize_t count = read(fd, text, sizeof text - 1);
    if (count > 0) printf(" %s", text);
  }
  printf("\n");
}

int main(void) {
  mkdir("/dev", 0755);
  mkdir("/proc", 0755);
  mkdir("/sys", 0755);
  mkdir("/cgroup", 0755);
  mount("dev", "/dev", "devtmpfs", 0, NULL);
  for (int fd = 0; fd < 3; ++fd) dup2(open("/dev/console", O_RDWR), fd);
  setvbuf(stdout, NULL, _IOLBF, 0);
  mount("proc", "/proc", "proc", 0, NULL);
  mount("sys", "/sys", "sysfs", 0, NULL);
  mount("cgroup", "/cgroup", "cgroup2", 0, NULL);
  struct utsname names;
  uname(&names);
  printf("kernel: %s\n", names.release);
  Show("filesystems", "/proc/filesystems");
  Show("controllers", "/cgroup/cgroup.controllers");
  List("namespaces", "/proc/self/ns");
  List("devices", "/dev");
  List("network", "/sys/class/net");
  printf("modules: %s\n", access("/proc/modules", F_OK) == 0 ? "yes" : "no");
  Registers();
  Memory();
  Time();
  Disk();
  Host();
  char line[4096] = "";
  const int fd = open("/proc/cmdline", O_RDONLY);
  if (fd < 0 || read(fd, line, sizeof line - 1) < 0) return 1;
  printf("end:\n");
  reboot(strstr(line, "end=restart") != NULL ? RB_AUTOBOOT : RB_POWER_OFF);
  return 1;
}
