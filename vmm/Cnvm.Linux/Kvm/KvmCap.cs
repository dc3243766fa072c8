using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Kvm;

/// <summary>Capability numbers for KVM_CHECK_EXTENSION and KVM_ENABLE_CAP (linux/kvm.h).</summary>
[Abi("linux/kvm.h")]
public static class KvmCap
{
    public const uint KVM_CAP_IRQCHIP = 0;
    public const uint KVM_CAP_USER_MEMORY = 3;
    public const uint KVM_CAP_SET_TSS_ADDR = 4;
    public const uint KVM_CAP_EXT_CPUID = 7;
    public const uint KVM_CAP_NR_VCPUS = 9;
    public const uint KVM_CAP_NR_MEMSLOTS = 10;
    public const uint KVM_CAP_MP_STATE = 14;
    public const uint KVM_CAP_DESTROY_MEMORY_REGION_WORKS = 21;
    public const uint KVM_CAP_USER_NMI = 22;
    public const uint KVM_CAP_SET_GUEST_DEBUG = 23;
    public const uint KVM_CAP_IRQ_ROUTING = 25;
    public const uint KVM_CAP_JOIN_MEMORY_REGIONS_WORKS = 30;
    public const uint KVM_CAP_IRQFD = 32;
    public const uint KVM_CAP_IOEVENTFD = 36;
    public const uint KVM_CAP_SET_IDENTITY_MAP_ADDR = 37;
    public const uint KVM_CAP_ADJUST_CLOCK = 39;
    public const uint KVM_CAP_INTERNAL_ERROR_DATA = 40;
    public const uint KVM_CAP_VCPU_EVENTS = 41;
    public const uint KVM_CAP_DEBUGREGS = 50;
    public const uint KVM_CAP_ENABLE_CAP = 54;
    public const uint KVM_CAP_XSAVE = 55;
    public const uint KVM_CAP_XCRS = 56;
    public const uint KVM_CAP_TSC_CONTROL = 60;
    public const uint KVM_CAP_GET_TSC_KHZ = 61;
    public const uint KVM_CAP_MAX_VCPUS = 66;
    public const uint KVM_CAP_TSC_DEADLINE_TIMER = 72;
    public const uint KVM_CAP_KVMCLOCK_CTRL = 76;
    public const uint KVM_CAP_SIGNAL_MSI = 77;
    public const uint KVM_CAP_READONLY_MEM = 81;
    public const uint KVM_CAP_ENABLE_CAP_VM = 98;
    public const uint KVM_CAP_CHECK_EXTENSION_VM = 105;
    public const uint KVM_CAP_SPLIT_IRQCHIP = 121;
    public const uint KVM_CAP_IOEVENTFD_ANY_LENGTH = 122;
    public const uint KVM_CAP_MAX_VCPU_ID = 128;
    public const uint KVM_CAP_X2APIC_API = 129;
    public const uint KVM_CAP_IMMEDIATE_EXIT = 136;
    public const uint KVM_CAP_EXCEPTION_PAYLOAD = 164;
    public const uint KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 = 168;
    public const uint KVM_CAP_X86_USER_SPACE_MSR = 188;
    public const uint KVM_CAP_X86_MSR_FILTER = 189;
    public const uint KVM_CAP_DIRTY_LOG_RING = 192;
    public const uint KVM_CAP_SREGS2 = 200;
    public const uint KVM_CAP_EXIT_ON_EMULATION_FAILURE = 204;
    public const uint KVM_CAP_VM_GPA_BITS = 207;
    public const uint KVM_CAP_XSAVE2 = 208;
    public const uint KVM_CAP_X86_TRIPLE_FAULT_EVENT = 218;
    public const uint KVM_CAP_DIRTY_LOG_RING_ACQ_REL = 223;
}
