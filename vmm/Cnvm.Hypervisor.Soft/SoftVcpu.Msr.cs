using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Platform;

namespace Cnvm.Hypervisor.Soft;

/// <summary>CPUID, model-specific registers, time.</summary>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>Frequency of the guest's TSC unless a restored state has another: one tick is a nanosecond.</summary>
    public const uint DefaultTscKhz = 1_000_000;

    private const uint CpuidOsXsave = 1u << 27;
    private const uint CpuidApic = 1u << 9;

    private CpuidEntry[] _leaves = [];
    private readonly Dictionary<uint, ulong> _plainMsrs = [];
    private uint _tscKhz = DefaultTscKhz;
    private ulong _tscOffset;
    private ulong _clockMsr;
    private ulong _wallClockMsr;
    private uint _clockVersion;

    private void BuildCpuid() => _leaves = [.. _cpuid];

    public void Cpuid()
    {
        Cpu* c = _c;
        uint leaf = (uint)c->R[0];
        uint subleaf = (uint)c->R[1];
        CpuidEntry found = default;
        foreach (ref readonly CpuidEntry e in _leaves.AsSpan())
        {
            if (e.Leaf == leaf && (!e.HasSubleaf || e.Subleaf == subleaf))
            {
                found = e;
                break;
            }
        }

        uint ebx = found.Ebx;
        uint ecx = found.Ecx;
        uint edx = found.Edx;
        switch (leaf)
        {
            case 1:
                ecx = (c->Cr4 & ControlBits.CR4_OSXSAVE) != 0 ? ecx | CpuidOsXsave : ecx;
                edx = (Apic.BaseMsr & LocalApic.BaseEnable) == 0 ? edx & ~CpuidApic : edx;
                break;
            case 0xd when subleaf <= 1 && ebx != 0:
                ebx = (uint)((c->Xcr0 & FpuState.Avx) != 0 ? FpuState.AreaBytes : FpuState.HeaderEnd);
                break;
            case 0xb:
                // Absent levels still answer with their number and the APIC id.
                ecx = (ecx & ~0xffu) | (subleaf & 0xff);
                edx = ApicId;
                break;
            default:
                break;
        }

        c->R[0] = found.Eax;
        c->R[3] = ebx;
        c->R[1] = ecx;
        c->R[2] = edx;
    }

    /// <summary>Page addresses of guest-physical memory, as wide as the CPUID says.</summary>
    public ulong AddressMask => ((1ul << _c->PhysicalBits) - 1) & Mmu.PageMask;

    /// <summary>What the TSC adds to the host's time in its ticks.</summary>
    public ulong TscOffset => _tscOffset;

    /// <summary>Frequency of the TSC.</summary>
    public uint TscKhz => _tscKhz;

    /// <summary>Host time at which the vCPU got the times that it has; the smallest number if it always had them.</summary>
    public long RestoredAt => _restoredAt;

    public ulong ReadTsc() => Scale(HostClock.Now) + _tscOffset;

    /// <inheritdoc/>
    public ulong ReadTsc(out ulong timestamp)
    {
        long now = HostClock.Now;
        timestamp = (ulong)now;
        return Scale(now) + _tscOffset;
    }

    private ulong Scale(long nanoseconds) =>
        _tscKhz == 1_000_000 ? (ulong)nanoseconds : (ulong)((UInt128)(ulong)nanoseconds * _tscKhz / 1_000_000);

    /// <summary>Host time in nanoseconds at which the TSC reaches a value.</summary>
    public long HostTimeOfTsc(ulong tsc)
    {
        ulong now = ReadTsc();
        if (tsc <= now)
        {
            return HostClock.Now;
        }

        UInt128 wait = (UInt128)(tsc - now) * 1_000_000 / _tscKhz;
        return wait > long.MaxValue / 2 ? long.MaxValue - 1 : HostClock.Now + (long)wait;
    }

    /// <summary>
    /// Takes a stretch of host time away from the guest: TSC and timer go on as if it had not been. A state that was restored since then
    /// has its own times, which stay.
    /// </summary>
    /// <param name="since">Host time at which the stretch begins.</param>
    /// <param name="nanoseconds">Its length.</param>
    public void SkipTime(long since, long nanoseconds)
    {
        if (_restoredAt <= since)
        {
            _tscOffset -= Scale(nanoseconds);
            Apic.SkipTime(nanoseconds);
        }
    }

    private void ResetMsrs()
    {
        _plainMsrs.Clear();
        foreach ((uint index, ulong value) in PlainMsrs.Defaults)
        {
            _plainMsrs[index] = value;
        }

        _clockMsr = 0;
        _wallClockMsr = 0;
    }

    /// <summary>RDMSR; false is #GP(0).</summary>
    public bool ReadMsr(uint index, out ulong value)
    {
        Cpu* c = _c;
        value = 0;
        switch (index)
        {
            case Msr.Tsc:
                value = ReadTsc();
                return true;
            case Msr.ApicBase:
                value = Apic.BaseMsr;
                return true;
            case Msr.TscDeadline:
                value = Apic.TscDeadline;
                return true;
            case Msr.Efer:
                value = c->Efer;
                return true;
            case Msr.Star:
                value = c->Star;
                return true;
            case Msr.Lstar:
                value = c->Lstar;
                return true;
            case Msr.Cstar:
                value = c->Cstar;
                return true;
            case Msr.SyscallMask:
                value = c->SyscallMask;
                return true;
            case Msr.FsBase:
                value = c->R[22];
                return true;
            case Msr.GsBase:
                value = c->R[23];
                return true;
            case Msr.KernelGsBase:
                value = c->KernelGsBase;
                return true;
            case Msr.TscAux:
                value = c->TscAux;
                return true;
            case Msr.SysenterCs:
                value = c->SysenterCs;
                return true;
            case Msr.SysenterEsp:
                value = c->SysenterEsp;
                return true;
            case Msr.SysenterEip:
                value = c->SysenterEip;
                return true;
            case Msr.KvmSystemTime or Msr.KvmSystemTimeOld:
                value = _clockMsr;
                return true;
            case Msr.KvmWallClock or Msr.KvmWallClockOld:
                value = _wallClockMsr;
                return true;
            case >= Msr.X2ApicFirst and <= Msr.X2ApicLast:
                return Apic.ReadMsr(index, out value);
            default:
                return _plainMsrs.TryGetValue(index, out value);
        }
    }

    /// <summary>WRMSR; false is #GP(0).</summary>
    public bool WriteMsr(uint index, ulong value)
    {
        Cpu* c = _c;
        switch (index)
        {
            case Msr.Tsc:
                _tscOffset = value - Scale(HostClock.Now);
                WriteClock();
                return true;
            case Msr.ApicBase:
                return Apic.WriteBase(value);
            case Msr.TscDeadline:
                Apic.TscDeadline = value;
                return true;
            case Msr.Efer:
                return WriteEfer(value);
            case Msr.Star:
                c->Star = value;
                return true;
            case Msr.Lstar:
                c->Lstar = Mmu.IsCanonical(value) ? value : c->Lstar;
                return Mmu.IsCanonical(value);
            case Msr.Cstar:
                c->Cstar = Mmu.IsCanonical(value) ? value : c->Cstar;
                return Mmu.IsCanonical(value);
            case Msr.SyscallMask:
                c->SyscallMask = (uint)value;
                return true;
            case Msr.FsBase or Msr.GsBase or Msr.KernelGsBase:
                return WriteBase(index, value);
            case Msr.TscAux:
                // AMD's ignore the upper half, Intel's refuse it.
                c->TscAux = IsIntel && value >> 32 != 0 ? c->TscAux : (uint)value;
                return !IsIntel || value >> 32 == 0;
            case Msr.SysenterCs:
                c->SysenterCs = (uint)value;
                return true;
            case Msr.SysenterEsp:
                c->SysenterEsp = IsIntel ? value : (uint)value;
                return true;
            case Msr.SysenterEip:
                c->SysenterEip = IsIntel ? value : (uint)value;
                return true;
            case PlainMsrs.MicrocodeRevision:
                // The guest cannot load microcode; KVM ignores it as well.
                return true;
            case Msr.KvmSystemTime or Msr.KvmSystemTimeOld:
                _clockMsr = value;
                WriteClock();
                return true;
            case Msr.KvmWallClock or Msr.KvmWallClockOld:
                _wallClockMsr = value;
                WriteWallClock();
                return true;
            case >= Msr.X2ApicFirst and <= Msr.X2ApicLast:
                return Apic.WriteMsr(index, value);
            default:
                if (!_plainMsrs.ContainsKey(index) || PlainMsrs.IsReadOnly(index) || !PlainMsrs.Takes(index, value, c->PhysicalBits))
                {
                    return false;
                }

                _plainMsrs[index] = value;
                return true;
        }
    }

    private bool WriteBase(uint index, ulong value)
    {
        if (!Mmu.IsCanonical(value))
        {
            return false;
        }

        switch (index)
        {
            case Msr.FsBase:
                _c->R[22] = value;
                break;
            case Msr.GsBase:
                _c->R[23] = value;
                break;
            default:
                _c->KernelGsBase = value;
                break;
        }

        return true;
    }

    private bool WriteEfer(ulong value)
    {
        Cpu* c = _c;
        const ulong Valid = ControlBits.EFER_SCE | ControlBits.EFER_LME | ControlBits.EFER_LMA | ControlBits.EFER_NXE | ControlBits.EFER_AIBRSE;
        if ((value & ~Valid) != 0
            || ((c->Cr0 & ControlBits.CR0_PG) != 0 && ((value ^ c->Efer) & ControlBits.EFER_LME) != 0))
        {
            return false;
        }

        c->Efer = (value & ~ControlBits.EFER_LMA) | (c->Efer & ControlBits.EFER_LMA);
        Mmu.FlushAll(c);
        UpdateMode();
        return true;
    }

    /// <summary>
    /// Writes the guest's clock page (struct pvclock_vcpu_time_info): an odd version while it changes. The TSC is steady, so once is
    /// enough.
    /// </summary>
    public void WriteClock()
    {
        if ((_clockMsr & 1) == 0)
        {
            return;
        }

        long now = HostClock.Now;
        ulong tsc = Scale(now) + _tscOffset;
        ulong time = (ulong)(now - _partition.ClockBase);
        (uint multiplier, sbyte shift) = ClockScale(_tscKhz);
        byte* page = stackalloc byte[32];
        _clockVersion += 2;
        *(uint*)page = _clockVersion;
        *(uint*)(page + 4) = 0;
        *(ulong*)(page + 8) = tsc;
        *(ulong*)(page + 16) = time;
        *(uint*)(page + 24) = multiplier;
        *(sbyte*)(page + 28) = shift;
        page[29] = 1;
        page[30] = page[31] = 0;
        ulong gpa = _clockMsr & ~1ul;
        if ((gpa & 0xfff) <= 0xfe0)
        {
            Mmu.WritePhysical(_c, gpa, page, 32);
        }
    }

    /// <summary>nanoseconds = ((ticks shifted left by shift) * multiplier) >> 32.</summary>
    private static (uint Multiplier, sbyte Shift) ClockScale(uint khz)
    {
        UInt128 ratio = ((UInt128)1_000_000 << 32) / khz;
        sbyte shift = 0;
        while (ratio > uint.MaxValue)
        {
            ratio >>= 1;
            shift++;
        }

        return ((uint)ratio, shift);
    }

    private void WriteWallClock()
    {
        long boot = ((DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100) - (HostClock.Now - _partition.ClockBase);
        byte* page = stackalloc byte[12];
        *(uint*)page = 2;
        *(uint*)(page + 4) = (uint)(boot / 1_000_000_000);
        *(uint*)(page + 8) = (uint)(boot % 1_000_000_000);
        ulong gpa = _wallClockMsr;
        if (gpa != 0 && (gpa & 0xfff) <= 0xff0)
        {
            Mmu.WritePhysical(_c, gpa, page, 12);
        }
    }
}
