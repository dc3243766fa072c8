using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Kvm;

// What the ioctls on a VM descriptor carry: memory, interrupts, clock, dirty log (linux/kvm.h).
[Abi("linux/kvm.h", "struct kvm_userspace_memory_region")]
public struct kvm_userspace_memory_region
{
    public uint slot;
    public uint flags;
    public ulong guest_phys_addr;
    public ulong memory_size;
    public ulong userspace_addr;
}

[Abi("linux/kvm.h", "struct kvm_device_attr")]
public struct kvm_device_attr
{
    public uint flags;
    public uint group;
    public ulong attr;
    public ulong addr;
}

[Abi("linux/kvm.h", "struct kvm_enable_cap")]
public unsafe struct kvm_enable_cap
{
    public uint cap;
    public uint flags;
    public fixed ulong args[4];
    public fixed byte pad[64];
}

[Abi("linux/kvm.h", "struct kvm_dirty_log")]
public struct kvm_dirty_log
{
    public uint slot;
    public uint padding1;
    public nint dirty_bitmap;
}

[Abi("linux/kvm.h", "struct kvm_clear_dirty_log")]
public struct kvm_clear_dirty_log
{
    public uint slot;
    public uint num_pages;
    public ulong first_page;
    public nint dirty_bitmap;
}

[Abi("linux/kvm.h", "struct kvm_dirty_gfn")]
public struct kvm_dirty_gfn
{
    public uint flags;

    /// <summary>Memory slot in the low 16 bits, address space above.</summary>
    public uint slot;

    /// <summary>Page in the slot.</summary>
    public ulong offset;
}

/// <summary>Followed by <see cref="len"/> bytes of signal set; the kernel's set has 8.</summary>
[Abi("linux/kvm.h", "struct kvm_signal_mask")]
public struct kvm_signal_mask
{
    public uint len;
}

[Abi("linux/kvm.h", "struct kvm_interrupt")]
public struct kvm_interrupt
{
    public uint irq;
}

[Abi("linux/kvm.h", "struct kvm_msi")]
public unsafe struct kvm_msi
{
    public uint address_lo;
    public uint address_hi;
    public uint data;
    public uint flags;
    public uint devid;
    public fixed byte pad[12];
}

[Abi("linux/kvm.h", "struct kvm_irqfd")]
public unsafe struct kvm_irqfd
{
    public uint fd;
    public uint gsi;
    public uint flags;
    public uint resamplefd;
    public fixed byte pad[16];
}

[Abi("linux/kvm.h", "struct kvm_ioeventfd")]
public unsafe struct kvm_ioeventfd
{
    public ulong datamatch;
    public ulong addr;
    public uint len;
    public int fd;
    public uint flags;
    public fixed byte pad[36];
}

/// <summary>An entry whose type is KVM_IRQ_ROUTING_MSI.</summary>
[Abi("linux/kvm.h", "struct kvm_irq_routing_entry")]
[StructLayout(LayoutKind.Explicit, Size = 48)]
public struct kvm_irq_routing_entry
{
    [FieldOffset(0)] public uint gsi;
    [FieldOffset(4)] public uint type;
    [FieldOffset(8)] public uint flags;
    [FieldOffset(12)] public uint pad;
    [FieldOffset(16), AbiField("u.msi.address_lo")] public uint address_lo;
    [FieldOffset(20), AbiField("u.msi.address_hi")] public uint address_hi;
    [FieldOffset(24), AbiField("u.msi.data")] public uint data;
    [FieldOffset(28), AbiField("u.msi.devid")] public uint devid;
}

/// <summary>Followed by <see cref="nr"/> times <see cref="kvm_irq_routing_entry"/>.</summary>
[Abi("linux/kvm.h", "struct kvm_irq_routing")]
public struct kvm_irq_routing
{
    public uint nr;
    public uint flags;
}

[Abi("linux/kvm.h", "struct kvm_clock_data")]
public unsafe struct kvm_clock_data
{
    public ulong clock;
    public uint flags;
    public uint pad0;
    public ulong realtime;
    public ulong host_tsc;
    public fixed uint pad[4];
}

[Abi("linux/kvm.h", "struct kvm_msr_filter_range")]
public struct kvm_msr_filter_range
{
    public uint flags;
    public uint nmsrs;
    public uint @base;

    /// <summary>Host address of the bitmap; a set bit allows what <see cref="flags"/> names.</summary>
    public nint bitmap;
}

/// <summary>Followed by KVM_MSR_FILTER_MAX_RANGES times <see cref="kvm_msr_filter_range"/>, the first at offset 8.</summary>
[Abi("linux/kvm.h", "struct kvm_msr_filter", Prefix = true)]
public struct kvm_msr_filter
{
    public uint flags;
}
