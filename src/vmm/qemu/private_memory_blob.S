// The shared library of private_memory.cc as data: QEMU is given a copy of it in its jail.

        .section .rodata
        .balign 16
        .globl  pyro_vmm_private_memory
        .globl  pyro_vmm_private_memory_end
pyro_vmm_private_memory:
        .incbin PRIVATE_MEMORY_LIBRARY
pyro_vmm_private_memory_end:

        .section .note.GNU-stack,"",@progbits
