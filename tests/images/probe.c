// The one program of most test images: tells what it was started with, waits for signals, or lists a tree. Linked statically, so that
// it runs in an image without any other file.

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

extern char** environ;

static void Fail(const char* what) {
  fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int Compare(const void* left, const void* right) {
  return strcmp(*(char* const*)left, *(char* const*)right);
}

// Bytes that would break a line, or its fields, become %XX.
static void PutEscaped(const char* text, size_t size) {
  for (size_t at = 0; at < size; ++at) {
    const unsigned char byte = (unsigned char)text[at];
    if (byte <= ' ' || byte >= 0x7f || byte == '%' || byte == ',' || byte == '=') {
      printf("%%%02x", byte);
    } else {
      putchar(byte);
    }
  }
}

static void PutContent(const char* path, const char* shown) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) Fail(shown);
  uint64_t hash = 14695981039346656037u;  // FNV-1a.
  static unsigned char bytes[1 << 16];
  ssize_t count;
  while ((count = read(file, bytes, sizeof(bytes))) > 0) {
    for (ssize_t at = 0; at < count; ++at) hash = (hash ^ bytes[at]) * 1099511628211u;
  }
  if (count < 0) Fail(shown);
  close(file);
  printf(" content=%016llx", (unsigned long long)hash);
}

static void PutXattrs(const char* path) {
  static char names[1 << 16];
  static char value[1 << 16];
  const ssize_t size = llistxattr(path, names, sizeof(names));
  if (size <= 0) return;
  char* sorted[1024];
  size_t count = 0;
  for (char* name = names; name < names + size && count < 1024; name += strlen(name) + 1) sorted[count++] = name;
  qsort(sorted, count, sizeof(sorted[0]), Compare);
  printf(" xattrs=");
  for (size_t at = 0; at < count; ++at) {
    const ssize_t length = lgetxattr(path, sorted[at], value, sizeof(value));
    if (length < 0) Fail(sorted[at]);
    printf(at == 0 ? "" : ",");
    PutEscaped(sorted[at], strlen(sorted[at]));
    putchar(':');
    for (ssize_t byte = 0; byte < length; ++byte) printf("%02x", (unsigned char)value[byte]);
  }
}

static void PutEntry(const char* path, const char* shown, const struct stat* status) {
  PutEscaped(shown, strlen(shown));
  printf(" mode=%07o owner=%u:%u mtime=%lld.%09ld", status->st_mode, status->st_uid, status->st_gid, (long long)status->st_mtim.tv_sec,
         status->st_mtim.tv_nsec);
  if (S_ISREG(status->st_mode)) {
    printf(" size=%lld", (long long)status->st_size);
    PutContent(path, shown);
  }
  if (!S_ISDIR(status->st_mode) && status->st_nlink > 1) {
    printf(" inode=%llx.%llx", (unsigned long long)status->st_dev, (unsigned long long)status->st_ino);
  }
  if (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)) printf(" device=%u:%u", major(status->st_rdev), minor(status->st_rdev));
  if (S_ISLNK(status->st_mode)) {
    char target[4096];
    const ssize_t length = readlink(path, target, sizeof(target));
    if (length < 0) Fail(shown);
    printf(" target=");
    PutEscaped(target, (size_t)length);
  }
  PutXattrs(path);
  putchar('\n');
}

// Lists `root` and what is below it, but not below the paths of `skipped`.
static void List(const char* root, const char* below, char** skipped, int count) {
  for (int at = 0; at < count; ++at) {
    if (strcmp(below, skipped[at]) == 0) return;
  }
  char path[8192];
  snprintf(path, sizeof(path), "%s%s", root, below);
  struct stat status;
  if (lstat(path[0] == '\0' ? "/" : path, &status) != 0) Fail(path);
  PutEntry(path[0] == '\0' ? "/" : path, below[0] == '\0' ? "/" : below, &status);
  if (!S_ISDIR(status.st_mode)) return;
  DIR* directory = opendir(path[0] == '\0' ? "/" : path);
  if (directory == NULL) Fail(path);
  size_t held = 0;
  char** names = NULL;
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    names = realloc(names, (held + 1) * sizeof(*names));
    names[held++] = strdup(entry->d_name);
  }
  closedir(directory);
  if (held > 0) qsort(names, held, sizeof(*names), Compare);
  for (size_t at = 0; at < held; ++at) {
    char next[8192];
    snprintf(next, sizeof(next), "%s/%s", below, names[at]);
    List(root, next, skipped, count);
    free(names[at]);
  }
  free(names);
}

static void Tell(int count, char** words) {
  for (int at = 1; at < count; ++at) printf("arg=%s\n", words[at]);
  for (char** variable = environ; *variable != NULL; ++variable) printf("env=%s\n", *variable);
  char directory[4096];
  printf("cwd=%s\n", getcwd(directory, sizeof(directory)) != NULL ? directory : "?");
  printf("uid=%u:%u\ngid=%u:%u\n", getuid(), geteuid(), getgid(), getegid());
  gid_t groups[1024];
  const int held = getgroups(1024, groups);
  for (int at = 0; at < held; ++at) printf("group=%u\n", groups[at]);
}

// The capabilities that the process has, as the kernel tells them.
static void TellCapabilities(void) {
  FILE* status = fopen("/proc/self/status", "re");
  if (status == NULL) Fail("/proc/self/status");
  char line[256];
  while (fgets(line, sizeof(line), status) != NULL) {
    if (strncmp(line, "CapEff:\t", 8) == 0) printf("effective=%s", line + 8);
  }
  fclose(status);
}

static void Await(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  printf("ready\n");
  fflush(stdout);
  int number;
  do {
    sigwait(&all, &number);
  } while (number == SIGCHLD || number == SIGCONT);
  printf("signal=%d\n", number);
  fflush(stdout);
  fsync(STDOUT_FILENO);  // Of a file in a guest that is about to end.
}

int main(int count, char** words) {
  if (count >= 3 && strcmp(words[1], "tree") == 0) {
    List(strcmp(words[2], "/") == 0 ? "" : words[2], "", words + 3, count - 3);
  } else if (count == 2 && strcmp(words[1], "await") == 0) {
    Await();
  } else if (count == 2 && strcmp(words[1], "caps") == 0) {
    TellCapabilities();
  } else if (count == 3 && strcmp(words[1], "read") == 0) {
    PutContent(words[2], words[2]);
    putchar('\n');
  } else {
    Tell(count, words);
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
