// The seccomp filters of pyro's own programs, as make_filter.cc has written them, with the numbers
// of jail::Confined, and those of the other functions of
// confine.h.

        .section .rodata
        .macro  filter number, file
        .balign 16
        .globl  kConfineFilter\number
        .globl  kConfineFilterEnd\number
kConfineFilter\number:
        .incbin "\file"
kConfineFilterEnd\number:
        .endm

        filter  0, FILTER_RELAY
        filter  1, FILTER_SERVED_RELAY
        filter  2, FILTER_SLIRP
        filter  3, FILTER_SERVED_SLIRP
        filter  4, FILTER_PROXY
        filter  5, FILTER_DOWNLOADS
        filter  6, FILTER_EMULATOR
        filter  7, FILTER_TRANSLATOR

        .section .note.GNU-stack,"",@progbits
