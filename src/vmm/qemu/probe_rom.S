// The accelerator probe: a 64 KiB firmware image that does what a booting kernel does most, runs for
// about a hundred million instructions in kernel mode. It sends a byte at the begin of this work, and
// another one at the end that says whether it came out right. It is data here: QEMU is given a copy
// of it as its firmware.
//
// The machine starts at 0xfffffff0 in real mode. From there: protected mode with flat segments, a
// cpuid (which leaves the guest under hardware virtualisation), then a linear congruential generator
// whose state goes through memory in every round, so that no shortcut gives the right end.

#define ROM_SIZE 0x10000
#define ROM_BASE 0xffff0000
#define SIGN_PORT 0xe9           /* The isa-debugcon device. */
#define STATE 0x4000
#define ROUNDS 20000000
#define EXPECTED 0x27057501      /* x -> x * 1664525 + 1013904223, from 1, ROUNDS times */
#define SIGN_BEGIN 'b'
#define SIGN_RIGHT 'r'
#define SIGN_WRONG 'w'

        .section .rodata
        .balign 16
        .globl  pyro_vmm_probe_rom
        .globl  pyro_vmm_probe_rom_end
pyro_vmm_probe_rom:
        .code16
start16:
        cli
        lgdtl   %cs:(gdt_pointer - pyro_vmm_probe_rom)
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $(ROM_BASE + (start32 - pyro_vmm_probe_rom))

        .code32
start32:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        xorl    %eax, %eax
        cpuid
        movb    $SIGN_BEGIN, %al
        outb    %al, $SIGN_PORT
        movl    $1, %ebx
        movl    $ROUNDS, %ecx
1:      imull   $1664525, %ebx, %ebx
        addl    $1013904223, %ebx
        movl    %ebx, STATE
        decl    %ecx
        jnz     1b
        movb    $SIGN_WRONG, %al
        cmpl    $EXPECTED, STATE
        jne     2f
        movb    $SIGN_RIGHT, %al
2:      outb    %al, $SIGN_PORT
3:      hlt
        jmp     3b

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff   /* 0x08: code, base 0, limit 4 GiB */
        .quad   0x00cf93000000ffff   /* 0x10: data, the same */
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   ROM_BASE + (gdt - pyro_vmm_probe_rom)

        .org    pyro_vmm_probe_rom + ROM_SIZE - 16, 0xf4
        /* jmp start16, whose distance wraps around in 16 bits */
        .byte   0xe9
        .word   (0x10000 - (ROM_SIZE - 16 + 3)) + (start16 - pyro_vmm_probe_rom)
        .org    pyro_vmm_probe_rom + ROM_SIZE, 0xf4
pyro_vmm_probe_rom_end:

        .section .note.GNU-stack, "", @progbits
