using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Registers;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Platform;
using Cnvm.Hypervisor.Soft.Translation;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;

namespace Cnvm.Hypervisor.Soft;

/// <summary>One software vCPU. Guest code runs on the thread that called <see cref="Bind"/>.</summary>
internal sealed unsafe partial class SoftVcpu : IVirtualCpu
{
    /// <summary>XCR0 components that exist: x87, SSE and AVX.</summary>
    public const ulong SupportedXcr0 = FpuState.X87 | FpuState.Sse | FpuState.Avx;

    private readonly SoftPartition _partition;
    private readonly IVcpuBus _bus;
    private readonly CpuidTable _cpuid;
    private readonly Cpu* _c;
    private readonly void* _tables;
    private readonly CodeCache _cache;
    private readonly Translator _translator;
    private readonly ulong _cr4Valid;
    private GCHandle _self;
    private MpState _mp;
    private bool _disposed;

    public SoftVcpu(SoftPartition partition, int index, uint apicId, CpuidTable cpuid, IVcpuBus bus)
    {
        _partition = partition;
        _bus = bus;
        _cpuid = cpuid;
        Index = index;
        ApicId = apicId;
        // SAFETY: both blocks live until Dispose; sizes and alignment fit the structures laid over them.
        _c = (Cpu*)NativeMemory.AlignedAlloc((nuint)sizeof(Cpu), 64);
        NativeMemory.Clear(_c, (nuint)sizeof(Cpu));
        nuint data = (nuint)(Mmu.TlbSize * 3 * sizeof(TlbEntry));
        nuint exec = (nuint)(Mmu.TlbSize * 2 * sizeof(ExecEntry));
        nuint jumps = (nuint)(JumpTable.Size * sizeof(JumpEntry));
        byte* tables = (byte*)NativeMemory.AlignedAlloc(data + exec + jumps, 64);
        NativeMemory.Clear(tables, data + exec + jumps);
        _tables = tables;
        for (int i = 0; i < Mmu.DataSets + 2; i++)
        {
            // Zero is an address: all of them have to be flushed once.
            _c->TlbGroups[i] = ulong.MaxValue;
        }

        _c->TlbSets = (TlbEntry*)tables;
        _c->ExecSets = (ExecEntry*)(tables + data);
        _c->Jumps = (JumpEntry*)(tables + data + exec);
        _self = GCHandle.Alloc(this);
        _c->Owner = GCHandle.ToIntPtr(_self);
        _c->PhysicalBits = SoftCpuid.PhysicalBits(cpuid);
        _c->XcrSupported = SoftCpuid.StateComponents(cpuid) & SupportedXcr0;
        _cr4Valid = SoftCpuid.Cr4Bits(cpuid);
        IsIntel = SoftCpuid.IsIntel(cpuid);
        _cache = new CodeCache(_c);
        _translator = new Translator(_c) { LockedCr0IsCr8 = SoftCpuid.HasLockedCr8(cpuid) };
        Apic = new LocalApic(this, apicId, index == 0);
        BuildCpuid();
        RefreshRam();
        Reset();
        _mp = index == 0 ? MpState.Runnable : MpState.Uninitialized;
    }

    public int Index { get; }

    public uint ApicId { get; }

    public LocalApic Apic { get; }

    /// <summary>The CPUID shows an Intel processor; where the two vendors differ, this one does as Intel's do.</summary>
    public bool IsIntel { get; }

    public VcpuExitCounters ExitCounters { get; } = new();

    public SoftPartition Partition => _partition;

    public Cpu* State => _c;

    /// <summary>Held for locked accesses that cannot be done in one host instruction.</summary>
    public Lock SplitLock => _partition.SplitLock;

    /// <summary>Guest instructions executed so far.</summary>
    public ulong InstructionCount => _c->InstructionCount;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SoftVcpu Of(Cpu* c) => Unsafe.As<SoftVcpu>(GCHandle.FromIntPtr(c->Owner).Target!);

    public void Bind()
    {
        // Nothing of the host belongs to a thread here; Run may be called from any one thread at a time.
    }

