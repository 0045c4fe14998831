// The shared library of private_memory.cc as data: QEMU is given a copy of it in its jail.

        .section .rodata
        .balign 16
        .globl  kPrivateMemory
        .globl  kPrivateMemoryEnd
kPrivateMemory:
        .incbin PRIVATE_MEMORY_LIBRARY
kPrivateMemoryEnd:

        .section .note.GNU-stack,"",@progbits
