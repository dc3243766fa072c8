using System.Collections.Immutable;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;

namespace Cnvm.Hypervisor.State;

/// <summary>
/// The complete state of a vCPU in architectural terms, of no hypervisor's shape. A backend reads it in one order and
/// applies it in its own.
/// </summary>
public sealed record VcpuState
{
    /// <summary>What CPUID answers; a target checks it before anything else.</summary>
    public required CpuidTable Cpuid { get; init; }

    public required MpState MpState { get; init; }
    public required GeneralRegisters General { get; init; }
    public required SystemRegisters System { get; init; }

    /// <summary>
    /// XSAVE area in the standard (not compacted) format (SDM vol. 1 §13.4), in the normal form of <see cref="XsaveArea"/>; components
    /// lie where leaf 0DH of <see cref="Cpuid"/> says.
    /// </summary>
    public required ImmutableArray<byte> Xsave { get; init; }

    /// <summary>XCR0.</summary>
    public required ulong Xcr0 { get; init; }

    public required ImmutableArray<ulong> DebugAddresses { get; init; }
    public required ulong Dr6 { get; init; }
    public required ulong Dr7 { get; init; }

    /// <summary>The local APIC's register page, first 1 KiB (SDM vol. 3 §11.4.1).</summary>
    public required ImmutableArray<byte> Lapic { get; init; }

    /// <summary>Model-specific registers in ascending order of index.</summary>
    public required ImmutableArray<MsrValue> Msrs { get; init; }

    public required VcpuEvents Events { get; init; }

    /// <summary>Frequency that the guest's TSC runs at, in kHz.</summary>
    public required uint TscKhz { get; init; }

    /// <summary>
    /// Host monotonic time in nanoseconds at which the TSC among <see cref="Msrs"/> was read; 0 if not known. It relates the TSCs of one
    /// machine's vCPUs to each other and means nothing elsewhere.
    /// </summary>
    public ulong TscTimestamp { get; init; }

    /// <summary>Bytes of <see cref="Lapic"/>.</summary>
    public const int LapicBytes = 1024;
}
