using System.Runtime.InteropServices;
using Cnvm.Hypervisor.Soft.Memory;

namespace Cnvm.Hypervisor.Soft.Core;

/// <summary>
/// The processor state that operations work on, in native memory at a fixed address. Written by the vCPU's thread only, except
/// <see cref="Attention"/>. The order of the first three members is part of the operand encoding.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Cpu
{
    /// <summary>RAX..R15, then the slots named below.</summary>
    public fixed ulong R[32];

    /// <summary>Vector registers, 32 bytes each.</summary>
    public fixed ulong Vector[64];

    /// <summary>x87 registers by physical number, 16 bytes each: significand, then sign and exponent.</summary>
    public fixed ulong Fpr[16];

    /// <summary>Memory operands of vector instructions.</summary>
    public fixed ulong VectorTemp[8];

    public const int VectorOffset = 256;
    public const int VectorTempOffset = 896;
    public const int FprOffset = 768;

    /// <summary>Always zero: the base, index or segment of an address that has none.</summary>
    public const byte ZeroSlot = 16 * 8;

    /// <summary>RIP of the block being executed; of the next instruction between blocks.</summary>
    public const byte RipSlot = 17 * 8;

    /// <summary>Six segment bases, in encoding order ES, CS, SS, DS, FS, GS.</summary>
    public const byte SegmentSlot = 18 * 8;

    public const byte Temp0 = 24 * 8;
    public const byte Temp1 = 25 * 8;

    /// <summary>Linear address computed by a separate operation.</summary>
    public const byte AddressSlot = 26 * 8;

    /// <summary>RSP value to be committed once a stack access has succeeded.</summary>
    public const byte StackSlot = 27 * 8;

    // Lazy status flags; see StatusFlags.
    public ulong CcRes;
    public ulong CcSrc;
    public uint CcKind;

    /// <summary>Instructions left before the dispatcher looks around.</summary>
    public int Budget;

    /// <summary>Not zero: leave at the next block boundary. Bits of <see cref="AttentionBits"/>; any thread.</summary>
    public int Attention;

    public int Cpl;

    /// <summary>Data TLB for the current privilege.</summary>
    public TlbEntry* Tlb;

    /// <summary>Instruction TLB for the current privilege.</summary>
    public ExecEntry* ExecTlb;

    public JumpEntry* Jumps;

    /// <summary>Translation mode in bits 63:56, compared with the key of a block.</summary>
    public ulong ModeKey;

    /// <summary>RFLAGS without the status flags.</summary>
    public ulong Flags;

    /// <summary>Data of the last slow memory access.</summary>
    public fixed ulong Data[8];

    /// <summary>Host address of the operand between the load and the store of a read-modify-write; 0: not plain RAM.</summary>
    public byte* RmwHost;

    public ulong RmwAddress;
    public Op* ExitOp;

    // The exception under way.
    public int ExcVector;
    public uint ExcError;
    public int ExcHasError;
    public ulong ExcCr2;
    public ulong ExcDr6;

    // Result of a page walk.
    public ulong WalkPhys;
    public uint WalkFlags;

    public ulong Cr0;
    public ulong Cr2;
    public ulong Cr3;
    public ulong Cr4;
    public ulong Efer;
    public ulong Xcr0;

    /// <summary>Bits of XCR0 that CPUID shows.</summary>
    public ulong XcrSupported;
    public fixed ulong Dr[8];
    public fixed ushort Selector[8];
    public fixed uint Limit[8];
    public fixed uint Attributes[8];
    public ulong LdtBase;
    public ulong TrBase;
    public ulong GdtBase;
    public ulong IdtBase;
    public uint GdtLimit;
    public uint IdtLimit;

    public ulong Star;
    public ulong Lstar;
    public ulong Cstar;
    public ulong SyscallMask;
    public ulong KernelGsBase;
    public ulong SysenterCs;
    public ulong SysenterEsp;
    public ulong SysenterEip;
    public ulong TscAux;

    public uint Mxcsr;
    public ushort FpuControl;
    public ushort FpuStatus;

    /// <summary>One bit per physical x87 register: not empty.</summary>
    public byte FpuValid;
    public int FpuTop;
    public ushort FpuOpcode;
    public ulong FpuIp;
    public ulong FpuDp;

    /// <summary>Instructions executed, up to the last block boundary.</summary>
    public ulong InstructionCount;

    /// <summary>The interrupt controller has something that IF keeps out.</summary>
    public int InterruptWaiting;

    /// <summary>Interrupts are held off for one instruction: bit 0 after MOV SS, bit 1 after STI.</summary>
    public int Shadow;

    public int CurrentPriorityClass;

    /// <summary>GC handle of the <see cref="SoftVcpu"/>.</summary>
    public nint Owner;

    /// <summary>
    /// For each set of the TLBs a bit for each group of entries that may hold something; the data sets, then the two of instructions.
    /// </summary>
    public fixed ulong TlbGroups[5];

    /// <summary>Number of the data TLB's set for the current privilege.</summary>
    public int TlbSet;

    public TlbEntry* TlbSets;
    public ExecEntry* ExecSets;
    public RamSlot* Ram;
    public int RamCount;
    public int PhysicalBits;

    /// <summary>What the enabled breakpoints of DR7 watch: <see cref="WatchOn"/> and <see cref="WatchData"/>; 0 without any.</summary>
    public int Watch;

    /// <summary>A read-modify-write begins, which may have its page in the TLB although the page is watched.</summary>
    public int WatchedFill;

    /// <summary>DR6 bits of the breakpoints that the instruction under way has met.</summary>
    public ulong WatchHits;

    /// <summary>Some breakpoint is enabled.</summary>
    public const int WatchOn = 1;

    /// <summary>Some data breakpoint is.</summary>
    public const int WatchData = 2;

    /// <summary>Segment numbers beyond the six of the encoding.</summary>
    public const int Ldtr = 6;
    public const int Tr = 7;
}
