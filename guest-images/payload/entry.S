/*
 * From the boot protocol's entry to C at privilege level 3, in as few instructions as possible: on KVM without hardware
 * virtualisation everything here is interpreted, everything after it runs natively. Tables are therefore built by the
 * assembler, not by code. Memory is mapped one to one, all of it accessible from level 3.
 */

#define CODE32   0x08
#define CODE64   0x10
#define DATA0    0x18
#define USERDATA 0x23
#define USERCODE 0x2b
#define TASK     0x30

#define CR0_ENTRY 0x80000033    /* PG, NE, ET, MP, PE */
#define CR4_ENTRY 0x620         /* PAE, OSFXSR, OSXMMEXCPT */
#define EFER      0xc0000080
#define EFER_LME  0x100
#define USERFLAGS 0x3002        /* IOPL 3; interrupts off: firmware may have left a timer running */

#define SUPERVISOR_XSETBV 1     /* function numbers of UD2 */
#define SUPERVISOR_STI    2

/* XEN_ELFNOTE_PHYS32_ENTRY: the 32-bit physical address where PVH enters. */
    .section .note.pvh, "a"
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long entry32

    .section .text.entry, "ax"

/* PVH: 32-bit protected mode without paging, EBX = struct hvm_start_info. */
    .code32
    .globl entry32
entry32:
    outb %al, $0x80             /* the first instruction, for whoever measures when it comes */
    movl %ebx, start_info
    lgdt gdt_pointer
    movl $CR4_ENTRY, %eax
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $EFER, %ecx
    movl $EFER_LME, %eax
    xorl %edx, %edx
    wrmsr
    movl $CR0_ENTRY, %eax
    movl %eax, %cr0
    ljmp $CODE64, $start64

/* Linux's 64-bit protocol: long mode with paging, RSI = struct boot_params. */
    .code64
    .globl entry64
entry64:
    outb %al, $0x80
    movl %esi, boot_params
    lgdt gdt_pointer
    movl $CR4_ENTRY, %eax
    movq %rax, %cr4
    movl $pml4, %eax
    movq %rax, %cr3
start64:
    movl $DATA0, %eax
    movl %eax, %ss
    movl $stack_top, %esp
    movl $TASK, %eax
    ltr %ax
    lidt idt_pointer
    pushq $USERDATA
    pushq $stack_top
    pushq $USERFLAGS
    pushq $USERCODE
    pushq $enter_user
    iretq

    .text
enter_user:
    movl $USERDATA, %eax
    movl %eax, %ds
    movl %eax, %es
    call payload_main
1:  jmp 1b

/*
 * Exceptions come back to level 3, where exception_report prints what happened. Vector 6 (#UD) is also the way into level 0:
 * UD2 with a function number in RAX asks for what only level 0 may do. (System calls and software interrupts do not work on
 * every KVM that exceptions work on.)
 */
    .globl exception_stubs
exception_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17 && vector != 21
    pushq $0
    .endif
    pushq $vector
    jmp exception_common
    .set vector, vector + 1
    .endr

exception_common:
    cmpq $6, (%rsp)
    jne 1f
    cmpl $SUPERVISOR_XSETBV, %eax
    je supervisor_xsetbv
    cmpl $SUPERVISOR_STI, %eax
    je supervisor_sti
1:  pushq %rax
    movq 8(%rsp), %rax
    movq %rax, exception_vector
    movq 16(%rsp), %rax
    movq %rax, exception_error
    movq 24(%rsp), %rax
    movq %rax, exception_rip
    movq %cr2, %rax
    movq %rax, exception_cr2
    popq %rax
    addq $16, %rsp
    movq $exception_enter, (%rsp)
    movq $exception_stack_top, 24(%rsp)
    iretq

exception_enter:
    call exception_report
1:  jmp 1b

/* XCR0 = EDX:EBX after CR4.OSXSAVE is set. */
supervisor_xsetbv:
    movq %cr4, %rax
    orl $0x40000, %eax
    movq %rax, %cr4
    movl %ebx, %eax
    xorl %ecx, %ecx
    xsetbv
    addq $16, %rsp
    addq $2, (%rsp)             /* past UD2 */
    iretq

supervisor_sti:
    addq $16, %rsp
    addq $2, (%rsp)
    orl $0x200, 16(%rsp)
    iretq

/* Counts and ends the interrupt at the local APIC. */
    .globl interrupt_stub
interrupt_stub:
    incq interrupt_count
    pushq %rax
    movl $0xfee000b0, %eax
    movl $0, (%rax)
    popq %rax
    iretq

    .data
    .balign 8
    .globl start_info, boot_params, interrupt_count
start_info:       .quad 0
boot_params:      .quad 0
interrupt_count:  .quad 0
    .globl exception_vector, exception_error, exception_rip, exception_cr2
exception_vector: .quad 0
exception_error:  .quad 0
exception_rip:    .quad 0
exception_cr2:    .quad 0

/* The linker script appends the task state descriptor, whose address the assembler cannot split. */
    .section .gdt, "aw"
    .balign 16
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    /* 08: 32-bit code */
    .quad 0x00af9b000000ffff    /* 10: 64-bit code */
    .quad 0x00cf93000000ffff    /* 18: data */
    .quad 0x00cff3000000ffff    /* 20: data, level 3 */
    .quad 0x00affb000000ffff    /* 28: 64-bit code, level 3 */

    .data
gdt_pointer:
    .word 8 * 8 - 1
    .quad gdt
idt_pointer:
    .word 256 * 16 - 1
    .quad idt

/*
 * Task state: the stack for interrupts, and a bitmap of zeros that permits every port (SDM vol. 1 19.5.2), because not every
 * KVM keeps IOPL while level 3 runs natively.
 */
    .balign 16
    .globl task
task:
    .long 0
    .quad interrupt_stack_top
    .skip 90
    .word 0x68
    .skip 8192
    .byte 0xff
task_end:

    .balign 4096
    .globl pml4
pml4:
    .quad pdpt + 7
    .fill 511, 8, 0
pdpt:
    .quad page_directories + 7
    .quad page_directories + 0x1000 + 7
    .quad page_directories + 0x2000 + 7
    .quad page_directories + 0x3000 + 7
    .fill 508, 8, 0
page_directories:
    .set page, 0
    .rept 2048
    .quad (page << 21) | 0x87
    .set page, page + 1
    .endr

    .bss
    .balign 4096
    .globl idt
idt:
    .skip 4096
    .skip 16384
stack_top:
    .skip 4096
exception_stack_top:
    .skip 4096
interrupt_stack_top:
