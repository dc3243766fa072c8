using Cnvm.Hypervisor.State;

namespace Cnvm.Vmm.Snapshot;

/// <summary>Everything of a paused machine but the contents of its memory and disks. Belongs to no hypervisor.</summary>
public sealed record MachineState
{
    /// <summary>Program and version that made it; for people.</summary>
    public required string Producer { get; init; }

    /// <summary>Hypervisor that the machine ran on; for people.</summary>
    public required string Hypervisor { get; init; }

    /// <summary>Machine profile: <c>cloud</c>, <c>microvm</c>, ...; decides what the addresses below mean.</summary>
    public required string Profile { get; init; }

    /// <summary>CPU profile that the guest was shown: <c>host</c> or another; a target checks it first.</summary>
    public required string CpuProfile { get; init; }

    /// <summary>16 random bytes: names this snapshot, so that an incremental one can name what it builds on.</summary>
    public required byte[] Id { get; init; }

    public required MemoryState Memory { get; init; }

    public required ParavirtualClock Clock { get; init; }

    /// <summary>VM time in nanoseconds, which device timers count in.</summary>
    public required ulong VmTime { get; init; }

    /// <summary>In order of index.</summary>
    public required VcpuSlotState[] Vcpus { get; init; }

    public required ChipsetState Chipset { get; init; }

    /// <summary>In the order of their places.</summary>
    public required VirtioSlotState[] Virtio { get; init; }
}
