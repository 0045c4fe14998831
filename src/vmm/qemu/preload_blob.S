// The shared library of preload.cc as data: QEMU is given a copy of it in its jail.

        .section .rodata
        .balign 16
        .globl  kPreload
        .globl  kPreloadEnd
kPreload:
        .incbin PRELOAD_LIBRARY
kPreloadEnd:

        .section .note.GNU-stack,"",@progbits
