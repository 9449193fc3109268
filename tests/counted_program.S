// counted_program REPEATS: each repeat reads `LINES` lines of 64 bytes from one place, in 3 * LINES + 4 instructions.
    .globl _start
_start:
    ldr x0, [sp, #16]      // the first argument
    ldrb w1, [x0]
    sub w1, w1, #'0'
repeat:
    ldr x4, =memory
    mov x2, #LINES
line:
    ldr x3, [x4], #64
    subs x2, x2, #1
    b.ne line
    subs w1, w1, #1
    b.ne repeat
    mov x0, #0
    mov x8, #94            // exit_group
    svc #0
    .ltorg
    .bss
    .balign 64
memory:
    .skip 64 * LINES
