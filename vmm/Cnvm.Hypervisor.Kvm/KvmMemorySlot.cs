using Cnvm.Hypervisor.Memory;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>A KVM memory slot: one RAM region.</summary>
internal sealed class KvmMemorySlot(uint number, RamRegion region)
{
    public uint Number { get; } = number;

    public RamRegion Region { get; } = region;

    public bool LogDirty { get; set; }
}
