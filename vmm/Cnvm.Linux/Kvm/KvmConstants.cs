using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Kvm;

/// <summary>Flags and enumerations that KVM's structs carry (linux/kvm.h, asm/kvm.h).</summary>
[Abi("linux/kvm.h")]
public static class KvmConstants
{
    public const int KVM_API_VERSION = 12;

    public const uint KVM_VCPU_TSC_CTRL = 0;
    public const uint KVM_VCPU_TSC_OFFSET = 0;

    public const uint KVM_EXIT_UNKNOWN = 0;
    public const uint KVM_EXIT_EXCEPTION = 1;
    public const uint KVM_EXIT_IO = 2;
    public const uint KVM_EXIT_HYPERCALL = 3;
    public const uint KVM_EXIT_DEBUG = 4;
    public const uint KVM_EXIT_HLT = 5;
    public const uint KVM_EXIT_MMIO = 6;
    public const uint KVM_EXIT_IRQ_WINDOW_OPEN = 7;
    public const uint KVM_EXIT_SHUTDOWN = 8;
    public const uint KVM_EXIT_FAIL_ENTRY = 9;
    public const uint KVM_EXIT_INTR = 10;
    public const uint KVM_EXIT_SET_TPR = 11;
    public const uint KVM_EXIT_TPR_ACCESS = 12;
    public const uint KVM_EXIT_NMI = 16;
    public const uint KVM_EXIT_INTERNAL_ERROR = 17;
    public const uint KVM_EXIT_SYSTEM_EVENT = 24;
    public const uint KVM_EXIT_IOAPIC_EOI = 26;
    public const uint KVM_EXIT_X86_RDMSR = 29;
    public const uint KVM_EXIT_X86_WRMSR = 30;
    public const uint KVM_EXIT_DIRTY_RING_FULL = 31;
    public const uint KVM_EXIT_X86_BUS_LOCK = 33;
    public const uint KVM_EXIT_NOTIFY = 37;

    public const byte KVM_EXIT_IO_IN = 0;
    public const byte KVM_EXIT_IO_OUT = 1;

    public const uint KVM_INTERNAL_ERROR_EMULATION = 1;
    public const uint KVM_INTERNAL_ERROR_SIMUL_EX = 2;
    public const uint KVM_INTERNAL_ERROR_DELIVERY_EV = 3;
    public const uint KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON = 4;
    public const ulong KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 1;

    public const uint KVM_SYSTEM_EVENT_SHUTDOWN = 1;
    public const uint KVM_SYSTEM_EVENT_RESET = 2;
    public const uint KVM_SYSTEM_EVENT_CRASH = 3;

    public const uint KVM_MSR_EXIT_REASON_INVAL = 1;
    public const uint KVM_MSR_EXIT_REASON_UNKNOWN = 2;
    public const uint KVM_MSR_EXIT_REASON_FILTER = 4;

    public const uint KVM_MSR_FILTER_READ = 1;
    public const uint KVM_MSR_FILTER_WRITE = 2;
    public const uint KVM_MSR_FILTER_DEFAULT_ALLOW = 0;
    public const int KVM_MSR_FILTER_MAX_RANGES = 16;

    public const uint KVM_MEM_LOG_DIRTY_PAGES = 1;
    public const uint KVM_MEM_READONLY = 2;

    public const uint KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1;

    public const uint KVM_MP_STATE_RUNNABLE = 0;
    public const uint KVM_MP_STATE_UNINITIALIZED = 1;
    public const uint KVM_MP_STATE_INIT_RECEIVED = 2;
    public const uint KVM_MP_STATE_HALTED = 3;
    public const uint KVM_MP_STATE_SIPI_RECEIVED = 4;

    public const uint KVM_VCPUEVENT_VALID_NMI_PENDING = 1;
    public const uint KVM_VCPUEVENT_VALID_SIPI_VECTOR = 2;
    public const uint KVM_VCPUEVENT_VALID_SHADOW = 4;
    public const uint KVM_VCPUEVENT_VALID_SMM = 8;
    public const uint KVM_VCPUEVENT_VALID_PAYLOAD = 16;
    public const uint KVM_VCPUEVENT_VALID_TRIPLE_FAULT = 32;

    public const uint KVM_GUESTDBG_ENABLE = 1;
    public const uint KVM_GUESTDBG_SINGLESTEP = 2;
    public const uint KVM_GUESTDBG_USE_SW_BP = 0x10000;
    public const uint KVM_GUESTDBG_USE_HW_BP = 0x20000;

    public const uint KVM_IRQ_ROUTING_MSI = 2;
    public const uint KVM_IRQFD_FLAG_DEASSIGN = 1;
    public const uint KVM_IOEVENTFD_FLAG_DATAMATCH = 1;
    public const uint KVM_IOEVENTFD_FLAG_PIO = 2;
    public const uint KVM_IOEVENTFD_FLAG_DEASSIGN = 4;

    public const uint KVM_CLOCK_TSC_STABLE = 2;
    public const uint KVM_CLOCK_REALTIME = 4;
    public const uint KVM_CLOCK_HOST_TSC = 8;

    public const ulong KVM_X2APIC_API_USE_32BIT_IDS = 1;
    public const ulong KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK = 2;
    public const ulong KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE = 1;
    public const ulong KVM_DIRTY_LOG_INITIALLY_SET = 2;

    public const uint KVM_DIRTY_GFN_F_DIRTY = 1;
    public const uint KVM_DIRTY_GFN_F_RESET = 2;
    public const int KVM_DIRTY_LOG_PAGE_OFFSET = 64;

    public const int KVM_APIC_REG_SIZE = 0x400;
    public const int KVM_MAX_XCRS = 16;
}
