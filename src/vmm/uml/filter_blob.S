// The seccomp filter of a guest's kernel in user mode, as make_filter.cc has written it.

        .section .rodata
        .balign 16
        .globl  kUsermodeFilter
        .globl  kUsermodeFilterEnd
kUsermodeFilter:
        .incbin USERMODE_FILTER
kUsermodeFilterEnd:

        .section .note.GNU-stack,"",@progbits
