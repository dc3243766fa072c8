using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Kvm;

/// <summary>Request numbers of the ioctls on /dev/kvm, VM and vCPU descriptors (linux/kvm.h).</summary>
[Abi("linux/kvm.h")]
public static class KvmRequest
{
    public const uint KVM_GET_API_VERSION = 0xAE00;
    public const uint KVM_CREATE_VM = 0xAE01;
    public const uint KVM_GET_MSR_INDEX_LIST = 0xC004AE02;
    public const uint KVM_CHECK_EXTENSION = 0xAE03;
    public const uint KVM_GET_VCPU_MMAP_SIZE = 0xAE04;
    public const uint KVM_GET_SUPPORTED_CPUID = 0xC008AE05;
    public const uint KVM_GET_EMULATED_CPUID = 0xC008AE09;
    public const uint KVM_GET_MSR_FEATURE_INDEX_LIST = 0xC004AE0A;
    public const uint KVM_CREATE_VCPU = 0xAE41;
    public const uint KVM_GET_DIRTY_LOG = 0x4010AE42;
    public const uint KVM_SET_USER_MEMORY_REGION = 0x4020AE46;
    public const uint KVM_SET_TSS_ADDR = 0xAE47;
    public const uint KVM_SET_IDENTITY_MAP_ADDR = 0x4008AE48;
    public const uint KVM_SET_GSI_ROUTING = 0x4008AE6A;
    public const uint KVM_IRQFD = 0x4020AE76;
    public const uint KVM_SET_BOOT_CPU_ID = 0xAE78;
    public const uint KVM_IOEVENTFD = 0x4040AE79;
    public const uint KVM_SET_CLOCK = 0x4030AE7B;
    public const uint KVM_GET_CLOCK = 0x8030AE7C;
    public const uint KVM_SET_TSC_KHZ = 0xAEA2;
    public const uint KVM_GET_TSC_KHZ = 0xAEA3;
    public const uint KVM_SIGNAL_MSI = 0x4020AEA5;
    public const uint KVM_SET_DEVICE_ATTR = 0x4018AEE1;
    public const uint KVM_GET_DEVICE_ATTR = 0x4018AEE2;
    public const uint KVM_HAS_DEVICE_ATTR = 0x4018AEE3;
    public const uint KVM_RUN = 0xAE80;
    public const uint KVM_GET_REGS = 0x8090AE81;
    public const uint KVM_SET_REGS = 0x4090AE82;
    public const uint KVM_GET_SREGS = 0x8138AE83;
    public const uint KVM_SET_SREGS = 0x4138AE84;
    public const uint KVM_TRANSLATE = 0xC018AE85;
    public const uint KVM_INTERRUPT = 0x4004AE86;
    public const uint KVM_GET_MSRS = 0xC008AE88;
    public const uint KVM_SET_MSRS = 0x4008AE89;
    public const uint KVM_SET_SIGNAL_MASK = 0x4004AE8B;
    public const uint KVM_GET_LAPIC = 0x8400AE8E;
    public const uint KVM_SET_LAPIC = 0x4400AE8F;
    public const uint KVM_SET_CPUID2 = 0x4008AE90;
    public const uint KVM_GET_CPUID2 = 0xC008AE91;
    public const uint KVM_GET_MP_STATE = 0x8004AE98;
    public const uint KVM_SET_MP_STATE = 0x4004AE99;
    public const uint KVM_NMI = 0xAE9A;
    public const uint KVM_SET_GUEST_DEBUG = 0x4048AE9B;
    public const uint KVM_GET_VCPU_EVENTS = 0x8040AE9F;
    public const uint KVM_SET_VCPU_EVENTS = 0x4040AEA0;
    public const uint KVM_GET_DEBUGREGS = 0x8080AEA1;
    public const uint KVM_SET_DEBUGREGS = 0x4080AEA2;
    public const uint KVM_ENABLE_CAP = 0x4068AEA3;
    public const uint KVM_GET_XSAVE = 0x9000AEA4;
    public const uint KVM_SET_XSAVE = 0x5000AEA5;
    public const uint KVM_GET_XCRS = 0x8188AEA6;
    public const uint KVM_SET_XCRS = 0x4188AEA7;
    public const uint KVM_KVMCLOCK_CTRL = 0xAEAD;
    public const uint KVM_CLEAR_DIRTY_LOG = 0xC018AEC0;
    public const uint KVM_X86_SET_MSR_FILTER = 0x4188AEC6;
    public const uint KVM_RESET_DIRTY_RINGS = 0xAEC7;
    public const uint KVM_GET_XSAVE2 = 0x9000AECF;
}
