using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Translation;

/// <summary>The blocks of one guest-physical page, of one vCPU.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CodePage
{
    public ulong Phys;
    public byte* Host;

    /// <summary>The page's word in <see cref="Memory.RamSlot.CodeLines"/>.</summary>
    public ulong* SharedLines;

    /// <summary>Lines that blocks of this vCPU cover.</summary>
    public ulong Lines;

    /// <summary>Checksum of those lines, which tells whether a device wrote the page behind the processor's back.</summary>
    public ulong ChecksumA;
    public ulong ChecksumB;
    public Block* First;
}

/// <summary>A translated run of instructions inside one page.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Block
{
    /// <summary>Physical address with the mode in bits 63:56.</summary>
    public ulong Key;
    public Block* Next;
    public Op* Ops;
    public int OpCount;
}
