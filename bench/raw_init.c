// PID 1 of the raw boot that bench/cold_start.py compares with: modules, root, command, nothing else.
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int wanted(const struct dirent* entry) { return entry->d_name[0] != '.'; }

int main(void) {
  mount("dev", "/dev", "devtmpfs", 0, "");
  const int console = open("/dev/console", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(console, fd);
  struct dirent** names;
  const int count = scandir("/modules", &names, wanted, alphasort);
  for (int i = 0; i < count; ++i) {
    char path[512];
    snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
    const int fd = open(path, O_RDONLY);
    syscall(SYS_finit_module, fd, "", 0);
    close(fd);
  }
  mkdir("/root", 0755);
  for (int i = 0; i < 500 && mount("/dev/vda", "/root", "erofs", MS_RDONLY, "") != 0; ++i) usleep(2000);
  chroot("/root");
  chdir("/");
  execl("/bin/echo", "echo", "hello from the raw guest", (char*)0);
  perror("exec");
  return 1;
}