    public void Kick() => RaiseAttention(AttentionBits.Kick);

    public void SetPicOutput(bool asserted)
    {
        Apic.PicOutput = asserted;
        if (asserted)
        {
            RaiseAttention(AttentionBits.Interrupt);
        }
    }

    public void InjectNmi()
    {
        Interlocked.Exchange(ref _nmiPending, 1);
        RaiseAttention(AttentionBits.Interrupt);
    }

    public void SetEntry(VcpuEntry entry)
    {
        SystemRegisters s = entry.System;
        ApplySystem(s with { ApicBase = Apic.BaseMsr, Cr8 = 0 });
        ApplyGeneral(entry.General);
        _mp = MpState.Runnable;
    }

    /// <summary>Power-on values (SDM vol. 3 table 9-1).</summary>
    public void Reset()
    {
        for (int i = 0; i < 32; i++)
        {
            _c->R[i] = 0;
        }

        for (int i = 0; i < 6; i++)
        {
            Ops.Segments.Set(_c, i, 0, 0, 0xffff, 0x93);
        }

        Ops.Segments.Set(_c, Ops.Segments.CS, 0xf000, 0xffff_0000, 0xffff, 0x9b);
        Ops.Segments.Set(_c, Cpu.Ldtr, 0, 0, 0xffff, 0x82);
        Ops.Segments.Set(_c, Cpu.Tr, 0, 0, 0xffff, 0x8b);
        _c->R[17] = 0xfff0;
        _c->R[2] = 0x600;
        _c->Flags = 0;
        StatusFlags.Set(_c, 0);
        _c->Cr0 = ControlBits.CR0_ET | ControlBits.CR0_CD | ControlBits.CR0_NW;
        _c->Cr2 = _c->Cr3 = _c->Cr4 = 0;
        _c->Efer = 0;
        _c->Xcr0 = 1;
        _c->GdtBase = _c->IdtBase = 0;
        _c->GdtLimit = _c->IdtLimit = 0xffff;
        _c->Dr[6] = 0xffff_0ff0;
        _c->Dr[7] = 0x400;
        UpdateWatch(_c);
        _c->Star = _c->Lstar = _c->Cstar = _c->SyscallMask = _c->KernelGsBase = _c->TscAux = 0;
        _c->SysenterCs = _c->SysenterEsp = _c->SysenterEip = 0;
        _c->Mxcsr = 0x1f80;
        _c->FpuControl = 0x40;
        _c->FpuStatus = 0;
        _c->FpuValid = 0;
        _c->FpuTop = 0;
        FpuState.ClearSse(_c, 16);
        FpuState.ClearAvx(_c, 16);
        _c->Cpl = 0;
        _c->Shadow = 0;
        _injected = -1;
        _arrived = s_nothing;
        _c->Budget = Slice;
        ResetMsrs();
        Mmu.FlushAll(_c);
        UpdateMode();
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _partition.Report(this);
        _partition.Remove(this);
        ResetCrossings();
        _cache.Dispose();
        _wake.Dispose();
        _self.Free();
        NativeMemory.AlignedFree(_tables);
        NativeMemory.AlignedFree(_c);
    }

    /// <summary>The kernel's generator, which keeps no state here: any thread.</summary>
    private static readonly EntropySource s_entropy = new("/dev/urandom");

    public static ulong RandomWord()
    {
        // The framework's generator would load OpenSSL, 4 MiB of resident memory. So few bytes come whole (getrandom(2)).
        ulong v = 0;
        nint count = s_entropy.Read(MemoryMarshal.AsBytes(new Span<ulong>(ref v)));
        return count == sizeof(ulong) ? v : throw new HypervisorException($"soft: getrandom gave {count} of {sizeof(ulong)} bytes");
    }

    /// <summary>Takes over the partition's list of RAM regions. On the vCPU's thread, or while it does not run.</summary>
    public void RefreshRam()
    {
        _c->Ram = _partition.RamSlots(out int count);
        _c->RamCount = count;
        Mmu.FlushAll(_c);
        _cache.Reset();
    }
}
