using Cnvm.Devices.Bus;

namespace Cnvm.Devices.Pci;

/// <summary>A base address register of a function and where its region is now. Guarded by the configuration lock.</summary>
internal sealed class PciBar(int index, ulong size, PciBarKind kind, IIoDevice handler)
{
    public int Index { get; } = index;

    public ulong Size { get; } = size;

    public PciBarKind Kind { get; } = kind;

    public IIoDevice Handler { get; } = handler;

    public bool Is64 => Kind != PciBarKind.Memory32;

    /// <summary>The base that the machine chose, restored by reset; null before the function is attached.</summary>
    public ulong? InitialBase { get; set; }

    /// <summary>The window allocator that the initial base came from.</summary>
    public PciBarAllocator? Allocator { get; set; }

    /// <summary>The region on the memory bus; null while it is not decoded.</summary>
    public IoRange? Mapping { get; set; }

    /// <summary>The guest decodes the region at an address where something else answers; tried again when a region goes.</summary>
    public bool IsBlocked { get; set; }
}
