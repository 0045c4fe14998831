"""A terminal, of 80 columns unless asked otherwise, that a test holds the other end of."""

import fcntl
import os
import pty
import select
import struct
import termios

import harness


class Terminal:
    def __init__(self, columns=80):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.seen = ""

    def type(self, text):
        os.write(self.master, text.encode())

    def read_until(self, condition):
        """All that was shown, once `condition` holds for it."""
        def more():
            if condition(self.seen):
                return True
            self._take(0.05)
            return False
        harness.wait_until(more, f"the terminal shows something else: {self.seen!r}")
        return self.seen

    def rest(self):
        """All that was shown, once every writer has closed it."""
        while self._take(0):
            pass
        return self.seen

    def _take(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.seen += os.read(self.master, 65536).decode(errors="replace")
        return True

    def close(self):
        os.close(self.master)
        os.close(self.slave)
