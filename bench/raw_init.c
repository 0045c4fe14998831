// PID 1 of the raw guests that pyro is compared with: modules, root, command, nothing else. With /ssh in its initramfs it
// brings up the network card as 10.0.2.15/24 and becomes dropbear; without, it runs /bin/true once and says so.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int wanted(const struct dirent* entry) { return entry->d_name[0] != '.'; }

static void load_modules(void) {
  struct dirent** names;
  const int count = scandir("/modules", &names, wanted, alphasort);
  for (int i = 0; i < count; ++i) {
    char path[512];
    snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
    const int fd = open(path, O_RDONLY);
    syscall(SYS_finit_module, fd, "", 0);
    close(fd);
  }
}

static void set_address(int fd, unsigned long request, const char* text) {
  struct ifreq card = {.ifr_name = "eth0"};
  struct sockaddr_in address = {.sin_family = AF_INET};
  inet_pton(AF_INET, text, &address.sin_addr);
  memcpy(&card.ifr_addr, &address, sizeof address);
  if (ioctl(fd, request, &card) != 0) perror(text);
}

static void raise_network(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  set_address(fd, SIOCSIFADDR, "10.0.2.15");
  set_address(fd, SIOCSIFNETMASK, "255.255.255.0");
  struct ifreq card = {.ifr_name = "eth0", .ifr_flags = IFF_UP | IFF_RUNNING};
  if (ioctl(fd, SIOCSIFFLAGS, &card) != 0) perror("eth0 up");
  close(fd);
}

// Does not return. The initramfs shows through at /mnt, with the home of root and dropbear's own libraries.
static void serve_ssh(void) {
  raise_network();
  mount("/ssh", "/root/mnt", "", MS_BIND, "");
  mount("/ssh/home", "/root/root", "", MS_BIND, "");
  mount("dev", "/root/dev", "devtmpfs", 0, "");
  mount("proc", "/root/proc", "proc", 0, "");
  chroot("/root");
  chdir("/");
  setenv("LD_LIBRARY_PATH", "/mnt", 1);
  execl("/mnt/dropbear", "dropbear", "-F", "-E", "-s", "-r", "/mnt/hostkey", "-p", "22", (char*)0);
  perror("exec dropbear");
}

static void run_true(void) {
  chroot("/root");
  chdir("/");
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/true", "true", (char*)0);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  printf("raw guest: ended with %d\n", WEXITSTATUS(status));
  fflush(stdout);
}

int main(void) {
  mount("dev", "/dev", "devtmpfs", 0, "");
  const int console = open("/dev/console", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(console, fd);
  load_modules();
  mkdir("/root", 0755);
  for (int i = 0; i < 500 && mount("/dev/vda", "/root", "erofs", MS_RDONLY, "") != 0; ++i) usleep(2000);
  if (access("/ssh", F_OK) == 0) {
    serve_ssh();
  } else {
    run_true();
  }
  for (;;) pause();  // Until the host ends the machine.
}
