// An initramfs whose only file is /init: a program that turns its guest off, and shows thereby that
// a kernel in user mode runs programs here.

        .set    ProgramBytes, 0x100     // As the archive's header says.
        .set    Base, 0x400000

        .section .rodata
        .balign 16
        .globl  kUsermodeProbe
        .globl  kUsermodeProbeEnd
kUsermodeProbe:
        // newc: inode, mode, uid, gid, links, time, bytes, four device numbers, name's bytes, check.
        .ascii  "070701" "00000001" "000081ed" "00000000" "00000000" "00000001" "00000000"
        .ascii  "00000100" "00000000" "00000000" "00000000" "00000000" "00000005" "00000000"
        .asciz  "init"
        .balign 4
program:
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        .short  2, 62                   // A program for x86-64.
        .long   1
        .quad   Base + (start - program)
        .quad   64, 0                   // One program header, no section headers.
        .long   0
        .short  64, 56, 1, 0, 0, 0
        .long   1, 5                    // To be loaded: read and executed.
        .quad   0, Base, Base, ProgramBytes, ProgramBytes, 0x1000
start:
        movl    $169, %eax              // reboot(…, RB_POWER_OFF)
        movl    $0xfee1dead, %edi
        movl    $0x28121969, %esi
        movl    $0x4321fedc, %edx
        syscall
1:      jmp     1b
        .fill   ProgramBytes - (. - program)
        .ascii  "070701" "00000000" "00000000" "00000000" "00000000" "00000001" "00000000"
        .ascii  "00000000" "00000000" "00000000" "00000000" "00000000" "0000000b" "00000000"
        .asciz  "TRAILER!!!"
        .balign 4
kUsermodeProbeEnd:

        .section .note.GNU-stack,"",@progbits
