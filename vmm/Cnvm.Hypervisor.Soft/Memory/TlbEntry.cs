using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Translation;

namespace Cnvm.Hypervisor.Soft.Memory;

/// <summary>A data translation: linear page to host address. A tag that is not page aligned matches nothing.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TlbEntry
{
    public ulong ReadTag;
    public ulong WriteTag;

    /// <summary>Host address minus linear address.</summary>
    public ulong Addend;

    /// <summary>Not zero: survives a load of CR3.</summary>
    public ulong Global;
}

/// <summary>An instruction translation: linear page to the blocks of its physical page.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ExecEntry
{
    public ulong Tag;
    public ulong Phys;
    public CodePage* Page;
    public ulong Global;
}

/// <summary>Where a physical address and mode were last found to start a block.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct JumpEntry
{
    public ulong Key;
    public Op* First;
}

/// <summary>One region of guest RAM.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RamSlot
{
    public ulong Start;
    public ulong End;
    public byte* Host;

    /// <summary>Per page: which of its 64 lines of 64 bytes some vCPU has translated. Shared by all vCPUs.</summary>
    public ulong* CodeLines;

    /// <summary>Not zero: pages may still have to come (<see cref="SoftVcpu.AwaitPage"/>).</summary>
    public ulong Awaits;

    /// <summary>One bit per page written while the dirty log runs; null while it does not.</summary>
    public ulong* Dirty;
}
